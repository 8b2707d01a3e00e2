"""Runs of the smallest size on the shared fixtures."""

import json
from pathlib import Path
from typing import Any

import pytest

from eadbench.core import settings
from eadbench.training.config import TrainingConfig

OPTIM = {
    "steps": 4,
    "batch": 2,
    "lr": 1e-3,
    "schedule": "cosine",
    "warmup": 1,
    "log_every": 1,
    "validate_batches": 1,
    "save_every": 2,
    "ema": 0.5,
}
SMALL = {
    "model": {
        "frames": 4,
        "block_channels": [16, 16],
        "layers_per_block": 1,
        "attention_levels": [1],
        "heads": 2,
        "norm_groups": 8,
        "context_dim": 16,
    },
    "optim": OPTIM,
    "diffusion": {"vector_alone": 0, "other_reference": 0},
    "runs": {
        "syncnet": {
            "kind": "syncnet",
            "windows": 4,
            "model": {
                "frames": 3,
                "visual_channels": [8, 8],
                "audio_channels": [8, 8],
                "embedding": 16,
                "attention_from": None,
                "relu": False,
            },
        },
        "stage1": {"kind": "eadnet", "stage": 1, "model": {"stda": "strip_hv", "tfrm": "none"}},
        "full": {
            "kind": "eadnet",
            "stage": 2,
            "init": "stage1",
            "syncnet": "syncnet",
            "parts": ["vae", "lpips", "videomae"],
            "losses": {"x0_every": 2},
        },
        "no_tfrm": {"base": "full", "model": {"tfrm": "none"}},
        "wav2lip": {
            "kind": "wav2lip",
            "syncnet": "syncnet",
            "windows": 3,
            "model": {"face_size": 32, "width": 1},
        },
    },
}


@pytest.fixture
def small() -> dict[str, Any]:
    """A config section with one run of each kind; a fresh copy."""
    import copy

    return copy.deepcopy(SMALL)


def as_given(section: dict[str, Any], name: str) -> TrainingConfig:
    """The section as the workflow gives it to the command: what a run of that kind does
    not read is not in it.
    """
    whole = settings.Settings({"seed": 1, "device": "cpu", "training": section})
    sections = [whole.read_by("training run", run=name), whole.incidental_for("training run", run=name)]
    return settings.load([json.dumps(part) for part in sections], None, "training run").training


@pytest.fixture(scope="session")
def trained(
    tiny_features: Path, tiny_parts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Folders of ``syncnet`` and ``stage1``, trained for a few steps, and the artefacts
    beside them.
    """
    from eadbench.training.run import run

    folder = tmp_path_factory.mktemp("trained")
    for name in ("syncnet", "stage1"):
        run(name, as_given(SMALL, name), 1, "cpu", [tiny_features], folder / name / "card.json")
    return {**tiny_parts, "syncnet": folder / "syncnet", "stage1": folder / "stage1"}

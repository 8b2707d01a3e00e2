"""Networks of trained runs, read back from ``results/training/{run}/``."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from eadbench.core import seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of
from eadbench.training.card import read_run_card
from eadbench.training.config import MODELS
from eadbench.zoo.weights import explained, load_weights, refuse_non_weights

# By name, since diffusers' layers of one take longer to import than the others to draw.
NETWORKS = {
    "eadnet": ("eadbench.models.eadnet", "EADNet"),
    "syncnet": ("eadbench.models.syncnet", "LipSyncNet"),
    "wav2lip": ("eadbench.models.wav2lip", "Wav2Lip"),
}
# Entries of a run's config.json that whoever uses the run reads, see run_facts.
FACTS = {
    "eadnet": ("model", "features", "prediction", "scheduler", "shared_noise"),
    "syncnet": ("model", "features", "loss", "temperature"),
    "wav2lip": ("model", "features"),
}


def network_class(kind: str) -> type[nn.Module]:
    """Class of the network of a kind of run."""
    module, name = NETWORKS[kind]
    return getattr(import_module(module), name)


def load_run(folder: Path, device: Any = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """The trained network of a run, frozen, in evaluation mode, and its
    ``config.json``.

    Raises:
        EadbenchError: If the run is not there, its weights were changed, or its files
            do not fit together.
        FatalError: If a file of it is gone or was changed.
    """
    facts, network = read_run(folder)
    with _fits_together(folder):
        model = network()
    load_weights(model, folder / "model.safetensors")
    return model.to(device).eval().requires_grad_(False), facts


def read_run(folder: Path) -> tuple[dict[str, Any], Callable[[], nn.Module]]:
    """``config.json`` of a run whose files were found whole, and what builds its
    network.

    Raises:
        EadbenchError: If the run is not there, its weights were changed, or its files
            do not fit together.
        FatalError: If a file of it is gone or was changed.
    """
    card, weights = read_run_card(folder), folder / "model.safetensors"
    seals.check(folder / "config.json")
    for path in (folder / "config.json", weights):
        refuse_non_weights(path)
    if (seals.check(weights) or sha256_of(weights)) != card["sha256"]:
        raise EadbenchError(
            "weights were changed since the run's card was written", weights, "train the run again"
        )
    with _fits_together(folder):
        facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shape = MODELS[facts["kind"]].from_dict(facts["model"])
        if lacking := [key for key in FACTS[facts["kind"]] if key not in facts]:
            raise KeyError(lacking[0])
    return facts, partial(network_class(facts["kind"]), shape)


def _fits_together(folder: Path) -> AbstractContextManager:
    """Errors of files of a run that are not of one run, in words."""
    hint = "its config.json, card.json and model.safetensors belong together; train the run again"
    return explained(f"run {Path(folder).name!r}", folder, hint)


def load_kind(folder: Path, kind: str) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a run of that kind, and its ``config.json``.

    Raises:
        EadbenchError: If the run is not there, was changed, or is of another kind.
    """
    network, facts = load_run(folder)
    if facts["kind"] != kind:
        raise EadbenchError(f"the run is of kind {facts['kind']!r}, not {kind!r}", folder, "name another run")
    return network, facts

"""Runs of the smallest size, and the features that they need."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from eadbench.samples.config import SamplesConfig
from eadbench.samples.methods.base import MethodContext

EADNET = {
    "frames": 8,
    "block_channels": [16, 32],
    "layers_per_block": 1,
    "attention_levels": [1],
    "heads": 2,
    "norm_groups": 8,
    "context_dim": 16,
    "vai_tokens": 2,
}
RUNS = {
    "syncnet": (
        "syncnet",
        {"frames": 5, "visual_channels": [8, 8], "audio_channels": [8, 8], "embedding": 8},
    ),
    "full": ("eadnet", EADNET),
    "silent": ("eadnet", EADNET | {"emotion": "none"}),
    "wav2lip": ("wav2lip", {"face_size": 32, "width": 2}),
}


@dataclass(frozen=True)
class World:
    """Folders of clips, features, parts and trained runs; see the fixtures of the same
    names.
    """

    clips: Path
    features: Path
    parts: dict[str, Path]
    runs: dict[str, Path]

    def context(self, out: Path, methods: dict, run: str | None = None, **samples) -> MethodContext:
        """The context that `samples make` gives to a method."""
        config = SamplesConfig.model_validate(
            {"methods": methods, "sampler": {"steps": 2, "overlap": 2, "chunk": 3}, **samples}
        )
        parts = {name: self.parts[name] for name in ("vae", "whisper")}
        return MethodContext(
            7,
            "cpu",
            config,
            self.features if run else None,
            self.runs[run] if run else None,
            parts if run else {},
            out.parent / "logs",
        )


@pytest.fixture(scope="session")
def world(
    tiny_clips: Path,
    tiny_features: Path,
    tiny_parts: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> World:
    """Clips, features with encoded label descriptions, and runs as the training writes
    them, with random weights.
    """
    folder = tmp_path_factory.mktemp("world")
    features = _with_label_texts(tiny_features, folder / "features")
    return World(
        tiny_clips,
        features,
        tiny_parts,
        {name: _write_run(folder / "training" / name, features, *RUNS[name]) for name in RUNS},
    )


def _write_run(folder: Path, features: Path, kind: str, sizes: dict) -> Path:
    import torch
    from safetensors.torch import save_file

    from eadbench.core.files import sha256_of
    from eadbench.features.store import FeatureStore
    from eadbench.training.config import RunConfig
    from eadbench.training.networks import network_class
    from eadbench.training.run import model_config, run_facts

    store = FeatureStore([features])
    config = RunConfig.model_validate({"kind": kind, "model": sizes})
    model = model_config(folder.name, config, store, store.facts())
    torch.manual_seed(3)
    network = network_class(kind)(model)
    for parameter in network.parameters():
        if not parameter.any():  # what starts at zero would leave the conditions without effect
            torch.nn.init.normal_(parameter, std=0.1)
    folder.mkdir(parents=True)
    save_file(network.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(run_facts(config, model, store.facts())))
    (folder / "card.json").write_text(
        json.dumps({"kind": kind, "sha256": sha256_of(folder / "model.safetensors")})
    )
    return folder


def _with_label_texts(index: Path, target: Path) -> Path:
    """A copy of the features whose table of texts also holds the descriptions of
    labels, as random vectors.
    """
    import torch
    from safetensors.torch import load_file, save_file

    from eadbench.core import schemas
    from eadbench.core.tables import read_table, write_table
    from eadbench.features.text import text_id_of, texts_to_encode

    shutil.copytree(index.parent, target)
    table = read_table(target / "text.parquet", schemas.TEXTS)
    vectors = load_file(target / "text.safetensors")
    width = next(iter(vectors.values())).shape[1]
    rows = table.to_dict("records")
    for text in texts_to_encode([]):
        key = text_id_of(text)
        vectors[key] = torch.randn(4, width, generator=torch.Generator().manual_seed(len(rows))).half()
        rows.append({"text_id": key, "text": text, "tokens": 4, "file": "text.safetensors"})
    save_file(vectors, target / "text.safetensors")
    write_table(target / "text.parquet", rows, schemas.TEXTS)
    return target / index.name

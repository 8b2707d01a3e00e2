"""Shared fixtures: small real media files and the smoke pipeline, made on the spot."""

import os
from pathlib import Path

import pytest
from tiny_clips import make_clips
from workflow.running import snakemake

from eadbench.core import schemas
from eadbench.core.tables import write_table


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke pipeline, run once; tests must leave its outputs as they found them.
    EADBENCH_SMOKE names a folder to reuse.
    """
    given = os.environ.get("EADBENCH_SMOKE")
    folder = Path(given) if given else tmp_path_factory.mktemp("smoke")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return folder


@pytest.fixture(scope="session")
def tiny_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of two seconds at 64 pixels, three speakers, the last one in the test
    split.
    """
    return make_clips(tmp_path_factory.mktemp("tiny_clips"))


@pytest.fixture(scope="session")
def tiny_parts(tiny_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Artefacts that features and training use, made by the zoo at the smallest size:
    ``vae``, ``whisper``, ``videomae``, ``lpips``.
    """
    from eadbench.zoo.config import ZooConfig
    from eadbench.zoo.make import ArtefactInputs, make

    artefacts = {
        "vae": {
            "kind": "vae",
            "how": "trained",
            "options": {
                "size": 32,
                "channels": [12, 12, 12],
                "norm_groups": 3,
                "steps": 3,
                "frames_per_clip": 4,
            },
        },
        "whisper": {
            "kind": "whisper",
            "how": "trained",
            "options": {"state": 16, "heads": 2, "layers": 1, "steps": 2, "clusters": 4, "crop": 50},
        },
        "videomae": {
            "kind": "videomae",
            "how": "random",
            "options": {
                "image_size": 32,
                "patch_size": 16,
                "num_frames": 4,
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 32,
            },
        },
        "lpips": {"kind": "lpips", "how": "random", "options": {}},
    }
    folder, config = tmp_path_factory.mktemp("tiny_parts"), ZooConfig.model_validate({"artefacts": artefacts})
    for name in artefacts:
        make(name, config, 1, ArtefactInputs([tiny_clips]), folder / name)
    return {name: folder / name for name in artefacts}


@pytest.fixture(scope="session")
def tiny_features(
    tiny_clips: Path, tiny_parts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Index of the features of ``tiny_clips`` at 32 pixels (latents 8 x 8), in two
    shards; captions are random vectors.

    The caption of the first clip was dropped, the last clip has none.
    """
    import pandas as pd
    import torch
    from safetensors.torch import save_file

    from eadbench.core.tables import read_table
    from eadbench.features.config import FeaturesConfig
    from eadbench.features.extract import extract
    from eadbench.features.merge import merge

    folder = tmp_path_factory.mktemp("tiny_features")
    config = FeaturesConfig(size=32, whisper_padding=False)
    shards = []
    for shard in ("0-of-2", "1-of-2"):
        shards.append(folder / "shards" / shard / "features.parquet")
        extract(tiny_clips, shard, tiny_parts, config, shards[-1], torch.device("cpu"))
    clips = read_table(tiny_clips, schemas.CLIPS)
    captions = pd.DataFrame(
        {"clip_id": clips["clip_id"], "corpus": "tiny", "captioner": "test", "status": "kept", "reason": ""}
    )
    captions["caption"] = [f"looks {emotion}" for emotion in clips["emotion"]]
    captions.loc[0, ["status", "reason"]] = "dropped", "similarity"
    captions.loc[len(captions) - 1, ["caption", "status", "reason"]] = None, "failed", "no answer"
    write_table(folder / "captions.parquet", captions, schemas.CAPTIONS)
    texts = sorted(captions["caption"].dropna().unique())
    vectors = {
        f"t{k}": torch.randn(3 + k % 3, 12, generator=torch.Generator().manual_seed(k)).half()
        for k in range(len(texts))
    }
    save_file(vectors, folder / "text.safetensors")
    rows = [
        {"text_id": f"t{k}", "text": text, "tokens": 3 + k % 3, "file": "text.safetensors"}
        for k, text in enumerate(texts)
    ]
    write_table(folder / "text.parquet", rows, schemas.TEXTS)
    merge(shards, tiny_clips, folder / "index.parquet", folder / "captions.parquet", folder / "text.parquet")
    return folder / "index.parquet"

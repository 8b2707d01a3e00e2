"""Folders in transformers' form: what is read, and what is said of it."""

import logging
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import VideoMAEConfig, VideoMAEModel

from eadbench.zoo.card import Card
from eadbench.zoo.hub import from_folder, model_from_folder

CARD = Card(
    artefact="v", kind="videomae", how="random", id="v", source="", licence="", files={}, options={}, facts={}
)
TINY = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


class Records(logging.Handler):
    """What a logger let through."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def test_tensors_that_nothing_here_uses_are_not_reported(tmp_path: Path) -> None:
    VideoMAEModel(VideoMAEConfig(image_size=32, num_frames=2, **TINY)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(
        weights | {"decoder.head.weight": torch.ones(2)}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    logger, records = logging.getLogger("transformers.modeling_utils"), Records()
    logger.addHandler(records)
    try:
        model_from_folder(VideoMAEModel, tmp_path, CARD)
        assert records.texts == []
        from_folder(VideoMAEModel, tmp_path)
        assert "decoder.head.weight" in records.texts[0], "the library itself still tells"
    finally:
        logger.removeHandler(records)

"""Kind ``clip``: images and texts in one space (CLIP, SigLIP) through transformers.
Fetched only.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from eadbench.zoo.card import Card
from eadbench.zoo.hub import from_folder, model_from_folder


class ImageText:
    """Unit vectors of images and of texts whose cosine says how well they match."""

    def __init__(self, model: Any, processor: Any, device: Any, batch: int = 32) -> None:
        self.model, self.processor, self.device, self.batch = (
            model.eval().to(device),
            processor,
            device,
            batch,
        )
        text_config = getattr(model.config, "text_config", model.config)
        self.max_tokens = text_config.max_position_embeddings
        # SigLIP was trained on full-length texts
        self.padding = "max_length" if model.config.model_type.startswith("siglip") else True

    @torch.inference_mode()
    def embed_images(self, frames: np.ndarray) -> torch.Tensor:
        """Frames ``(N, H, W, 3)`` RGB uint8 to ``(N, D)`` float32 on the CPU,
        L2-normalised.
        """
        return unit_vectors(self._image_features, frames, self.batch)

    def _image_features(self, frames: np.ndarray) -> Any:
        inputs = self.processor(images=list(frames), return_tensors="pt").to(self.device)
        return self.model.get_image_features(pixel_values=inputs["pixel_values"].to(self.model.dtype))

    @torch.inference_mode()
    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        """``(N, D)`` float32 on the CPU, L2-normalised; longer texts are cut."""
        return unit_vectors(self._text_features, texts, self.batch)

    def _text_features(self, texts: list[str]) -> Any:
        tokens = self.processor.tokenizer(
            texts,
            padding=self.padding,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.device)
        mask = {"attention_mask": tokens["attention_mask"]} if "attention_mask" in tokens else {}
        return self.model.get_text_features(input_ids=tokens["input_ids"], **mask)


def unit_vectors(features_of: Callable[[Any], Any], items: Sequence[Any], batch: int) -> torch.Tensor:
    """``(N, D)`` float32 on the CPU, L2-normalised.

    Args:
        features_of: A model's features of some items: a tensor, or (transformers 5) an
            output object that holds it as ``pooler_output``.
        items: What is embedded.
        batch: Items at a time.
    """
    vectors = []
    for start in range(0, len(items), batch):
        features = features_of(items[start : start + batch])
        pooled = features if isinstance(features, torch.Tensor) else features.pooler_output
        vectors.append(F.normalize(pooled.float(), dim=-1).cpu())
    return torch.cat(vectors)


def load(folder: Path, card: Card, device: Any = "cpu") -> ImageText:
    """An object with ``embed_images`` and ``embed_texts``."""
    from transformers import AutoModel, AutoProcessor

    return ImageText(model_from_folder(AutoModel, folder, card), from_folder(AutoProcessor, folder), device)

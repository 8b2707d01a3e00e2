"""Kind ``clip``: images and texts in one space (CLIP, SigLIP) through transformers.
Fetched only.
"""

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
        text = getattr(model.config, "text_config", model.config)
        self.longest = text.max_position_embeddings
        # SigLIP was trained on full-length texts
        self.padding = "max_length" if model.config.model_type.startswith("siglip") else True

    @torch.inference_mode()
    def embed_images(self, frames: np.ndarray) -> torch.Tensor:
        """Frames ``(N, H, W, 3)`` RGB uint8 to ``(N, D)`` float32 on the CPU,
        L2-normalised.
        """
        found = []
        for start in range(0, len(frames), self.batch):
            given = self.processor(images=list(frames[start : start + self.batch]), return_tensors="pt").to(
                self.device
            )
            found.append(
                unit(self.model.get_image_features(pixel_values=given["pixel_values"].to(self.model.dtype)))
            )
        return torch.cat(found)

    @torch.inference_mode()
    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        """``(N, D)`` float32 on the CPU, L2-normalised; longer texts are cut."""
        found = []
        for start in range(0, len(texts), self.batch):
            given = self.processor.tokenizer(
                texts[start : start + self.batch],
                padding=self.padding,
                truncation=True,
                max_length=self.longest,
                return_tensors="pt",
            ).to(self.device)
            mask = {"attention_mask": given["attention_mask"]} if "attention_mask" in given else {}
            found.append(unit(self.model.get_text_features(input_ids=given["input_ids"], **mask)))
        return torch.cat(found)


def unit(features: Any) -> torch.Tensor:
    """Features to unit vectors ``(N, D)`` float32 on the CPU; transformers 5 returns an
    output object whose pooled vector is meant.
    """
    vectors = features if isinstance(features, torch.Tensor) else features.pooler_output
    return F.normalize(vectors.float(), dim=-1).cpu()


def load(folder: Path, card: Card, device: Any = "cpu") -> ImageText:
    """An object with ``embed_images`` and ``embed_texts``."""
    from transformers import AutoModel, AutoProcessor

    return ImageText(model_from_folder(AutoModel, folder, card), from_folder(AutoProcessor, folder), device)

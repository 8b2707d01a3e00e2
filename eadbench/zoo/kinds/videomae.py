"""Video features for TREPA, the temporal alignment loss: transformers'
``VideoMAEModel``.

Full size: fetched VideoMAE weights. Demo: a small one with random weights of a fixed
seed, which still compares motion (random features are a metric, if a coarse one); the
card says ``random``. ``load`` gives a :class:`VideoMAEFeatures`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from eadbench.zoo.card import Card
from eadbench.zoo.hub import model_from_folder


class VideoMAEFeatures(nn.Module):
    """Clips to one embedding each, LatentSync's way: bicubic to the model's size, range
    [0, 1], mean over tokens, unit length.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def frames(self) -> int:
        """Frames that a clip must have."""
        return self.model.config.num_frames

    @property
    def width(self) -> int:
        """Width D of the embedding."""
        return self.model.config.hidden_size

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames ``(B, F, 3, H, W)`` in [-1, 1] to ``(B, D)`` of unit length; another
        number of frames is resampled in time to the model's.
        """
        batch, count = frames.shape[:2]
        if count != self.frames:
            indices = torch.linspace(0, count - 1, self.frames, device=frames.device).round().long()
            frames = frames[:, indices]
        size = self.model.config.image_size
        pixels = (frames.flatten(0, 1) + 1) / 2
        if pixels.shape[-1] != size:
            pixels = functional.interpolate(pixels, (size, size), mode="bicubic", align_corners=False)
        videos = pixels.unflatten(0, (batch, self.frames)).to(self.model.dtype)
        tokens = self.model(videos).last_hidden_state.float()
        return functional.normalize(tokens.mean(1), dim=-1)


def load(folder: Path, card: Card, device: Any = "cpu") -> VideoMAEFeatures:
    """The features, frozen, in evaluation mode."""
    from transformers import VideoMAEModel

    model = model_from_folder(VideoMAEModel, folder, card)
    return VideoMAEFeatures(model).to(device).eval().requires_grad_(False)


def random(folder: Path, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Random weights of a fixed seed. ``options`` are fields of transformers'
    ``VideoMAEConfig``.
    """
    from transformers import VideoMAEConfig, VideoMAEModel

    torch.manual_seed(seed)
    model = VideoMAEModel(VideoMAEConfig(**options))
    model.save_pretrained(folder, safe_serialization=True)
    return {"parameters": sum(p.numel() for p in model.parameters()), "width": model.config.hidden_size}

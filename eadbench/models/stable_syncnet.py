"""LatentSync's StableSyncNet (Li et al. 2024, arXiv 2412.09262), written from its
published configuration: do these lips and this audio belong together?

Names and shapes of the tensors are those of the released checkpoint
(``stable_syncnet.pt``, configuration ``syncnet_16_pixel_attn``), from which widths and
places of the attention are read, so that a small one of the same form loads as well.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

FRAMES, SIDE = 16, 256  # frames of a window; side of the face whose lower half is seen
MEL_STEPS = 52
GROUPS, HEADS, EPS = 32, 8, 1e-6
# Strides of the stages, down to one place: (80, 52) of the audio, (128, 256) of the face.
AUDIO_STRIDES = ((2, 1), (2, 2), (2, 2), (1, 1), (2, 2), (2, 2), (2, 3))
VISUAL_STRIDES = ((1, 2), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2))


class StableSyncNet(nn.Module):
    """Both encoders.

    Args:
        audio: Stages of the audio, channels and whether attention follows.
        visual: The same of the lips.
    """

    def __init__(self, audio: list[tuple[int, bool]], visual: list[tuple[int, bool]]) -> None:
        super().__init__()
        self.audio_encoder = DownEncoder(1, audio, AUDIO_STRIDES)
        self.visual_encoder = DownEncoder(3 * FRAMES, visual, VISUAL_STRIDES)

    @classmethod
    def like(cls, state: Mapping[str, torch.Tensor]) -> "StableSyncNet":
        """A network that a state dict fits.

        Raises:
            ValueError: If it is none of a StableSyncNet.
        """
        encoders = []
        for name, strides in (("audio", AUDIO_STRIDES), ("visual", VISUAL_STRIDES)):
            stages = stages_of(state, f"{name}_encoder.down_blocks.")
            if len(stages) != len(strides):
                raise ValueError(f"{len(stages)} stages of the {name} encoder, expected {len(strides)}")
            encoders.append(stages)
        return cls(*encoders)

    def embed_lips(self, frames: torch.Tensor) -> torch.Tensor:
        """Lower halves of 16 frames in [-1, 1], ``(B, 48, 128, 256)``, channels frame by
        frame, to unit vectors ``(B, D)``.
        """
        return F.normalize(self.visual_encoder(frames).flatten(1), dim=1)

    def embed_audio(self, mel: torch.Tensor) -> torch.Tensor:
        """Mel spectrograms in [-4, 4], ``(B, 1, 80, 52)``, to unit vectors ``(B, D)``."""
        return F.normalize(self.audio_encoder(mel).flatten(1), dim=1)


def stages_of(state: Mapping[str, torch.Tensor], prefix: str) -> list[tuple[int, bool]]:
    """Channels of each stage of an encoder, and whether attention follows it."""
    stages: list[tuple[int, bool]] = []
    number = 0
    while True:
        convolution = state.get(f"{prefix}{number}.conv1.weight")
        if convolution is not None:
            stages.append((convolution.shape[0], False))
        elif f"{prefix}{number}.attn.to_q.weight" in state and stages:
            stages[-1] = (stages[-1][0], True)
        else:
            return stages
        number += 1


class DownEncoder(nn.Module):
    """Residual stages that halve the sides, some with attention over all places, down
    to one place.
    """

    def __init__(
        self, inputs: int, stages: list[tuple[int, bool]], strides: tuple[tuple[int, int], ...]
    ) -> None:
        super().__init__()
        channels = stages[0][0]
        self.conv_in = nn.Conv2d(inputs, channels, 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for (width, attends), stride in zip(stages, strides, strict=True):
            self.down_blocks.append(DownStage(channels, width, stride))
            if attends:
                self.down_blocks.append(PlaceAttention(width))
            channels = width
        self.norm_out = nn.GroupNorm(GROUPS, channels, EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, inputs, H, W)`` to ``(B, channels, 1, 1)``, none below 0."""
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.norm_out(x).relu()


class DownStage(nn.Module):
    """Two convolutions around a residual, then one that strides over a border of
    zeros to the right and below; along a side whose stride is 1, on both ends.
    """

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, inputs, EPS), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, outputs, EPS), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.downsample_conv = None
        if stride != (1, 1):
            self.downsample_conv = nn.Conv2d(outputs, outputs, 3, stride)
            high, wide = (int(step == 1) for step in stride)
            self.pad = (wide, 1, high, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H', W')``."""
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y))) + self.conv_shortcut(x)
        return y if self.downsample_conv is None else self.downsample_conv(F.pad(y, self.pad))


class PlaceAttention(nn.Module):
    """Self-attention over all places and a gated feed-forward layer, between two 1 x 1
    convolutions around a residual.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, width, EPS)
        self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.conv_in, self.conv_out = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.attn, self.ff = Attention(width), FeedForward(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` to the same shape."""
        places = self.conv_in(self.norm1(x)).flatten(2).transpose(1, 2)
        places = self.attn(self.norm2(places)) + places
        places = self.ff(self.norm3(places)) + places
        return self.conv_out(places.transpose(1, 2).unflatten(2, x.shape[2:])) + x


class Attention(nn.Module):
    """Eight heads; the names are diffusers'."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, N, C)`` to the same shape."""
        q, k, v = (
            part(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (self.to_q, self.to_k, self.to_v)
        )
        return self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Four times as wide inside, gated by GELU; the names are diffusers'."""

    def __init__(self, width: int) -> None:
        super().__init__()
        gate = nn.Module()
        gate.proj = nn.Linear(width, 8 * width)
        self.net = nn.ModuleList([gate, nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, N, C)`` to the same shape."""
        value, gate = self.net[0].proj(x).chunk(2, dim=-1)
        return self.net[2](value * F.gelu(gate))

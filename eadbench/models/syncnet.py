"""The training SyncNet: do these lips and this audio belong together?

Two encoders, one over F consecutive frames (lower half of the face, stacked along
channels), one over the mel spectrogram of the same stretch, give unit vectors whose
cosine says how well they match. After LatentSync's StableSyncNet, sizes by config. The
evaluator of `scores` is another network.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D

from eadbench.models.config import SyncNetConfig


class LipSyncNet(nn.Module):
    """Both encoders. Sizes: :class:`SyncNetConfig`."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.config = config
        size = (config.image_size // 2, config.image_size)
        self.visual = Encoder(
            3 * config.frames, size, config.visual_channels, [(2, 2)] * len(config.visual_channels), config
        )
        strides = [(2, 1 + i % 2) for i in range(len(config.audio_channels))]
        self.audio = Encoder(1, (config.mel_bins, config.mel_steps), config.audio_channels, strides, config)

    def forward(self, frames: torch.Tensor, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed windows.

        Args:
            frames: Lower halves in [-1, 1] of consecutive frames, stacked along
                channels, (B, 3 F, S/2, S).
            mel: The stretch of the mel spectrogram that goes with them, (B, 1, 80,
                steps).

        Returns:
            Unit vectors (B, D) of the lips and of the audio.
        """
        return self.visual(frames), self.audio(mel)


class Encoder(nn.Module):
    """Stages of a strided convolution and a residual block, then one convolution over
    what is left, so that places stay told apart.
    """

    def __init__(
        self,
        inputs: int,
        size: tuple[int, int],
        channels: tuple[int, ...],
        strides: list[tuple[int, int]],
        config: SyncNetConfig,
    ) -> None:
        super().__init__()
        self.relu = config.relu
        stages: list[nn.Module] = []
        for i, (out, stride) in enumerate(zip(channels, strides, strict=True)):
            stages.append(nn.Conv2d(inputs, out, 3, stride, padding=1))
            stages.append(
                ResnetBlock2D(
                    in_channels=out, out_channels=out, temb_channels=None, groups=config.norm_groups
                )
            )
            if config.attention_from is not None and i >= config.attention_from:
                heads = max(out // 64, 1)
                stages.append(
                    Attention(
                        out,
                        heads=heads,
                        dim_head=out // heads,
                        bias=True,
                        norm_num_groups=config.norm_groups,
                        residual_connection=True,
                    )
                )
            inputs = out
            size = (-(-size[0] // stride[0]), -(-size[1] // stride[1]))
        self.stages = nn.ModuleList(stages)
        self.norm = nn.GroupNorm(config.norm_groups, inputs)
        self.head = nn.Conv2d(inputs, config.embedding, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to unit vectors (B, D)."""
        for stage in self.stages:
            x = stage(x, None) if isinstance(stage, ResnetBlock2D) else stage(x)
        x = self.head(F.silu(self.norm(x))).flatten(1)
        return F.normalize(x.relu() if self.relu else x, dim=1)

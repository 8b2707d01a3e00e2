"""The training SyncNet: do these lips and this sound belong together?

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
            frames: Lower halves in [-1, 1], (B, 3 F, S/2, S), see
                :func:`frame_windows`.
            mel: (B, 1, 80, steps), see :func:`mel_windows`.

        Returns:
            Unit vectors (B, D) of the lips and of the sound.
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


def frame_windows(frames: torch.Tensor, length: int, stride: int = 1) -> torch.Tensor:
    """All windows of consecutive frames, lower half, frames stacked along channels.

    Args:
        frames: (B, T, 3, S, S).
        length: Frames per window, at most T.
        stride: Frames from one window to the next.

    Returns:
        (B, windows, 3 length, S/2, S).
    """
    half = frames[..., frames.shape[-2] // 2 :, :]
    return half.unfold(1, length, stride).permute(0, 1, 5, 2, 3, 4).flatten(2, 3)


def mel_windows(mel: torch.Tensor, starts: torch.Tensor, config: SyncNetConfig) -> torch.Tensor:
    """The stretch of a mel spectrogram that goes with windows of frames; repeated at
    the ends where it is too short.

    Args:
        mel: (80, Tm).
        starts: First frame of each window, integers (W,).
        config: Gives rates and length.

    Returns:
        (W, 1, 80, steps).
    """
    first = (starts * (config.mel_hz / config.fps)).round().long()
    steps = (first[:, None] + torch.arange(config.mel_steps, device=first.device)).clamp(0, mel.shape[-1] - 1)
    return mel[:, steps].transpose(0, 1)[:, None]


def cosine_bce(visual: torch.Tensor, audio: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the cosine read as a probability (Wav2Lip, LatentSync).

    Args:
        visual: Unit vectors (B, D), rectified, so that cosines lie in [0, 1].
        audio: Unit vectors (B, D), likewise.
        match: 1 where they belong together, else 0, (B,).
    """
    cosine = (visual * audio).sum(1).float().clamp(1e-6, 1 - 1e-6)
    return F.binary_cross_entropy(cosine, match.to(cosine.dtype))


def in_clip_contrastive(
    visual: torch.Tensor,
    audio: torch.Tensor,
    clip: torch.Tensor,
    start: torch.Tensor,
    min_gap: int = 1,
    temperature: float = 0.07,
) -> torch.Tensor:
    """InfoNCE in both directions whose negatives are other moments of the same clip.

    Other clips would be told apart by voice and face, which teaches nothing about lips.

    Args:
        visual: Unit vectors (N, D).
        audio: Unit vectors (N, D), row i belonging to row i of ``visual``.
        clip: Number of the clip of each row, (N,).
        start: First frame of each row's window, (N,).
        min_gap: Rows less than this many frames apart are no negatives.
        temperature: Divides the cosines.
    """
    logits = visual.float() @ audio.float().T / temperature
    far = (start[:, None] - start).abs() >= min_gap
    counts = (clip[:, None] == clip) & far | torch.eye(len(clip), dtype=torch.bool, device=clip.device)
    logits = logits.masked_fill(~counts, float("-inf"))
    target = torch.arange(len(clip), device=clip.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

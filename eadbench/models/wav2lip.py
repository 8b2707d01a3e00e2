"""The generator of Wav2Lip (Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM
2020), written from the published architecture.

Two encoders (masked and reference face; mel spectrogram) and a decoder with skip
connections. At the published size (face 96, width 16) the names and shapes of the
tensors are those of the released checkpoints, so that these load.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from eadbench.models.config import Wav2LipConfig


class ConvBlock(nn.Module):
    """Convolution (or transposed convolution), batch norm, ReLU; optionally around a
    residual.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int | tuple[int, int] = 1,
        padding: int = 0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs)
        )
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv_block(x)
        return F.relu(x + y if self.residual else y)


class UpBlock(nn.Module):
    """Transposed convolution, batch norm, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, output_padding),
            nn.BatchNorm2d(outputs)
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv_block(x))


def _stage(first: nn.Module, channels: int, residuals: int) -> nn.Sequential:
    return nn.Sequential(
        first, *(ConvBlock(channels, channels, 3, 1, 1, residual=True) for _ in range(residuals))
    )


class Wav2Lip(nn.Module):
    """The generator. Sizes: :class:`Wav2LipConfig`."""

    def __init__(self, config: Wav2LipConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or Wav2LipConfig()
        w, last = config.width, config.face_size // 32  # side after five halvings: 3 at 96 pixels

        self.face_encoder_blocks = nn.ModuleList(
            [
                _stage(ConvBlock(6, w, 7, 1, 3), w, 0),
                _stage(ConvBlock(w, 2 * w, 3, 2, 1), 2 * w, 2),
                _stage(ConvBlock(2 * w, 4 * w, 3, 2, 1), 4 * w, 3),
                _stage(ConvBlock(4 * w, 8 * w, 3, 2, 1), 8 * w, 2),
                _stage(ConvBlock(8 * w, 16 * w, 3, 2, 1), 16 * w, 2),
                _stage(ConvBlock(16 * w, 32 * w, 3, 2, 1), 32 * w, 1),
                nn.Sequential(ConvBlock(32 * w, 32 * w, last), ConvBlock(32 * w, 32 * w, 1)),
            ]
        )
        self.audio_encoder = nn.Sequential(
            *_stage(ConvBlock(1, 2 * w, 3, 1, 1), 2 * w, 2),
            *_stage(ConvBlock(2 * w, 4 * w, 3, (3, 1), 1), 4 * w, 2),
            *_stage(ConvBlock(4 * w, 8 * w, 3, 3, 1), 8 * w, 2),
            *_stage(ConvBlock(8 * w, 16 * w, 3, (3, 2), 1), 16 * w, 1),
            ConvBlock(16 * w, 32 * w, 3),
            ConvBlock(32 * w, 32 * w, 1),
        )
        self.face_decoder_blocks = nn.ModuleList(
            [
                nn.Sequential(ConvBlock(32 * w, 32 * w, 1)),
                _stage(UpBlock(64 * w, 32 * w, last), 32 * w, 1),
                _stage(UpBlock(64 * w, 32 * w, 3, 2, 1, 1), 32 * w, 2),
                _stage(UpBlock(48 * w, 24 * w, 3, 2, 1, 1), 24 * w, 2),
                _stage(UpBlock(32 * w, 16 * w, 3, 2, 1, 1), 16 * w, 2),
                _stage(UpBlock(20 * w, 8 * w, 3, 2, 1, 1), 8 * w, 2),
                _stage(UpBlock(10 * w, 4 * w, 3, 2, 1, 1), 4 * w, 2),
            ]
        )
        self.output_block = nn.Sequential(
            ConvBlock(5 * w, 2 * w, 3, 1, 1), nn.Conv2d(2 * w, 3, 1), nn.Sigmoid()
        )

    def forward(self, mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        """Draw the lips.

        Args:
            mel: (B, 1, 80, 16), 16 steps of 12.5 ms around the frame.
            face: Face with its lower half blackened, and a reference face, stacked
                along channels, in [0, 1], (B, 6, S, S).

        Returns:
            The face in [0, 1], (B, 3, S, S).
        """
        skips = []
        for block in self.face_encoder_blocks:
            face = block(face)
            skips.append(face)
        x = self.audio_encoder(mel)
        for block in self.face_decoder_blocks:
            x = torch.cat((block(x), skips.pop()), dim=1)
        return self.output_block(x)

"""Fixed-seed random convolutional features: a signature without training for the demo's
set metrics. Not comparable with FID or FVD proper.
"""

import math

import torch
from torch import Tensor, nn


class RandomFeatures(nn.Module):
    """Strided convolutions with orthogonal random weights; the features are the means
    of every stage's channels over place (and time).

    Args:
        dims: 2 for images, 3 for videos.
        channels: Channels of the stages; their sum is the number of features.
        seed: Seed of the weights.
    """

    def __init__(self, dims: int, channels: tuple[int, ...] = (16, 32, 48), seed: int = 0) -> None:
        super().__init__()
        conv = nn.Conv3d if dims == 3 else nn.Conv2d
        before = (3, *channels[:-1])
        self.stages = nn.ModuleList(
            conv(a, b, 3, stride=2, padding=1) for a, b in zip(before, channels, strict=True)
        )
        self.dim = sum(channels)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Draw the weights."""
        generator = torch.Generator().manual_seed(seed)
        for stage in self.stages:
            nn.init.orthogonal_(stage.weight, gain=math.sqrt(2), generator=generator)
            nn.init.uniform_(stage.bias, -0.1, 0.1, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, [T,] H, W)`` in [-1, 1] to ``(N, dim)``."""
        means = []
        for stage in self.stages:
            x = torch.relu(stage(x))
            means.append(x.flatten(2).mean(2))
        return torch.cat(means, 1)

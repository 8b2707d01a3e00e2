"""A vision transformer over tubes of video, as VideoMAE v2 and V-JEPA have it: patches
by a strided convolution, fixed places, blocks with the norm first.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class VideoViT(nn.Module):
    """Tokens of windows of video.

    Args:
        places: Embedding of the places, ``(1, N, width)``.
        depth: Blocks.
        heads: Of the attention.
        inner: Width of the feed-forward layers.
        patch: Frames, rows and columns of a tube.
        final_norm: Whether the tokens are normalised at the end.
    """

    def __init__(
        self,
        places: torch.Tensor,
        depth: int,
        heads: int,
        inner: int,
        patch: tuple[int, int, int],
        final_norm: bool,
    ) -> None:
        super().__init__()
        width = places.shape[-1]
        self.embed = nn.Conv3d(3, width, patch, patch)
        self.register_buffer("places", places)
        layers = [
            nn.TransformerEncoderLayer(
                width, heads, inner, 0.0, F.gelu, 1e-6, batch_first=True, norm_first=True
            )
            for _ in range(depth)
        ]
        self.blocks = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width, 1e-6) if final_norm else nn.Identity()

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """``(B, 3, T, H, W)`` to tokens ``(B, N, width)``, frame by frame, row by row."""
        tokens = self.embed(video).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


class AttentivePooler(nn.Module):
    """V-JEPA's probe without its classifier: one learnt query looks at all tokens."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """``(B, N, width)`` to ``(B, width)``."""
        query, seen = self.query.expand(len(tokens), -1, -1), self.norm1(tokens)
        pooled = query + self.attention(query, seen, seen, need_weights=False)[0]
        return (pooled + self.outer(F.gelu(self.inner(self.norm2(pooled)))))[:, 0]


def sinusoids(count: int, width: int) -> torch.Tensor:
    """Places ``(1, count, width)`` of VideoMAE: sine and cosine in turn, wavelengths
    from 2 pi to 20,000 pi.
    """
    rates = np.power(10000, 2 * (np.arange(width) // 2) / width)
    angle = np.arange(count)[:, None] / rates
    angle[:, ::2], angle[:, 1::2] = np.sin(angle[:, ::2]), np.cos(angle[:, 1::2])
    return torch.tensor(angle, dtype=torch.float)[None]

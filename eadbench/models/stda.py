"""Spatio-Temporal Directional Attention (STDA): strips instead of quadratic
self-attention.

The paper says that horizontal and vertical strip attention, combined, replaces
self-attention; it is known without its equations. What one token sees here, and what
that costs, with N = H*W tokens per frame:

- ``full``: its frame; N^2 (Stable Diffusion, LatentSync).
- ``joint``: the whole clip; (T N)^2.
- ``strip_h``: its row; N W (axial attention, Ho 2019).
- ``strip_v``: its column; N H.
- ``strip_hv``: row, then column: the frame; N (H + W).
- ``strip_hvt``: row, column, then time: the clip; N (H + W + T) (default; ours).
- ``filter``: K neighbours in its row and column; N K (SANet, Cui et al., IJCAI 2023).
- ``pool``: the means of its row and column; N (strip pooling, Hou 2020).

Costs are of the mixing alone, per frame and channel (`joint`: per clip). Strips over a
square frame cost N^1.5, not N; only `filter` and `pool` are linear. Each operator is a
residual branch whose last layer starts at zero, as in AnimateDiff and ControlNet:
putting it in changes nothing until it is trained. (A gate per channel before a random
last layer does so, too, but hardly opens in a short training: 0.001 after 150 steps.)
"""

from math import prod

import torch
import torch.nn as nn
import torch.nn.functional as F

from eadbench.models.layers import zeroed

STRIPS = {
    "none": (),
    "full": ("full",),
    "joint": ("joint",),
    "strip_h": ("row",),
    "strip_v": ("column",),
    "strip_hv": ("row", "column"),
    "strip_hvt": ("row", "column", "time"),
}

# Dimensions of (B, F, H, W, C), from and up to, whose tokens attend to each other.
AXES = {"row": (3, 4), "column": (2, 3), "time": (1, 2), "full": (2, 4), "joint": (1, 4)}


class STDA(nn.Module):
    """The operator that stands in the place of self-attention.

    Submodules are named `row`, `column`, `time`; `full` and `joint` also use the name
    `row`, so that one checkpoint loads into all of them.

    Args:
        channels: C.
        heads: Attention heads.
        kind: See above.
        taps: Taps of `filter`.
        groups: Channel groups of `filter`.
    """

    def __init__(
        self, channels: int, heads: int, kind: str = "strip_hvt", taps: int = 7, groups: int = 8
    ) -> None:
        super().__init__()
        self.kind = kind
        if kind == "filter":
            self.filter = StripFilter(channels, taps, groups)
        elif kind == "pool":
            self.pool = StripPool(channels)
        else:
            for axis in STRIPS[kind]:
                self.add_module(
                    "row" if axis in ("full", "joint") else axis, StripAttention(channels, heads, axis)
                )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix tokens: (B, F, H, W, C) to the same shape."""
        for operator in self.children():
            x = operator(x)
        return x


class StripAttention(nn.Module):
    """Self-attention along one axis: ``x + attention(norm(x))``.

    The projections have the shapes of Stable Diffusion's ``attn1``. Time strips turn
    queries and keys by rotary position embeddings (Su et al. 2021), so that they know
    the order of frames, and only it: a clip of equal frames stays one. Rows and columns
    need none, since the convolutions around them know where they are.
    """

    def __init__(self, channels: int, heads: int, axis: str) -> None:
        super().__init__()
        self.heads, self.axis = heads, axis
        self.norm = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = zeroed(nn.Linear(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, F, H, W, C) to the same shape."""
        normed = self.norm(x)
        # (strips, strips * heads, n, d)
        q, k, v = (self._strips(to(normed)) for to in (self.to_q, self.to_k, self.to_v))
        if self.axis == "time":
            q, k = rotate(q), rotate(k)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return x + self.to_out(mixed.transpose(1, 2).reshape(x.shape))

    def _strips(self, x: torch.Tensor) -> torch.Tensor:
        """Cut into strips without a copy: what lies before the attended axis is batch,
        what lies behind joins the heads.
        """
        first, last = AXES[self.axis]
        before, along, behind = prod(x.shape[:first]), prod(x.shape[first:last]), prod(x.shape[last:4])
        return x.reshape(before, along, behind * self.heads, x.shape[4] // self.heads).transpose(1, 2)


class StripFilter(nn.Module):
    """Strip filtering: each frame draws its own K taps per channel group from its mean,
    applied along rows, then columns.
    """

    def __init__(self, channels: int, taps: int, groups: int) -> None:
        super().__init__()
        self.taps, self.groups = taps, groups
        self.norm = nn.LayerNorm(channels)
        self.to_taps = nn.Linear(channels, 2 * groups * taps)
        self.to_out = zeroed(nn.Linear(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, F, H, W, C) to the same shape."""
        b, f, _, _, c = x.shape
        normed = self.norm(x)
        taps = self.to_taps(normed.mean((2, 3))).view(b, f, 1, 1, 2, self.groups, self.taps).tanh()
        taps = taps.repeat_interleave(c // self.groups, dim=5)  # (B, F, 1, 1, 2, C, K)
        y = _slide(normed, taps[..., 0, :, :], dim=3)
        y = _slide(y, taps[..., 1, :, :], dim=2)
        return x + self.to_out(y)


def _slide(x: torch.Tensor, taps: torch.Tensor, dim: int) -> torch.Tensor:
    """Weighted sum of K neighbours along ``dim`` (2 or 3) of (B, F, H, W, C), zeros
    beyond the edge; taps are (B, F, 1, 1, C, K).
    """
    size, reach = x.shape[dim], taps.shape[-1] // 2
    padded = F.pad(x, (0, 0, reach, reach) if dim == 3 else (0, 0, 0, 0, reach, reach))
    return sum(padded.narrow(dim, k, size) * taps[..., k] for k in range(taps.shape[-1]))


class StripPool(nn.Module):
    """Strip pooling: the means of a token's row and column decide how much of each
    channel passes.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.from_row = nn.Linear(channels, channels)
        self.from_column = nn.Linear(channels, channels, bias=False)
        self.to_out = zeroed(nn.Linear(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, F, H, W, C) to the same shape."""
        normed = self.norm(x)
        passes = self.from_row(normed.mean(3, keepdim=True)) + self.from_column(normed.mean(2, keepdim=True))
        return x + self.to_out(self.to_v(normed) * passes.sigmoid())


def rotate(x: torch.Tensor, base: float = 100.0) -> torch.Tensor:
    """Rotary position embedding of (..., n, d), d even. ``base`` is small because
    windows are tens of frames long, not thousands of words.
    """
    n, half = x.shape[-2], x.shape[-1] // 2
    frequency = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(n, device=x.device, dtype=torch.float32)[:, None] * frequency  # (n, d/2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)

"""Temporal Frame graph Reasoning Module (TFRM): frames as nodes, messages along time in
both directions.

From the paper: frames are aggregated to nodes, bidirectional edges stand for temporal
proximity, a GNN passes messages, the graph's structure is learned. The equations are
unknown; these are ours. With h_i the mean of frame i's features, edges only between
frames at most ``band`` apart, and every row of the adjacency A summing to 1 (so that a
clip of equal frames stays one):

- ``gcn``: A_ij ~ exp(-|i-j| / tau), fixed.
- ``gat``: A_i = softmax_j(a . LeakyReLU(W_l h_i + W_r h_j) + b_|i-j|), after GATv2
  (Brody et al. 2022).
- ``learned`` (default): A_i = softmax_j(q_i . k_j / sqrt(d) - |i-j| / tau), tau
  learned.

Each round is H <- H + GELU(A H W). The nodes return to all pixels of their frame
through a layer that starts at zero. Nodes have no place, so the module can steady
exposure, colour and identity over time; lips are aligned elsewhere.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from eadbench.models.layers import zeroed


class TFRM(nn.Module):
    """Frame graph over a feature map.

    Args:
        channels: C.
        kind: `gcn`, `gat` or `learned`.
        band: Edges reach this many frames to either side.
        layers: Rounds of message passing; information travels ``layers * band`` frames.
        tau: (Initial) decay in frames.
    """

    def __init__(
        self, channels: int, kind: str = "learned", band: int = 3, layers: int = 2, tau: float = 2.0
    ) -> None:
        super().__init__()
        edges = {"gcn": FixedEdges, "gat": GraphAttention, "learned": LearnedEdges}[kind]
        self.norm = nn.LayerNorm(channels)
        self.edges = nn.ModuleList(edges(channels, band, tau) for _ in range(layers))
        self.messages = nn.ModuleList(nn.Linear(channels, channels) for _ in range(layers))
        self.to_out = zeroed(nn.Linear(channels, channels))

    def forward(
        self, x: torch.Tensor, return_adjacency: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Pass messages between frames.

        Args:
            x: Feature maps (B, F, C, H, W).
            return_adjacency: Also give the adjacencies (B, layers, F, F), rows summing
                to 1.
        """
        nodes = self.norm(x.mean((3, 4)))  # (B, F, C)
        adjacencies = []
        for edges, message in zip(self.edges, self.messages, strict=True):
            adjacency = edges(nodes)  # (B, F, F)
            nodes = nodes + F.gelu(message(adjacency @ nodes))
            adjacencies.append(adjacency)
        x = x + self.to_out(nodes)[..., None, None]
        return (x, torch.stack(adjacencies, 1)) if return_adjacency else x


def distances(frames: int, like: torch.Tensor) -> torch.Tensor:
    """|i - j| as (F, F) in the type and on the device of ``like``."""
    times = torch.arange(frames, device=like.device)
    return (times[:, None] - times).abs().to(like.dtype)


def band_softmax(logits: torch.Tensor, distance: torch.Tensor, band: int) -> torch.Tensor:
    """Softmax over the last dimension of (..., F, F), zero beyond the band."""
    return logits.masked_fill(distance > band, float("-inf")).softmax(-1)


class FixedEdges(nn.Module):
    """Weights by distance in time alone. Rows are normalised, not symmetrised, or end
    frames would get another gain.
    """

    def __init__(self, channels: int, band: int, tau: float) -> None:
        super().__init__()
        self.band, self.tau = band, tau

    def forward(self, nodes: torch.Tensor) -> torch.Tensor:
        """(B, F, C) to (B, F, F)."""
        distance = distances(nodes.shape[1], nodes)
        return band_softmax(-distance / self.tau, distance, self.band).expand(len(nodes), -1, -1)


class GraphAttention(nn.Module):
    """Attention over neighbours with a learned bias per distance, which starts as the
    proximity prior.
    """

    def __init__(self, channels: int, band: int, tau: float) -> None:
        super().__init__()
        self.band = band
        self.left = nn.Linear(channels, channels, bias=False)
        self.right = nn.Linear(channels, channels, bias=False)
        self.score = nn.Linear(channels, 1, bias=False)
        self.bias = nn.Parameter(-torch.arange(band + 1) / tau)

    def forward(self, nodes: torch.Tensor) -> torch.Tensor:
        """(B, F, C) to (B, F, F)."""
        distance = distances(nodes.shape[1], nodes)
        pairs = self.left(nodes)[:, :, None] + self.right(nodes)[:, None]  # (B, F, F, C)
        bias = self.bias[distance.clamp(max=self.band).long()]
        return band_softmax(self.score(F.leaky_relu(pairs, 0.2)).squeeze(-1) + bias, distance, self.band)


class LearnedEdges(nn.Module):
    """Learned structure with a temporal-proximity prior."""

    def __init__(self, channels: int, band: int, tau: float) -> None:
        super().__init__()
        self.band = band
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.log_tau = nn.Parameter(torch.tensor(tau).log())

    def forward(self, nodes: torch.Tensor) -> torch.Tensor:
        """(B, F, C) to (B, F, F)."""
        distance = distances(nodes.shape[1], nodes)
        similarity = self.to_q(nodes) @ self.to_k(nodes).transpose(1, 2) / nodes.shape[-1] ** 0.5
        return band_softmax(similarity - distance / self.log_tau.exp(), distance, self.band)

"""Conditions Z_c: audio, text and valence-arousal-intensity, each attended to, fused by
learned weights.

The paper fuses audio (Whisper) and text (T5) to Z_c by "weighted integration within the
U-Net encoder"; how is unknown. Here each block attends to every source with the same
queries and its own keys and values (as IP-Adapter does), and adds the results with
learned weights.
"""

from typing import NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F

from eadbench.models.config import EADNetConfig
from eadbench.models.layers import zeroed


class ConditionContext(NamedTuple):
    """Condition tokens of one forward pass; a source that the model lacks is None.

    Attributes:
        audio: (B, F, N, D), for each frame its own.
        text: (B, L, D).
        text_mask: (B, 1, 1, L), true where a token counts; None if all do.
        vai: (B, V, D).
    """

    audio: torch.Tensor
    text: torch.Tensor | None
    text_mask: torch.Tensor | None
    vai: torch.Tensor | None


def audio_windows(
    states: torch.Tensor, frames: int | None = None, left: int = 2, right: int = 2
) -> torch.Tensor:
    """Whisper states around each video frame; frame i at 25 fps gets the states
    2(i-left) .. 2(i+right)+1, repeated at the ends (LatentSync).

    Args:
        states: Hidden states at 50 Hz, (T50, L, D).
        frames: Video frames T. Default: as many as the states last.
        left: Frames of context before.
        right: Frames of context after.

    Returns:
        (T, 2 (left + right + 1) * L, D), the time step varying slowest.

    Raises:
        ValueError: If there are no states.
    """
    if not len(states):
        raise ValueError("no audio states")
    frames = round(len(states) / 2) if frames is None else frames
    first = 2 * torch.arange(frames, device=states.device)  # first state of each frame
    offsets = torch.arange(-2 * left, 2 * right + 2, device=states.device)
    rows = (first[:, None] + offsets).clamp(0, len(states) - 1)
    return states[rows].flatten(1, 2)


class ConditionEncoder(nn.Module):
    """Project all sources to tokens of one width; dropped ones become learned null
    tokens.
    """

    def __init__(self, config: EADNetConfig) -> None:
        super().__init__()
        dim = config.context_dim
        self.config = config
        self.layers_per_token = config.audio_layers if config.audio_mix_layers else 1
        tokens = config.audio_tokens // self.layers_per_token
        width = config.audio_dim * self.layers_per_token
        self.audio_proj = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))
        self.audio_position = nn.Parameter(0.02 * torch.randn(tokens, dim))
        self.null_audio = nn.Parameter(0.02 * torch.randn(tokens, dim))
        if "text" in config.sources:
            self.text_proj = nn.Sequential(nn.LayerNorm(config.text_dim), nn.Linear(config.text_dim, dim))
            self.null_text = nn.Parameter(0.02 * torch.randn(dim))
        if "vai" in config.sources:
            self.vai_proj = nn.Sequential(
                nn.Linear(3, dim), nn.SiLU(), nn.Linear(dim, config.vai_tokens * dim)
            )
            self.null_vai = nn.Parameter(0.02 * torch.randn(config.vai_tokens, dim))

    def forward(
        self,
        audio: torch.Tensor,
        text: torch.Tensor | None = None,
        text_mask: torch.Tensor | None = None,
        vai: torch.Tensor | None = None,
        drop_audio: torch.Tensor | None = None,
        drop_text: torch.Tensor | None = None,
    ) -> ConditionContext:
        """Tokens of all sources.

        Args:
            audio: (B, F, N, A) from :func:`audio_windows`.
            text: (B, L, D); None is the null text.
            text_mask: (B, L), true where a token counts; a clip without any gets the
                null text.
            vai: Valence, arousal, intensity (B, 3); None, or nan in a clip's row, is
                the null vector.
            drop_audio: (B,) bool, clips that get the null audio.
            drop_text: (B,) bool, clips that get the null text and the null vector.
        """
        b, f = audio.shape[:2]
        audio = (
            self.audio_proj(audio.reshape(b, f, -1, audio.shape[-1] * self.layers_per_token))
            + self.audio_position
        )
        audio = _drop(audio, self.null_audio, drop_audio)
        return ConditionContext(
            audio, *self._text(text, text_mask, drop_text, b), self._vai(vai, drop_text, b)
        )

    def _text(
        self, text: torch.Tensor | None, mask: torch.Tensor | None, drop: torch.Tensor | None, b: int
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        if "text" not in self.config.sources:
            return None, None
        if text is None:
            return self.null_text.expand(b, 1, -1), None
        if mask is not None:
            missing = ~mask.bool().any(1)
            drop = missing if drop is None else drop | missing
            mask = (mask.bool() | drop[:, None])[:, None, None]
        return _drop(self.text_proj(text), self.null_text, drop), mask

    def _vai(self, vai: torch.Tensor | None, drop: torch.Tensor | None, b: int) -> torch.Tensor | None:
        if "vai" not in self.config.sources:
            return None
        if vai is None:
            return self.null_vai.expand(b, -1, -1)
        unknown = vai.isnan().any(1)
        vai, drop = vai.nan_to_num(), unknown if drop is None else drop | unknown
        return _drop(self.vai_proj(vai).unflatten(1, self.null_vai.shape), self.null_vai, drop)


class ConditionShift(nn.Module):
    """What the conditions add to each frame's time embedding, and so to every residual
    block; zero before training.

    Cross-attention must first learn where to look; this path tells each frame its audio
    and emotion at once, as class embeddings do in guided diffusion (Dhariwal & Nichol
    2021). Ours, beside the cross-attention, not in its place.
    """

    def __init__(self, config: EADNetConfig, time_dim: int) -> None:
        super().__init__()
        tokens = config.audio_tokens // (config.audio_layers if config.audio_mix_layers else 1)
        # The order of the states in the window matters, so they are joined; of text and
        # vector the mean token says enough.
        widths = {
            source: config.context_dim * (tokens if source == "audio" else 1) for source in config.sources
        }
        self.to_time = nn.ModuleDict(
            {source: zeroed(nn.Linear(width, time_dim)) for source, width in widths.items()}
        )

    def forward(self, context: ConditionContext) -> torch.Tensor:
        """To be added to the time embedding, (B*F, D)."""
        shift = self.to_time["audio"](context.audio.flatten(2))  # (B, F, D)
        for source in self.to_time:
            if source != "audio":
                tokens, mask = getattr(context, source), context.text_mask if source == "text" else None
                shift = shift + self.to_time[source](_mean_token(tokens, mask))[:, None]
        return shift.flatten(0, 1)


def _mean_token(tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean over the tokens (B, L, D) that count by the mask (B, 1, 1, L), at least one
    each.
    """
    if mask is None:
        return tokens.mean(1)
    weight = mask.flatten(1).unsqueeze(-1).to(tokens.dtype)
    return (tokens * weight).sum(1) / weight.sum(1)


def _drop(tokens: torch.Tensor, null: torch.Tensor, drop: torch.Tensor | None) -> torch.Tensor:
    """Replace the tokens (B, ..., D) of dropped clips by null tokens that broadcast to
    them.
    """
    if drop is None:
        return tokens
    return torch.where(drop.view(-1, *[1] * (tokens.dim() - 1)), null.to(tokens.dtype), tokens)


class FusedCrossAttention(nn.Module):
    """``x + to_out(sum over sources of weight * attention(norm(x), source))``.

    Weights are sigmoids of one learned logit per source and block: independent of each
    other, so that a checkpoint trained on audio alone keeps its audio path when text is
    added. The values of text and vector start at zero for the same reason.
    """

    def __init__(self, channels: int, heads: int, context_dim: int, sources: tuple[str, ...]) -> None:
        super().__init__()
        self.heads, self.sources = heads, sources
        self.norm = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.ModuleDict({s: nn.Linear(context_dim, channels, bias=False) for s in sources})
        self.to_v = nn.ModuleDict({s: nn.Linear(context_dim, channels, bias=False) for s in sources})
        self.to_out = nn.Linear(channels, channels)
        self.logit = nn.ParameterDict({s: nn.Parameter(torch.zeros(())) for s in sources})
        for source in sources[1:]:
            zeroed(self.to_v[source])

    def forward(self, x: torch.Tensor, context: ConditionContext) -> torch.Tensor:
        """(B, F, H, W, C) to the same shape."""
        b, f, h, w, c = x.shape
        q = self.to_q(self.norm(x))
        fused = self._attend("audio", q.view(b * f, h * w, c), context.audio.flatten(0, 1)).reshape(x.shape)
        for source in self.sources[1:]:
            mask = context.text_mask if source == "text" else None
            fused = fused + self._attend(
                source, q.view(b, f * h * w, c), getattr(context, source), mask
            ).reshape(x.shape)
        return x + self.to_out(fused)

    def _attend(
        self, source: str, q: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Weighted attention of queries (G, n, C) to tokens (G, m, D)."""
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in (q, self.to_k[source](tokens), self.to_v[source](tokens))
        )
        return self.logit[source].sigmoid() * F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask
        ).transpose(1, 2).flatten(2)

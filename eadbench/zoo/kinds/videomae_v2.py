"""Kind ``videomae_v2``: VideoMAE v2's giant tuned on Something-Something v2, features
of 16-frame windows for cd-FVD (Ge et al. 2024).

``fetched``: the published ``.pth``. ``random``: a small fixed-seed network; options as
:class:`eadbench.zoo.video_features.TransformerOptions`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from eadbench.core.errors import EadbenchError
from eadbench.zoo.card import Card
from eadbench.zoo.video_features import (
    RANDOM,
    TransformerOptions,
    WindowNet,
    WindowTransformer,
    draw,
    encoder_of,
    sizes_of,
    window_net,
)
from eadbench.zoo.weights import load_weights, read_weights

OFFICIAL = "vit_g_hybrid_pt_1200e_ssv2_ft.pth"
SIDE = 224


class MeanPool(nn.Module):
    """Mean of all tokens, normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, 1e-6)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """``(B, N, width)`` to ``(B, width)``."""
        return self.norm(tokens.mean(1))


def network(options: TransformerOptions) -> WindowNet:
    """An untrained network of those sizes."""
    return window_net(options, MeanPool(options.width), final_norm=False)


def load(folder: Path, card: Card, device: Any = "cpu") -> WindowTransformer:
    """The extractor of an artefact's folder.

    Raises:
        EadbenchError: If the file is not of the published one's form.
    """
    if card.how != "fetched":
        options = TransformerOptions.model_validate(card.options)
        net = network(options)
        load_weights(net, folder / RANDOM)
        return WindowTransformer(net, options.width, options.size, device=device)
    path = folder / OFFICIAL
    state = read_weights(path)
    state = next((state[key] for key in ("model", "module") if key in state), state)
    if "fc_norm.weight" not in state or "blocks.0.attn.q_bias" not in state:
        raise EadbenchError("not a tuned VideoMAE v2", path, f"use the published {OFFICIAL}")

    def bias(block: str) -> torch.Tensor:
        query, value = state[f"{block}attn.q_bias"], state[f"{block}attn.v_bias"]
        return torch.cat([query, torch.zeros_like(value), value])

    options = sizes_of(state, SIDE)
    net = network(options)
    tensors = encoder_of(state, bias) | {"encoder.places": net.encoder.places}
    tensors |= {f"pool.norm.{part}": state[f"fc_norm.{part}"] for part in ("weight", "bias")}
    load_weights(net, path, tensors)
    return WindowTransformer(net, options.width, SIDE, device=device)


def random(folder: Path, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Draw a random network."""
    return draw(network, folder, options, seed)

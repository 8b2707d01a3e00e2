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
from eadbench.models.video_vit import VideoViT, sinusoids
from eadbench.zoo.card import Card
from eadbench.zoo.video_features import (
    FRAMES,
    HEADS,
    TUBE,
    TransformerOptions,
    WindowNet,
    WindowTransformer,
    blocks_of,
    depth_of,
    draw,
    read_drawn,
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
    count = FRAMES // TUBE * (options.size // options.patch) ** 2
    patch = (TUBE, options.patch, options.patch)
    encoder = VideoViT(
        sinusoids(count, options.width), options.depth, options.heads, options.inner, patch, False
    )
    return WindowNet(encoder, MeanPool(options.width))


def load(folder: Path, card: Card, device: Any = "cpu") -> WindowTransformer:
    """The extractor of an artefact's folder.

    Raises:
        EadbenchError: If the file is another.
    """
    if card.how != "fetched":
        options = TransformerOptions.model_validate(card.options)
        net = read_drawn(network(options), folder)
        return WindowTransformer(net, options.width, options.size, device=device)
    path = folder / OFFICIAL
    state = read_weights(path)
    state = next((state[key] for key in ("model", "module") if key in state), state)
    if "fc_norm.weight" not in state or "blocks.0.attn.q_bias" not in state:
        raise EadbenchError("not a tuned VideoMAE v2", path, f"use the published {OFFICIAL}")
    kernel = state["patch_embed.proj.weight"]
    options = TransformerOptions(
        width=kernel.shape[0],
        depth=depth_of(state),
        heads=HEADS,
        inner=state["blocks.0.mlp.fc1.weight"].shape[0],
        size=SIDE,
        patch=kernel.shape[-1],
    )

    def bias(block: str) -> torch.Tensor:
        query, value = state[f"{block}attn.q_bias"], state[f"{block}attn.v_bias"]
        return torch.cat([query, torch.zeros_like(value), value])

    net = network(options)
    own = {f"encoder.{name}": value for name, value in blocks_of(state, bias).items()}
    own |= {f"encoder.embed.{part}": state[f"patch_embed.proj.{part}"] for part in ("weight", "bias")}
    own |= {f"pool.norm.{part}": state[f"fc_norm.{part}"] for part in ("weight", "bias")}
    load_weights(net, path, own | {"encoder.places": net.encoder.places})
    return WindowTransformer(net, options.width, SIDE, device=device)


def random(folder: Path, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Draw a random network."""
    wanted = TransformerOptions.model_validate(options)
    draw(network(wanted), folder, wanted.scale, seed)
    return {"dims": wanted.width, "resolution": wanted.size}

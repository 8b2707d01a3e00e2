"""Kind ``vjepa``: V-JEPA's huge encoder with the probe that its authors trained on
Something-Something v2, features of 16-frame windows for JEDi (Luo et al. 2024).

``fetched``: the published pair of files; the first, of 10 GB, also holds the predictor,
the optimiser and a second encoder, which are not used. ``random``: a small fixed-seed
network; options as :class:`eadbench.zoo.video_features.TransformerOptions`.
"""

from pathlib import Path
from typing import Any

import torch

from eadbench.core.errors import EadbenchError
from eadbench.models.video_vit import AttentivePooler
from eadbench.zoo.card import Card
from eadbench.zoo.video_features import (
    RANDOM,
    TransformerOptions,
    WindowNet,
    WindowTransformer,
    draw,
    encoder_of,
    frame_size_of,
    sizes_of,
    window_net,
)
from eadbench.zoo.weights import load_weights, read_weights

ENCODER, PROBE = "vith16.pth.tar", "ssv2-probe.pth.tar"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLOCK = "pooler.cross_attention_block."
POOL = {
    "query": "pooler.query_tokens",
    "inner.weight": f"{BLOCK}mlp.fc1.weight",
    "inner.bias": f"{BLOCK}mlp.fc1.bias",
    "outer.weight": f"{BLOCK}mlp.fc2.weight",
    "outer.bias": f"{BLOCK}mlp.fc2.bias",
    "attention.out_proj.weight": f"{BLOCK}xattn.proj.weight",
    "attention.out_proj.bias": f"{BLOCK}xattn.proj.bias",
    **{f"norm{k}.{part}": f"{BLOCK}norm{k}.{part}" for k in (1, 2) for part in ("weight", "bias")},
}


def network(options: TransformerOptions) -> WindowNet:
    """An untrained network of those sizes."""
    return window_net(options, AttentivePooler(options.width, options.heads, options.inner), final_norm=True)


def load(folder: Path, card: Card, device: Any = "cpu") -> WindowTransformer:
    """The extractor of an artefact's folder.

    Raises:
        EadbenchError: If a file is not of the published one's form.
    """
    if card.how != "fetched":
        options = TransformerOptions.model_validate(card.options)
        net = network(options)
        load_weights(net, folder / RANDOM)
        return WindowTransformer(net, options.width, options.size, MEAN, DEVIATION, device)
    path = folder / ENCODER
    state = _tensors(path, "target_encoder", "blocks.0.attn.qkv.weight", ("module.", "backbone."))
    probe = _tensors(folder / PROBE, "classifier", "pooler.query_tokens", ("module.",))
    positions, patch = state["pos_embed"], state["patch_embed.proj.weight"].shape[-1]
    options = sizes_of(state, frame_size_of(positions.shape[1], patch, path))
    net = network(options)
    tensors = encoder_of(state, lambda block: state[f"{block}attn.qkv.bias"]) | {"encoder.places": positions}
    tensors |= {f"encoder.norm.{part}": state[f"norm.{part}"] for part in ("weight", "bias")}
    pool = {ours: probe[theirs] for ours, theirs in POOL.items()}
    for part in ("weight", "bias"):
        joined = [probe[f"{BLOCK}xattn.{name}.{part}"] for name in ("q", "kv")]
        pool[f"attention.in_proj_{part}"] = torch.cat(joined)
    load_weights(net, path, tensors | {f"pool.{name}": value for name, value in pool.items()})
    return WindowTransformer(net, options.width, options.size, MEAN, DEVIATION, device)


def _tensors(path: Path, key: str, expected_name: str, prefixes: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Entry ``key`` of a checkpoint, names without the prefixes of its training."""
    state = read_weights(path).get(key)
    tensors = {}
    for name, value in (state if isinstance(state, dict) else {}).items():
        for prefix in prefixes:
            name = name.replace(prefix, "")
        tensors[name] = value
    if expected_name not in tensors:
        raise EadbenchError(f"entry {key!r} holds no {expected_name}", path, "use the published file")
    return tensors


def random(folder: Path, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Draw a random network."""
    return draw(network, folder, options, seed)

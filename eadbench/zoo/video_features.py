"""Features of windows of video by transformers, for distances of sets: what kinds
``videomae_v2`` and ``vjepa`` share.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn
from torch.nn import functional as F

from eadbench.core.errors import EadbenchError
from eadbench.models.video_vit import VideoViT, sinusoids
from eadbench.zoo.weights import save_weights

FRAMES, TUBE, HEADS = 16, 2, 16
RANDOM = "model.safetensors"
ATTENTION = {
    "self_attn.in_proj_weight": "attn.qkv.weight",
    "self_attn.out_proj.weight": "attn.proj.weight",
    "self_attn.out_proj.bias": "attn.proj.bias",
    "linear1.weight": "mlp.fc1.weight",
    "linear1.bias": "mlp.fc1.bias",
    "linear2.weight": "mlp.fc2.weight",
    "linear2.bias": "mlp.fc2.bias",
    **{f"norm{k}.{part}": f"norm{k}.{part}" for k in (1, 2) for part in ("weight", "bias")},
}


class TransformerOptions(BaseModel):
    """Sizes of a random network; ``scale`` is the standard deviation of its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: int = 96
    depth: int = 2
    heads: int = 4
    inner: int = 192
    size: int = 64
    patch: int = 16
    scale: float = 0.2


class WindowNet(nn.Module):
    """A transformer's encoder and the pooling of its tokens to one vector."""

    def __init__(self, encoder: VideoViT, pool: nn.Module) -> None:
        super().__init__()
        self.encoder, self.pool = encoder, pool

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """``(B, 3, 16, S, S)`` to ``(B, D)``."""
        return self.pool(self.encoder(video))


class WindowTransformer:
    """Features of windows of 16 frames: ``dims`` of them; ``resolution`` is the side at
    which the network sees the frames.

    Args:
        net: The network.
        dims: Width of the features.
        resolution: Side of its frames.
        mean: Of each channel in [0, 1]; subtracted first.
        deviation: Standard deviation of each channel; divided by.
        device: Where it runs.
    """

    def __init__(
        self,
        net: nn.Module,
        dims: int,
        resolution: int,
        mean: tuple[float, ...] = (0.0, 0.0, 0.0),
        deviation: tuple[float, ...] = (1.0, 1.0, 1.0),
        device: Any = "cpu",
    ) -> None:
        self.net, self.dims, self.resolution, self.device = net.eval().to(device), dims, resolution, device
        self.mean, self.deviation = (torch.tensor(x).view(3, 1, 1) for x in (mean, deviation))

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        """One frame ``(H, W, 3)`` RGB uint8 as a window holds it: ``(3, S, S)`` float32,
        scaled without antialiasing as the reference does.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255
        size = (self.resolution, self.resolution)
        if pixels.shape[2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False)
        return ((pixels[0] - self.mean) / self.deviation).numpy()

    @torch.no_grad()
    def run(self, windows: list[np.ndarray]) -> np.ndarray:
        """Windows ``(16, 3, S, S)`` of prepared frames to ``(N, dims)`` float32."""
        video = torch.from_numpy(np.stack(windows)).transpose(1, 2).to(self.device)
        return self.net(video).float().cpu().numpy()


def window_net(options: TransformerOptions, pool: nn.Module, final_norm: bool) -> WindowNet:
    """An untrained network of those sizes, with VideoMAE's sinusoidal positions."""
    token_count = FRAMES // TUBE * (options.size // options.patch) ** 2
    patch = (TUBE, options.patch, options.patch)
    positions = sinusoids(token_count, options.width)
    encoder = VideoViT(positions, options.depth, options.heads, options.inner, patch, final_norm)
    return WindowNet(encoder, pool)


def sizes_of(state: Mapping[str, torch.Tensor], size: int) -> TransformerOptions:
    """Sizes of a published network that sees frames of ``size`` pixels a side."""
    kernel = state["patch_embed.proj.weight"]
    return TransformerOptions(
        width=kernel.shape[0],
        depth=depth_of(state),
        heads=HEADS,
        inner=state["blocks.0.mlp.fc1.weight"].shape[0],
        size=size,
        patch=kernel.shape[-1],
    )


def frame_size_of(token_count: int, patch: int, where: Path) -> int:
    """Side in pixels of the frames that give ``token_count`` tokens in a window of 16
    frames, with patches of ``patch`` pixels.

    Raises:
        EadbenchError: If the tokens of a frame make no square.
    """
    grid_side = round((token_count / (FRAMES // TUBE)) ** 0.5)
    if grid_side * grid_side * (FRAMES // TUBE) != token_count:
        raise EadbenchError(
            f"{token_count} positions are no square in each of 8 time steps", where, "use the published file"
        )
    return grid_side * patch


def encoder_of(
    state: Mapping[str, torch.Tensor], qkv_bias: Callable[[str], torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Tensors of the patches' convolution and of the blocks under their names in our
    :class:`WindowNet`.

    Args:
        state: Names ``blocks.N.attn.qkv.weight`` and so on.
        qkv_bias: Gives the bias of query, key and value together, from the block's
            prefix.
    """
    tensors = {f"embed.{part}": state[f"patch_embed.proj.{part}"] for part in ("weight", "bias")}
    for k in range(depth_of(state)):
        block = f"blocks.{k}."
        tensors |= {block + ours: state[block + theirs] for ours, theirs in ATTENTION.items()}
        tensors[block + "self_attn.in_proj_bias"] = qkv_bias(block)
    return {f"encoder.{name}": value for name, value in tensors.items()}


def depth_of(state: Mapping[str, torch.Tensor]) -> int:
    """Number of blocks."""
    return len({name.split(".")[1] for name in state if name.startswith("blocks.")})


def draw(
    network: Callable[[TransformerOptions], WindowNet], folder: Path, raw_options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Give a network random weights and write them: matrices and kernels from a normal
    distribution of standard deviation ``scale``, biases 0.
    """
    options = TransformerOptions.model_validate(raw_options)
    net, generator = network(options), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if value.ndim > 1:
                value.normal_(0, options.scale, generator=generator)
            elif name.endswith("bias"):
                value.zero_()
    save_weights(net, folder / RANDOM)
    return {"dims": options.width, "resolution": options.size}

"""Kind ``inception``: frame features for FID and KID.

``fetched``: pytorch-fid's Inception with its own weights and preprocessing. ``random``:
a small fixed-seed network for the demo; options ``channels`` (of its stages; their sum
is the number of features), ``size`` (side of the frames it sees).
"""

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch.nn import functional as F

from eadbench.models.random_features import RandomFeatures
from eadbench.zoo.card import Card
from eadbench.zoo.weights import load_weights, read_weights, save_weights

OFFICIAL = "pt_inception-2015-12-05-6726825d.pth"
SIDE = 299


class InceptionOptions(BaseModel):
    """Sizes of the random network.

    Attributes:
        channels: Channels of its stages.
        size: Side of the frames that it sees, in pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    channels: tuple[int, ...] = (16, 32, 48)
    size: int = 128


class InceptionFeatures:
    """Features of single frames: ``dims`` of them; ``resolution`` is the side at which
    the network sees a frame.
    """

    def __init__(self, net: torch.nn.Module, dims: int, resolution: int, device: Any) -> None:
        self.net = net.eval().to(device, memory_format=torch.channels_last)
        self.dims, self.resolution, self.device = dims, resolution, device

    def features(self, frames: np.ndarray, batch: int = 32) -> np.ndarray:
        """``(N, H, W, 3)`` RGB uint8 to ``(N, dims)`` float32."""
        parts = []
        for start in range(0, len(frames), batch):
            parts.append(self.run(list(self.prepare(frames[start : start + batch]))))
        return np.concatenate(parts) if parts else np.zeros((0, self.dims), np.float32)

    def prepare(self, frames: np.ndarray) -> torch.Tensor:
        """``(N, H, W, 3)`` RGB uint8 to the network's input ``(N, 3, S, S)`` in [0, 1];
        equal to what pytorch-fid's network does first.
        """
        size = (self.resolution, self.resolution)
        x = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2).float().div_(255)
        return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)

    @torch.no_grad()
    def run(self, inputs: list[torch.Tensor]) -> np.ndarray:
        """Prepared frames to features ``(N, dims)`` float32."""
        x = torch.stack(inputs)
        if isinstance(self.net, RandomFeatures):
            return self.net(2 * x - 1).cpu().numpy()
        return self.net(x)[0].flatten(1).cpu().numpy()


def load(folder: Path, card: Card, device: Any = "cpu") -> InceptionFeatures:
    """The extractor of an artefact's folder."""
    if card.how == "fetched":
        return InceptionFeatures(pytorch_fid_inception(folder / OFFICIAL), 2048, SIDE, device)
    options = InceptionOptions.model_validate(card.options)
    net = RandomFeatures(2, options.channels)
    load_weights(net, folder / "model.safetensors")
    return InceptionFeatures(net, net.dim, options.size, device)


def pytorch_fid_inception(weights: Path) -> torch.nn.Module:
    """pytorch-fid's network with weights from a file; the package itself can only
    download them.
    """
    from pytorch_fid import inception

    state = read_weights(weights)
    with mock.patch.object(inception, "load_state_dict_from_url", lambda *_, **__: state):
        return inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])


def random(folder: Path, raw_options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Draw a random network."""
    options = InceptionOptions.model_validate(raw_options)
    net = RandomFeatures(2, options.channels, seed)
    save_weights(net, folder / "model.safetensors")
    return {"dims": net.dim, "resolution": options.size}

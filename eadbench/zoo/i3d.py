"""Kind ``i3d``: features of 16-frame windows for FVD.

``fetched``: the I3D torchscript file of StyleGAN-V (Kinetics-400 logits). ``random``: a small fixed-seed network for the demo; options ``channels``
and ``size``.

Two protocols: ``stylegan-v`` hands over 0..255 and lets the network scale to [-1, 1] and resize to 224; ``latentsync`` resizes by area and feeds
[0, 1] unscaled, as LatentSync's script does, whose values are on another scale.
"""

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save_file
from torch.nn import functional as F

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.models.random_features import RandomFeatures
from eadbench.zoo.card import Card
from eadbench.zoo.weights import load_weights

Protocol = Literal["stylegan-v", "latentsync"]
OFFICIAL = "i3d_torchscript.pt"


class Options(BaseModel):
    """Sizes of the random network."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    channels: tuple[int, ...] = (8, 16, 24)
    size: int = 64


class VideoFeatures:
    """Features of windows of frames: ``dims`` of them; ``resolution`` is the side at which the network sees them."""

    def __init__(self, net: torch.nn.Module, dims: int, resolution: int, device: Any) -> None:
        self.net, self.dims, self.resolution, self.device = net.eval().to(device), dims, resolution, device

    @torch.no_grad()
    def features(self, windows: np.ndarray, protocol: Protocol = "stylegan-v", batch: int = 4) -> np.ndarray:
        """``(N, T, H, W, 3)`` RGB uint8 to ``(N, dims)`` float32."""
        prepare = self._stylegan_v if protocol == "stylegan-v" else self._latentsync
        found = [prepare(windows[at : at + batch]) for at in range(0, len(windows), batch)]
        return torch.cat(found).cpu().numpy() if found else np.zeros((0, self.dims), np.float32)

    def _stylegan_v(self, windows: np.ndarray) -> torch.Tensor:
        x = self._tensor(windows)
        if isinstance(self.net, RandomFeatures):
            return self.net(_resized(x, self.resolution) / 127.5 - 1)
        return self.net(x, rescale=True, resize=True, return_features=True)

    def _latentsync(self, windows: np.ndarray) -> torch.Tensor:
        side = (self.resolution, self.resolution)
        small = np.stack([[cv2.resize(frame, side, interpolation=cv2.INTER_AREA) for frame in window] for window in windows])
        x = self._tensor(small) / 255
        if isinstance(self.net, RandomFeatures):
            return self.net(x)
        return self.net(x, rescale=False, resize=False, return_features=True)

    def _tensor(self, windows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(windows)).to(self.device).permute(0, 4, 1, 2, 3).float()


def _resized(x: torch.Tensor, size: int) -> torch.Tensor:
    if x.shape[-1] == size and x.shape[-2] == size:
        return x
    return F.interpolate(x, (x.shape[2], size, size), mode="trilinear", align_corners=False)


def load(folder: Path, card: Card, device: Any = "cpu") -> VideoFeatures:
    """The extractor of an artefact's folder.

    Raises:
        EadbenchError: If the file is not torchscript.
    """
    if card.how == "fetched":
        try:
            net = torch.jit.load(str(folder / OFFICIAL), map_location="cpu")
        except (RuntimeError, ValueError) as error:
            raise EadbenchError(f"not a torchscript file: {error}", folder / OFFICIAL, "fetch it again from the named source") from error
        return VideoFeatures(net, 400, 224, device)
    options = Options.model_validate(card.options)
    net = RandomFeatures(3, options.channels)
    load_weights(net, folder / "model.safetensors")
    return VideoFeatures(net, net.dim, options.size, device)


def random(folder: Path, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Draw a random network."""
    wanted = Options.model_validate(options)
    net = RandomFeatures(3, wanted.channels, seed)
    with atomic_path(folder / "model.safetensors") as part:
        save_file(net.state_dict(), part)
    return {"dims": net.dim, "resolution": wanted.size}

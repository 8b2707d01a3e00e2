"""Kind ``i3d``: features of 16-frame windows for FVD.

``fetched``: the I3D torchscript file of StyleGAN-V (Kinetics-400 logits). ``random``: a
small fixed-seed network for the demo; options ``channels`` and ``size``.

Two protocols: ``stylegan-v`` feeds 0..255 and lets the network scale to [-1, 1] and
resize to 224; ``latentsync`` resizes by area and feeds [0, 1] unscaled, as LatentSync's
script does, whose FVD is on another scale.
"""

import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch.nn import functional as F

from eadbench.core.errors import EadbenchError
from eadbench.models.random_features import RandomFeatures
from eadbench.zoo.card import Card
from eadbench.zoo.weights import load_weights, save_weights

Protocol = Literal["stylegan-v", "latentsync"]
OFFICIAL = "i3d_torchscript.pt"
LARGE = 16 * 512 * 512  # pixels of a batch of windows that the network scales itself


class I3DOptions(BaseModel):
    """Sizes of the random network.

    Attributes:
        channels: Channels of its stages.
        size: Side of the frames that it sees, in pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    channels: tuple[int, ...] = (8, 16, 24)
    size: int = 64


class I3DFeatures:
    """Features of windows of frames: ``dims`` of them; ``resolution`` is the side at
    which the network sees them.
    """

    def __init__(self, net: torch.nn.Module, dims: int, resolution: int, device: Any) -> None:
        self.net, self.dims, self.resolution, self.device = net.eval().to(device), dims, resolution, device
        self._frame: torch.Tensor | None = None  # buffer for one frame as float32

    def features(self, windows: np.ndarray, protocol: Protocol = "stylegan-v", batch: int = 4) -> np.ndarray:
        """``(N, T, H, W, 3)`` RGB uint8 to ``(N, dims)`` float32."""
        prepared = (np.stack([self.prepare(frame, protocol) for frame in window]) for window in windows)
        parts = [self.run(list(part), protocol) for part in batched(prepared, batch)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dims), np.float32)

    def prepare(self, frame: np.ndarray, protocol: Protocol) -> np.ndarray:
        """One frame ``(H, W, 3)`` RGB uint8 as a window holds it: of the network's
        size, unless the network itself scales it.
        """
        size = (self.resolution, self.resolution)
        if protocol == "latentsync":
            return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        if not isinstance(self.net, RandomFeatures) or frame.shape[:2] == size:
            return frame
        if self._frame is None or self._frame.shape[2:] != frame.shape[:2]:
            self._frame = torch.empty(1, 3, *frame.shape[:2])
        x = self._frame.copy_(torch.from_numpy(frame).permute(2, 0, 1)[None])
        return F.interpolate(x, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()

    @torch.no_grad()
    def run(self, windows: list[np.ndarray], protocol: Protocol) -> np.ndarray:
        """Windows ``(T, H, W, 3)`` of prepared frames to features ``(N, dims)``
        float32; as many at a time as hold :data:`LARGE` pixels.
        """
        pixels = sum(window[..., 0].size for window in windows)
        step = max(1, len(windows) * LARGE // pixels)
        return np.concatenate(
            [self._run(windows[start : start + step], protocol) for start in range(0, len(windows), step)]
        )

    def _run(self, windows: list[np.ndarray], protocol: Protocol) -> np.ndarray:
        x = torch.from_numpy(np.stack(windows)).to(self.device).permute(0, 4, 1, 2, 3).float()
        scaled = protocol == "stylegan-v"
        if isinstance(self.net, RandomFeatures):
            features = self.net(x / 127.5 - 1 if scaled else x / 255)
        else:
            features = self.net(x if scaled else x / 255, rescale=scaled, resize=scaled, return_features=True)
        return features.cpu().numpy()


def batched(items: Iterable[np.ndarray], size: int) -> Iterator[tuple[np.ndarray, ...]]:
    """``itertools.batched`` of Python 3.12."""
    source = iter(items)
    while part := tuple(islice(source, size)):
        yield part


def load(folder: Path, card: Card, device: Any = "cpu") -> I3DFeatures:
    """The extractor of an artefact's folder.

    Raises:
        EadbenchError: If the file is not torchscript.
    """
    if card.how == "fetched":
        try:
            with warnings.catch_warnings():
                # torch would have the file exported anew, which is not in a user's hands
                warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
                net = torch.jit.load(str(folder / OFFICIAL), map_location="cpu")
        except (RuntimeError, ValueError) as error:
            raise EadbenchError(
                f"not a torchscript file: {error}", folder / OFFICIAL, "fetch it again from the named source"
            ) from error
        return I3DFeatures(net, 400, 224, device)
    options = I3DOptions.model_validate(card.options)
    net = RandomFeatures(3, options.channels)
    load_weights(net, folder / "model.safetensors")
    return I3DFeatures(net, net.dim, options.size, device)


def random(folder: Path, raw_options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Draw a random network."""
    options = I3DOptions.model_validate(raw_options)
    net = RandomFeatures(3, options.channels, seed)
    save_weights(net, folder / "model.safetensors")
    return {"dims": net.dim, "resolution": options.size}

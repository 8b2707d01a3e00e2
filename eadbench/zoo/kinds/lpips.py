"""Kind ``lpips``: perceptual distance of two images (Zhang et al. 2018), AlexNet,
version 0.1 of the ``lpips`` package.

``fetched``: AlexNet's ImageNet weights with the package's linear layers. ``random``:
the same network with random AlexNet weights of a fixed seed, for the demo; the linear
layers stay the package's. The package itself is not imported: it brings torchvision,
which takes as long as torch.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eadbench.core.errors import EadbenchError
from eadbench.zoo.card import Card
from eadbench.zoo.weights import load_weights, read_weights, save_weights

OFFICIAL = "alexnet-owt-7be5be79.pth"
# Of ImageNet, for images in [-1, 1].
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class AlexNetTrunk(nn.Module):
    """AlexNet's five convolutions as the ``lpips`` package cuts and names them: each
    slice ends with a ReLU.
    """

    def __init__(self) -> None:
        super().__init__()
        convolutions = [
            nn.Conv2d(3, 64, 11, 4, 2), nn.Conv2d(64, 192, 5, padding=2), nn.Conv2d(192, 384, 3, padding=1),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.Conv2d(256, 256, 3, padding=1),
        ]  # fmt: skip
        layer = 0  # numbered through all slices
        for number, convolution in enumerate(convolutions, start=1):
            pooled = [nn.MaxPool2d(3, 2)] if number in (2, 3) else []
            piece = nn.Sequential()
            for module in (*pooled, convolution, nn.ReLU(inplace=True)):
                piece.add_module(str(layer), module)
                layer += 1
            self.add_module(f"slice{number}", piece)


class LPIPSNetwork(nn.Module):
    """``(x, y)``, both ``(B, 3, H, W)`` in [-1, 1], to distances ``(B,)``;
    differentiable in both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = AlexNetTrunk()
        self.register_buffer("shift", torch.tensor(SHIFT)[None, :, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[None, :, None, None])
        for number, weight in enumerate(linear_layers()):
            self.register_buffer(f"linear{number}", weight)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.shift.device

    def features(self, x: Tensor) -> Tensor:
        """``(B, D)`` of images ``(B, 3, H, W)`` in [-1, 1]: the squared distance of two
        rows is the distance of the images.
        """
        x = (x - self.shift) / self.scale
        layers = []
        for number, piece in enumerate(self.trunk.children()):
            x = piece(x)
            weights = self.get_buffer(f"linear{number}") / x[0, 0].numel()
            layers.append((_unit(x) * weights.sqrt()).flatten(1))
        return torch.cat(layers, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = ((images - self.shift) / self.scale for images in (x, y))
        total: Tensor | float = 0.0
        for number, piece in enumerate(self.trunk.children()):
            # The maps of one layer at a time: those of a large frame take much memory.
            x, y = piece(x), piece(y)
            linear = self.get_buffer(f"linear{number}")
            total = total + nn.functional.conv2d((_unit(x) - _unit(y)) ** 2, linear).mean((2, 3))
        return total.flatten()


def _unit(maps: Tensor) -> Tensor:
    """Feature vectors of length 1."""
    return maps / (maps.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)


def linear_layers() -> list[Tensor]:
    """The five calibrated weights ``(1, C, 1, 1)`` of the installed ``lpips`` package.

    Raises:
        EadbenchError: If it is not installed.
    """
    package = find_spec("lpips")
    if package is None or not package.origin:
        raise EadbenchError(
            "the package lpips is not installed, whose linear layers LPIPS needs",
            "this environment",
            "pip install lpips",
        )
    state = read_weights(Path(package.origin).parent / "weights/v0.1/alex.pth")
    return [state[f"lin{number}.model.1.weight"] for number in range(5)]


def load(folder: Path, card: Card, device: Any = "cpu") -> LPIPSNetwork:
    """The metric of an artefact's folder, frozen."""
    metric = LPIPSNetwork()
    if card.how == "fetched":
        load_alexnet(metric, folder / OFFICIAL)
    else:
        load_weights(metric.trunk, folder / "model.safetensors")
    # a sixth quicker on CPUs, the same values
    return metric.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def load_alexnet(metric: LPIPSNetwork, path: Path) -> None:
    """Put torchvision's AlexNet weights into the slices that the ``lpips`` package cuts
    it into.

    Raises:
        EadbenchError: If they are not AlexNet's.
    """
    state = read_weights(path)
    trunk = metric.trunk
    published_names = {name: ".".join(("features", *name.split(".")[-2:])) for name in trunk.state_dict()}
    missing = sorted(set(published_names.values()) - set(state))
    if missing:
        raise EadbenchError(
            f"not torchvision's AlexNet: lacks {', '.join(missing[:3])}",
            path,
            "fetch it again from the named source",
        )
    load_weights(trunk, path, {name: state[key] for name, key in published_names.items()})


def random(folder: Path, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Draw random AlexNet weights."""
    if options:
        raise EadbenchError(
            f"kind `lpips` has no options, got {', '.join(options)}", "zoo.artefacts.*.options"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        metric = LPIPSNetwork()
    save_weights(metric.trunk, folder / "model.safetensors")
    return {"trunk": "alex"}

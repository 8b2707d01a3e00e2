"""Kind ``lpips``: perceptual distance of two images (Zhang et al. 2018), by the ``lpips`` package.

``fetched``: AlexNet's ImageNet weights with the package's linear layers. ``random``: the same network with random AlexNet weights of a fixed seed,
for the demo; the linear layers stay the package's.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.zoo.card import Card
from eadbench.zoo.weights import load_weights, read_weights

OFFICIAL = "alexnet-owt-7be5be79.pth"


class Lpips(nn.Module):
    """``(x, y)``, both ``(B, 3, H, W)`` in [-1, 1], to distances ``(B,)``; differentiable in both."""

    def __init__(self) -> None:
        super().__init__()
        import lpips

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="torchvision")  # of how the package calls it
            self.net = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.net(x, y).flatten()


def load(folder: Path, card: Card, device: Any = "cpu") -> Lpips:
    """The metric of an artefact's folder, frozen."""
    metric = Lpips()
    if card.how == "fetched":
        load_alexnet(metric, folder / OFFICIAL)
    else:
        load_weights(metric.net.net, folder / "model.safetensors")
    return metric.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)  # a sixth quicker on CPUs, the same values


def load_alexnet(metric: Lpips, path: Path) -> None:
    """Put torchvision's AlexNet weights into the slices that the ``lpips`` package cuts it into.

    Raises:
        EadbenchError: If they are not AlexNet's.
    """
    state = read_weights(path)
    trunk = metric.net.net
    wanted = {name: ".".join(("features", *name.split(".")[-2:])) for name in trunk.state_dict()}
    missing = sorted(set(wanted.values()) - set(state))
    if missing:
        raise EadbenchError(f"not torchvision's AlexNet: lacks {', '.join(missing[:3])}", path, "fetch it again from the named source")
    load_weights(trunk, path, {name: state[key] for name, key in wanted.items()})


def random(folder: Path, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Draw random AlexNet weights."""
    if options:
        raise EadbenchError(f"kind `lpips` has no options, got {', '.join(options)}", "zoo.artefacts.*.options")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        metric = Lpips()
    with atomic_path(folder / "model.safetensors") as part:
        save_file({name: value.contiguous() for name, value in metric.net.net.state_dict().items()}, part)
    return {"trunk": "alex"}

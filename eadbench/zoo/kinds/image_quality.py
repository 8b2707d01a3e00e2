"""Kind ``image_quality``: quality of single images without a reference, by networks of
the package pyiqa.

The package is no part of any other extra: its licence is PolyForm Noncommercial 1.0.0,
that of its weights CC BY-NC-SA 4.0. It builds the networks; the weights are fetched and
read here, as tensors alone, where the package would download and unpickle them itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eadbench.core.errors import EadbenchError
from eadbench.zoo.card import Card
from eadbench.zoo.weights import load_weights, read_weights

PACKAGE, INSTALL = "pyiqa", "pip install 'eadbench[quality]'"
TOPIQ = {"use_ref": False, "pretrained": False, "backbone_pretrain": False, "align_crop_face": False}
# File -> module and class of the package, options, side of the input (0: the image's).
# A name with "gfiqa" would make the package download a face detector.
NETWORKS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "musiq_koniq_ckpt-e95806b9.pth": ("musiq_arch", "MUSIQ", {"pretrained": False}, 0),
    "topiq_nr_cgfiqa_res50-0a8b8e4f.pth": (
        "topiq_arch",
        "CFANet",
        TOPIQ | {"semantic_model_name": "resnet50", "model_name": "face", "test_img_size": 512},
        512,
    ),
    "cfanet_iaa_ava_swin-393b41b4.pth": (
        "topiq_arch",
        "CFANet",
        TOPIQ
        | {
            "semantic_model_name": "swin_base_patch4_window12_384",
            "model_name": "aesthetics",
            "inter_dim": 512,
            "num_heads": 8,
            "num_class": 10,
        },
        384,
    ),
}


class ImageQualityEvaluator:
    """One number per image, higher is better.

    Args:
        net: Takes ``(1, 3, H, W)`` in [0, 1].
        resolution: Side of what the network sees; ``None`` for the image's own.
        device: Where it runs.
    """

    def __init__(self, net: nn.Module, resolution: int | None, device: Any = "cpu") -> None:
        self.net, self.resolution, self.device = net.eval().to(device), resolution, device

    @torch.no_grad()
    def score(self, image: np.ndarray) -> float:
        """The quality of an image ``(H, W, 3)`` RGB uint8."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        return float(self.net(pixels.to(self.device).float() / 255).squeeze())


def refuse_without_package() -> None:
    """Refuse to go on where pyiqa is missing.

    Raises:
        EadbenchError: If it is not installed; with the extra that brings it.
    """
    if find_spec(PACKAGE) is None:
        raise EadbenchError(
            f"the package {PACKAGE} is not installed: {INSTALL}",
            "metrics theval_face, theval_mouth, theval_aesthetics",
            "its licence is PolyForm Noncommercial 1.0.0; or leave these metrics out",
        )


def build(file: str) -> nn.Module:
    """The network of a published file, untrained, built by the package without any
    download.

    Raises:
        EadbenchError: If the package is not installed.
    """
    refuse_without_package()
    module, class_name, options, _ = NETWORKS[file]
    architecture = import_module(f"{PACKAGE}.archs.{module}")
    with _no_pretrained_trunk(architecture):
        return getattr(architecture, class_name)(**options)


@contextmanager
def _no_pretrained_trunk(module: Any) -> Iterator[None]:
    """Make the package draw the weights of its Swin trunk at random; it would download
    them whatever its options say.
    """
    create_swin = getattr(module, "create_swin", None)
    if create_swin is None:
        yield
        return

    def create_untrained_swin(name: str, **options: Any) -> nn.Module:
        return create_swin(name, **options | {"pretrained": False})

    module.create_swin = create_untrained_swin
    try:
        yield
    finally:
        module.create_swin = create_swin


def load(folder: Path, card: Card, device: Any = "cpu") -> ImageQualityEvaluator:
    """The evaluator of an artefact's folder.

    Raises:
        EadbenchError: If pyiqa is not installed, or the file is another.
    """
    file = next((name for name in card.files if name in NETWORKS), None)
    if file is None:
        raise EadbenchError(
            f"no file of {', '.join(NETWORKS)}", folder, "fetch the artefact again, see `eadbench zoo list`"
        )
    net = build(file)
    state = read_weights(folder / file)
    state = state.get("params", state)
    load_weights(net, folder / file, {name.removeprefix("module."): value for name, value in state.items()})
    return ImageQualityEvaluator(net, NETWORKS[file][3] or None, device)

"""The U-Net of Stable Diffusion 1.5, as a source of weights for EAD-Net's spatial
layers; only ever fetched.
"""

from pathlib import Path
from typing import Any

import torch

from eadbench.core.errors import EadbenchError
from eadbench.zoo.card import Card
from eadbench.zoo.weights import read_weights


def load(folder: Path, card: Card, device: Any = "cpu") -> dict[str, torch.Tensor]:
    """Its state dict, as diffusers' ``UNet2DConditionModel`` names it.

    Raises:
        EadbenchError: If the artefact does not hold one safetensors file.
    """
    files = [name for name in card.files if name.endswith(".safetensors")]
    if len(files) != 1:
        raise EadbenchError(
            f"expected one safetensors file, the card lists {sorted(card.files)}",
            folder,
            "make the artefact again",
        )
    return {name: tensor.to(device) for name, tensor in read_weights(folder / files[0]).items()}

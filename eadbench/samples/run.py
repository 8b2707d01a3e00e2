"""A trained EAD-Net, read back from ``results/training/{run}/`` for sampling."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eadbench import zoo
from eadbench.core.errors import EadbenchError
from eadbench.features.audio import whisper_states
from eadbench.models.config import EADNetConfig
from eadbench.models.eadnet import EADNet
from eadbench.training.networks import load_kind
from eadbench.zoo.card import read_card


@dataclass
class TrainedRun:
    """A trained EAD-Net and the settings of its training.

    Attributes:
        network: The network, frozen.
        size: Side of the frames that it sees.
        mask: Kind of mask.
        schedule: Arguments of diffusers' schedulers: betas, number of steps, what is
            predicted.
        shared_noise: Weight of the noise that all frames share.
        features: Settings of its features.
    """

    network: EADNet
    size: int
    mask: str
    schedule: dict[str, Any]
    shared_noise: float = 0.0
    features: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> EADNetConfig:
        """Sizes of the network."""
        return self.network.config


def states_of(audio: np.ndarray, run: TrainedRun, whisper: Path, device: torch.device) -> torch.Tensor:
    """Whisper states ``(T50, L, D)`` of 16 kHz audio ``(N,)``, computed as in training."""
    facts = run.features
    padding = str(facts.get("whisper_padding", "true")) == "true"
    overlap = float(facts.get("whisper_overlap", 5.0))
    return whisper_states(zoo.load(whisper, device), audio, padding, overlap)


def load_eadnet(folder: Path) -> TrainedRun:
    """Load a trained EAD-Net."""
    network, facts = load_kind(folder, "eadnet")
    features = facts["features"]
    return TrainedRun(
        network, features["size"], features["mask"], facts["scheduler"], facts["shared_noise"], features
    )


def load_vae(folder: Path, run: TrainedRun) -> nn.Module:
    """Load the VAE and verify that it is the one that the run was trained with.

    Raises:
        EadbenchError: If it is another.
    """
    sha256 = read_card(folder).sha256
    if run.features.get("vae", sha256) != sha256:
        raise EadbenchError(
            "the run was trained with another VAE",
            folder,
            "give the VAE that its features were made with, or train again",
        )
    return zoo.load(folder)

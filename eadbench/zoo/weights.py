"""Read weights files without running code that they may hold."""

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from eadbench.core.errors import EadbenchError


def read_weights(path: Path) -> dict[str, Any]:
    """A state dict from safetensors, or from a pickle that holds nothing but tensors and plain containers.

    Raises:
        EadbenchError: If the file is absent, damaged, or a pickle with code.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise EadbenchError("weights file is missing", path, "make the artefact again, see `eadbench zoo list`") from error
    except pickle.UnpicklingError as error:
        raise EadbenchError("refused: the weights file holds something other than tensors", path, "use the file of the named source") from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise EadbenchError(f"weights file is damaged: {error}", path, "fetch or make it again") from error


def load_weights(net: nn.Module, path: Path, state: dict[str, Any] | None = None) -> None:
    """Load a file (or a state dict read from it) into a network, strictly.

    Raises:
        EadbenchError: If the file cannot be read or belongs to another network.
    """
    state = read_weights(path) if state is None else state
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise EadbenchError(f"weights do not fit the network: {error}", path, "file and options belong together; make the artefact again") from error

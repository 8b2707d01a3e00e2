"""Read weights files without running code that they may hold, and name what a file
holds in place of weights.
"""

import argparse
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from eadbench.core.errors import EadbenchError, ExplainedError
from eadbench.core.files import atomic_path, nature

FETCH_AGAIN = "fetch it again from the named source"
# What loading a file of the wrong kind, or half of one, raises in torch, transformers,
# diffusers, json and pydantic.
LOAD_ERRORS = (
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    OSError,
    SafetensorError,
    pickle.UnpicklingError,
)
_BUILDERS = (np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0])  # multiarray's scalar, _reconstruct
# Beside tensors and plain containers, what training scripts leave in their checkpoints
# (a best score as a numpy scalar, the parsed options, a path) and what runs no code
# when it is read. numpy 2 writes ``numpy._core``, numpy 1 ``numpy.core``; torch 2.14
# allows neither by itself.
HARMLESS = [
    argparse.Namespace,
    PosixPath,
    np.ndarray,
    np.dtype,
    *(kind for kind in vars(np.dtypes).values() if isinstance(kind, type)),
    *(
        (build, f"numpy.{core}.multiarray.{build.__name__}")
        for build in _BUILDERS
        for core in ("core", "_core")
    ),
]


def read_weights(path: Path) -> dict[str, Any]:
    """A state dict from safetensors, or from a pickle that holds nothing but tensors,
    plain containers and what is :data:`HARMLESS`.

    Raises:
        EadbenchError: If the file is absent, damaged, something else, a pickle with
            code, or holds a number that is not finite.
    """
    refuse_non_weights(path)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            with torch.serialization.safe_globals(HARMLESS):
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code_name = re.search(r"GLOBAL ([\w.]+)", str(error))
        contents = "something other than tensors"
        if code_name:
            contents += f", {code_name[1]}, which could run code"
        hint = (
            "use the file of the named source; of a file of yours, save the tensors alone, e.g. with "
            "safetensors.torch.save_file"
        )
        raise EadbenchError(f"refused: the weights file holds {contents}", path, hint) from error
    except LOAD_ERRORS as error:
        raise EadbenchError(f"weights file is damaged: {error}", path, "fetch or make it again") from error
    if not isinstance(state, dict):
        raise EadbenchError(
            f"the weights file holds a {type(state).__name__}, expected tensors by name",
            path,
            "use the file of the named source",
        )
    for name, tensor in _tensors(state):
        refuse_not_finite(name, tensor, path)
    return state


def load_weights(net: nn.Module, path: Path, state: dict[str, Any] | None = None) -> None:
    """Load a file (or a state dict read from it) into a network, strictly.

    Raises:
        EadbenchError: If the file cannot be read or belongs to another network.
    """
    state = read_weights(path) if state is None else state
    hint = "file and options belong together; make the artefact again"
    for name, expected in net.state_dict().items():
        tensor = state.get(name)
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() != expected.is_floating_point():
            raise EadbenchError(
                f"weights do not fit the network: {name} holds {tensor.dtype}, expected {expected.dtype}",
                path,
                hint,
            )
    try:
        net.load_state_dict(state)
    except LOAD_ERRORS as error:
        raise EadbenchError(f"weights do not fit the network: {_first_lines(error)}", path, hint) from error


def save_weights(net: nn.Module, path: Path) -> None:
    """Write a network's state dict as safetensors, whole or not at all."""
    with atomic_path(path) as part:
        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, part)


def refuse_not_finite(name: str, tensor: torch.Tensor, where: object) -> None:
    """Refuse a tensor with NaN or infinity, with which a network gives wrong images or
    numbers without any error.

    Raises:
        EadbenchError: If there is one.
    """
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        bad_count = int((~torch.isfinite(tensor)).sum())
        raise EadbenchError(
            f"{bad_count} of {tensor.numel()} numbers of tensor {name!r} are not finite",
            where,
            "fetch or make the weights again",
        )


def refuse_non_weights(path: Path) -> None:
    """Refuse a file that is absent, empty, a web page or a git-lfs pointer.

    Raises:
        EadbenchError: If it is.
    """
    try:
        content = nature(path)
    except FileNotFoundError as error:
        raise EadbenchError(
            "weights file is missing", path, "make the artefact again, see `eadbench zoo list`"
        ) from error
    except OSError as error:
        raise EadbenchError(f"weights file cannot be read: {error.strerror}", path, FETCH_AGAIN) from error
    if content:
        raise EadbenchError(f"the file is {content}", path, FETCH_AGAIN)


@contextmanager
def explained(what: str, folder: Path, hint: str) -> Iterator[None]:
    """Turn whatever a loader raises over the files of a folder into one message; errors
    that have a message of ours pass unchanged.

    Raises:
        EadbenchError: In place of it.
    """
    try:
        yield
    except (ExplainedError, torch.OutOfMemoryError):
        raise
    except LOAD_ERRORS as error:
        raise EadbenchError(f"{what} cannot be loaded: {_first_lines(error)}", folder, hint) from error


def refuse_not_finite_parameters(loaded: object, where: object) -> None:
    """Look for numbers that are not finite in the parameters of a loaded network, or of
    the networks that an object holds.

    Raises:
        EadbenchError: If there is one.
    """
    values = [loaded] if isinstance(loaded, nn.Module) else getattr(loaded, "__dict__", {}).values()
    for net in values:
        if not isinstance(net, nn.Module):
            continue
        for name, tensor in net.named_parameters():
            refuse_not_finite(name, tensor, where)


def _tensors(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping):
            yield from _tensors(value, f"{prefix}{name}.")


def _first_lines(error: Exception) -> str:
    """A library's message without the hundreds of names that it may list."""
    message = " ".join(str(error).split()) or type(error).__name__
    message = f"no entry {message}" if isinstance(error, KeyError) else message
    return message if len(message) <= 400 else f"{message[:400]} ..."

"""Read weights files without running code that they may hold, and say what a file is
that holds none.
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

AGAIN = "fetch it again from the named source"
# What loading a file of the wrong kind, or half of one, raises in torch, transformers,
# diffusers, json and pydantic.
UNFIT = (
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
# (a best score as a numpy scalar, the parsed options, a path) and what runs nothing
# when it is read. numpy 2 writes ``numpy._core``, numpy 1 ``numpy.core``; torch 2.14
# knows neither.
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
    refuse_disguised(path)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            with torch.serialization.safe_globals(HARMLESS):
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        kind = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = (
            f"something other than tensors, {kind[1]}, which could run code"
            if kind
            else "something other than tensors"
        )
        hint = (
            "use the file of the named source; of a file of yours, save the tensors alone, e.g. with "
            "safetensors.torch.save_file"
        )
        raise EadbenchError(f"refused: the weights file holds {what}", path, hint) from error
    except UNFIT as error:
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
    for name, own in net.state_dict().items():
        given = state.get(name)
        if isinstance(given, torch.Tensor) and given.is_floating_point() != own.is_floating_point():
            raise EadbenchError(
                f"weights do not fit the network: {name} holds {given.dtype}, expected {own.dtype}",
                path,
                hint,
            )
    try:
        net.load_state_dict(state)
    except UNFIT as error:
        raise EadbenchError(f"weights do not fit the network: {_first_lines(error)}", path, hint) from error


def save_weights(net: nn.Module, path: Path) -> None:
    """Write a network's state dict as safetensors, whole or not at all."""
    with atomic_path(path) as part:
        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, part)


def refuse_not_finite(name: str, tensor: torch.Tensor, where: object) -> None:
    """Refuse a tensor with NaN or infinity, with which a network gives pictures or
    numbers without a word.

    Raises:
        EadbenchError: If there is one.
    """
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        bad = int((~torch.isfinite(tensor)).sum())
        raise EadbenchError(
            f"{bad} of {tensor.numel()} numbers of tensor {name!r} are not finite",
            where,
            "fetch or make the weights again",
        )


def refuse_disguised(path: Path) -> None:
    """Refuse a file that is absent, empty, a web page or a git-lfs pointer.

    Raises:
        EadbenchError: If it is.
    """
    try:
        found = nature(path)
    except FileNotFoundError as error:
        raise EadbenchError(
            "weights file is missing", path, "make the artefact again, see `eadbench zoo list`"
        ) from error
    except OSError as error:
        raise EadbenchError(f"weights file cannot be read: {error.strerror}", path, AGAIN) from error
    if found:
        raise EadbenchError(f"the file is {found}", path, AGAIN)


@contextmanager
def explained(what: str, folder: Path, hint: str) -> Iterator[None]:
    """Turn whatever a loader raises over the files of a folder into one message; what
    is explained already stays as it is.

    Raises:
        EadbenchError: In place of it.
    """
    try:
        yield
    except (ExplainedError, torch.OutOfMemoryError):
        raise
    except UNFIT as error:
        raise EadbenchError(f"{what} cannot be loaded: {_first_lines(error)}", folder, hint) from error


def refuse_broken(loaded: object, where: object) -> None:
    """Look for numbers that are not finite in the parameters of a loaded network, or of
    the networks that an object holds.

    Raises:
        EadbenchError: If there is one.
    """
    held = (
        [loaded]
        if isinstance(loaded, nn.Module)
        else [value for value in getattr(loaded, "__dict__", {}).values() if isinstance(value, nn.Module)]
    )
    for net in held:
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
    text = " ".join(str(error).split()) or type(error).__name__
    text = f"no entry {text}" if isinstance(error, KeyError) else text
    return text if len(text) <= 400 else f"{text[:400]} ..."

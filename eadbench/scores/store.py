"""The files of a cell; features in safetensors, written clip by clip so that memory
does not grow with their number.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from eadbench.core import seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path

FEATURES, META = "features.safetensors", "measure.json"
DTYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "uint8": "U8"}


def save_part(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """One clip's features, by ``kind/clip_id``."""
    with atomic_path(path) as part:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, part)


def merge_parts(parts: Iterable[Path], target: Path) -> None:
    """Join parts to one safetensors file; one tensor at a time is in memory."""
    places: list[tuple[Path, str]] = []
    header: dict[str, Any] = {}
    at = 0
    for path in parts:
        with safe_open(path, "numpy") as handle:
            for name in sorted(handle.keys()):
                piece = handle.get_slice(name)
                shape = piece.get_shape()
                size = int(np.prod(shape, dtype=np.int64)) * np.dtype(_numpy_type(piece.get_dtype())).itemsize
                header[name] = {"dtype": piece.get_dtype(), "shape": shape, "data_offsets": [at, at + size]}
                at += size
                places.append((path, name))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(target) as part, part.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for path, name in places:
            with safe_open(path, "numpy") as handle:
                out.write(handle.get_tensor(name).tobytes())


def _numpy_type(name: str) -> str:
    return next(numpy for numpy, short in DTYPES.items() if short == name)


class Features:
    """The features of a measured cell: ``features.get("inception", clip_id)``.

    Raises:
        EadbenchError: If the file is missing or damaged.
        FatalError: If it was changed since it was made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        seals.check(path)
        try:
            with safe_open(path, "numpy") as handle:
                self._names = set(handle.keys())
        except (OSError, SafetensorError) as error:
            raise EadbenchError(
                f"features cannot be read: {error}", path, "measure the cell again"
            ) from error

    def get(self, kind: str, clip_id: str) -> np.ndarray | None:
        """One clip's features of one kind, or ``None``."""
        name = f"{kind}/{clip_id}"
        if name not in self._names:
            return None
        with safe_open(self.path, "numpy") as handle:
            return handle.get_tensor(name)

    def stretch(self, kind: str, clip_id: str, first: int, last: int) -> np.ndarray:
        """Rows ``first`` to ``last`` of one clip's features of one kind, the rest left
        on disk.
        """
        with safe_open(self.path, "numpy") as handle:
            return handle.get_slice(f"{kind}/{clip_id}")[first:last]

    def of_clip(self, clip_id: str) -> dict[str, np.ndarray]:
        """All features of one clip, by their names in the file."""
        with safe_open(self.path, "numpy") as handle:
            return {name: handle.get_tensor(name) for name in self._names if name.split("/", 1)[1] == clip_id}

    def clips(self, kind: str) -> list[str]:
        """Ids of the clips that have features of that kind, sorted."""
        return sorted(name[len(kind) + 1 :] for name in self._names if name.startswith(kind + "/"))

    def view(self, kind: str, clips: list[str]) -> "View":
        """Features of that kind, clip by clip, read when iterated over."""
        return View(self.path, [f"{kind}/{clip}" for clip in clips])


class View:
    """Some tensors of a file, read one at a time, as often as wanted."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self.path, self.names = path, names

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[np.ndarray]:
        with safe_open(self.path, "numpy") as handle:
            for name in self.names:
                yield handle.get_tensor(name)

    def __contains__(self, item: object) -> bool:
        return item in self.names

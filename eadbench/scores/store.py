"""The files of a cell; features in safetensors, written clip by clip so that memory
does not grow with their number.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from eadbench.core import seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path

FEATURES, META = "features.safetensors", "measure.json"
BLOCK = 1 << 20
DTYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "uint8": "U8"}


def save_part(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """One clip's features, by ``kind/clip_id``."""
    arrays = [(name, np.ascontiguousarray(value)) for name, value in tensors.items()]
    facts = [(name, DTYPES[str(array.dtype)], list(array.shape), array.nbytes) for name, array in arrays]
    with atomic_path(path) as part, part.open("wb") as out:
        out.write(_header(facts))
        for _, array in arrays:
            out.write(array.reshape(-1).view(np.uint8))


def merge_parts(parts: Iterable[Path], target: Path) -> None:
    """Join parts to one safetensors file, ``BLOCK`` bytes at a time: neither the
    library's map of a file nor its copies of a tensor are in memory.
    """
    places: list[tuple[Path, int, int]] = []  # file, start and length of each tensor
    facts: list[tuple[str, str, list[int], int]] = []
    for path in parts:
        with path.open("rb") as part:
            size = int.from_bytes(part.read(8), "little")
            header = json.loads(part.read(size))
        for name in sorted(header):
            first, last = header[name]["data_offsets"]
            facts.append((name, header[name]["dtype"], header[name]["shape"], last - first))
            places.append((path, 8 + size + first, last - first))
    with atomic_path(target) as whole, whole.open("wb") as out:
        out.write(_header(facts))
        for path, start, count in places:
            with path.open("rb") as part:
                part.seek(start)
                for done in range(0, count, BLOCK):
                    out.write(part.read(min(BLOCK, count - done)))


def _header(facts: list[tuple[str, str, list[int], int]]) -> bytes:
    """Beginning of a safetensors file with tensors of these names, types, shapes and
    sizes in bytes, one after the other.
    """
    header, offset = {}, 0
    for name, dtype, shape, size in facts:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


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
            names = [name for name in self._names if name.split("/", 1)[1] == clip_id]
            return {name: handle.get_tensor(name) for name in names}

    def clips(self, kind: str) -> list[str]:
        """Ids of the clips that have features of that kind, sorted."""
        return sorted(name[len(kind) + 1 :] for name in self._names if name.startswith(kind + "/"))

    def view(self, kind: str, clips: list[str]) -> "View":
        """Features of that kind, clip by clip, read when iterated over."""
        return View(self.path, [f"{kind}/{clip}" for clip in clips])


class View:
    """Some tensors of a file, read one at a time, as often as needed."""

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

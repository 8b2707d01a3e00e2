"""Reading and writing of feature shards: safetensors files, read by slices."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from functools import lru_cache
from operator import attrgetter
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.core.schemas import FeaturesRow
from eadbench.core.tables import KEPT, read_rows
from eadbench.features.text import TextStore

FILES = ("latents", "frames", "audio", "mel")
# File and key of each kind of feature. Axis 0 is time but for `mel`, where it is axis
# 1.
KINDS = {
    "latents": ("latents", "{}"),
    "masked": ("latents", "masked/{}"),
    "frames": ("frames", "{}"),
    "audio": ("audio", "{}"),
    "mel": ("mel", "{}"),
}
_DTYPES = {"F16": 2, "U8": 1}


def join_parts(parts: Iterable[Path], target: Path, keys: Iterable[str], facts: dict[str, str]) -> None:
    """Join tensors of many small safetensors files into one, copying bytes, so that
    memory does not grow with the shard.

    Args:
        parts: One file per clip, named ``{clip_id}.safetensors``; a test clip's holds
            its audio alone.
        target: The shard's file.
        keys: Kinds of ``KINDS`` to take; each becomes the key that ``KINDS`` gives it.
        facts: Metadata of the file.
    """
    with ExitStack() as stack, atomic_path(target) as temporary:
        sources, header, offset = [], {"__metadata__": facts}, 0
        for part in sorted(parts):
            handle = stack.enter_context(safe_open(part, "pt"))
            stored = set(handle.keys())
            for kind in keys:
                if kind not in stored:
                    continue
                piece = handle.get_slice(kind)
                shape, dtype = piece.get_shape(), piece.get_dtype()
                length = _DTYPES[dtype]
                for side in shape:
                    length *= side
                header[KINDS[kind][1].format(part.stem)] = {
                    "dtype": dtype,
                    "shape": shape,
                    "data_offsets": [offset, offset + length],
                }
                sources.append((handle, kind))
                offset += length
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with temporary.open("wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            for handle, kind in sources:
                out.write(handle.get_tensor(kind).contiguous().numpy().tobytes())


@lru_cache(maxsize=256)
def _open(path: Path):
    seals.check(path)
    try:
        return safe_open(path, "pt")
    except (FileNotFoundError, SafetensorError, OSError) as error:
        raise EadbenchError(
            f"feature shard cannot be read: {error}", path, "run `features extract` for this shard again"
        ) from error


@lru_cache(maxsize=16)
def _texts(path: Path) -> TextStore:
    return TextStore(path)


class FeatureStore:
    """The features of one or several corpora.

    ``clips`` holds the kept rows of the index tables, sorted by corpus and clip.

    Args:
        indexes: Tables of ``schemas.FEATURES``.

    Raises:
        EadbenchError: If no clip is kept in any of them.
    """

    def __init__(self, indexes: Iterable[str | Path]) -> None:
        self.indexes = [Path(path) for path in indexes]
        kept: list[FeaturesRow] = []
        self._texts_of: dict[Path, Path] = {}  # shard to the texts of its corpus
        for path in self.indexes:
            rows = [row for row in read_rows(path, schemas.FEATURES) if row.status == KEPT]
            self._texts_of |= {row.shard: path.parent / "text.parquet" for row in rows}
            kept += rows
        if not kept:
            raise EadbenchError(
                "the index of features holds no kept clip",
                ", ".join(map(str, self.indexes)),
                "see its column `reason`",
            )
        self.clips = sorted(kept, key=attrgetter("corpus", "clip_id"))
        self._by_id: dict[str, list[FeaturesRow]] = {}
        for row in self.clips:
            self._by_id.setdefault(row.clip_id, []).append(row)

    def find(self, clip_id: str, corpus: str | None = None) -> FeaturesRow | None:
        """The row of a clip, of any corpus unless one is named; ``None`` if it has no
        features.
        """
        rows = self._by_id.get(clip_id, ())
        return next((row for row in rows if corpus in (None, row.corpus)), None)

    def row(self, clip_id: str, corpus: str | None = None) -> FeaturesRow:
        """The row of a clip.

        Raises:
            EadbenchError: If it has no features.
        """
        if row := self.find(clip_id, corpus):
            return row
        raise EadbenchError(
            f"clip {clip_id!r} has no features",
            ", ".join(map(str, self.indexes)),
            "see column `reason` of the index",
        )

    def get(self, row: FeaturesRow, kind: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """A slice in time of one kind of feature.

        Args:
            row: A row of ``clips``.
            kind: ``latents``, ``masked``, ``frames``, ``audio`` (steps of 50 Hz) or
                ``mel`` (steps of 80 Hz).
            start, stop: Steps along the time axis; the whole clip by default.

        Raises:
            EadbenchError: If the shard or the clip's tensor is missing.
        """
        file, pattern = KINDS[kind]
        path = row.shard / f"{file}.safetensors"
        try:
            piece = _open(path).get_slice(pattern.format(row.clip_id))
        except SafetensorError as error:
            raise EadbenchError(
                f"clip {row.clip_id!r} is not in its feature shard: {error}",
                path,
                "run `features extract` again; test clips have audio and mel alone",
            ) from error
        return piece[:, start:stop] if kind == "mel" else piece[start:stop]

    def text(self, row: FeaturesRow) -> torch.Tensor | None:
        """The embedded caption ``(N, D)``, or ``None`` without one.

        Raises:
            EadbenchError: If the file lacks it.
        """
        return None if row.text_id is None else _texts(self._texts_of[row.shard])[row.text_id]

    def facts(self) -> dict[str, str]:
        """Frame ``size``, ``mask``, ``reduction`` and ``latent_channels`` of the VAE,
        hashes of ``vae`` and ``whisper``: the same for all shards.

        Raises:
            EadbenchError: If the shards were made with different settings or weights.
        """
        common: dict[str, str] | None = None
        for folder in self._shards():
            path = folder / "latents.safetensors"
            facts = _open(path).metadata() or {}
            if common is not None and facts != common:
                raise EadbenchError(
                    "feature shards differ in settings or weights",
                    path,
                    "extract the features of all corpora anew with one config",
                )
            common = facts
        return common or {}

    def verify(self, main_process: bool = True) -> None:
        """Check all shard files at once, before workers are forked that would each do
        it anew; the other processes of a job trust the main one.

        Raises:
            FatalError: If a file is gone or was changed.
        """
        paths = [folder / f"{file}.safetensors" for folder in self._shards() for file in FILES]
        if not main_process:
            seals.trust(paths)
            return
        for path in paths:
            seals.check(path)

    def _shards(self) -> list[Path]:
        return list(dict.fromkeys(row.shard for row in self.clips))

    def split(self, split: str) -> list[FeaturesRow]:
        """The clips of ``train`` (those that may train), ``val`` or ``test``."""
        return [row for row in self.clips if (row.trains if split == "train" else row.split == split)]

"""One row of the index, opened: its frames at 25 per second and its sound."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from eadbench.clips.windows import FPS
from eadbench.corpora.archives import read_member
from eadbench.media.audio import RATE, read_audio
from eadbench.media.video import Picture, iter_pictures


@dataclass(frozen=True)
class Recording:
    """A recording of a corpus.

    Attributes:
        row: Its row of the index; missing values are ``None``.
        folder: Folder of the index, to which the row's paths are relative.
        notes: What was done to its picture to read it; appended to by :meth:`pictures`.
    """

    row: dict[str, Any]
    folder: Path
    notes: list[str] = field(default_factory=list)

    @classmethod
    def from_table(cls, row: pd.Series, folder: Path) -> "Recording":
        return cls({name: None if pd.isna(value) else value for name, value in row.items()}, folder)

    @property
    def id(self) -> str:
        return self.row["recording_id"]

    @property
    def start(self) -> float:
        return self.row["start"] or 0.0

    @property
    def search(self) -> tuple[int, int, int, int] | None:
        """The listed crop ``(x, y, w, h)``, in which the face is."""
        values = [self.row[name] for name in ("crop_x", "crop_y", "crop_w", "crop_h")]
        return None if any(value is None for value in values) else tuple(map(int, values))

    @property
    def has_sound(self) -> bool:
        """Whether the index found sound with it."""
        return self.row["sample_rate"] is not None

    @property
    def source(self) -> Path:
        """File or archive of the picture."""
        return (self.folder / self.row["source"]).resolve()

    @property
    def files(self) -> list[Path]:
        """The source, and the file with its sound where that is apart."""
        other = self.row["audio_source"]
        return [self.source, *([(self.folder / other).resolve()] if other else [])]

    def pictures(self) -> Iterator[Picture]:
        """The annotated stretch at 25 frames per second, chosen by time stamps."""
        yield from iter_pictures(
            open_once(self.source, self.row["member"]), self.start, self.row["end"], FPS, self.notes
        )

    def sound(self, start: float, frames: int, notes: list[str] | None = None) -> np.ndarray:
        """Up to ``frames * 640`` samples from ``start`` seconds on; empty where there
        is no sound.

        Args:
            start: Seconds from where the picture starts.
            frames: Frames of 1/25 s.
            notes: Appended to where something was done to read it.
        """
        if not self.has_sound:
            return np.zeros(0, np.float32)
        other = self.row["audio_source"]
        path = (self.folder / other).resolve() if other else self.source
        media = open_once(path, self.row["audio_member"] if other else self.row["member"])
        return read_audio(media, RATE, start, start + frames / FPS, notes)


def open_once(path: Path, member: str | None) -> Path | BinaryIO:
    """As :func:`eadbench.corpora.archives.open_media`, keeping the last few members'
    bytes.
    """
    if not member:
        return path
    handle = BytesIO(_bytes(path, member))
    handle.name = f"{path}!{member}"
    return handle


_bytes = lru_cache(maxsize=2)(read_member)

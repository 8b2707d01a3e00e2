"""One row of the index, opened: its frames at 25 per second and its audio."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from eadbench.clips.windows import FPS
from eadbench.core.schemas import IndexRow
from eadbench.corpora.archives import read_member
from eadbench.media.audio import RATE, read_audio
from eadbench.media.video import DecodedFrame, iter_decoded_frames


@dataclass(frozen=True)
class Recording:
    """A recording of a corpus.

    Attributes:
        row: Its row of the index.
        folder: Folder of the index.
        notes: What was done to its video to read it; appended to by :meth:`frames`.
    """

    row: IndexRow
    folder: Path
    notes: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.row.recording_id

    @property
    def start(self) -> float:
        return self.row.start or 0.0

    @property
    def search(self) -> tuple[int, int, int, int] | None:
        """The listed crop ``(x, y, w, h)``, in which the face is."""
        values = (self.row.crop_x, self.row.crop_y, self.row.crop_w, self.row.crop_h)
        return None if None in values else values

    @property
    def has_audio(self) -> bool:
        """Whether the index found audio with it."""
        return self.row.sample_rate is not None

    @property
    def files(self) -> list[Path]:
        """The source, and the file with its audio where that is apart."""
        return [self.row.source, *([self.row.audio_source] if self.row.audio_source else [])]

    def frames(self) -> Iterator[DecodedFrame]:
        """The annotated stretch at 25 frames per second, chosen by time stamps."""
        yield from iter_decoded_frames(
            open_once(self.row.source, self.row.member), self.start, self.row.end, FPS, self.notes
        )

    def audio(self, start: float, frames: int, notes: list[str] | None = None) -> np.ndarray:
        """Up to ``frames * 640`` samples from ``start`` seconds on; empty where there
        is no audio.

        Args:
            start: Seconds from where the video starts.
            frames: Frames of 1/25 s.
            notes: Appended to where something was done to read it.
        """
        if not self.has_audio:
            return np.zeros(0, np.float32)
        apart = (self.row.audio_source, self.row.audio_member)
        media = open_once(*(apart if self.row.audio_source else (self.row.source, self.row.member)))
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

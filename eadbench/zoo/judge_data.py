"""Frames and sound of the training clips, small enough to stay in memory, for the judges that are trained here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track
from eadbench.core.seeds import seed_for
from eadbench.core.tables import KEPT, read_table, resolve
from eadbench.media.audio import read_audio
from eadbench.media.video import read_frames


@dataclass(frozen=True)
class Clip:
    """One training clip: frames ``(T, S, S, 3)`` RGB uint8, sound float32 at 16 kHz, its labels."""

    clip_id: str
    speaker: str
    emotion: str | None
    frames: np.ndarray
    audio: np.ndarray


def resize(frames: np.ndarray, size: int, region: tuple[float, float, float, float] = (0, 1, 0, 1)) -> np.ndarray:
    """Cut a region (top, bottom, left, right as shares of the sides) out of ``(T, H, W, 3)`` frames and scale it to ``size`` squared, bilinear."""
    height, width = frames.shape[1:3]
    top, bottom, left, right = (round(a * b) for a, b in zip(region, (height, height, width, width), strict=True))
    cut = frames[:, top:bottom, left:right]
    if cut.shape[1:3] == (size, size):
        return np.ascontiguousarray(cut)
    return np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_LINEAR) for frame in cut])


def choose(tables: list[Path], split: str, max_clips: int, seed: int) -> list[tuple[Path, pd.Series]]:
    """Rows of that split that are kept: all, or a draw of ``max_clips`` that depends on nothing but the clips' names."""
    rows = []
    for table in tables:
        frame = read_table(table, schemas.CLIPS)
        frame = frame[(frame.status == KEPT) & (frame.split == split)]
        rows += [(table, row) for _, row in frame.iterrows()]
    rows.sort(key=lambda item: seed_for(seed, item[1].corpus, item[1].clip_id))
    return sorted(rows[:max_clips], key=lambda item: (item[1].corpus, item[1].clip_id))


def iter_clips(
    tables: list[Path], split: str, size: int, max_clips: int, max_frames: int, seed: int,
    region: tuple[float, float, float, float] = (0, 1, 0, 1), stride: int = 1, sound: bool = True,
) -> Iterator[Clip]:  # fmt: skip
    """Read clips, the first ``max_frames`` frames of each (every ``stride``-th), resized.

    Raises:
        EadbenchError: If there is no table.
    """
    if not tables:
        raise EadbenchError("training needs clips", "--clips", "give at least one cut.parquet")
    for table, row in track(choose(tables, split, max_clips, seed), f"read {split} clips", unit="clip"):
        frames = resize(read_frames(resolve(table, row.video), limit=max_frames * stride)[::stride], size, region)
        audio = read_audio(resolve(table, row.audio)) if sound else np.zeros(0, np.float32)
        speaker = f"{row.corpus}/{row.speaker}"
        yield Clip(row.clip_id, speaker, row.emotion if isinstance(row.emotion, str) else None, frames, audio)

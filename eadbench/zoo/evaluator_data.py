"""Frames and audio of the training clips, small enough to stay in memory, for the
evaluators that are trained here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track
from eadbench.media.audio import read_audio
from eadbench.media.video import read_frames
from eadbench.zoo.material import training_clips

WHOLE = (0.0, 1.0, 0.0, 1.0)  # region of a whole frame: top, bottom, left, right as shares of the sides


@dataclass(frozen=True)
class TrainingClip:
    """One training clip: frames ``(T, S, S, 3)`` RGB uint8, audio float32 at 16 kHz,
    its labels.
    """

    clip_id: str
    speaker: str
    emotion: str | None
    frames: np.ndarray
    audio: np.ndarray


def resize(frames: np.ndarray, size: int, region: tuple[float, float, float, float] = WHOLE) -> np.ndarray:
    """Cut a region (top, bottom, left, right as shares of the sides) out of
    ``(T, H, W, 3)`` frames and scale it to ``size`` squared, bilinear.
    """
    height, width = frames.shape[1:3]
    top, bottom, left, right = (
        round(share * length) for share, length in zip(region, (height, height, width, width), strict=True)
    )
    crops = frames[:, top:bottom, left:right]
    if crops.shape[1:3] == (size, size):
        return np.ascontiguousarray(crops)
    return np.stack([cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR) for crop in crops])


def iter_clips(
    tables: list[Path],
    split: str,
    size: int,
    max_clips: int,
    max_frames: int,
    seed: int,
    region: tuple[float, float, float, float] = WHOLE,
    spread_out: bool = False,
    with_audio: bool = True,
) -> Iterator[TrainingClip]:
    """Read the kept clips of a split, resized.

    Args:
        tables: Tables of clips.
        split: ``train`` or ``val``; a ``val`` without clips is empty, a ``train``
            without clips an error.
        size: Side of the frames.
        max_clips: Draw at most so many.
        max_frames: Frames per clip at most: the first ones, or spread evenly over the
            clip.
        seed: Of the draw.
        region: Part of the frame, see :func:`resize`.
        spread_out: Whether the frames are spread over the clip.
        with_audio: Whether the audio is read.

    Raises:
        EadbenchError: If there is nothing to train on.
    """
    try:
        rows = training_clips(tables, max_clips, seed, split)
    except EadbenchError:
        if split == "train":
            raise
        return
    for row in track(rows, f"read {split} clips", unit="clip"):
        frames = read_frames(row.video, limit=None if spread_out else max_frames)
        if spread_out and len(frames) > max_frames:
            frames = frames[np.linspace(0, len(frames) - 1, max_frames).round().astype(int)]
        audio = read_audio(row.audio) if with_audio else np.zeros(0, np.float32)
        yield TrainingClip(
            row.clip_id, f"{row.corpus}/{row.speaker}", row.emotion, resize(frames, size, region), audio
        )


def face_clips(tables: list[Path], split: str, options: Any, seed: int) -> list[TrainingClip]:
    """Clips without audio, a few frames each, spread over their length, cut to the
    evaluator's region already.

    Args:
        tables: Tables of clips.
        split: As in :func:`iter_clips`.
        options: Options of a kind, with ``size``, ``region``, ``max_clips`` and
            ``frames_per_clip``.
        seed: Of the draw.
    """
    clips = iter_clips(
        tables,
        split,
        options.size,
        options.max_clips,
        options.frames_per_clip,
        seed,
        options.region,
        spread_out=True,
        with_audio=False,
    )
    return list(clips)


def per_split(
    measure: Callable[[list[TrainingClip]], dict[str, Any]], **clips: list[TrainingClip]
) -> dict[str, Any]:
    """Values of ``measure`` on each split's clips, named ``SPLIT_NAME``."""
    return {
        f"{split}_{name}": value
        for split, split_clips in clips.items()
        for name, value in measure(split_clips).items()
    }

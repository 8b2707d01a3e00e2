"""Frames of a clip as a vision-language model sees them."""

from pathlib import Path

import numpy as np

from eadbench.core import seals
from eadbench.core.schemas import ClipsRow
from eadbench.media.image import shrink_to
from eadbench.media.video import read_frames


def evenly(frames: np.ndarray, count: int) -> np.ndarray:
    """``count`` frames from the middles of as many equal stretches; fewer if the clip
    has fewer.
    """
    count = min(count, len(frames))
    return frames[((np.arange(count) + 0.5) * len(frames) / count).astype(int)]


def rate_shown(clip: ClipsRow, count: int) -> float:
    """Frames per second among ``count`` evenly spread frames of a clip."""
    return count * clip.fps / clip.frames if clip.frames and clip.fps else 4.0


def clip_frames(video: Path, count: int, max_pixels: int | None = None) -> np.ndarray:
    """``(count, H, W, 3)`` RGB uint8 of a clip's aligned video.

    Raises:
        EadbenchError: If the video cannot be read.
    """
    return shrink_to(evenly(read_frames(seals.checked(video)), count), max_pixels)

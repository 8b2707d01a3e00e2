"""Two videos read in lockstep, a few frames at a time, cut to the face where the task
says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.media.image import warp_area
from eadbench.media.reading import open_media, pick
from eadbench.media.video import iter_frames, probe

# of one video; with 16 MB, 10 s at 512 x 512 peaked 90 MB higher and were no faster
CHUNK_BYTES, CHUNK_FRAMES = (4 << 20, 32)
CROP = 256  # side of a face that is cut out
CROP_FRAMES = 32  # spread evenly, in which the face is looked for


@dataclass(frozen=True)
class Source:
    """One video at the common rate.

    Attributes:
        path: The file.
        fps: Rate that it is brought to.
        limit: Frames that count; ``None`` for all.
        square: Corners ``(2, 2)`` of what is cut out, as shares of the sides; ``None``
            for the whole frame.
        notes: What was done to the file beyond decoding it is appended here.
    """

    path: Path
    fps: float
    limit: int | None = None
    square: tuple[tuple[float, float], tuple[float, float]] | None = None
    notes: list[str] = field(default_factory=list)

    def frames(self) -> Iterator[np.ndarray]:
        """Frames ``(H, W, 3)`` RGB uint8.

        Raises:
            EadbenchError: If there is none, or the file breaks off.
        """
        empty = True
        frames = iter_frames(self.path, fps=self.fps, notes=self.notes)
        for _, frame in islice(frames, self.limit or None):
            empty = False
            yield frame if self.square is None else cut_square(frame, self.square)
        if empty:
            raise EadbenchError("the video holds no frame", self.path)

    def chunks(self) -> Iterator[np.ndarray]:
        """The frames in stretches ``(N, H, W, 3)`` of about ``CHUNK_BYTES``."""
        frames = self.frames()
        for first in frames:
            size = max(1, min(CHUNK_FRAMES, CHUNK_BYTES // first.nbytes))
            yield np.stack([first, *islice(frames, size - 1)])

    def expected(self) -> int:
        """How many frames there will be, from the packets; 0 where they do not say. May
        be wrong.
        """
        try:
            with open_media(self.path) as container:
                stream = pick(container, "video")
                packets = sum(packet.pts is not None for packet in container.demux(stream))
                rate = float(stream.average_rate or self.fps)
        except (EadbenchError, av.FFmpegError, AttributeError, OSError, ZeroDivisionError):
            return 0
        count = packets if abs(rate - self.fps) < 0.01 else round(packets * self.fps / rate)
        return min(count, self.limit) if self.limit else count

    def rate_note(self, what: str) -> str | None:
        """A note on the rate, if the file has another; ``what`` names the video."""
        rate = probe(self.path).fps
        if rate is None or abs(rate - self.fps) <= 0.01:
            return None
        return f"{what} resampled from {rate:g} to {self.fps:g} fps"


def lockstep(
    fake: Iterator[np.ndarray], real: Iterator[np.ndarray]
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """Stretches of the same times of two videos, of equal length until one ends; then
    ``None`` for that one.
    """
    pending: list[np.ndarray | None] = [None, None]
    while True:
        for k, video in enumerate((fake, real)):
            if pending[k] is None:
                pending[k] = next(video, None)
        lengths = [len(frames) for frames in pending if frames is not None]
        if not lengths:
            return
        step = min(lengths)
        yield tuple(frames[:step] if frames is not None else None for frames in pending)
        for k, frames in enumerate(pending):
            pending[k] = frames[step:] if frames is not None and len(frames) > step else None


def face_square(marks: np.ndarray) -> np.ndarray:
    """Top left and bottom right corner ``(2, 2)`` of the square around a face that
    moves little: the median box of the landmarks, a third larger.
    """
    low, high = np.nanmedian(np.nanmin(marks, 1), 0), np.nanmedian(np.nanmax(marks, 1), 0)
    centre, half = (low + high) / 2, (high - low).max() * 2 / 3
    return np.stack([centre - half, centre + half])


def as_shares(
    corners: np.ndarray, width: int, height: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Corners in pixels (whole numbers are pixel centres) as shares of the sides."""
    top_left, bottom_right = ((corners + 0.5) / [width, height]).tolist()
    return tuple(top_left), tuple(bottom_right)


def cut_square(frame: np.ndarray, square: tuple[tuple[float, float], tuple[float, float]]) -> np.ndarray:
    """That part of a frame ``(H, W, 3)``, scaled to ``CROP`` pixels, by area where it
    shrinks; what lies outside repeats the border.
    """
    corners = np.float64(square) * [frame.shape[1], frame.shape[0]] - 0.5
    scale_x, scale_y = CROP / (corners[1] - corners[0])
    x, y = corners[0]
    matrix = np.float64([[scale_x, 0, -x * scale_x], [0, scale_y, -y * scale_y]])
    return warp_area(frame, matrix, (CROP, CROP), enlarge=cv2.INTER_CUBIC)

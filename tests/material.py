"""Small real media for the tests of corpora and clips: a photograph of a face
(scikit-image ships it) that moves about, with a hum.
"""

import struct
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from eadbench.media.video import write_video

MATRICES = {  # display matrices of mp4 for turns to the right
    0: (1, 0, 0, 1),
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


def turn(path: Path, degrees: int) -> Path:
    """Write a display matrix into the video track's header, as telephones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in MATRICES[degrees])
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
    return path


@cache
def photo() -> np.ndarray:
    """The astronaut's head and shoulders, 256 x 256 RGB."""
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[:256, 96:352])


def face_frames(
    frames: int,
    width: int = 160,
    height: int = 160,
    scale: float = 0.625,
    sway: float = 4.0,
    mirror: bool = False,
) -> np.ndarray:
    """The photograph, ``scale`` times its size, swaying by ``sway`` pixels on a grey
    gradient: ``(frames, height, width, 3)`` uint8.
    """
    image = photo()[:, ::-1] if mirror else photo()
    backdrop = np.repeat(np.linspace(60, 120, height, dtype=np.uint8)[:, None, None], width, 1).repeat(3, 2)
    shots = np.empty((frames, height, width, 3), np.uint8)
    for k in range(frames):
        x = (width - 256 * scale) / 2 + sway * np.sin(k / 9)
        y = (height - 256 * scale) / 2 + sway / 2 * np.cos(k / 7)
        shots[k] = cv2.warpAffine(
            image,
            np.float32([[scale, 0, x], [0, scale, y]]),
            (width, height),
            dst=backdrop.copy(),
            borderMode=cv2.BORDER_TRANSPARENT,
        )
    return shots


def hum(seconds: float, rate: int = 16000) -> np.ndarray:
    """A tone that swells four times a second."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 180 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


def face_video(
    path: Path, seconds: float = 1.6, fps: float = 25.0, sound: float | None = 0.0, **look
) -> Path:
    """Write a face video; ``sound`` is how much longer than the picture its sound lasts
    (``None``: no sound).
    """
    frames = face_frames(round(seconds * fps), **look)
    write_video(path, frames, fps, audio=None if sound is None else hum(max(seconds + sound, 0.1)))
    return path

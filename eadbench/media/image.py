"""Still images."""

import cv2
import numpy as np


def encode_jpeg(frame: np.ndarray, quality: int = 90) -> bytes:
    """A frame ``(H, W, 3)`` RGB uint8 as JPEG bytes."""
    done, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode an image of shape {frame.shape}")
    return data.tobytes()


def shrink_to(frames: np.ndarray, max_pixels: int | None) -> np.ndarray:
    """Frames ``(T, H, W, 3)`` of at most ``max_pixels`` each, same aspect; unchanged if they are small enough or there is no limit."""
    height, width = frames.shape[1:3]
    if not max_pixels or height * width <= max_pixels:
        return frames
    scale = (max_pixels / (height * width)) ** 0.5
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def resize_square(image: np.ndarray, side: int) -> np.ndarray:
    """A square image ``(S, S, 3)`` at another size without aliasing.

    Halved while it is at least twice as large, then interpolated: a tenth of the time of averaging by an odd factor, which has no fast path.
    """
    while image.shape[0] >= 2 * side and image.shape[0] % 2 == 0:
        half = image.shape[0] // 2
        image = cv2.resize(image, (half, half), interpolation=cv2.INTER_AREA)
    ratio = image.shape[0] / side
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if ratio > 2 else cv2.INTER_LINEAR)

"""From landmarks to steady squares: similarity transforms, their smoothing, and what is
left of the jitter.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter

from eadbench.clips.track import Sight
from eadbench.media.image import warp_area
from eadbench.media.mesh import STABLE, template

FPS = 25


def fill_gaps(sights: list[Sight]) -> np.ndarray:
    """Landmarks ``(T, 478, 3)`` of all frames, linearly interpolated where the face was
    lost.

    Raises:
        ValueError: If no frame has landmarks.
    """
    known = [k for k, sight in enumerate(sights) if sight.landmarks is not None]
    if not known:
        raise ValueError("no frame has landmarks")
    points = np.stack([sights[k].landmarks for k in known])
    if len(known) == len(sights):
        return points
    frames = np.arange(len(sights))
    after = np.clip(np.searchsorted(known, frames), 0, len(known) - 1)
    before = np.clip(np.searchsorted(known, frames, side="right") - 1, 0, len(known) - 1)
    span = np.maximum(np.take(known, after) - np.take(known, before), 1)
    weight = np.clip((frames - np.take(known, before)) / span, 0, 1).astype(np.float32)[:, None, None]
    return points[before] * (1 - weight) + points[after] * weight


def denoise(landmarks: np.ndarray) -> np.ndarray:
    """Take the landmarker's frame-to-frame noise off ``(T, ...)`` without flattening
    speech: quadratic Savitzky-Golay over 5 frames (0.2 s).
    """
    return savgol_filter(landmarks, 5, 2, axis=0).astype(np.float32) if len(landmarks) >= 5 else landmarks


def similarities(landmarks: np.ndarray, size: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares similarity per frame from the stable points to the template
    (Umeyama 1991; in the complex plane: w = a z + b).

    Args:
        landmarks: ``(T, 478, 2 or 3)`` in source pixels.
        size, margin: Of the aligned square.

    Returns:
        ``a`` ``(T,)`` complex: scale and turn; ``centre`` ``(T,)`` complex: the source
        point that falls on the square's centre.
    """
    goal = template(size, margin)
    w = goal[:, 0] + 1j * goal[:, 1]
    z = landmarks[:, STABLE, 0].astype(np.float64) + 1j * landmarks[:, STABLE, 1]
    z_mean, w_mean = z.mean(1, keepdims=True), w.mean()
    a = ((w - w_mean) * (z - z_mean).conj()).sum(1) / (np.abs(z - z_mean) ** 2).sum(1)
    middle = (size - 1) / 2 * (1 + 1j)
    return a, (middle - w_mean) / a + z_mean[:, 0]


def smooth_transforms(
    a: np.ndarray, centre: np.ndarray, how: Literal["smooth", "clip"], sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth scale, turn and place over time (Gaussian of ``sigma`` frames), or hold
    them for the whole clip (medians).
    """
    logs = np.stack([np.log(np.abs(a)), np.unwrap(np.angle(a)), centre.real, centre.imag])
    if how == "clip":
        logs = np.repeat(np.median(logs, 1, keepdims=True), len(a), 1)
    else:
        logs = gaussian_filter1d(logs, sigma, axis=1, mode="nearest")
    return np.exp(logs[0] + 1j * logs[1]), logs[2] + 1j * logs[3]


def matrices(a: np.ndarray, centre: np.ndarray, size: int) -> np.ndarray:
    """``(T, 2, 3)`` float64: source pixels to aligned pixels."""
    b = (size - 1) / 2 * (1 + 1j) - a * centre
    return np.stack([np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)], -2)


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points ``(T, N, 2)`` with matrices ``(T, 2, 3)``."""
    return np.einsum("tij,tnj->tni", matrix[:, :, :2], points) + matrix[:, None, :, 2]


def warp(sights: list[Sight], matrix: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The aligned frames ``(size, size, 3)`` uint8, from the small images kept."""
    for sight, to_aligned in zip(sights, matrix, strict=True):
        total = to_aligned @ sight.square.matrix(sight.image.shape[0])
        yield warp_area(sight.image, total, (size, size))


def jitter(aligned: np.ndarray) -> float:
    """Root mean square of the second difference of the stable landmarks
    ``(T, 478, 2)``, pixels per frame squared; 0 for fewer than 3 frames.
    """
    if len(aligned) < 3:
        return 0.0
    second = np.diff(aligned[:, STABLE, :2], n=2, axis=0)
    return float(np.sqrt((second**2).sum(-1).mean()))

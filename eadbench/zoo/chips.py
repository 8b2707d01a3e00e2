"""Face chips: faces cut and turned as a recognition network expects them, from the
points of the face mesh.

Large faces are averaged over area, as dlib's pyramid does, but for ArcFace: its weights
were trained on chips of insightface's ``norm_crop``, which interpolates between four
neighbours however large the face is.
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from eadbench.media.image import warp_area

# Mesh points of: image-left iris, image-right iris, tip of the nose, image-left and
# image-right corner of the mouth.
ARCFACE_POINTS = (468, 473, 1, 61, 291)
# insightface, 112 px
ARCFACE_TEMPLATE = np.float32(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
# dlib's five points: outer and inner corner of the image-right eye, of the image-left
# eye, base of the nose.
DLIB_POINTS = (263, 362, 33, 133, 2)
DLIB_TEMPLATE = np.float32(  # dlib, get_face_chip_details for five points, as shares of the face
    [[0.8595674595992, 0.2134981538014], [0.6460604764104, 0.2289674387677],
    [0.1205750620789, 0.2137274526848],
     [0.3340850613712, 0.2290642403242], [0.4901123135679, 0.6277975316475]]
)  # fmt: skip


area = partial(warp_area, border=cv2.BORDER_CONSTANT)


def arcface_chips(frames: np.ndarray, landmarks: np.ndarray, size: int = 112) -> np.ndarray:
    """``(N, H, W, 3)`` frames and ``(N, 478, 2)`` landmarks in their pixels to
    ``(N, size, size, 3)`` chips as insightface's ``norm_crop`` makes them.
    """
    return _chips(frames, landmarks[:, ARCFACE_POINTS], ARCFACE_TEMPLATE * (size / 112), size, cv2.warpAffine)


def dlib_chips(
    frames: np.ndarray, landmarks: np.ndarray, size: int = 224, padding: float = 0.25
) -> np.ndarray:
    """Chips as dlib's ``get_face_chip`` cuts them, which Emotion-FAN was trained on."""
    return _chips(
        frames, landmarks[:, DLIB_POINTS], (DLIB_TEMPLATE + padding) / (1 + 2 * padding) * size, size
    )


def box_chips(frames: np.ndarray, landmarks: np.ndarray, size: int, margin: float = 0.1) -> np.ndarray:
    """The square around all landmarks, enlarged by ``margin`` of its side on each side."""
    low, high = landmarks[..., :2].min(1), landmarks[..., :2].max(1)
    centre, half = (low + high) / 2, (high - low).max(1, keepdims=True) * (0.5 + margin)
    corners = np.stack([centre - half, centre + half * [1, -1], centre + half * [-1, 1]], 1).astype(
        np.float32
    )
    return _chips(frames, corners, np.float32([[0, 0], [size, 0], [0, size]]), size)


def _chips(
    frames: np.ndarray, points: np.ndarray, template: np.ndarray, size: int, warp: Callable = area
) -> np.ndarray:
    matrices = similarity(points.astype(np.float64), template.astype(np.float64))
    warped = [warp(f, m, (size, size)) for f, m in zip(frames, matrices, strict=True)]
    return np.stack(warped) if warped else np.zeros((0, size, size, 3), np.uint8)


def similarity(points: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Least-squares similarity transforms ``(N, 2, 3)`` from points ``(N, K, 2)`` to a
    template ``(K, 2)`` (Umeyama 1991, in complex numbers).
    """
    source, target = points[..., 0] + 1j * points[..., 1], template[:, 0] + 1j * template[:, 1]
    mean, goal = source.mean(1, keepdims=True), target.mean()
    centred = source - mean
    turn = (centred.conj() * (target - goal)).sum(1) / np.maximum((np.abs(centred) ** 2).sum(1), 1e-12)
    shift = goal - turn * mean[:, 0]
    return np.stack(
        [np.stack([turn.real, -turn.imag, shift.real], 1), np.stack([turn.imag, turn.real, shift.imag], 1)], 1
    )

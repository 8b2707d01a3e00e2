"""Measures from one pass of the face mesh: distance of lips and face to the clip's own, and how much lips, brows and head move.

The naturalness measures follow the idea of THEval (arXiv 2511.04520): look at the dynamics, not at single frames. Formulas are ours. Lengths are in
units of the distance between the outer corners of the eyes, taken over the whole clip, so that size does not matter.
"""

import warnings

import numpy as np

from eadbench.media.faces import FaceMesh

# Points of MediaPipe's face mesh.
LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
)  # fmt: skip
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
EYES = (33, 133, 362, 263)
UPPER_LIP, LOWER_LIP = 13, 14
EYE_CORNERS = (33, 263)
HEAD = (33, 133, 362, 263, 168, 6, 197, 195)  # hardly moved by speech and expression
FACE = 468  # points without the irises


def mesh_of(frames: np.ndarray, mesh: FaceMesh) -> np.ndarray:
    """Landmarks ``(T, 478, 2)`` float32 in pixels of ``(T, H, W, 3)`` RGB uint8 frames; NaN where no face was found."""
    found = np.full((len(frames), 478, 2), np.nan, np.float32)
    mesh.reset()
    for k, frame in enumerate(frames):
        points = mesh(frame)
        if points is not None:
            found[k] = points[:, :2]
    return found


def face_rate(landmarks: np.ndarray) -> float:
    """Share of frames with a face."""
    return float(np.isfinite(landmarks[:, 0, 0]).mean()) if len(landmarks) else 0.0


def landmark_distance(fake: np.ndarray, real: np.ndarray, points: slice | tuple[int, ...], size: int) -> float:
    """Mean distance of points, each frame's set about its own mean, in pixels of a 256-pixel frame (the measure of EAT's evaluation, on the mesh).

    Args:
        fake: ``(T, 478, 2)``, NaN where no face was found.
        real: The same frames of the clip.
        points: Which points.
        size: Side of the frames in pixels.

    Returns:
        NaN if no frame shows a face in both.
    """
    a, b = fake[:, points].astype(np.float64), real[:, points].astype(np.float64)
    gap = np.linalg.norm((a - a.mean(1, keepdims=True)) - (b - b.mean(1, keepdims=True)), axis=2)
    return _mean(gap) * 256 / size


def curves(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """What moves over time, in per cent of the eye distance.

    Returns:
        ``mouth (T,)``: opening; ``brows (T,)``: height above the eyes; ``head (T, 4)``: shift in x and y, turn and scale (times the eye distance).
    """
    points = landmarks.astype(np.float64)
    unit = _median(np.linalg.norm(points[:, EYE_CORNERS[1]] - points[:, EYE_CORNERS[0]], axis=1)) / 100
    axis = points[:, EYE_CORNERS[1]] - points[:, EYE_CORNERS[0]]
    length = np.linalg.norm(axis, axis=1)
    down = np.stack([-axis[:, 1], axis[:, 0]], 1) / length[:, None]  # down the face, whatever its turn
    mouth = ((points[:, LOWER_LIP] - points[:, UPPER_LIP]) * down).sum(1) / unit
    brows = -((points[:, BROWS].mean(1) - points[:, EYES].mean(1)) * down).sum(1) / unit
    centre = points[:, HEAD].mean(1) / unit
    turn = np.arctan2(axis[:, 1], axis[:, 0]) * 100
    return {"mouth": mouth, "brows": brows, "head": np.column_stack([centre, turn, length / unit])}


def spread(curve: np.ndarray) -> float:
    """Standard deviation over time, the root of the sum of squares over several curves ``(T, K)``; NaN with fewer than two known values."""
    known = curve[np.isfinite(curve).reshape(len(curve), -1).all(1)]
    return float(np.sqrt(np.square(known.std(0)).sum())) if len(known) > 1 else float("nan")


def jitter(landmarks: np.ndarray) -> float:
    """RMS second difference over time of all face points, in per cent of the eye distance: unrest from frame to frame."""
    points = landmarks[:, :FACE].astype(np.float64)
    unit = _median(np.linalg.norm(points[:, EYE_CORNERS[1]] - points[:, EYE_CORNERS[0]], axis=1)) / 100
    second = np.diff(points, n=2, axis=0)
    return float(np.sqrt(_mean(np.square(second).sum(2)))) / unit if len(second) else float("nan")


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation where both are known; NaN if either does not move."""
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def silent_frames(audio: np.ndarray, frames: int, below_db: float, rate: int = 16000, fps: float = 25.0) -> np.ndarray:
    """Which frames are silent, ``(frames,)`` bool: their RMS is ``below_db`` under the loudest tenth's. Frames without sound count as silent."""
    hop = round(rate / fps)
    padded = np.zeros(frames * hop)
    padded[: min(len(audio), len(padded))] = audio[: len(padded)]
    level = np.sqrt(np.square(padded.reshape(frames, hop)).mean(1)) if frames else np.zeros(0)
    loud = np.quantile(level, 0.9) if frames else 0.0
    return level <= loud * 10 ** (-below_db / 20)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _median(values: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN: no face at all
        return float(np.nanmedian(values)) if len(values) else float("nan")

"""Measures from one pass of the face mesh: distance of lips and face to the clip's own,
and how much lips, brows and head move.

The naturalness measures follow the idea of THEval (arXiv 2511.04520): look at the
dynamics, not at single frames. Formulas are ours. Lengths are in units of the distance
between the outer corners of the eyes, taken over the whole clip, so that size does not
matter.
"""

import warnings
from typing import TYPE_CHECKING

import cv2
import numpy as np

from eadbench.media.mesh import LEFT_EYE_OUTER, LOWER_LIP, POINTS, RIGHT_EYE_OUTER, STABLE, UPPER_LIP

if TYPE_CHECKING:
    from eadbench.media.faces import FaceMesh

# Points of MediaPipe's face mesh.
LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
)  # fmt: skip
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
EYES = (33, 133, 362, 263)
EYE_CORNERS = (RIGHT_EYE_OUTER, LEFT_EYE_OUTER)
FACE = 468  # points without the irises
BLOCKS, STILL = 16, 12.0
SILENCE_DBFS = -60.0  # audio whose loudest frame lies below this is silence


class MeshTracker:
    """Follows the face of one video with a face mesh.

    A frame that equals the one before has its landmarks, and ``still`` marks a video
    that is one image from beginning to end, so that nothing in it is taken to move: the
    mesh is a tracker, whose answer swings by up to a pixel on the same image. Giving the
    landmarks of a frame to those that look like it instead would leave a jitter of 0.05
    to 0.3 per cent of the eye distance from crf 23 on, and took 0.694 to 0.426 on a drawn
    speaker that does move; on a filmed one (2.324) it changed nothing.

    Args:
        mesh: The mesh; it belongs to this tracker from now on.

    Attributes:
        still: Whether all frames so far equal the first one but for coding noise.
    """

    def __init__(self, mesh: "FaceMesh") -> None:
        self.mesh, self.still = mesh, True
        self._first, self._last, self._points = None, None, None
        mesh.reset()

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Landmarks ``(T, 478, 2)`` float32 in pixels of the next ``(T, H, W, 3)`` RGB
        uint8 frames; NaN where no face was found.
        """
        marks = np.full((len(frames), POINTS, 2), np.nan, np.float32)
        for k, frame in enumerate(frames):
            if self._last is None or not np.array_equal(frame, self._last):
                self._first = frame if self._first is None else self._first
                self._points, self._last = self.mesh(frame), frame
                self.still = self.still and same_image(frame, self._first)
            if self._points is not None:
                marks[k] = self._points[:, :2]
        return marks


def same_image(frame: np.ndarray, other: np.ndarray) -> bool:
    """Whether two frames differ by no more than coding one image twice does, in any of
    16 x 16 blocks.

    A still image coded with x264 at crf 18 to 35 stays below 11 grey levels against
    its first frame; of 22 clips of real and drawn speakers the stillest reaches 22
    within half a second and 34 within two.
    """
    difference = cv2.absdiff(frame, other).astype(np.float32)
    blocks = cv2.resize(difference, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
    return float(blocks.mean(2).max()) <= STILL


def mesh_of(frames: np.ndarray, mesh: "FaceMesh") -> np.ndarray:
    """Landmarks ``(T, 478, 2)`` of a whole video, see :class:`MeshTracker`."""
    return MeshTracker(mesh)(frames)


def centred_gap(fake: np.ndarray, real: np.ndarray, points: slice | tuple[int, ...]) -> np.ndarray:
    """Distance of points to those of the clip ``(T, K)``, each frame's set about its
    own mean (the measure of EAT's evaluation, on the mesh).

    Args:
        fake: ``(T, 478, 2)``, NaN where no face was found.
        real: The same frames of the clip.
        points: Which points.
    """
    a, b = fake[:, points].astype(np.float64), real[:, points].astype(np.float64)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return np.linalg.norm(a - b, axis=2)


class MeshMotion:
    """What moves in one video, from landmarks that come a stretch at a time; six
    numbers a frame are kept.

    Attributes:
        frames: Frames so far.
        seen: Those with a face.
        frozen: Whether the video is a still image, so that nothing moves whatever the
            mesh says.
    """

    def __init__(self) -> None:
        self.frames, self.seen, self.frozen = 0, 0, False
        self._rows: list[np.ndarray] = []
        self._tail, self._squares, self._count = np.empty((0, FACE, 2)), 0.0, 0

    def add(self, marks: np.ndarray) -> None:
        """Take in landmarks ``(T, 478, 2)`` of the next frames."""
        points = marks.astype(np.float64)
        self.frames += len(points)
        self.seen += int(np.isfinite(points[:, 0, 0]).sum())
        axis = points[:, EYE_CORNERS[1]] - points[:, EYE_CORNERS[0]]
        length = np.linalg.norm(axis, axis=1)
        down = np.stack([-axis[:, 1], axis[:, 0]], 1) / length[:, None]  # down the face, whatever its turn
        mouth = ((points[:, LOWER_LIP] - points[:, UPPER_LIP]) * down).sum(1)
        brows = -((points[:, BROWS].mean(1) - points[:, EYES].mean(1)) * down).sum(1)
        turn = np.arctan2(axis[:, 1], axis[:, 0])
        self._rows.append(np.column_stack([length, mouth, brows, points[:, STABLE].mean(1), turn]))
        joined = np.concatenate([self._tail, points[:, :FACE]])
        second = np.square(np.diff(joined, n=2, axis=0)).sum(2)  # squared second differences
        finite = second[np.isfinite(second)]
        self._squares += float(finite.sum())
        self._count += finite.size
        self._tail = joined[-2:]

    def curves(self) -> dict[str, np.ndarray]:
        """See :func:`curves`."""
        rows = np.concatenate(self._rows)
        if self.frozen:
            rows = np.repeat(rows[np.isfinite(rows[:, 0])][:1], self.frames, 0)
        length, mouth, brows, *centre, turn = rows.T
        unit = _median(length) / 100
        return {
            "mouth": mouth / unit,
            "brows": brows / unit,
            "head": np.column_stack([*(c / unit for c in centre), turn * 100, length / unit]),
        }

    def jitter(self) -> float:
        """See :func:`jitter`."""
        if not self._count:
            return float("nan")
        if self.frozen:
            return 0.0
        unit = _median(np.concatenate(self._rows)[:, 0]) / 100
        return float(np.sqrt(self._squares / self._count)) / unit


def _motion(marks: np.ndarray) -> MeshMotion:
    motion = MeshMotion()
    motion.add(marks)
    return motion


def curves(landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """What moves over time, in per cent of the eye distance.

    Returns:
        ``mouth (T,)``: opening; ``brows (T,)``: height above the eyes; ``head (T, 4)``:
        shift in x and y, turn and scale (times the eye distance).
    """
    return _motion(landmarks).curves()


def spread(curve: np.ndarray) -> float:
    """Standard deviation over time, the root of the sum of squares over several curves
    ``(T, K)``; NaN with fewer than two finite values.
    """
    finite = curve[np.isfinite(curve).reshape(len(curve), -1).all(1)]
    if len(finite) < 2:
        return float("nan")
    # less the first: what does not move has exactly 0
    return float(np.sqrt(np.square((finite - finite[0]).std(0)).sum()))


def jitter(landmarks: np.ndarray) -> float:
    """RMS second difference over time of all face points, in per cent of the eye
    distance: trembling from frame to frame.
    """
    return _motion(landmarks).jitter()


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation where both are finite; NaN if either does not move."""
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def levels(audio: np.ndarray, fps: float = 25.0, rate: int = 16000) -> np.ndarray:
    """RMS of the audio of each frame, ``(frames,)`` float64; a last incomplete one
    counts as filled with silence.
    """
    hop = round(rate / fps)
    frames = [audio[start : start + hop].astype(np.float64) for start in range(0, len(audio), hop)]
    return np.array([np.sqrt(np.square(samples).sum() / hop) for samples in frames])


def silent(levels: np.ndarray, frames: int, below_db: float) -> np.ndarray:
    """Which frames are silent, ``(frames,)`` bool: their RMS is ``below_db`` under the
    loudest tenth's. Frames without audio count as silent, and all do where even the
    loudest lies below ``SILENCE_DBFS``.
    """
    level = np.zeros(frames)
    level[: len(levels)] = levels[:frames]
    if level.max(initial=0.0) < 10 ** (SILENCE_DBFS / 20):
        return np.ones(frames, bool)
    loud = np.quantile(level, 0.9) if frames else 0.0
    return level <= loud * 10 ** (-below_db / 20)


def _median(values: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN: no face at all
        return float(np.nanmedian(values)) if len(values) else float("nan")

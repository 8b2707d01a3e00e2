"""THEval's measures of motion (Quignon et al., CVPR Findings 2026) from landmarks of the
face mesh: lips, brows, head, silence, and lips against loudness.

Formulas as in its public code (github.com/Newbyl/THEval, commit cfe23fe); what differs:

- One pass of the mesh over the frames as they are, followed from frame to frame, serves
  all measures. THEval runs it five times, partly on frames scaled to 256 x 256, partly
  frame by frame. Coordinates are scaled to 256 x 256 here, which is the same up to
  the mesh's answer.
- Angles of the head come from 14 points of the mesh and a mean face under weak
  perspective (:func:`angles`), in THEval from FaceXFormer's network on RetinaFace's
  boxes; the place of the head is the mean of those points in pixels of a frame of 256,
  there the centre of the box in pixels of the video, so that the size of the video
  counts.
- Speech and silence are separated by level (:func:`eadbench.scores.landmarks.silent`), in
  THEval by Silero VAD.
- Frames without a face are skipped; a video of a still image has motion 0 exactly.
- Eyes and lips are measured in pixels; THEval's lip sync divides shares of the height
  by shares of the width, which is the same where the video is square.
"""

import numpy as np

from eadbench.media.mesh import LEFT_BROW, RIGHT_BROW
from eadbench.scores.landmarks import EYE_CORNERS, LIPS

SIDE = 256.0
UPPER, LOWER = (191, 80, 81, 82, 13, 312, 311, 310), (95, 88, 178, 87, 14, 317, 402, 318)
LEFT_EYE = (249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466)
RIGHT_EYE = (7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246)
LEFT_CORNERS, RIGHT_CORNERS = (33, 133), (362, 263)
PAIRS = np.triu_indices(len(LIPS), 1)
SHORTEST_SILENCE, LEAST_SPEECH = 0.3, 0.1  # seconds; share of the frames
WINDOW = 0.05  # seconds of audio of one value of loudness
STRETCH = 1200  # windows that are computed at a time

# Places in space of points that speech and expression hardly move, in units of the
# distance between the outer corners of the eyes, origin between them, y down, z away
# from the camera: the mesh's own answer on a filmed face, made symmetric (ours).
HEAD_POINTS = {
    33: (-0.500, 0.0, 0.0), 263: (0.500, 0.0, 0.0), 133: (-0.188, 0.031, -0.056),
    362: (0.188, 0.031, -0.056), 127: (-0.764, 0.015, 0.533), 356: (0.764, 0.015, 0.533),
    234: (-0.758, 0.166, 0.601), 454: (0.758, 0.166, 0.601), 168: (0.0, -0.035, -0.248),
    6: (0.0, 0.058, -0.289), 197: (0.0, 0.144, -0.337), 195: (0.0, 0.222, -0.390),
    4: (0.0, 0.409, -0.463), 10: (0.0, -0.559, -0.256),
}  # fmt: skip
_MODEL = np.array(list(HEAD_POINTS.values()))
_SOLVE = np.linalg.pinv(_MODEL - _MODEL.mean(0))  # (3, K)


def angles(marks: np.ndarray) -> np.ndarray:
    """Pitch, yaw and roll of the head in degrees ``(T, 3)``, NaN without a face.

    The rotation of :data:`HEAD_POINTS` whose weak-perspective projection (rotated,
    scaled, moved) comes nearest to the landmarks. A face unlike the mean one shifts the
    angles by a constant, which is no motion.

    Args:
        marks: ``(T, 478, 2)`` in square pixels.
    """
    points = marks[:, list(HEAD_POINTS)].astype(np.float64)
    has_face = np.isfinite(points).all((1, 2))
    degrees = np.full((len(points), 3), np.nan)
    face_points = points[has_face]
    if len(face_points):
        face_points = face_points - face_points.mean(1, keepdims=True)
        fitted = np.einsum("kn,tnc->tck", _SOLVE, face_points)
        u, _, vt = np.linalg.svd(fitted, full_matrices=False)
        rows = u @ vt  # (T, 2, 3): the first two rows of the rotation
        third = np.cross(rows[:, 0], rows[:, 1])
        pitch = np.arctan2(third[:, 1], third[:, 2])
        yaw = np.arcsin(np.clip(-third[:, 0], -1, 1))
        roll = np.arctan2(rows[:, 1, 0], rows[:, 0, 0])
        degrees[has_face] = np.degrees(np.column_stack([pitch, yaw, roll]))
    return degrees


class FaceDynamics:
    """What THEval's measures need of one video, from landmarks that come a stretch at a
    time; nine numbers a frame and the sums of the lips' distances are kept.

    Attributes:
        frames: Frames so far.
        frozen: Whether the video is a still image, so that nothing moves.
    """

    def __init__(self) -> None:
        self.frames, self.frozen = 0, False
        self._rows: list[np.ndarray] = []
        self._origin: np.ndarray | None = None  # sums are taken about it, which keeps digits
        self._sum, self._squares = np.zeros(len(PAIRS[0])), np.zeros(len(PAIRS[0]))

    def add(self, marks: np.ndarray, height: int, width: int) -> None:
        """Take in landmarks ``(T, 478, 2)`` in pixels of the next frames, which are
        ``height`` by ``width``.
        """
        points = marks.astype(np.float64)
        self.frames += len(points)
        upper, lower = points[:, UPPER], points[:, LOWER]
        corner_distance = np.linalg.norm(points[:, EYE_CORNERS[0]] - points[:, EYE_CORNERS[1]], axis=1)
        centre_distance = np.abs(points[:, RIGHT_CORNERS, 0].mean(1) - points[:, LEFT_CORNERS, 0].mean(1))
        eyes = [points[:, list(eye)].mean(1) for eye in (LEFT_EYE, RIGHT_EYE)]
        brows = [points[:, list(brow)].mean(1) for brow in (LEFT_BROW, RIGHT_BROW)]
        scale = np.linalg.norm(eyes[0] - eyes[1], axis=1)
        heights = [np.linalg.norm(b - e, axis=1) / scale for b, e in zip(brows, eyes, strict=True)]
        place = points[:, list(HEAD_POINTS)].mean(1) * (SIDE / max(height, width))
        mean_gap = np.abs(upper[..., 1] - lower[..., 1]).mean(1)
        gap_of_means = np.abs(upper[..., 1].mean(1) - lower[..., 1].mean(1))
        openings = [mean_gap / corner_distance, gap_of_means / centre_distance]
        self._rows.append(np.column_stack([*openings, *heights, angles(marks), place]))
        lips = points[:, LIPS] * (SIDE / width, SIDE / height)
        lips = lips[np.isfinite(lips).all((1, 2))]
        distances = np.linalg.norm(lips[:, PAIRS[0]] - lips[:, PAIRS[1]], axis=2)
        if len(distances):
            self._origin = distances[0] if self._origin is None else self._origin
            self._sum += (distances - self._origin).sum(0)
            self._squares += np.square(distances - self._origin).sum(0)

    @property
    def rows(self) -> np.ndarray:
        """``(T, 9)``: opening by the eyes' corners, opening by the eyes' centres, height
        of the left and the right brow, pitch, yaw, roll, place right and down; NaN
        without a face.
        """
        rows = np.concatenate(self._rows) if self._rows else np.empty((0, 9))
        if self.frozen:
            first_face = rows[np.isfinite(rows).all(1)][:1]
            rows = np.repeat(first_face, len(rows), 0)
        return rows

    @property
    def face_rows(self) -> np.ndarray:
        """:attr:`rows` of the frames with a face."""
        rows = self.rows
        return rows[np.isfinite(rows).all(1)]

    def lips(self) -> float:
        """Mean over all pairs of lip points of the standard deviation over time of their
        distance, in pixels of a frame of 256 x 256; NaN without a face.
        """
        count = len(self.face_rows)
        if not count or self.frozen:
            return 0.0 if count else float("nan")
        variance = self._squares / count - np.square(self._sum / count)
        return float(np.sqrt(np.maximum(variance, 0)).mean())

    def brows(self) -> float:
        """Mean change from frame to frame of the distance of each brow to its eye, in
        distances between the eyes; NaN with fewer than two faces.
        """
        changes = np.abs(np.diff(self.face_rows[:, 2:4], axis=0))
        return float(changes.mean()) if changes.size else float("nan")

    def head(self) -> float:
        """``sqrt(S * D + P)``: S the mean over the three angles of their standard
        deviation in degrees, D that of the variance of their changes, P that of the
        variance of the place in pixels of a frame of 256; NaN with fewer than two faces.
        """
        rows = self.face_rows
        if len(rows) < 2:
            return float("nan")
        turns, place = rows[:, 4:7] - rows[0, 4:7], rows[:, 7:9] - rows[0, 7:9]
        change_variance = np.diff(turns, axis=0).var(0).mean() if len(rows) > 2 else 0.0
        return float(np.sqrt(turns.std(0).mean() * change_variance + place.var(0).mean()))

    def stability(self, silent: np.ndarray) -> float:
        """Median distance of the lips' opening from its mean over the silent frames, in
        distances between the eyes' outer corners; NaN with fewer than two of them.

        Args:
            silent: Which frames count, ``(T,)`` bool.
        """
        opening = self.rows[: len(silent)][silent[: self.frames], 0]
        opening = opening[np.isfinite(opening)]
        if len(opening) < 2:
            return float("nan")
        opening = opening - opening[0]
        return float(np.median(np.abs(opening - opening.mean())))

    def opening(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Opening of the lips in distances between the eyes' centres over those of the
        chosen frames ``(T,)`` bool that show a face, and the numbers of these frames.
        """
        opening = self.rows[:, 1]
        frame_numbers = np.flatnonzero(chosen & np.isfinite(opening))
        return opening[frame_numbers], frame_numbers


def loudness(audio: np.ndarray, rate: int = 16000) -> np.ndarray:
    """RMS of windows of 50 ms, ``(windows,)`` float64: one after the other, the first
    about 0 s. The audio is read a stretch at a time, so that no copy of it is in memory.
    """
    size = round(rate * WINDOW)
    half = size // 2
    count = (len(audio) + half * 2) // size
    levels = [np.empty(0)]
    for first in range(0, count, STRETCH):
        begin, end = first * size - half, min(first + STRETCH, count) * size - half
        samples = audio[max(0, begin) : end].astype(np.float64)
        padded = np.pad(samples, (max(0, -begin), max(0, end - len(audio))))
        levels.append(np.sqrt(np.square(padded.reshape(-1, size)).mean(1)))
    return np.concatenate(levels)


def at_frames(levels: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """Values of :func:`loudness` at each frame's time, ``(frames,)``, interpolated
    between the windows' middles.
    """
    if not len(levels):
        return np.zeros(frames)
    return np.interp(np.arange(frames) / fps, np.arange(len(levels)) * WINDOW, levels)


def long_silence(silent: np.ndarray, fps: float) -> np.ndarray:
    """Silent frames ``(T,)`` that lie in a stretch of ``SHORTEST_SILENCE`` or longer."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent.astype(int), [0]])))
    long_enough = np.zeros(len(silent), bool)
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        long_enough[first:last] = last - first >= SHORTEST_SILENCE * fps
    return long_enough


def gap(opening: np.ndarray, volume: np.ndarray) -> float:
    """Mean distance of two curves ``(T,)``, each first scaled to 0..1."""
    scaled = [(x - x.min()) / (np.ptp(x) + 1e-8) for x in (opening, volume)]
    return float(np.abs(scaled[0] - scaled[1]).mean())


def closeness(value: np.ndarray | float, truth: np.ndarray | float) -> np.ndarray | float:
    """``1 - |value - truth| / |truth|``: 1 where they are equal, without lower bound."""
    return 1 - np.abs(value - truth) / np.abs(truth)

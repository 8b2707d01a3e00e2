"""Metrics that compare two videos as sequences: soft dynamic time warping finds which
frames correspond, so that the same motion a little earlier, later or slower costs
little.

After Zhang et al. 2026 (arXiv 2606.01031); docs/reference_code.md names the
differences.
"""

from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.media.mesh import STABLE, TEMPLATE
from eadbench.scores import dynamics, landmarks
from eadbench.scores.metrics.base import Chunk, Metric, Part, Value, batch_size
from eadbench.scores.softdtw import Band

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair

SECONDS = 0.5  # by which two frames that correspond may lie apart
SIDE = 256  # of a larger frame that LPIPS sees
BATCH = 4, 16  # frames of either side that LPIPS takes at a time, on a CPU and on a GPU
SOURCE = "Zhang et al. 2026 (arXiv 2606.01031), on one pass of the face mesh; docs/reference_code.md"
CITES = ("zhang2026temporally", "cuturi2017softdtw", "blondel2021divergences")
_PLACES = np.array([TEMPLATE[point] for point in STABLE]) @ [1, 1j]
_PLACES -= _PLACES.mean()


def expression(marks: np.ndarray) -> np.ndarray:
    """Points of the face without the head's place, in-plane rotation and size: each frame
    moved, rotated and scaled so that the points that speech hardly moves come nearest to
    those of a mean face.

    Args:
        marks: Landmarks ``(T, 478, 2)`` in square pixels.

    Returns:
        ``(T, 468, 2)`` in per cent of the eye distance.
    """
    points = marks[:, : landmarks.FACE].astype(np.float64) @ [1, 1j]
    stable = points[:, STABLE]
    centre = stable.mean(1, keepdims=True)
    stable = stable - centre
    turn = (stable.conj() @ _PLACES) / np.square(np.abs(stable)).sum(1)
    placed = (points - centre) * turn[:, None] * 100
    return np.stack([placed.real, placed.imag], -1)


def lips(faces: np.ndarray) -> np.ndarray:
    """Lip points ``(T, 40, 2)`` of :func:`expression`, about their own mean."""
    points = faces[:, landmarks.LIPS]
    return points - points.mean(1, keepdims=True)


def _flat(points: np.ndarray) -> np.ndarray:
    """Rows whose squared distance is the mean over points."""
    return points.reshape(len(points), -1) / np.sqrt(points.shape[1])


class FaceSequences(Part):
    """Lips, expression and pose of both videos over the frames that show a face in
    both.
    """

    reads = ("pair", "landmarks", "real_landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.bands = {name: Band(band_width(clip)) for name in ("lips", "expression", "pose")}

    def update(self, chunk: Chunk) -> None:
        common = len(chunk.pair[0]) if chunk.pair else 0
        fake, real = chunk.marks[:common], chunk.real_marks[:common]
        has_face = np.isfinite(fake[:, 0, 0]) & np.isfinite(real[:, 0, 0])
        if not has_face.any():
            return
        fake, real = fake[has_face], real[has_face]
        fake_points, real_points = expression(fake), expression(real)
        self.bands["expression"].add(_flat(fake_points), _flat(real_points))
        self.bands["lips"].add(_flat(lips(fake_points)), _flat(lips(real_points)))
        self.bands["pose"].add(dynamics.angles(fake), dynamics.angles(real))


class LpipsSequences(Part):
    """LPIPS's features of the common frames: their squared distance is LPIPS."""

    reads = ("pair",)

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.net, self.band = clip.evaluators.nets["lpips"], Band(band_width(clip))
        self.batch = batch_size(self.net, *BATCH)

    def update(self, chunk: Chunk) -> None:
        if chunk.pair is None:
            return
        fake, real = chunk.pair
        for start in range(0, len(fake), self.batch):
            end = start + self.batch
            self.band.add(self._features(fake[start:end]), self._features(real[start:end]))

    def _features(self, frames: np.ndarray) -> np.ndarray:
        import torch

        scale = SIDE / max(frames.shape[1:3])
        if scale < 1:
            resized = [cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for f in frames]
            frames = np.stack(resized)
        with torch.inference_mode():
            images = torch.from_numpy(frames).to(self.net.device).permute(0, 3, 1, 2).float()
            return self.net.features(images.div_(127.5).sub_(1)).cpu().numpy()


def band_width(clip: "ClipPair") -> int:
    """Frames by which those that correspond may lie apart."""
    return round(SECONDS * clip.config.fps)


class _Sequence(Metric):
    """Soft-DTW divergence of one trajectory, per frame."""

    direction, paired, elastic, cites, range = "down", True, True, CITES, (0, None)
    softness: ClassVar[float]  # in the unit of the values

    def band(self) -> Band:
        """The distances."""
        raise NotImplementedError

    def compute(self) -> Value:
        band = self.band()
        if not band.count:
            raise EadbenchError("no frame in common" + (" shows a face in both" if self.landmarks else ""))
        return Value(band.divergence(self.softness), band.count)


class _FaceSequence(_Sequence):
    parts, source, softness = (FaceSequences,), SOURCE, 0.1
    trajectory: ClassVar[str]

    def band(self) -> Band:
        return self.part(FaceSequences).bands[self.trajectory]


SHIFTED = "; motion that comes up to half a second earlier or later costs little"


class LipSequence(_FaceSequence):
    name, label, trajectory = "lips_seq", "Lips (Soft-DTW)", "lips"
    meaning = (
        "squared distance of the lip points to the clip's along the best correspondence of frames in time, "
        "mean over points and frames; lips about their mean, the head's place, in-plane rotation and size "
        "taken out"
    )
    reacts = "the shape of the mouth and the order of its shapes" + SHIFTED
    unit = "squared % of eye distance"


class ExpressionSequence(_FaceSequence):
    name, label, trajectory = "expression_seq", "Expression (Soft-DTW)", "expression"
    meaning = (
        "squared distance of the face's points to the clip's along the best correspondence of frames in "
        "time, mean over points and frames; the head's place, in-plane rotation and size taken out"
    )
    reacts = (
        "expression, mouth and jaw, and out-of-plane rotation, which moves the points too; errors of the "
        "face mesh" + SHIFTED
    )
    unit = "squared % of eye distance"


class PoseSequence(_FaceSequence):
    name, label, trajectory, direction = "pose_seq", "Head pose (Soft-DTW)", "pose", "none"
    meaning = (
        "squared difference of the head's pitch, yaw and roll to the clip's along the best correspondence of "
        "frames in time, sum over the three, mean over frames"
    )
    reacts = (
        "where the head turns to, which the audio does not determine: a method whose head moves otherwise "
        "than the clip's is not worse by that alone" + SHIFTED
    )
    unit = "squared degrees"


class LpipsSequence(_Sequence):
    name, label = "lpips_seq", "LPIPS (Soft-DTW)"
    meaning = (
        "LPIPS to the clip along the best correspondence of frames in time (AlexNet, frames of at most "
        f"{SIDE} pixels), mean over frames"
    )
    reacts = (
        "what moves LPIPS, the head's place among it: where a method animates one image, less of it than "
        "frame by frame, not none"
    )
    source = "Zhang et al. 2026 (arXiv 2606.01031), on LPIPS (Zhang et al. 2018); docs/reference_code.md"
    cites = ("zhang2018lpips", *CITES)
    evaluator, parts, softness = "lpips", (LpipsSequences,), 0.001

    def band(self) -> Band:
        return self.part(LpipsSequences).band


METRICS: tuple[type[Metric], ...] = (LipSequence, ExpressionSequence, PoseSequence, LpipsSequence)

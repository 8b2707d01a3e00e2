"""Metrics of one pass of the face mesh: where lips and face are, and how much lips,
brows and head move.

The naturalness measures follow the idea of THEval (arXiv 2511.04520): look at the
dynamics, not at single frames.
"""

from typing import TYPE_CHECKING

import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.core.status import DROPPED
from eadbench.scores import landmarks
from eadbench.scores.metrics.audio import AudioLevels
from eadbench.scores.metrics.base import Chunk, Metric, Part, Value

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair

FEWEST_SILENT = 5
# Per cent of the eye distance. Of the demo's drawn speakers at rest, whose lips are 0
# to 1 apart, none passes it; 40 to 65 % of their frames of speech do.
OPEN = 5.0
OURS = "ours, after the idea of THEval (arXiv 2511.04520)"
EAT = "EAT's evaluation (Gan et al. 2023), on MediaPipe's mesh"
PER_CENT = "% of eye distance"


class FakeMotion(Part):
    """Movement in the video to evaluate."""

    reads = ("fake", "landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.motion = landmarks.MeshMotion()

    def update(self, chunk: Chunk) -> None:
        self.motion.add(chunk.marks)

    def finish(self) -> None:
        self.motion.frozen = self.clip.still("fake")

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """Movements over time, see :func:`landmarks.curves`.

        Raises:
            EadbenchError: If there is no face.
        """
        if not self.motion.seen:
            raise EadbenchError("the video shows no face")
        return self.motion.curves()


class MotionPair(Part):
    """Movement of both videos over the common frames, and the distance of their points in
    pixels of the real frames.
    """

    reads = ("pair", "landmarks", "real_landmarks")
    POINTS = {"m_lmd": landmarks.LIPS, "f_lmd": slice(0, landmarks.FACE)}

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.fake, self.real = landmarks.MeshMotion(), landmarks.MeshMotion()
        self.sums, self.counts = dict.fromkeys(self.POINTS, 0.0), dict.fromkeys(self.POINTS, 0)
        self.longer_side = 0  # of the real frames

    def update(self, chunk: Chunk) -> None:
        common = len(chunk.pair[0]) if chunk.pair else 0
        if not common:
            return
        (height, width), (fake_height, fake_width) = chunk.pair[1].shape[1:3], chunk.fake.shape[1:3]
        self.longer_side = max(height, width)
        fake = chunk.marks[:common] * np.float32([width / fake_width, height / fake_height])
        real = chunk.real_marks[:common]
        self.fake.add(fake)
        self.real.add(real)
        for name, points in self.POINTS.items():
            distances = landmarks.centred_gap(fake, real, points)
            distances = distances[np.isfinite(distances)]
            self.sums[name] += float(distances.sum())
            self.counts[name] += distances.size

    def finish(self) -> None:
        self.fake.frozen, self.real.frozen = self.clip.still("fake"), self.clip.still("real")

    def checked(self) -> "MotionPair":
        """Itself.

        Raises:
            EadbenchError: If a video shows no face.
        """
        for motion, what in ((self.fake, "the video"), (self.real, "the real video")):
            if not motion.seen:
                raise EadbenchError(f"{what} shows no face")
        return self


class _LandmarkDistance(Metric):
    aligned = True
    direction, paired, parts, source, unit, range = "down", True, (MotionPair,), EAT, "px", (0, None)

    def compute(self) -> Value:
        pair = self.part(MotionPair).checked()
        count = pair.counts[self.name]
        distance = pair.sums[self.name] / count * 256 / pair.longer_side if count else None
        return Value(distance, pair.fake.frames)


class LipDistance(_LandmarkDistance):
    name, label = "m_lmd", "M-LMD"
    reacts = "the shape and motion of the mouth; also errors of the face mesh and another pose of the head"
    cites = ("gan2023eat",)
    meaning = "distance of lip points to the clip's, centred, pixels of a 256-pixel frame"


class FaceDistance(_LandmarkDistance):
    name, label = "f_lmd", "F-LMD"
    reacts = "pose and expression of the whole face; also errors of the face mesh"
    cites = ("gan2023eat",)
    meaning = "distance of face points to the clip's, centred, pixels of a 256-pixel frame"


class _MotionRatio(Metric):
    """Spread of one curve over the clip's."""

    direction, paired, ideal, parts, source, range = "none", True, 1.0, (MotionPair,), OURS, (0, None)
    curve: str

    def amount(self, motion: landmarks.MeshMotion) -> float:
        """How much one video moves."""
        return landmarks.spread(motion.curves()[self.curve])

    def compute(self) -> Value:
        pair = self.part(MotionPair).checked()
        fake, real = self.amount(pair.fake), self.amount(pair.real)
        return Value(fake / real if real > 0 else None, pair.fake.frames)


class JitterRatio(_MotionRatio):
    name, label, meaning = "jitter_ratio", "Jitter ratio", "jitter over the clip's; below 1 is smoother"
    reacts = "trembling of the points; a still image has none, so read it beside the motion energy"

    def amount(self, motion: landmarks.MeshMotion) -> float:
        return motion.jitter()


class LipMotionRatio(_MotionRatio):
    name, label, curve = "lip_motion_ratio", "Lip dynamics ratio", "mouth"
    meaning = "spread of mouth opening over the clip's"
    reacts = "how wide the mouth moves, not when"


class BrowMotionRatio(_MotionRatio):
    name, label, curve = "brow_motion_ratio", "Brow motion ratio", "brows"
    meaning = "spread of brow height over the clip's"
    reacts = "how much the brows move; a method that keeps those of the input is at 1"


class HeadMotionRatio(_MotionRatio):
    name, label, curve = "head_motion_ratio", "Head motion ratio", "head"
    meaning = "spread of the head's place over the clip's"
    reacts = "how much the head moves; a method that keeps the pose of the input is at 1"


class LipCorrelation(Metric):
    name, label, direction = "lip_correlation", "Lip correlation", "up"
    meaning = "correlation of mouth opening over time with the clip's, -1..1"
    reacts = "the moment of each opening, not its size"
    source, range, paired, parts = OURS, (-1, 1), True, (MotionPair,)

    def compute(self) -> Value:
        pair = self.part(MotionPair).checked()
        fake, real = pair.fake.curves()["mouth"], pair.real.curves()["mouth"]
        return Value(landmarks.correlation(fake, real), pair.fake.frames)


class _Motion(Metric):
    """Spread of one curve."""

    direction, parts, source, unit, range = "none", (FakeMotion,), OURS, PER_CENT, (0, None)
    curve: str

    def compute(self) -> Value:
        fake = self.part(FakeMotion)
        return Value(landmarks.spread(fake.curves[self.curve]), fake.motion.frames)


class LipMotion(_Motion):
    name, label, curve = "lip_motion", "Lip dynamics", "mouth"
    reacts = "motion and, where the face is small or blurred, noise of the face mesh"
    meaning = "standard deviation of mouth opening over time, in per cent of eye distance"


class BrowMotion(_Motion):
    name, label, curve = "brow_motion", "Brow motion", "brows"
    reacts = "motion and, where the face is small or blurred, noise of the face mesh"
    meaning = "standard deviation of brow height over time, in per cent of eye distance"


class HeadMotion(_Motion):
    name, label, curve = "head_motion", "Head motion", "head"
    reacts = "motion and, where the face is small or blurred, noise of the face mesh"
    meaning = "standard deviation of the head's position over time, in per cent of eye distance"


class Jitter(_Motion):
    name, label = "jitter", "Jitter"
    reacts = "trembling and fast motion alike; a still image has none"
    meaning = "RMS second difference of landmarks over time, in per cent of eye distance"

    def compute(self) -> Value:
        motion = self.part(FakeMotion).motion
        if not motion.seen:
            raise EadbenchError("the video shows no face")
        return Value(motion.jitter(), motion.frames)


class SilenceMouthMotion(Metric):
    name, label, direction = "silence_mouth_motion", "Mouth motion in silence", "down"
    meaning = "lip dynamics while the audio is silent, same unit"
    reacts = "motion that the audio does not ask for; breathing and smiles of real clips, too"
    source, unit, range, parts, needs_audio = OURS, PER_CENT, (0, None), (FakeMotion, AudioLevels), True

    def compute(self) -> Value:
        fake = self.part(FakeMotion)
        silent = self.part(AudioLevels).silent(fake.motion.frames)
        count = int(silent.sum())
        if count < FEWEST_SILENT:
            return Value(None, count, DROPPED, f"only {count} silent frames")
        return Value(landmarks.spread(fake.curves["mouth"][silent]), count)


class OpenMouth(Metric):
    name, label, direction = "open_mouth", "Open mouth", "none"
    meaning = (
        f"share of frames whose lips are more than {OPEN:g} % of the eye distance apart, 0..1; under the "
        "protocol silent, where nothing asks for it, lower is better"
    )
    reacts = (
        "speech, and every other reason to open the mouth: a smile, an emotion; errors of the face mesh "
        "where the face is small"
    )
    source = "ours, after LipLeak (Bigata et al. 2025, arXiv 2505.00497), which counts such frames in silence"
    range, parts = (0, 1), (FakeMotion,)

    def compute(self) -> Value:
        mouth = self.part(FakeMotion).curves["mouth"]
        mouth = mouth[np.isfinite(mouth)]
        return Value(float((mouth > OPEN).mean()), len(mouth))


class FaceRate(Metric):
    name, label, direction = "face_rate", "Faces found", "up"
    meaning = "share of frames in which the face mesh finds a face, 0..1"
    reacts = "pose, blur and masks over the face"
    source, range, parts = "ours", (0, 1), (FakeMotion,)

    def compute(self) -> Value:
        motion = self.part(FakeMotion).motion
        return Value(motion.seen / motion.frames if motion.frames else 0.0, motion.frames)


METRICS: tuple[type[Metric], ...] = (
    LipDistance, FaceDistance, JitterRatio, LipCorrelation, LipMotionRatio, BrowMotionRatio, HeadMotionRatio,
    LipMotion, BrowMotion, HeadMotion, Jitter, SilenceMouthMotion, OpenMouth, FaceRate,
)  # fmt: skip

"""THEval's three measures of quality without a reference, by networks of pyiqa."""

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.media.image import warp_area
from eadbench.scores.landmarks import LIPS
from eadbench.scores.metrics.base import Chunk, FrameSampler, Metric, Value

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair

SOURCE = "THEval (Quignon et al. 2026), networks of pyiqa; docs/reference_code.md names the differences"
PADDING = 10  # pixels about the lips
# Eyes, tip of the nose and corners of the mouth, by points of the face mesh, and where
# facexlib's template has them in a face of 512 x 512.
FACE_POINTS = ((33, 133), (362, 263), (1, 4), (61,), (291,))
FACE = np.float32([[193.0, 239.9], [318.9, 240.2], [256.6, 314.0], [201.3, 371.4], [313.1, 371.2]])
FACE_SIDE = 512


class _Quality(Metric):
    """Mean over evenly spread frames of a network's score of the face in each; those
    without one do not count.
    """

    direction, source, cites = "up", SOURCE, ("quignon2026theval", "chen2022pyiqa")
    evaluator: Literal["aesthetics", "mouth_quality", "face_quality"]
    reads = ("fake", "landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.net = clip.evaluators.nets[self.evaluator]
        self.sampler = FrameSampler(clip.config.quality_frames, clip.expected)
        self.scores: list[float] = []

    def region(self, frame: np.ndarray, marks: np.ndarray) -> np.ndarray:
        """What the network sees of a frame ``(H, W, 3)`` with landmarks ``(478, 2)``."""
        raise NotImplementedError

    def update(self, chunk: Chunk) -> None:
        for k in self.sampler.pick(len(chunk.fake)):
            marks = chunk.marks[k]
            if np.isfinite(marks).all():
                self.scores.append(self.net.score(self.region(chunk.fake[k], marks)))

    def needs_second_pass(self) -> bool:
        return self.sampler.needs_second_pass()

    def compute(self) -> Value:
        if not self.scores:
            raise EadbenchError("no frame that was looked at shows a face" if self.landmarks else "no frame")
        return Value(float(np.mean(self.scores)), len(self.scores))


class Aesthetics(_Quality):
    name, label, evaluator = "theval_aesthetics", "Aesthetics (THEval)", "aesthetics"
    meaning = "mean over frames of TOPIQ's aesthetic score of the whole frame, 1 to 10"
    reacts = "light, composition and background, of the clip more than of the method; blur and colour"
    reads, range = ("fake",), (1, 10)

    def update(self, chunk: Chunk) -> None:
        self.scores += [self.net.score(chunk.fake[k]) for k in self.sampler.pick(len(chunk.fake))]


class MouthQuality(_Quality):
    name, label, evaluator = "theval_mouth", "Mouth quality (THEval)", "mouth_quality"
    meaning = "mean over frames of MUSIQ's quality of the cut-out mouth, about 0 to 100"
    reacts = "blur, noise and coding of the mouth; also the size of the face in the frame"

    def region(self, frame: np.ndarray, marks: np.ndarray) -> np.ndarray:
        return mouth_of(frame, marks)


class FaceQuality(_Quality):
    name, label, evaluator = "theval_face", "Face quality (THEval)", "face_quality"
    meaning = "mean over frames of TOPIQ's quality of the aligned face, about 0 to 1"
    reacts = "blur, noise and coding of the face; also its size in the frame, light and pose"

    def region(self, frame: np.ndarray, marks: np.ndarray) -> np.ndarray:
        return face_of(frame, marks)


def mouth_of(frame: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """The box about the lips, 10 pixels wider on each side, as far as the frame goes.

    Raises:
        EadbenchError: If it lies outside the frame.
    """
    lips, (height, width) = marks[list(LIPS)], frame.shape[:2]
    x_min, y_min = np.maximum(lips.min(0).astype(int) - PADDING, 0)
    x_max, y_max = np.minimum(lips.max(0).astype(int) + PADDING, (width, height))
    if x_min >= x_max or y_min >= y_max:
        raise EadbenchError("the mouth lies outside the frame")
    return frame[y_min:y_max, x_min:x_max]


def face_of(frame: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """The face turned, scaled and moved to facexlib's template, ``(512, 512, 3)``."""
    points = np.float32([marks[list(group)].mean(0) for group in FACE_POINTS])
    matrix = cv2.estimateAffinePartial2D(points, FACE, method=cv2.LMEDS)[0]
    if matrix is None:
        raise EadbenchError("the face cannot be aligned")
    return warp_area(frame, matrix, (FACE_SIDE, FACE_SIDE))


METRICS: tuple[type[Metric], ...] = (Aesthetics, MouthQuality, FaceQuality)

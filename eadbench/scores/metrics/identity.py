"""Whether the face is still that of the person shown."""

from typing import TYPE_CHECKING

import numpy as np

from eadbench.scores.metrics.base import Chunk, Metric, Part, Value
from eadbench.scores.metrics.emotion import FaceInputs

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair


class Identity(Part):
    """Mean identity embedding of the video; stored as feature ``face_id``."""

    reads = ("fake", "landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        net = clip.evaluators.nets["face_id"]
        self.inputs = FaceInputs(net, net.frames, clip.expected, clip.expected_faces)
        self.mean, self.count = None, 0

    def update(self, chunk: Chunk) -> None:
        self.inputs.add(chunk.fake, chunk.marks)

    def needs_second_pass(self) -> bool:
        return self.inputs.sampler.needs_second_pass()

    def finish(self) -> None:
        embeddings = self.inputs.results()
        self.mean, self.count = embeddings.mean(0, dtype=np.float64), len(embeddings)
        self.clip.features["face_id"] = embeddings.mean(0).astype(np.float32)


class RealIdentity(Part):
    """The same of the clip's own video, stored by an earlier run or computed now."""

    reads = ("real", "real_landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        net = clip.evaluators.nets["face_id"]
        self.inputs = FaceInputs(net, net.frames, clip.expected_real, clip.expected_real_faces)
        self._mean = clip.reference.whole("face_id_mean")
        if clip.same:
            clip.part(Identity)
        if clip.same or self._mean is not None:
            self.reads = ()  # nothing to compute

    def update(self, chunk: Chunk) -> None:
        if self.reads:
            self.inputs.add(chunk.real, chunk.real_marks)

    def needs_second_pass(self) -> bool:
        return bool(self.reads) and self.inputs.sampler.needs_second_pass()

    def finish(self) -> None:
        if self.reads:
            self._mean = self.inputs.results().mean(0, dtype=np.float64)

    @property
    def mean(self) -> np.ndarray:
        """Mean embedding ``(dim,)``, once the last frame is in.

        Raises:
            EadbenchError: If no frame shows a face.
        """
        return self.part(Identity).mean if self.clip.same else self._mean


class Csim(Metric):
    name, label, direction = "csim", "CSIM", "up"
    meaning = "cosine of identity embeddings to the mean of the clip whose face is shown, -1..1"
    reacts = (
        "pose, light and blur; a method that pastes the real frame around the mouth is high by that alone"
    )
    cites = ("deng2019arcface",)
    source, range = "ArcFace (Deng et al. 2019)", (-1, 1)
    evaluator, parts = "face_id", (Identity, RealIdentity)

    def compute(self) -> Value:
        fake, real = self.part(Identity), self.part(RealIdentity).mean
        return Value(float(fake.mean @ real / np.linalg.norm(real)), fake.count)


METRICS: tuple[type[Metric], ...] = (Csim,)

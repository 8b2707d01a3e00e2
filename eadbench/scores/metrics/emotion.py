"""Whether the video shows the target emotion, by an evaluator of emotion."""

from typing import TYPE_CHECKING, Any

import numpy as np

from eadbench.core.emotions import VALENCE_AROUSAL, valence_arousal_intensity
from eadbench.core.errors import EadbenchError
from eadbench.core.status import DROPPED, KEPT
from eadbench.scores.metrics.base import Batches, Chunk, FrameSampler, Metric, Part, Value, batch_size

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair
    from eadbench.scores.summarise import Summary

BATCH = 16, 64  # faces, on a CPU and on a GPU
NO_TARGET = "no emotion was asked for: no label names one"
SOURCE = "EAT (Gan et al. 2023), by Emotion-FAN (Meng et al. 2019)"


class FaceInputs:
    """Evenly spread frames among those that show a face, as small inputs of a network,
    run in full batches.

    Args:
        net: Has ``inputs(frames, landmarks)`` and ``run(inputs)``.
        size: How many frames it uses; ``None`` for all.
        expected: Frames of the video.
        with_face: How many of them show a face, where that is known.

    Attributes:
        frame_numbers: Of the frames that were chosen.
    """

    def __init__(self, net: Any, size: int | None, expected: int, with_face: int | None = None) -> None:
        self.net = net
        self.sampler = FrameSampler(size, expected if with_face is None else with_face)
        self.batches = Batches(lambda inputs: net.run(np.stack(inputs)), batch_size(net, *BATCH))
        self.frame_numbers: list[int] = []
        self._frames = 0

    def add(self, frames: np.ndarray, marks: np.ndarray) -> None:
        """Take in the next frames and their landmarks."""
        with_face = np.flatnonzero(np.isfinite(marks[:, 0, 0]))
        chosen = with_face[self.sampler.pick(len(with_face))]
        self.frame_numbers += (chosen + self._frames).tolist()
        self._frames += len(frames)
        if len(chosen):
            self.batches.add(self.net.inputs(frames[chosen], marks[chosen]))

    def results(self) -> np.ndarray:
        """The network's outputs, one per chosen frame, ``(N, D)``.

        Raises:
            EadbenchError: If no frame shows a face.
        """
        outputs = self.batches.results()
        if outputs is None:
            raise EadbenchError("no frame shows a face")
        return outputs


class EmotionLogits(Part):
    """The evaluator's logits of the video; stored as feature ``emotion``."""

    reads = ("fake", "landmarks")

    def __init__(self, clip: "ClipPair") -> None:
        super().__init__(clip)
        self.net = clip.evaluators.nets["emotion"]
        self.inputs = FaceInputs(self.net, self.net.frames, clip.expected, clip.expected_faces)
        self.frames = 0
        self.logits: np.ndarray | None = None

    def update(self, chunk: Chunk) -> None:
        self.frames += len(chunk.fake)
        self.inputs.add(chunk.fake, chunk.marks)

    def needs_second_pass(self) -> bool:
        return self.inputs.sampler.needs_second_pass()

    def finish(self) -> None:
        self.logits = self.net.classify(self.inputs.results())
        self.clip.features["emotion"] = self.logits.astype(np.float32)


class _TargetEmotion(Metric):
    """A value of the logits and the target emotion, which the evaluator knows."""

    evaluator, parts = "emotion", (EmotionLogits,)

    def value_of(self, logits: np.ndarray, target: int) -> float:
        """The value from the logits ``(K,)`` and the number of the target class."""
        raise NotImplementedError

    def compute(self) -> Value:
        part, target = self.part(EmotionLogits), self.clip.task.emotion
        if target is None:
            return Value(None, None, DROPPED, NO_TARGET)
        if target not in part.net.classes:
            return Value(None, None, DROPPED, f"the evaluator does not know {target!r}")
        value = self.value_of(part.logits, part.net.classes.index(target))
        return Value(value, part.frames)


class EmotionAccuracy(_TargetEmotion):
    name, label, direction = "acc_emo", "Acc_emo", "up"
    meaning = "share of clips whose shown emotion the evaluator names as asked for, 0..1"
    reacts = (
        "everything in the face that the evaluator looks at, also what was taken from the input: under "
        "the protocol self a copied input is right. Brows and eyes count more than the mouth"
    )
    cites = ("meng2019fan", "gan2023eat")
    source, range = SOURCE, (0, 1)

    def value_of(self, logits: np.ndarray, target: int) -> float:
        return float(logits.argmax() == target)


class EmotionProbability(_TargetEmotion):
    name, label, direction = "p_emo", "P(asked emotion)", "up"
    meaning = "probability that the evaluator gives the emotion asked for (softmax of its logits), 0..1"
    reacts = (
        "the same as Acc_emo, by degrees; the evaluator is not calibrated, so that values of one "
        "evaluator compare with each other only"
    )
    cites = ("meng2019fan",)
    source, range = "ours, by the evaluator of Acc_emo", (0, 1)

    def value_of(self, logits: np.ndarray, target: int) -> float:
        return float(softmax(logits)[target])


class ValenceArousalError(Metric):
    name, label, direction = "va_error", "V-A error", "down"
    meaning = (
        "distance in the valence-arousal plane between what was asked for (the emotion's place times "
        "the intensity) and the mean place of the evaluator's classes, weighted by their probabilities"
    )
    reacts = (
        "the evaluator's classes: it names no place between them but by its doubt, so that even a real "
        "face has an error; compare with the ground truth's"
    )
    cites = ("meng2019fan",)
    source = "ours; places after Russell and Mehrabian 1977, see eadbench/core/emotions.py"
    range, evaluator, parts = (0, None), "emotion", (EmotionLogits,)

    def compute(self) -> Value:
        part, task = self.part(EmotionLogits), self.clip.task
        if task.emotion is None:
            return Value(None, None, DROPPED, NO_TARGET)
        if task.intensity is None and task.emotion != "neutral":
            return Value(None, None, DROPPED, "no intensity was asked for")
        target = valence_arousal_intensity(task.emotion, task.intensity or 0.0)[:2]
        places = np.array([VALENCE_AROUSAL[name] for name in part.net.classes])
        error = np.linalg.norm(softmax(part.logits) @ places - target)
        return Value(float(error), part.frames)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities ``(N,)`` of logits."""
    exponentials = np.exp(np.asarray(logits, np.float64) - np.max(logits))
    return exponentials / exponentials.sum()


class EmotionRecall(Metric):
    name, label, direction, kind = "acc_emo_recall", "Recall", "up", "set"
    meaning = "the same among the clips of one emotion (see variant)"
    reacts = "the same as Acc_emo, on few clips"
    cites = ("meng2019fan",)
    source, range, evaluator = SOURCE, (0, 1), "emotion"

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        rows = summary.cell.rows[summary.cell.rows.metric == EmotionAccuracy.name]
        for emotion in sorted(set(rows.emotion.dropna())):
            chosen = rows[rows.emotion == emotion]
            summary.mean(cls.name, chosen, len(chosen), emotion)


class EmotionAccuracyOfReal(Metric):
    name, label, direction, kind = "acc_emo_real", "Acc_emo of the real clips", "none", "set"
    meaning = "what the evaluator makes of the ground truth of the same clips"
    reacts = "the evaluator alone: Acc_emo can show no more than this"
    cites = ("meng2019fan",)
    source, range, evaluator = SOURCE, (0, 1), "emotion"

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        fake, real = summary.cell.rows, summary.real.rows
        fake = fake[fake.metric == EmotionAccuracy.name]
        real = real[real.metric == EmotionAccuracy.name]
        clips = fake[fake.status == KEPT].clip_id
        summary.mean(cls.name, real[real.clip_id.isin(clips)], len(clips), None)


METRICS: tuple[type[Metric], ...] = (
    EmotionAccuracy, EmotionProbability, ValenceArousalError, EmotionRecall, EmotionAccuracyOfReal,
)  # fmt: skip

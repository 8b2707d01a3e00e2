"""What a metric is: one class per metric, fed with chunks of frames, keeping a small
state of its own.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.core.geometry import spread
from eadbench.core.status import KEPT

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair
    from eadbench.scores.summarise import Summary

log = logging.getLogger(__name__)
# Attributes of an earlier version -> those of now; understood in metrics of others, with
# a warning, for one release.
RENAMED = {"sound": "needs_audio", "misjudged": "needs_second_pass"}

Direction = Literal["up", "down", "none"]
Reads = Literal["fake", "real", "pair", "landmarks", "real_landmarks"]


@dataclass
class Value:
    """One metric of one clip.

    Attributes:
        value: ``None`` where there is none.
        frames: Frames that it rests on.
        status: ``kept``, ``dropped`` (does not apply) or ``failed``.
        reason: Why there is no value.
        retryable: Whether another try may succeed: the fault lay in the program or the
            machine.
    """

    value: float | None
    frames: int | None = None
    status: str = KEPT
    reason: str = ""
    retryable: bool = False


@dataclass
class Chunk:
    """A stretch of consecutive frames of one clip.

    Attributes:
        fake: Frames of the video to evaluate, ``(N, H, W, 3)`` RGB uint8; none once it has
            ended.
        real: Frames of the clip's own video at the same times; a different number only
            where one of the two ends.
        pair: The frames that both have, ``(fake, real)``, the former scaled to the size
            of the latter.
        marks: Landmarks ``(N, 478, 2)`` of ``fake`` in its pixels, NaN where no face
            was found.
        real_marks: The same of ``real``.
        start: Number of the first frame.
    """

    fake: np.ndarray
    real: np.ndarray | None = None
    pair: tuple[np.ndarray, np.ndarray] | None = None
    marks: np.ndarray | None = None
    real_marks: np.ndarray | None = None
    start: int = 0

    def __post_init__(self) -> None:
        if self.pair is None and self.real is not None and self.real.shape[1:] == self.fake.shape[1:]:
            common = min(len(self.fake), len(self.real))
            self.pair = self.fake[:common], self.real[:common]

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The common frames, one after the other."""
        return zip(*(self.pair or ((), ())), strict=True)


class Reader:
    """Reads the chunks of a clip. A part is shared by the metrics of a clip that build on
    it; a metric may read chunks itself.

    Attributes:
        reads: What of a chunk it uses: ``fake``, ``real``, ``pair``, ``landmarks``,
            ``real_landmarks``.
        error: What went wrong while it read.
    """

    reads: ClassVar[tuple[Reads, ...]] = ()
    error: EadbenchError | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for old, new in RENAMED.items():
            if old in cls.__dict__:
                log.warning("%s: %r is now called %r; the old name will go", cls.__name__, old, new)
                setattr(cls, new, cls.__dict__[old])

    def __init__(self, clip: "ClipPair | None" = None) -> None:
        self.clip = clip

    def update(self, chunk: Chunk) -> None:
        """Take in the next frames."""

    def needs_second_pass(self) -> bool:
        """Whether the expected number of frames, which the choice of frames rests on, was
        wrong: then it reads the clip once more.
        """
        return False

    def part(self, part_class: "type[Part]") -> Any:
        """A part that it builds on.

        Raises:
            EadbenchError: What went wrong with it.
        """
        part = self.clip.part(part_class)
        if part.error is not None:
            raise part.error
        return part


class Part(Reader):
    """A computation that several metrics of a clip share, or whose result is stored as a
    feature.
    """

    def finish(self) -> None:
        """Complete the work after the last chunk, e.g. run the last batch and add
        features to ``self.clip.features``.
        """


class Metric(Reader):
    """One metric. Subclass, set the attributes, and write ``update`` and ``compute``,
    or ``sum_up`` for a metric of sets.

    Attributes:
        name: Name in the tables.
        label: Name in print.
        direction: ``up`` when higher is better, ``down`` when lower is, ``none`` for a
            description.
        meaning: Its definition in one sentence, with unit and range.
        source: Where it comes from.
        reacts: What else moves it, and what it does not see.
        cites: Keys in ``eadbench/core/references.bib`` of what to cite with its values.
        unit: Of its values; empty for a plain number.
        range: Least and greatest value, ``None`` where there is no bound.
        kind: ``clip`` (one value per clip, the summary is their mean), ``set`` (of all
            clips together).
        evaluator: Role of the network that measures (key of ``scores.evaluators``);
            empty for a formula.
        paired: Compares with the clip's own video frame by frame, hence only for
            protocol ``self``.
        aligned: Compares pixels or points at their places, hence only for methods whose
            head is where the clip has it.
        elastic: Compares sequences in which time may be stretched, rather than frame by
            frame.
        ideal: Value of a perfect method where neither up nor down is better, e.g. 1 for
            a ratio.
        parts: Computations that it builds on.
        needs_audio: Whether it needs the audio.
        landmarks: Whether it rests on the face mesh; follows from what is read.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    direction: ClassVar[Direction]
    meaning: ClassVar[str]
    source: ClassVar[str]
    reacts: ClassVar[str] = ""
    cites: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = ""
    range: ClassVar[tuple[float | None, float | None]] = (None, None)
    kind: ClassVar[Literal["clip", "set"]] = "clip"
    evaluator: ClassVar[str] = ""
    paired: ClassVar[bool] = False
    aligned: ClassVar[bool] = False
    elastic: ClassVar[bool] = False
    ideal: ClassVar[float | None] = None
    parts: ClassVar[tuple[type[Part], ...]] = ()
    needs_audio: ClassVar[bool] = False
    landmarks: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.landmarks = any("landmarks" in kind for kind in cls.needs())

    def __init__(self, clip: "ClipPair | None" = None) -> None:
        super().__init__(clip)
        if clip is not None:
            for part_class in self.parts:
                clip.part(part_class)

    @classmethod
    def needs(cls) -> tuple[str, ...]:
        """Everything that it reads, itself or through its parts."""
        kinds = [*cls.reads]
        for part_class in cls.parts:
            kinds += part_class.reads
        if cls.needs_audio:
            kinds.append("audio")
        return tuple(dict.fromkeys(kinds))

    def compute(self) -> Value:
        """The value of the clip, after its last chunk.

        Raises:
            EadbenchError: If there is none; the reason goes into the row.
        """
        raise NotImplementedError(f"{type(self).__name__} is a metric of sets")

    @classmethod
    def sum_up(cls, summary: "Summary") -> None:
        """Add the row, or rows, of a cell to its summary. For a metric of clips: the
        mean.
        """
        rows = summary.cell.rows[summary.cell.rows.metric == cls.name]
        summary.mean(cls.name, rows, summary.total, summary.variant(cls.name))


class FrameMean(Metric):
    """Mean of one number per pair of frames; subclasses write :meth:`of_pair`. Works
    without a clip, as torchmetrics' metrics do.
    """

    reads = ("pair",)
    paired = aligned = True

    def __init__(self, clip: "ClipPair | None" = None) -> None:
        super().__init__(clip)
        self.total, self.frames = 0.0, 0

    def of_pair(self, fake: np.ndarray, real: np.ndarray) -> float:
        """The number of one pair ``(H, W, 3)`` RGB uint8."""
        raise NotImplementedError

    def update(self, chunk: Chunk) -> None:
        for fake, real in chunk.pairs():
            self.total += self.of_pair(fake, real)
            self.frames += 1

    def compute(self) -> Value:
        if not self.frames:
            raise EadbenchError("no frame in common")
        return Value(self.total / self.frames, self.frames)


@dataclass
class FrameSampler:
    """Picks frames that lie evenly over a video while it is read, from the number
    expected.

    Args:
        size: How many; ``None`` for all.
        expected: How many there will be to choose from.
    """

    size: int | None
    expected: int
    seen: int = 0
    picked: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.picked = set(spread(self.expected, self.size).tolist())

    def pick(self, count: int) -> list[int]:
        """Which of the next ``count`` frames are chosen, counted from the first of
        them.
        """
        first, self.seen = self.seen, self.seen + count
        return [k for k in range(count) if self.size is None or first + k in self.picked]

    def needs_second_pass(self) -> bool:
        """Whether other frames would have been chosen had the number been known."""
        return self.size is not None and self.picked != set(spread(self.seen, self.size).tolist())


def batch_size(net: Any, on_cpu: int, on_gpu: int) -> int:
    """Inputs to a batch: few on a CPU, where more only take memory (Inception and
    Emotion-FAN are a tenth to a third slower).
    """
    return on_gpu if str(getattr(net, "device", "cpu")).startswith("cuda") else on_cpu


class Batches:
    """Collects inputs of a network and runs it on full batches.

    Args:
        run: Takes a list of inputs, gives one result each, ``(N, ...)``.
        size: Inputs to a batch.
    """

    def __init__(self, run: Any, size: int) -> None:
        self.run, self.size = run, size
        self.pending: list[Any] = []
        self.batch_results: list[np.ndarray] = []

    def add(self, inputs: Any) -> None:
        """Take in one input after the other."""
        for network_input in inputs:
            self.pending.append(network_input)
            if len(self.pending) >= self.size:
                self.flush()

    def flush(self) -> None:
        """Run the network on the pending inputs."""
        if self.pending:
            self.batch_results.append(np.asarray(self.run(self.pending)))
            self.pending = []

    def results(self) -> np.ndarray | None:
        """All results, ``None`` if there was no input."""
        self.flush()
        return np.concatenate(self.batch_results) if self.batch_results else None

"""Measure one clip: one pass over both videos in lockstep feeds every metric a few
frames at a time.
"""

import ctypes
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError, FatalError, reason_of
from eadbench.core.files import hash_once
from eadbench.core.geometry import spread
from eadbench.core.progress import track
from eadbench.core.status import DROPPED, FAILED, KEPT
from eadbench.media.audio import read_audio
from eadbench.media.faces import FaceMesh
from eadbench.media.mesh import STABLE
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import Evaluators
from eadbench.scores.landmarks import MeshTracker
from eadbench.scores.metrics import CLIP_METRICS, METRICS
from eadbench.scores.metrics.base import Chunk, Metric, Part, Reader, Value
from eadbench.scores.metrics.identity import Identity, RealIdentity
from eadbench.scores.reference import References
from eadbench.scores.stream import CROP_FRAMES, Source, as_shares, face_square, lockstep
from eadbench.scores.task import ScoreTask

TRIM_BYTES = 32 << 20  # of frames between two calls of give_memory_back
M_MMAP_THRESHOLD, LARGE = -3, 8 << 20  # the first is glibc's number for the option
SOUND_MARGIN = 1.0  # seconds of sound that are read past the end of the picture
ASPECTS_DIFFER = 0.02
# Faces that are this many times as large in one picture as in the other, or this share
# of its sides apart, are framed in another way. Of 42 clips that a demo's methods made
# of the same picture none goes beyond 1.13 and 0.04.
OTHER_SIZE, OTHER_PLACE = 1.15, 0.05


@dataclass
class Measured:
    """What came out.

    Attributes:
        values: By metric.
        features: By kind.
        notes: What was done to the video before.
        size: Longer side of the frames that were judged.
        pair_size: That of the frames that were compared.
        reference: What was learnt of the clip's own video, for other methods; empty if
            it was known.
    """

    values: dict[str, Value] = field(default_factory=dict)
    features: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    size: int | None = None
    pair_size: int | None = None
    reference: dict[str, Any] = field(default_factory=dict)

    @property
    def passing(self) -> bool:
        """Whether another try may give more."""
        return any(value.passing for value in self.values.values())


class Measurer:
    """Measures clips with the evaluators of a config. Holds the face meshes and what is
    known of reference clips.

    Args:
        config: What to measure.
        evaluators: The networks.
        references: What earlier work learnt of the clips' own videos.
        shows: Whether progress within a clip is shown.
    """

    def __init__(
        self,
        config: ScoresConfig,
        evaluators: Evaluators,
        references: References | None = None,
        shows: bool = True,
    ) -> None:
        self.config, self.evaluators, self.references = config, evaluators, references or References([])
        self.shows = shows
        self.wanted = [name for name in config.metrics if name in CLIP_METRICS]
        self._meshes: dict[str, FaceMesh] = {}
        keep_large_blocks_apart()

    def content(self, path: Path | None) -> str:
        """sha256 of a file; empty if there is none."""
        return hash_once(path) if path is not None and path.is_file() else ""

    def measure(self, task: ScoreTask) -> Measured:
        """Measure one clip. What cannot be measured is a value with a reason; nothing
        is left out.
        """
        if task.problem or task.fake is None:
            return self._all_missing(task.status, task.problem or "no video")
        try:
            with tempfile.TemporaryDirectory(prefix="eadbench-scores-") as scratch:
                return ClipPair(task, self, Path(scratch)).measure()
        except FatalError:
            raise
        except Exception as error:  # whatever a strange file provokes costs that clip alone
            reason = reason_of(error, task.clip_id)
            return self._all_missing(
                FAILED, one_line(error) if isinstance(error, EadbenchError) else reason, passing=True
            )

    def _all_missing(self, status: str, reason: str, passing: bool = False) -> Measured:
        return Measured({name: Value(None, None, status, reason, passing) for name in self.wanted})

    def tracker(self, side: str) -> MeshTracker:
        """A tracker for the next video of one side."""
        if side not in self._meshes:
            self._meshes[side] = FaceMesh()
        return MeshTracker(self._meshes[side])

    def close(self) -> None:
        """Free the face meshes."""
        for mesh in self._meshes.values():
            mesh.close()
        self._meshes.clear()


def keep_large_blocks_apart() -> None:
    """Have the C library map blocks of ``LARGE`` bytes and more each for itself from now
    on, so that they go back when they are freed; without glibc this does nothing.

    By itself it raises that limit to 32 MB as such blocks are freed. The peak of 10 s at
    1080 x 1920 falls by 210 MB, for a tenth more CPU time; smaller ones are as before.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


def give_memory_back() -> None:
    """Have the C library return the free pages between what is in use; without glibc
    this does nothing.

    Small results that come to lie between the blocks of 1080 x 1920 frames keep those
    from being used again: memory grew by 12 MB a frame.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Marks:
    """Landmarks of one video: found as its frames come, and kept on disk for a second
    pass; or known from before.

    Args:
        path: File to keep them in.
        tracker: Finds them; ``None`` where nobody asks.
        known: Gives those from one number of frame to another.
        still: Whether the known ones are of a picture that stands still.
    """

    ROW = 478 * 2 * 4  # bytes

    def __init__(
        self,
        path: Path,
        tracker: MeshTracker | None,
        known: Callable[[int, int], np.ndarray] | None = None,
        still: bool = False,
    ) -> None:
        self.path, self.tracker, self.known, self._still = path, tracker, known, still
        self.frames, self.seen = 0, 0

    @property
    def still(self) -> bool:
        """Whether all frames show the same picture."""
        return self._still if self.tracker is None else self.tracker.still and self.frames > 0

    def of(self, frames: np.ndarray, start: int) -> np.ndarray:
        """Landmarks ``(N, 478, 2)`` of frames that begin at a number."""
        if self.known is not None:
            return self.known(start, start + len(frames))
        if start < self.frames:
            with self.path.open("rb") as file:
                file.seek(start * self.ROW)
                return np.frombuffer(file.read(len(frames) * self.ROW), np.float32).reshape(-1, 478, 2)
        found = self.tracker(frames)
        with self.path.open("ab") as file:
            file.write(found.tobytes())
        self.frames += len(found)
        self.seen += int(np.isfinite(found[:, 0, 0]).sum())
        return found

    def all(self) -> np.ndarray:
        """All that were found."""
        return (
            np.fromfile(self.path, np.float32).reshape(-1, 478, 2)
            if self.frames
            else np.empty((0, 478, 2), np.float32)
        )


class ClipPair:
    """One clip while it is measured: its readers, and what they share.

    Attributes:
        task, config, evaluators: What to measure, and with what.
        features: Features by kind, for metrics of sets.
        same: Whether the video to evaluate is the clip's own, byte by byte.
        reference: What is known of the clip's own video.
        expected, expected_real, expected_common: Frames that are expected of either
            video, and of both.
        expected_faces, expected_real_faces: How many of them show a face, where that is
            known.
    """

    def __init__(self, task: ScoreTask, measurer: Measurer, scratch: Path) -> None:
        self.task, self.measurer, self.config, self.evaluators = (
            task,
            measurer,
            measurer.config,
            measurer.evaluators,
        )
        self.out, self.features = Measured(), {}
        self.same = task.real is not None and measurer.content(task.fake) == measurer.content(task.real)
        self.reference = measurer.references.of(
            measurer.content(task.real), task, self.config, self.evaluators
        )
        self._parts: dict[type[Part], Part] = {}
        self._audio: np.ndarray | None = None
        self._sound_limit: int | None = None
        self._sound_notes: list[str] = []
        self._framing: list[np.ndarray] = []
        self._stretched = False
        self._scratch = scratch
        self.fake, self.real = self._source(task.fake, "the video"), None
        self._real_error: EadbenchError | None = None
        if task.real is not None:
            try:
                self.real = (
                    self.fake if self.same else self._source(task.real, "the real video", self.fake.square)
                )
            except EadbenchError as error:
                self._real_error = error
        else:
            self._real_error = EadbenchError("no real video to compare with")
        self.expected = self.fake.expected()
        self.expected_real = (
            (self.expected if self.same else self.reference.frames or self.real.expected())
            if self.real
            else 0
        )
        self.expected_common = min(self.expected, self.expected_real)
        self.expected_faces = self.expected_real_faces = None
        self.counts = {"fake": 0, "real": 0}

    def _source(self, path: Path, what: str, square: Any = None) -> Source:
        source = Source(path, self.config.fps, self.task.frames, square)
        note = source.rate_note(what)
        if note:
            self.out.notes.append(note)
        if self.task.crop and square is None:
            source = Source(path, self.config.fps, self.task.frames, self._square())
            self.out.notes.append("cut to the face")
        return source

    def _square(self) -> Any:
        """Where the face of the real video is, looked for in a few frames spread over
        it.
        """
        if self.task.real is None:
            raise EadbenchError("no real video to compare with")
        source = Source(self.task.real, self.config.fps, self.task.frames)
        wanted, marks, size = set(spread(source.expected(), CROP_FRAMES).tolist()), [], (1, 1)
        tracker = self.measurer.tracker("real")
        for number, frame in enumerate(source.frames()):
            if number in wanted:
                size = frame.shape[1], frame.shape[0]
                marks.append(tracker(frame[None]))
        if not marks or not np.isfinite(np.concatenate(marks)).any():
            raise EadbenchError("no face to cut to")
        return as_shares(face_square(np.concatenate(marks)), *size)

    def audio(self) -> np.ndarray:
        """The sound, mono at 16 kHz, no longer than the picture and a second.

        Raises:
            EadbenchError: If there is none.
        """
        if self._audio is None:
            self._sound_limit = self.expected or None
            end = self._sound_limit / self.config.fps + SOUND_MARGIN if self._sound_limit else None
            self._audio = read_audio(self.task.audio or self.task.fake, end=end, notes=self._sound_notes)
        return self._audio

    def sound_was_cut(self) -> bool:
        """Whether more sound is needed than was read, since there were more frames than
        expected.
        """
        return self._sound_limit is not None and self.counts["fake"] > self._sound_limit

    def part(self, which: type[Part]) -> Part:
        """The part of that class; made when first asked for. What goes wrong then is
        its ``error``.
        """
        if which not in self._parts:
            self._parts[which] = guarded(which, self)
        return self._parts[which]

    def identity_of_real(self) -> np.ndarray | None:
        """Mean identity embedding of the clip's own video, if it is known."""
        part = self._parts.get(Identity if self.same else RealIdentity)
        return part.mean if part is not None and part.error is None else None

    def measure(self) -> Measured:
        """Read both videos once, twice where the choice of frames needs it, and compute
        all values.
        """
        metrics = self._metrics()
        self._feed(metrics)
        again = [r for r in (*self._parts.values(), *metrics.values()) if r.error is None and r.misjudged()]
        if again:
            self._prepare_again()
            parts = [type(r) for r in again if isinstance(r, Part)]
            for which in parts:
                del self._parts[which]
            for which in parts:
                self.part(which)
            for name, metric in list(metrics.items()):
                if metric in again:
                    metrics[name] = guarded(type(metric), self)
            fresh = {type(r) for r in again}
            self._feed(metrics, lambda reader: type(reader) in fresh)
        for part in self._parts.values():
            attempt(part, part.finish)
        for name in self.measurer.wanted:
            if name in metrics:
                self.out.values[name] = self._computed(metrics[name])
        self.out.values = {name: self.out.values[name] for name in self.measurer.wanted}
        self.out.features = self.features
        self._note()
        if self.same or (self.real is not None and self._real_error is None):
            self.out.reference = self.reference.learnt(self)
        return self.out

    def _metrics(self) -> dict[str, Metric]:
        found: dict[str, Metric] = {}
        for name in self.config.metrics:
            metric = METRICS[name]
            if metric.evaluator in self.evaluators.missing:
                self.out.values[name] = Value(None, None, FAILED, self.evaluators.missing[metric.evaluator])
            elif metric.paired and self.task.unpaired:
                self.out.values[name] = Value(None, None, DROPPED, self.task.unpaired)
            elif metric.aligned and self.task.unaligned:
                self.out.values[name] = Value(None, None, DROPPED, self.task.unaligned)
            elif metric.kind == "clip":
                found[name] = guarded(metric, self)
            else:
                for part in metric.parts:
                    self.part(part)
        self._audio = None
        wanted = {
            what for r in (*self._parts.values(), *found.values()) if r.error is None for what in r.reads
        }
        own = "landmarks" in wanted or (self.same and "real_landmarks" in wanted)
        other = "real_landmarks" in wanted and not self.same and self.reference.marks is None
        fake = Marks(self._scratch / "fake", self.measurer.tracker("fake") if own else None)
        real = Marks(
            self._scratch / "real",
            self.measurer.tracker("real") if other else None,
            self.reference.marks,
            self.reference.still,
        )
        self.marks = {"fake": fake, "real": fake if self.same else real}
        return found

    def still(self, side: str) -> bool:
        """Whether the video of that side, ``fake`` or ``real``, shows one picture from
        beginning to end.
        """
        return self.marks[side].still

    def _prepare_again(self) -> None:
        self.expected, self.expected_real = self.counts["fake"], self.counts["real"]
        self.expected_common = min(self.expected, self.expected_real)
        self.expected_faces, self.expected_real_faces = (
            m.seen if m.tracker else None for m in (self.marks["fake"], self.marks["real"])
        )

    def _feed(self, metrics: dict[str, Metric], chosen: Callable[[Reader], bool] = lambda _: True) -> None:
        readers = [r for r in (*self._parts.values(), *metrics.values()) if r.error is None and chosen(r)]
        needs_real = any(what in r.reads for r in readers for what in ("real", "pair", "real_landmarks"))
        self.counts = {"fake": 0, "real": 0 if needs_real else self.counts["real"]}
        start = untrimmed = 0
        stretches = self._stretches(needs_real)
        if self.measurer.shows:
            stretches = track(
                stretches, self.task.clip_id, max(self.expected, self.expected_real) or None, "frame", longer
            )
        for fake, real in stretches:
            chunk = self._chunk(fake, real, start, readers)
            untrimmed += chunk.fake.nbytes
            if untrimmed > TRIM_BYTES:
                give_memory_back()
                untrimmed = 0
            start += longer((fake, real))
            for reader in readers:
                if reader.error is None:
                    self._update(reader, chunk)

    def _stretches(self, needs_real: bool) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
        """Stretches of both videos; a real video that breaks off leaves the other to
        its own metrics.
        """
        fake = self.fake.chunks()
        if self.same:
            yield from ((chunk, chunk if needs_real else None) for chunk in fake)
        elif needs_real and self.real is not None:
            yield from lockstep(fake, self._guarded_real())
        else:
            yield from ((chunk, None) for chunk in fake)

    def _guarded_real(self) -> Iterator[np.ndarray]:
        try:
            yield from self.real.chunks()
        except EadbenchError as error:
            self._real_error = error

    def _chunk(
        self, fake: np.ndarray | None, real: np.ndarray | None, start: int, readers: list[Reader]
    ) -> Chunk:
        wanted = {what for reader in readers if reader.error is None for what in reader.reads}
        if fake is None:
            fake = np.empty((0, *self._shape), np.uint8)
        self._shape = fake.shape[1:]
        self.out.size = max(fake.shape[1:3])
        self.counts["fake"] += len(fake)
        chunk = Chunk(fake, real, start=start)
        if "landmarks" in wanted or (self.same and "real_landmarks" in wanted):
            chunk.marks = self.marks["fake"].of(fake, start)
        if real is not None:
            self.out.pair_size = max(real.shape[1:3])
            self.counts["real"] += len(real)
            if "real_landmarks" in wanted:
                chunk.real_marks = chunk.marks if self.same else self.marks["real"].of(real, start)
                if chunk.marks is not None and not self.same:
                    n = min(len(fake), len(real))
                    self._framing.append(
                        framing(chunk.marks[:n], fake.shape) - framing(chunk.real_marks[:n], real.shape)
                    )
            if "pair" in wanted and chunk.pair is None:
                chunk.pair = self._resized(fake, real)
        return chunk

    def _resized(self, fake: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The frames that both have, the generated ones at the real ones' size."""
        common = min(len(fake), len(real))
        fake, real = fake[:common], real[:common]
        (own_high, own_wide), (high, wide) = fake.shape[1:3], real.shape[1:3]
        note = f"resized from {own_wide}x{own_high} to {wide}x{high}"
        if note not in self.out.notes:
            self.out.notes.append(note)
            if abs(math.log(own_wide / own_high * high / wide)) > ASPECTS_DIFFER:
                self._stretched = True
                self.out.notes.append(
                    f"other framing: aspect ratio {own_wide / own_high:.2f} stretched to {wide / high:.2f}"
                )
        way = cv2.INTER_AREA if own_high > high else cv2.INTER_CUBIC
        resized = [cv2.resize(frame, (wide, high), interpolation=way) for frame in fake]
        return np.stack(resized) if resized else np.empty((0, *real.shape[1:]), np.uint8), real

    def _update(self, reader: Reader, chunk: Chunk) -> None:
        needs_real = [what for what in reader.reads if what in ("real", "pair", "real_landmarks")]
        if needs_real and self._real_error is not None:
            reader.error = self._real_error
        elif not (needs_real and chunk.real is None):
            attempt(reader, lambda: reader.update(chunk))

    def _computed(self, metric: Metric) -> Value:
        if (
            any(what in ("real", "pair", "real_landmarks") for what in metric.reads)
            and self._real_error is not None
        ):
            metric.error = metric.error or self._real_error
        value: list[Value] = []
        if metric.error is None:
            attempt(metric, lambda: value.append(metric.compute()))
        if metric.error is not None:
            passing = isinstance(metric.error, UnexpectedError)
            return Value(None, None, FAILED, one_line(metric.error), passing)
        return _checked(value[0])

    def _note(self) -> None:
        """Say what was done to the files, and where their lengths differ; each once."""
        fake, real = self.counts["fake"], self.counts["real"]
        if self.real is not None and real and fake != real and not self.task.unpaired:
            self.out.notes.append(
                f"{fake} frames beside {real} of the real video: {min(fake, real)} compared"
            )
        if self._framing and not (self.task.unpaired or self.task.unaligned or self._stretched):
            self.out.notes += other_framing(np.concatenate(self._framing))
        sources = (
            {"the video": self.fake}
            if self.real is None or self.same
            else {"the video": self.fake, "the real video": self.real}
        )
        self.out.notes += [f"{what}: {note}" for what, source in sources.items() for note in source.notes]
        self.out.notes += [f"the audio: {note}" for note in self._sound_notes]
        self.out.notes = list(dict.fromkeys(self.out.notes))


def framing(marks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """How large the face is and where it lies in each picture, by points that speech
    hardly moves.

    Args:
        marks: ``(T, 478, 2)`` in pixels, NaN where no face was found.
        shape: Of the frames ``(T, H, W, 3)``.

    Returns:
        ``(T, 3)``: logarithm of the size as a share of the picture's, centre as shares
        of width and height.
    """
    shares = marks[:, STABLE] / [shape[2], shape[1]]
    centre = shares.mean(1)
    return np.column_stack([np.log(np.square(shares - centre[:, None]).sum(2).mean(1)) / 2, centre])


def other_framing(differences: np.ndarray) -> list[str]:
    """A note where the faces of both videos are framed in another way, from differences
    of :func:`framing`.
    """
    known = differences[np.isfinite(differences).all(1)]
    if not len(known):
        return []
    larger, *moved = np.median(known, 0)
    if abs(larger) > math.log(OTHER_SIZE):
        return [
            f"other framing: the face is {math.exp(larger):.2f} times as large in the picture as the real one"
        ]
    apart = math.hypot(*moved)
    return (
        [f"other framing: the face lies {100 * apart:.0f} % of the picture beside the real one"]
        if apart > OTHER_PLACE
        else []
    )


def longer(stretch: tuple[np.ndarray | None, np.ndarray | None]) -> int:
    """Frames of a stretch of two videos."""
    return max(len(side) for side in stretch if side is not None)


class UnexpectedError(EadbenchError):
    """A fault of the program or the machine, not of the clip."""


def guarded(reader: type, clip: ClipPair) -> Any:
    """A reader; if its constructor fails, one that has that failure as its error and is
    never fed.
    """
    made = object.__new__(reader)
    made.clip = clip
    attempt(made, lambda: made.__init__(clip))
    return made


def attempt(reader: Reader, work: Callable[[], Any]) -> None:
    """Do work of a reader; what fails is that reader's error alone."""
    if reader.error is not None:
        return
    try:
        work()
    except FatalError:
        raise
    except Exception as error:  # one metric's fault costs that metric
        reason = reason_of(error, f"{type(reader).__name__} of {reader.clip.task.clip_id}")
        reader.error = error if isinstance(error, EadbenchError) else UnexpectedError(reason)


def _checked(value: Value) -> Value:
    if value.status == KEPT and (value.value is None or not math.isfinite(value.value)):
        return Value(
            None,
            value.frames,
            FAILED,
            value.reason or "cannot be measured: nothing moves, or no face in enough frames",
        )
    return value


def one_line(error: EadbenchError) -> str:
    """What went wrong, with the name of the file."""
    where = Path(error.where).name
    return f"{error.what} ({where})" if where else error.what

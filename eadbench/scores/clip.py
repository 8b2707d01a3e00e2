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

TRIM_BYTES = 32 << 20  # of frames between two calls of release_free_pages
M_MMAP_THRESHOLD, LARGE = -3, 8 << 20  # the first is glibc's number for the option
AUDIO_MARGIN = 1.0  # seconds of audio that are read past the end of the video
NEEDS_REAL = frozenset(("real", "pair", "real_landmarks"))  # inputs that the real video gives
ASPECTS_DIFFER = 0.02  # logarithm of the ratio of two aspect ratios
# Faces that are this many times as large in one frame as in the other, or this share of
# its sides apart, are framed in another way. Of 42 clips that a demo's methods made of
# the same image none goes beyond 1.13 and 0.04.
OTHER_SIZE, OTHER_PLACE = 1.15, 0.05


@dataclass
class Measured:
    """Values, features and notes of one clip.

    Attributes:
        values: By metric.
        features: By kind.
        notes: What was done to the video before.
        size: Longer side of the frames that were evaluated.
        pair_size: That of the frames that were compared.
        reference: What was computed of the clip's own video, for other methods; empty
            if nothing was.
    """

    values: dict[str, Value] = field(default_factory=dict)
    features: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    size: int | None = None
    pair_size: int | None = None
    reference: dict[str, Any] = field(default_factory=dict)

    @property
    def retryable(self) -> bool:
        """Whether another try may give more."""
        return any(value.retryable for value in self.values.values())


class Measurer:
    """Measures clips with the evaluators of a config. Holds the face meshes and what is
    known of reference clips.

    Args:
        config: What to measure.
        evaluators: The networks.
        references: What earlier work computed of the clips' own videos.
        show_progress: Whether progress within a clip is shown.
    """

    def __init__(
        self,
        config: ScoresConfig,
        evaluators: Evaluators,
        references: References | None = None,
        show_progress: bool = True,
    ) -> None:
        self.config, self.evaluators, self.references = config, evaluators, references or References([])
        self.show_progress = show_progress
        self.clip_metrics = [name for name in config.metrics if name in CLIP_METRICS]
        self._meshes: dict[str, FaceMesh] = {}
        map_large_blocks()

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
        except Exception as error:  # whatever a damaged file provokes costs that clip alone
            reason = reason_of(error, task.clip_id)
            if isinstance(error, EadbenchError):
                reason = one_line(error)
            return self._all_missing(FAILED, reason, retryable=True)

    def _all_missing(self, status: str, reason: str, retryable: bool = False) -> Measured:
        return Measured({name: Value(None, None, status, reason, retryable) for name in self.clip_metrics})

    def tracker(self, video: str) -> MeshTracker:
        """A tracker for the next video, ``fake`` or ``real``."""
        if video not in self._meshes:
            self._meshes[video] = FaceMesh()
        return MeshTracker(self._meshes[video])

    def close(self) -> None:
        """Free the face meshes."""
        for mesh in self._meshes.values():
            mesh.close()
        self._meshes.clear()


def map_large_blocks() -> None:
    """Have the C library map blocks of ``LARGE`` bytes and more each for itself from now
    on, so that they go back when they are freed; without glibc this does nothing.

    By itself it raises that limit to 32 MB as such blocks are freed. The peak of 10 s at
    1080 x 1920 falls by 210 MB, for a tenth more CPU time; smaller ones are as before.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


def release_free_pages() -> None:
    """Have the C library return the free pages between what is in use; without glibc
    this does nothing.

    Small results that come to lie between the blocks of 1080 x 1920 frames keep those
    from being used again: memory grew by 12 MB a frame.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class VideoLandmarks:
    """Landmarks of one video: tracked as its frames come, and stored on disk for a
    second pass; or stored by an earlier run.

    Args:
        path: File to store them in.
        tracker: Finds them; ``None`` where no metric needs them.
        stored: Gives those of an earlier run from one frame number to another.
        still: Whether those of an earlier run are of a still image.
    """

    ROW = 478 * 2 * 4  # bytes

    def __init__(
        self,
        path: Path,
        tracker: MeshTracker | None,
        stored: Callable[[int, int], np.ndarray] | None = None,
        still: bool = False,
    ) -> None:
        self.path, self.tracker, self.stored, self._still = path, tracker, stored, still
        self.frames, self.seen = 0, 0

    @property
    def still(self) -> bool:
        """Whether all frames show the same image."""
        if self.tracker is None:
            return self._still
        return self.tracker.still and self.frames > 0

    def of_frames(self, frames: np.ndarray, start: int) -> np.ndarray:
        """Landmarks ``(N, 478, 2)`` of frames, the first of which has number ``start``."""
        if self.stored is not None:
            return self.stored(start, start + len(frames))
        if start < self.frames:
            with self.path.open("rb") as file:
                file.seek(start * self.ROW)
                content = file.read(len(frames) * self.ROW)
            return np.frombuffer(content, np.float32).reshape(-1, 478, 2)
        marks = self.tracker(frames)
        with self.path.open("ab") as file:
            file.write(marks.tobytes())
        self.frames += len(marks)
        self.seen += int(np.isfinite(marks[:, 0, 0]).sum())
        return marks

    def all(self) -> np.ndarray:
        """All that were tracked ``(T, 478, 2)``."""
        if not self.frames:
            return np.empty((0, 478, 2), np.float32)
        return np.fromfile(self.path, np.float32).reshape(-1, 478, 2)


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
        self.task, self.measurer = task, measurer
        self.config, self.evaluators = measurer.config, measurer.evaluators
        self.out, self.features = Measured(), {}
        real_content = measurer.content(task.real)
        self.same = task.real is not None and measurer.content(task.fake) == real_content
        self.reference = measurer.references.of(real_content, task, self.config, self.evaluators)
        self._parts: dict[type[Part], Part] = {}
        self._audio: np.ndarray | None = None
        self._audio_limit: int | None = None  # frames whose audio was read
        self._audio_notes: list[str] = []
        self._framing: list[np.ndarray] = []
        self._stretched = False
        self._scratch = scratch
        self.fake, self.real = self._source(task.fake, "the video"), None
        self._real_error: EadbenchError | None = None
        if task.real is None:
            self._real_error = EadbenchError("no real video to compare with")
        elif self.same:
            self.real = self.fake
        else:
            try:
                self.real = self._source(task.real, "the real video", self.fake.square)
            except EadbenchError as error:
                self._real_error = error
        self.expected = self.fake.expected()
        if not self.real:
            self.expected_real = 0
        elif self.same:
            self.expected_real = self.expected
        else:
            self.expected_real = self.reference.frames or self.real.expected()
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
        """The square about the face of the real video, from frames spread over it."""
        if self.task.real is None:
            raise EadbenchError("no real video to compare with")
        source = Source(self.task.real, self.config.fps, self.task.frames)
        frame_numbers = set(spread(source.expected(), CROP_FRAMES).tolist())
        marks, size = [], (1, 1)
        tracker = self.measurer.tracker("real")
        for number, frame in enumerate(source.frames()):
            if number in frame_numbers:
                size = frame.shape[1], frame.shape[0]
                marks.append(tracker(frame[None]))
        if not marks or not np.isfinite(np.concatenate(marks)).any():
            raise EadbenchError("no face to cut to")
        return as_shares(face_square(np.concatenate(marks)), *size)

    def audio(self) -> np.ndarray:
        """The audio, mono at 16 kHz, no longer than the video and a second.

        Raises:
            EadbenchError: If there is none.
        """
        if self._audio is None:
            self._audio_limit = self.expected or None
            end = self._audio_limit / self.config.fps + AUDIO_MARGIN if self._audio_limit else None
            self._audio = read_audio(self.task.audio or self.task.fake, end=end, notes=self._audio_notes)
        return self._audio

    def audio_was_cut(self) -> bool:
        """Whether more audio is needed than was read, since there were more frames than
        expected.
        """
        return self._audio_limit is not None and self.counts["fake"] > self._audio_limit

    def part(self, part_class: type[Part]) -> Part:
        """The part of that class, made at the first call. What goes wrong then is its
        ``error``.
        """
        if part_class not in self._parts:
            self._parts[part_class] = construct(part_class, self)
        return self._parts[part_class]

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
        to_repeat = [reader for reader in self._working_readers(metrics) if reader.needs_second_pass()]
        if to_repeat:
            self._prepare_second_pass()
            part_classes = [type(reader) for reader in to_repeat if isinstance(reader, Part)]
            for part_class in part_classes:
                del self._parts[part_class]
            for part_class in part_classes:
                self.part(part_class)
            for name, metric in list(metrics.items()):
                if metric in to_repeat:
                    metrics[name] = construct(type(metric), self)
            repeated_classes = {type(reader) for reader in to_repeat}
            self._feed(metrics, lambda reader: type(reader) in repeated_classes)
        for part in self._parts.values():
            attempt(part, part.finish)
        for name in self.measurer.clip_metrics:
            if name in metrics:
                self.out.values[name] = self._computed(metrics[name])
        self.out.values = {name: self.out.values[name] for name in self.measurer.clip_metrics}
        self.out.features = self.features
        self._note()
        if self.same or (self.real is not None and self._real_error is None):
            self.out.reference = self.reference.to_store(self)
        return self.out

    def _working_readers(self, metrics: dict[str, Metric]) -> list[Reader]:
        """Parts and metrics that have not failed."""
        return [reader for reader in (*self._parts.values(), *metrics.values()) if reader.error is None]

    def _metrics(self) -> dict[str, Metric]:
        """The metrics of clips that apply; those that do not have their value at once."""
        metrics: dict[str, Metric] = {}
        for name in self.config.metrics:
            metric = METRICS[name]
            if metric.evaluator in self.evaluators.missing:
                self.out.values[name] = Value(None, None, FAILED, self.evaluators.missing[metric.evaluator])
            elif metric.paired and self.task.unpaired:
                self.out.values[name] = Value(None, None, DROPPED, self.task.unpaired)
            elif metric.aligned and self.task.unaligned:
                self.out.values[name] = Value(None, None, DROPPED, self.task.unaligned)
            elif metric.kind == "clip":
                metrics[name] = construct(metric, self)
            else:
                for part in metric.parts:
                    self.part(part)
        self._audio = None
        inputs = {kind for reader in self._working_readers(metrics) for kind in reader.reads}
        track_fake = "landmarks" in inputs or (self.same and "real_landmarks" in inputs)
        track_real = "real_landmarks" in inputs and not self.same and self.reference.marks is None
        fake = VideoLandmarks(self._scratch / "fake", self.measurer.tracker("fake") if track_fake else None)
        real = VideoLandmarks(
            self._scratch / "real",
            self.measurer.tracker("real") if track_real else None,
            self.reference.marks,
            self.reference.still,
        )
        self.marks = {"fake": fake, "real": fake if self.same else real}
        return metrics

    def still(self, video: str) -> bool:
        """Whether the video, ``fake`` or ``real``, is one still image."""
        return self.marks[video].still

    def _prepare_second_pass(self) -> None:
        self.expected, self.expected_real = self.counts["fake"], self.counts["real"]
        self.expected_common = min(self.expected, self.expected_real)
        fake, real = self.marks["fake"], self.marks["real"]
        self.expected_faces = fake.seen if fake.tracker else None
        self.expected_real_faces = real.seen if real.tracker else None

    def _feed(self, metrics: dict[str, Metric], chosen: Callable[[Reader], bool] = lambda _: True) -> None:
        readers = [reader for reader in self._working_readers(metrics) if chosen(reader)]
        needs_real = any(NEEDS_REAL.intersection(reader.reads) for reader in readers)
        self.counts = {"fake": 0, "real": 0 if needs_real else self.counts["real"]}
        start = untrimmed_bytes = 0
        stretches = self._stretches(needs_real)
        if self.measurer.show_progress:
            total = max(self.expected, self.expected_real) or None
            stretches = track(stretches, self.task.clip_id, total, "frame", stretch_length)
        for fake, real in stretches:
            chunk = self._chunk(fake, real, start, readers)
            untrimmed_bytes += chunk.fake.nbytes
            if untrimmed_bytes > TRIM_BYTES:
                release_free_pages()
                untrimmed_bytes = 0
            start += stretch_length((fake, real))
            for reader in readers:
                if reader.error is None:
                    self._update(reader, chunk)

    def _stretches(self, needs_real: bool) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
        """Stretches of both videos; where the real one breaks off, metrics of the other
        alone go on.
        """
        fake = self.fake.chunks()
        if self.same:
            yield from ((chunk, chunk if needs_real else None) for chunk in fake)
        elif needs_real and self.real is not None:
            yield from lockstep(fake, self._real_chunks())
        else:
            yield from ((chunk, None) for chunk in fake)

    def _real_chunks(self) -> Iterator[np.ndarray]:
        try:
            yield from self.real.chunks()
        except EadbenchError as error:
            self._real_error = error

    def _chunk(
        self, fake: np.ndarray | None, real: np.ndarray | None, start: int, readers: list[Reader]
    ) -> Chunk:
        working = [reader for reader in readers if reader.error is None]
        inputs = {kind for reader in working for kind in reader.reads}
        if fake is None:
            fake = np.empty((0, *self._shape), np.uint8)
        self._shape = fake.shape[1:]
        self.out.size = max(fake.shape[1:3])
        self.counts["fake"] += len(fake)
        chunk = Chunk(fake, real, start=start)
        if "landmarks" in inputs or (self.same and "real_landmarks" in inputs):
            chunk.marks = self.marks["fake"].of_frames(fake, start)
        if real is not None:
            self.out.pair_size = max(real.shape[1:3])
            self.counts["real"] += len(real)
            if "real_landmarks" in inputs:
                chunk.real_marks = chunk.marks if self.same else self.marks["real"].of_frames(real, start)
                if chunk.marks is not None and not self.same:
                    n = min(len(fake), len(real))
                    fake_framing = framing(chunk.marks[:n], fake.shape)
                    self._framing.append(fake_framing - framing(chunk.real_marks[:n], real.shape))
            if "pair" in inputs and chunk.pair is None:
                chunk.pair = self._resized(fake, real)
        return chunk

    def _resized(self, fake: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The frames that both have, the generated ones at the real ones' size."""
        common = min(len(fake), len(real))
        fake, real = fake[:common], real[:common]
        (fake_height, fake_width), (height, width) = fake.shape[1:3], real.shape[1:3]
        note = f"resized from {fake_width}x{fake_height} to {width}x{height}"
        if note not in self.out.notes:
            self.out.notes.append(note)
            if abs(math.log(fake_width / fake_height * height / width)) > ASPECTS_DIFFER:
                self._stretched = True
                ratios = f"{fake_width / fake_height:.2f} stretched to {width / height:.2f}"
                self.out.notes.append(f"other framing: aspect ratio {ratios}")
        interpolation = cv2.INTER_AREA if fake_height > height else cv2.INTER_CUBIC
        resized = [cv2.resize(frame, (width, height), interpolation=interpolation) for frame in fake]
        return np.stack(resized) if resized else np.empty((0, *real.shape[1:]), np.uint8), real

    def _update(self, reader: Reader, chunk: Chunk) -> None:
        needs_real = bool(NEEDS_REAL.intersection(reader.reads))
        if needs_real and self._real_error is not None:
            reader.error = self._real_error
        elif not (needs_real and chunk.real is None):
            attempt(reader, lambda: reader.update(chunk))

    def _computed(self, metric: Metric) -> Value:
        if self._real_error is not None and NEEDS_REAL.intersection(metric.reads):
            metric.error = metric.error or self._real_error
        values: list[Value] = []
        if metric.error is None:
            attempt(metric, lambda: values.append(metric.compute()))
        if metric.error is not None:
            retryable = isinstance(metric.error, UnexpectedError)
            return Value(None, None, FAILED, one_line(metric.error), retryable)
        return _failed_unless_finite(values[0])

    def _note(self) -> None:
        """Note what was done to the files, and where their lengths differ; each once."""
        fake, real = self.counts["fake"], self.counts["real"]
        if self.real is not None and real and fake != real and not self.task.unpaired:
            self.out.notes.append(
                f"{fake} frames beside {real} of the real video: {min(fake, real)} compared"
            )
        if self._framing and not (self.task.unpaired or self.task.unaligned or self._stretched):
            self.out.notes += framing_notes(np.concatenate(self._framing))
        self.out.notes += [f"the video: {note}" for note in self.fake.notes]
        if self.real is not None and not self.same:
            self.out.notes += [f"the real video: {note}" for note in self.real.notes]
        self.out.notes += [f"the audio: {note}" for note in self._audio_notes]
        self.out.notes = list(dict.fromkeys(self.out.notes))


def framing(marks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """How large the face is and where it lies in each frame, by points that speech
    hardly moves.

    Args:
        marks: ``(T, 478, 2)`` in pixels, NaN where no face was found.
        shape: Of the frames ``(T, H, W, 3)``.

    Returns:
        ``(T, 3)``: logarithm of the size as a share of the frame's, centre as shares of
        width and height.
    """
    shares = marks[:, STABLE] / [shape[2], shape[1]]
    centre = shares.mean(1)
    squared_size = np.square(shares - centre[:, None]).sum(2).mean(1)
    return np.column_stack([np.log(squared_size) / 2, centre])


def framing_notes(differences: np.ndarray) -> list[str]:
    """A note where the faces of both videos are framed in another way, from differences
    of :func:`framing`.
    """
    with_face = differences[np.isfinite(differences).all(1)]
    if not len(with_face):
        return []
    log_scale, *shift = np.median(with_face, 0)
    if abs(log_scale) > math.log(OTHER_SIZE):
        times = f"{math.exp(log_scale):.2f} times"
        return [f"other framing: the face is {times} as large in the frame as the real one"]
    distance = math.hypot(*shift)
    if distance > OTHER_PLACE:
        return [f"other framing: the face lies {100 * distance:.0f} % of the frame beside the real one"]
    return []


def stretch_length(stretch: tuple[np.ndarray | None, np.ndarray | None]) -> int:
    """Frames of a stretch of two videos: those of the one that has more."""
    return max(len(frames) for frames in stretch if frames is not None)


class UnexpectedError(EadbenchError):
    """A fault of the program or the machine, not of the clip."""


def construct(reader_class: type, clip: ClipPair) -> Any:
    """A reader; if its constructor fails, one that has that failure as its error and is
    never fed.
    """
    reader = object.__new__(reader_class)
    reader.clip = clip
    attempt(reader, lambda: reader.__init__(clip))
    return reader


def attempt(reader: Reader, work: Callable[[], Any]) -> None:
    """Call a reader's method; what fails is that reader's error alone."""
    if reader.error is not None:
        return
    try:
        work()
    except FatalError:
        raise
    except Exception as error:  # one metric's fault costs that metric
        reason = reason_of(error, f"{type(reader).__name__} of {reader.clip.task.clip_id}")
        reader.error = error if isinstance(error, EadbenchError) else UnexpectedError(reason)


def _failed_unless_finite(value: Value) -> Value:
    if value.status != KEPT or (value.value is not None and math.isfinite(value.value)):
        return value
    reason = value.reason or "cannot be measured: nothing moves, or no face in enough frames"
    return Value(None, value.frames, FAILED, reason)


def one_line(error: EadbenchError) -> str:
    """What went wrong, with the name of the file."""
    where = Path(error.where).name
    return f"{error.what} ({where})" if where else error.what

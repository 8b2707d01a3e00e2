"""Cut a stream of frames where the shot, the face or the time limit asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from eadbench.clips.config import ClipsConfig
from eadbench.clips.recording import Recording
from eadbench.clips.shots import CutDetector
from eadbench.clips.track import FaceTracker, Sight
from eadbench.clips.windows import FPS, split_point
from eadbench.core.errors import fatal_cause
from eadbench.media.faces import Detector, FaceMesh
from eadbench.media.video import DecodedFrame


@dataclass
class Stretch:
    """Consecutive frames of one shot: with one face throughout (``sights``), or with
    none (``blind`` frames).

    Attributes:
        start: Seconds in the source.
    """

    start: float
    sights: list[Sight] = field(default_factory=list)
    blind: int = 0

    @property
    def frames(self) -> int:
        return len(self.sights) or self.blind


class Cutter:
    """Feeds frames to the tracker and hands out finished stretches. At most
    ``max_seconds`` of small images are held.
    """

    def __init__(self, recording: Recording, mesh: FaceMesh, detector: Detector, config: ClipsConfig) -> None:
        mesh.reset()
        self.recording, self.config = recording, config
        self.is_cut = CutDetector(config.cut_threshold)
        self.tracker = FaceTracker(
            mesh,
            detector,
            config.size,
            config.margin,
            recording.search,
            round(config.count_faces_every * FPS),
        )
        self.longest, self.patience = round(config.max_seconds * FPS), round(config.max_gap_seconds * FPS)
        self._now = Stretch(recording.start)
        self._gap = 0
        self._last: tuple[DecodedFrame, Sight | None] | None = None

    def run(self) -> Iterator[Stretch]:
        """All stretches of the recording, in order.

        Raises:
            Exception: As it came, if the video cannot be opened or breaks off; what
                came before it has been yielded.
        """
        broken: Exception | None = None
        frames = self.recording.frames()
        k = 0
        while True:
            try:
                frame = next(frames, None)
            except Exception as error:
                if fatal_cause(error):
                    raise
                frame, broken = None, error
            if frame is None:
                break
            yield from self._feed(frame, self.recording.start + k / FPS)
            k += 1
        yield from self._close(self.recording.start + k / FPS)
        if broken is not None:
            raise broken

    def _feed(self, frame: DecodedFrame, time: float) -> Iterator[Stretch]:
        repeated = self._last is not None and self._last[0] is frame
        if not repeated and self.is_cut(frame):
            yield from self._close(time)
            self.tracker.reset()
        sight = self._last[1] if repeated else self.tracker.step(frame)
        self._last = (frame, sight)
        if sight is None:
            if self._now.sights:
                yield from self._close(time)
            self._now.blind += 1
        elif sight.landmarks is None:
            yield from self._lose(sight, time)
        else:
            if self._now.blind or (sight.fresh and not repeated):
                yield from self._close(time)
            self._now.sights.append(sight)
            self._gap = 0
        if len(self._now.sights) >= self.longest:
            yield self._split()

    def _lose(self, sight: Sight, time: float) -> Iterator[Stretch]:
        """The face is gone for a moment, or for too long."""
        if not self._now.sights:
            self._now.blind += 1
            return
        self._now.sights.append(sight)
        self._gap += 1
        if self._gap > self.patience:
            gone = self._gap
            yield from self._close(time - (gone - 1) / FPS)
            self._now.blind = gone
            self.tracker.reset()
            self._last = None

    def _close(self, time: float) -> Iterator[Stretch]:
        """End the current stretch, without the frames at its end in which the face was
        lost already.
        """
        if self._gap:
            del self._now.sights[-self._gap :]
        if self._now.frames:
            yield self._now
        self._now, self._gap = Stretch(time), 0

    def _split(self) -> Stretch:
        whole = self._now
        split = split_point(
            self.recording.audio(whole.start, self.longest),
            self.longest,
            round(self.config.min_seconds * FPS),
        )
        self._now = Stretch(whole.start + split / FPS, whole.sights[split:])
        self._gap = min(self._gap, len(self._now.sights))
        return Stretch(whole.start, whole.sights[:split])

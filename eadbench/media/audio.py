"""Sound in and out.

Sound is read as ``ffmpeg -af aresample=async=1`` reads it: holes in its time stamps are
filled with silence, overlaps dropped, and time zero is where the picture starts.
Reading functions take ``notes``, a list to which they append a sentence for each choice
they had to make: the track, a channel taken alone, a change of layout on the way.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import soundfile

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.media.reading import DAMAGED, Source, decode, name_of, open_media, pick

RATE = 16000
PRE_ROLL = 1  # seconds decoded before a stretch, so that codecs with overlapping frames have settled
# A hole or overlap of more than this many seconds is mended. FFmpeg's own 0.1 lets
# sound run up to 2.5 frames early; the shortest packets of usual codecs last 0.02, the
# jitter of rounded stamps is below 0.005.
HOLE = 0.015
LONG_HOLE, LONGEST_HOLE = 10, 600  # seconds: filled here, not by the filter, which holds it whole; the limit
CANCELLED = 0.1  # 20 dB: a mix that is this much below its loudest channel is no mix


def read_audio(
    source: Source,
    rate: int = RATE,
    start: float | None = None,
    end: float | None = None,
    notes: list[str] | None = None,
) -> np.ndarray:
    """Decode the sound of any media file: mono float32 in [-1, 1] at ``rate``, from
    where its picture starts.

    Several channels are mixed so that their peak stays. Where they cancel each other,
    so that the mix is 20 dB below the loudest channel, that channel is taken.

    Args:
        source: Path or open binary file.
        rate: Sample rate to resample to.
        start: Start in seconds; the decoder seeks, so that a stretch of a long file is
            read alone.
        end: End in seconds. The result is shorter than ``end - start`` where the sound
            ends earlier; a late beginning is filled with silence.
        notes: Appended to, see the module.

    Raises:
        EadbenchError: If the file cannot be opened or has no audio stream, or its time
            stamps jump.
    """
    levels: list[np.ndarray] = []
    blocks = list(_blocks(source, rate, start, end, notes, None, levels))
    channel = _channel_alone(levels, notes)
    if channel is not None:
        blocks = list(_blocks(source, rate, start, end, None, channel, []))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def iter_audio(
    source: Source,
    rate: int = RATE,
    start: float | None = None,
    end: float | None = None,
    notes: list[str] | None = None,
) -> Iterator[np.ndarray]:
    """As :func:`read_audio`, in blocks of at most a second, in constant memory; sound
    of several channels is decoded twice.

    Args:
        source: A path.
    """
    levels: list[np.ndarray] = []
    for _ in _blocks(source, rate, start, end, None, None, levels):
        if not levels:  # mono
            break
    yield from _blocks(source, rate, start, end, notes, _channel_alone(levels, notes), [])


def _channel_alone(levels: list[np.ndarray], notes: list[str] | None) -> int | None:
    """The channel to take where a mix cancels, or ``None``.

    Args:
        levels: Per block the energy of the mix and of each channel, of different
            numbers where the layout changes.
    """
    if not levels:
        return None
    energy = np.zeros(max(map(len, levels)))
    for level in levels:
        energy[: len(level)] += level
    loudest = int(energy[1:].argmax())
    if energy[0] >= CANCELLED**2 * energy[1 + loudest]:
        return None
    if notes is not None:
        notes.append(f"the channels of the sound cancel each other: channel {loudest + 1} is taken alone")
    return loudest


def _blocks(
    source: Source,
    rate: int,
    start: float | None,
    end: float | None,
    notes: list[str] | None,
    channel: int | None,
    levels: list[np.ndarray],
) -> Iterator[np.ndarray]:
    """Mono blocks; appends the energies of several channels to ``levels``."""
    name = name_of(source)
    wanted = None if end is None else max(0, round((end - (start or 0.0)) * rate))
    given = 0
    try:
        for block in _whole_blocks(source, name, rate, Fraction(start or 0), end, notes, channel, levels):
            block = block if wanted is None else block[: wanted - given]
            given += len(block)
            if len(block):
                yield block
            if given == wanted:
                return
    except (av.FFmpegError, OSError) as error:
        raise EadbenchError(f"sound cannot be decoded: {error}", name, DAMAGED) from error


def _whole_blocks(
    source: Source,
    name: str | Path,
    rate: int,
    start: Fraction,
    end: float | None,
    notes: list[str] | None,
    channel: int | None,
    levels: list[np.ndarray],
) -> Iterator[np.ndarray]:
    if hasattr(source, "seek"):
        source.seek(0)
    with open_media(source) as container:
        stream = pick(container, "audio", notes)
        if stream is None:
            raise EadbenchError("no audio stream", name)
        kind, chain, given, reached = None, None, 0, 0.0
        for frame, time in decode(container, stream, max(Fraction(0), start - PRE_ROLL), notes):
            if end is not None and time >= end:
                break
            time -= start
            hole = float(time) - reached
            if hole > LONGEST_HOLE:
                hint = "write its time stamps anew, e.g. ffmpeg -i IN -c:v copy -af asetpts=N/SR/TB OUT"
                raise EadbenchError(
                    f"the time stamps of the sound jump by {hole:.0f} s at {float(start) + reached:.1f} s",
                    name,
                    hint,
                )
            found = frame.sample_rate, frame.format.name, frame.layout.name
            if found != kind or hole > LONG_HOLE:
                if chain is not None:
                    for block in chain.rest():
                        given += len(block)
                        yield block
                    if found != kind and notes is not None:
                        moment = f"{float(start + time):.2f} s"
                        notes.append(
                            f"the sound changes at {moment} from {_words(*kind)} to {_words(*found)}"
                        )
                silent = round(time * rate) - given if hole > LONG_HOLE else 0
                for a, b in pairwise([*range(0, silent, rate), silent]):
                    yield np.zeros(b - a, np.float32)
                given += max(0, silent)
                kind, chain = found, _Chain(frame, rate, given, channel, levels)
            reached = float(time) + frame.samples / frame.sample_rate
            for block in chain.add(frame, time):
                given += len(block)
                yield block
        if chain is not None:
            yield from chain.rest()


def _words(rate: int, _: str, layout: str) -> str:
    return f"{rate} Hz {layout}"


class _Chain:
    """FFmpeg's filters for sound of one kind: holes filled, resampled, mixed.

    Args:
        frame: The first one.
        rate: Sample rate wanted.
        given: Samples given so far; what lies before is dropped, silence put between it
            and the first frame.
        channel: Channel to take instead of the mix.
        levels: Appended to.
    """

    def __init__(
        self, frame: av.AudioFrame, rate: int, given: int, channel: int | None, levels: list[np.ndarray]
    ) -> None:
        self.unit, self.waiting = Fraction(1, frame.sample_rate), 0
        self.channel, self.levels, self.mixes = channel, levels, frame.layout.nb_channels > 1
        self.graph = av.filter.Graph()  # must live as long as its ends
        first = round(Fraction(given, rate) / self.unit)
        self.source = self.graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=self.unit,
        )
        steps = [
            self.source,
            self.graph.add("aresample", f"{rate}:async=1:min_hard_comp={HOLE}:first_pts={first}:osf=flt"),
            self.graph.add("asetnsamples", f"n={rate}:p=0"),
        ]
        self.sinks = [self.graph.add("abuffersink")]
        if self.mixes:
            # FFmpeg does not normalise the mix of float samples unless told.
            split, mix = (
                self.graph.add("asplit"),
                self.graph.add("aresample", "ochl=mono:osf=flt:rematrix_maxval=1"),
            )
            self.graph.link_nodes(*steps, split, mix, *self.sinks)
            self.sinks.append(self.graph.add("abuffersink"))
            split.link_to(self.sinks[1], 1)
        else:
            self.graph.link_nodes(*steps, *self.sinks)
        self.graph.configure()

    def add(self, frame: av.AudioFrame, time: Fraction) -> Iterator[np.ndarray]:
        """Take a frame due at ``time`` seconds; yields what is ready."""
        frame.pts, frame.time_base = round(time * frame.sample_rate), self.unit
        self.source.push(frame)
        self.waiting += frame.samples
        if (
            self.waiting < frame.sample_rate
        ):  # blocks last a second: to ask in vain for one takes longer than to mix it
            return iter(())
        self.waiting = 0
        return self._ready()

    def rest(self) -> Iterator[np.ndarray]:
        """What is left at the end."""
        self.source.push(None)
        return self._ready()

    def _ready(self) -> Iterator[np.ndarray]:
        while True:
            try:
                mix, *channels = [_channels(sink.pull()) for sink in self.sinks]
            except (av.BlockingIOError, av.EOFError):
                return
            if channels:
                self.levels.append(np.square(np.concatenate([mix, channels[0]]), dtype=np.float64).sum(1))
            alone = channels and self.channel is not None
            yield channels[0][min(self.channel, len(channels[0]) - 1)] if alone else mix[0]


def _channels(frame: av.AudioFrame) -> np.ndarray:
    """Packed float samples as ``(channels, n)``. Of planar ones PyAV 18 takes 8
    channels for 9, and reads what is not there.
    """
    return frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T


class SoundTrack:
    """Encodes mono float32 samples to a new AAC stream of an open container, little by
    little.

    Args:
        container: Open for writing.
        samples: In [-1, 1]; what is beyond is clipped.
        rate: Their sample rate.
        options: Of the encoder.
    """

    BLOCK = 1024

    def __init__(
        self,
        container: av.container.OutputContainer,
        samples: np.ndarray,
        rate: int,
        options: dict[str, str] | None = None,
    ) -> None:
        self.container, self.samples, self.rate, self.at = container, samples, rate, 0
        self.stream = container.add_stream("aac", rate=rate, layout="mono", options=options)

    def until(self, seconds: float) -> None:
        """Write what is heard before this time, so that it lies beside its picture in
        the file.
        """
        while self.at < min(len(self.samples), seconds * self.rate):
            block = np.clip(np.asarray(self.samples[self.at : self.at + self.BLOCK], np.float32), -1.0, 1.0)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block[None]), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = self.rate, self.at
            self.container.mux(self.stream.encode(frame))
            self.at += self.BLOCK

    def finish(self) -> None:
        """Write the rest."""
        self.until(float("inf"))
        self.container.mux(self.stream.encode())


def write_wav(path: str | Path, samples: np.ndarray, rate: int = RATE) -> None:
    """Write mono 16-bit PCM atomically."""
    with atomic_path(path) as part:
        soundfile.write(part, np.clip(samples, -1.0, 1.0), rate, subtype="PCM_16", format="WAV")


def write_m4a(path: str | Path, samples: np.ndarray, rate: int) -> None:
    """Write mono AAC in an MPEG-4 audio file (``.m4a``) atomically."""
    with atomic_path(path) as part, av.open(str(part), "w", format="ipod") as container:
        SoundTrack(container, samples, rate).finish()

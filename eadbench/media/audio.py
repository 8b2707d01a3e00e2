"""Audio in and out.

Audio is read as ``ffmpeg -af aresample=async=1`` reads it: holes in its time stamps are
filled with silence, overlaps dropped, and time zero is where the video starts.
Reading functions take ``notes``, a list to which they append a sentence for each choice
they had to make: the track, a channel taken alone, a change of layout on the way.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.media.reading import DAMAGED, STAMPS_ANEW, Source, decode, local, name_of, open_media, pick

RATE = 16000
PRE_ROLL = 1  # seconds decoded before a stretch, so that codecs with overlapping frames have settled
POST_ROLL = 0.05  # seconds decoded behind it, so that the resampler's last samples are of audio
# A hole or overlap of more than this many seconds is mended. FFmpeg's own 0.1 lets
# audio run up to 2.5 frames early; the shortest packets of usual codecs last 0.02, the
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
    """Decode the audio of any media file: mono float32 in [-1, 1] at ``rate``, from
    where its video starts.

    Several channels are mixed so that their peak stays. Where they cancel each other,
    so that the mix is 20 dB below the loudest channel, that channel is taken.

    Args:
        source: Path or open binary file.
        rate: Sample rate to resample to.
        start: Start in seconds; the decoder seeks, so that a stretch of a long file is
            read alone.
        end: End in seconds. The result is shorter than ``end - start`` where the audio
            ends earlier; what the file says nothing of, before, between and behind, is
            silence.
        notes: Appended to, see the module.

    Raises:
        EadbenchError: If the file cannot be opened or has no audio stream, or its time
            stamps jump.
    """
    samples, levels = _read(source, rate, start or 0.0, end, notes, None)
    channel = _channel_alone(levels, notes)
    return samples if channel is None else _read(source, rate, start or 0.0, end, None, channel)[0]


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
        notes.append(f"the channels of the audio cancel each other: channel {loudest + 1} is taken alone")
    return loudest


def _read(
    source: Source, rate: int, start: float, end: float | None, notes: list[str] | None, channel: int | None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Mono samples, of a mix or one channel, and the energies of several channels."""
    name = name_of(source)
    count = None if end is None else max(0, round((end - start) * rate))
    blocks, levels, produced = [], [], 0
    kind, chain, reached = None, None, 0.0

    def take(ready: Iterator[np.ndarray]) -> None:
        nonlocal produced
        for block in ready:
            blocks.append(block)
            produced += len(block)

    try:
        with open_media(source) as container:
            stream = pick(container, "audio", notes)
            if stream is None:
                raise EadbenchError("no audio stream", name)
            for frame, moment, length, _ in decode(container, stream, max(0.0, start - PRE_ROLL), notes):
                time = moment - start
                hole = time - reached
                if end is not None and moment >= end + POST_ROLL:
                    if chain is not None:
                        take(chain.rest())
                        chain = None
                    if hole <= LONGEST_HOLE:
                        take(_silence(count - produced))
                    break
                if hole > LONGEST_HOLE:
                    hint = STAMPS_ANEW.format("-c:v copy -af 'asetpts=round(N/SR/TB)'")
                    jump = f"jump by {hole:.0f} s at {start + reached:.1f} s"
                    raise EadbenchError(f"the time stamps of the audio {jump}", name, hint)
                format_ = frame.sample_rate, frame.format.name, frame.layout.name
                if format_ != kind or hole > LONG_HOLE:
                    if chain is not None:
                        take(chain.rest())
                    if kind not in (None, format_) and notes is not None:
                        change = f"from {kind[0]} Hz {kind[2]} to {format_[0]} Hz {format_[2]}"
                        notes.append(f"the audio changes at {moment:.2f} s {change}")
                    if hole > LONG_HOLE:
                        take(_silence(round(time * rate) - produced))
                    kind, chain = format_, _Chain(frame, rate, produced, channel, levels)
                reached = time + length
                take(chain.add(frame, time))
            if chain is not None:
                take(chain.rest())
    except (av.FFmpegError, OSError) as error:
        raise EadbenchError(f"audio cannot be decoded: {error}", name, DAMAGED) from error
    return np.concatenate([*blocks, np.zeros(0, np.float32)])[:count], levels


def _silence(count: int) -> Iterator[np.ndarray]:
    yield np.zeros(max(0, count), np.float32)


class _Chain:
    """FFmpeg's filters for audio of one kind: holes filled, resampled, mixed.

    Args:
        frame: The first one.
        rate: Sample rate wanted.
        produced: Samples so far; what lies before is dropped, silence put between it
            and the first frame.
        channel: Channel to take instead of the mix.
        levels: Appended to: the energies of the mix and of each channel.
    """

    def __init__(
        self, frame: av.AudioFrame, rate: int, produced: int, channel: int | None, levels: list[np.ndarray]
    ) -> None:
        self.rate, self.unit, self.waiting = frame.sample_rate, Fraction(1, frame.sample_rate), 0
        self.channel, self.levels = channel, levels
        self.graph = av.filter.Graph()  # must live as long as its ends
        self.source = self.graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=self.unit,
        )
        first = round(produced / rate * frame.sample_rate)
        steps = [
            self.source,
            self.graph.add("aresample", f"{rate}:async=1:min_hard_comp={HOLE}:first_pts={first}:osf=flt"),
            self.graph.add("asetnsamples", f"n={rate}:p=0"),
        ]
        self.sinks = [self.graph.add("abuffersink")]
        if frame.layout.nb_channels > 1:
            # FFmpeg does not normalise the mix of float samples unless told.
            split = self.graph.add("asplit")
            mix = self.graph.add("aresample", "ochl=mono:osf=flt:rematrix_maxval=1")
            self.graph.link_nodes(*steps, split, mix, *self.sinks)
            self.sinks.append(self.graph.add("abuffersink"))
            split.link_to(self.sinks[1], 1)
        else:
            self.graph.link_nodes(*steps, *self.sinks)
        self.graph.configure()

    def add(self, frame: av.AudioFrame, time: float) -> Iterator[np.ndarray]:
        """Take a frame due at ``time`` seconds; yields what is ready."""
        frame.pts, frame.time_base = round(time * self.rate), self.unit
        self.source.push(frame)
        self.waiting += frame.samples
        if self.waiting >= self.rate:  # to ask in vain for a block of a second takes longer than to mix it
            self.waiting = 0
            yield from self._ready()

    def rest(self) -> Iterator[np.ndarray]:
        """What is left at the end."""
        self.source.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[np.ndarray]:
        while True:
            try:
                mix, *channels = [_channels(sink.pull()) for sink in self.sinks]
            except (av.BlockingIOError, av.EOFError):
                return
            if channels:
                every = np.concatenate([mix, channels[0]])
                self.levels.append(np.einsum("ij,ij->i", every, every))
            alone = channels and self.channel is not None
            yield channels[0][min(self.channel, len(channels[0]) - 1)] if alone else mix[0]


def _channels(frame: av.AudioFrame) -> np.ndarray:
    """Packed float samples as ``(channels, n)``. Of planar ones PyAV 18 takes 8
    channels for 9, and reads what is not there.
    """
    return frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T


class AudioTrack:
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
        """Write what is heard before this time, so that it lies beside its video in
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
    with atomic_path(path) as part, av.open(local(part), "w", format="ipod") as container:
        AudioTrack(container, samples, rate).finish()

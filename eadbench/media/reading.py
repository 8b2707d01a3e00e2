"""Opening files, choosing tracks, decoding from a moment on: common to video and
audio.

The rules are those of ffmpeg's command line. See docs/media.md.
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
import av.format

from eadbench.core.errors import EadbenchError

Source = str | Path | BinaryIO
LONG_GOP = 2  # seconds between key frames that MPEG program streams do not reach
BEGINS_ANEW = 0.1  # seconds back in a transport stream that ffmpeg calls a discontinuity
# Seconds by which one track of a recording may outlast another where the next one is
# joined to it.
OVERLAP = 1
HELD = 2  # packets before a joint that the demuxer may take for damaged
SAMPLES = 32  # places of a transport stream at which its stamps are looked at
HOLE = 0.1  # seconds without frames that are told of
SHORT = 0.25  # seconds by which a track may end before its header says so: last frames, other rounding
# Formats whose duration is read, not guessed from what is there.
HEADED = ("mov", "matroska", "flv", "asf", "wav")
DAMAGED = "the file is truncated or damaged"
STAMPS_ANEW = "write its time stamps anew, e.g. ffmpeg -i IN {} OUT"


class Decoded(NamedTuple):
    """A frame in its place.

    Attributes:
        frame: The frame.
        time: When it is due, in seconds from :func:`zero_of`: the exact quotient of
            time stamps, rounded once, so that equal fractions are equal numbers.
        length: How long it lasts, in seconds.
        harmed: Whether it is damaged, or a packet before it was lost.
    """

    frame: av.VideoFrame | av.AudioFrame
    time: float
    length: float
    harmed: bool


def open_media(source: Source) -> av.container.InputContainer:
    """Open a path or binary file.

    Raises:
        EadbenchError: If it is not there or no media.
    """
    if hasattr(source, "seek"):
        source.seek(0)
    try:
        return av.open(source if hasattr(source, "read") else local(source), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        hint = "the file is missing, truncated or not a video"
        raise EadbenchError(f"cannot be opened as media: {error}", name_of(source), hint) from error


def local(path: str | Path) -> str:
    """A path as FFmpeg takes it: with ``./`` where a colon would make it a protocol, as
    in ``10:30 call.mp4``.
    """
    return f"./{path}" if ":" in str(path).split("/")[0] else str(path)


def name_of(source: Source) -> str | Path:
    """What to call a source in an error."""
    return getattr(source, "name", source)


def pick(
    container: av.container.InputContainer, kind: str, notes: list[str] | None = None
) -> av.stream.Stream | None:
    """The track that ffmpeg takes.

    One flagged default, then the one with the largest frame or most channels, then
    the first.

    Args:
        container: The file.
        kind: ``"video"`` or ``"audio"``. Cover pictures do not count as video.
        notes: Appended to where there was a choice.
    """
    tracks = [s for s in getattr(container.streams, kind) if s.codec_context]
    tracks = [s for s in tracks if not s.disposition & s.disposition.attached_pic]

    def rank(track: av.stream.Stream) -> int:
        size = track.width * track.height if kind == "video" else track.codec_context.channels
        return size + 5_000_000 * bool(track.disposition & track.disposition.default)  # ffmpeg's weights

    best = max(tracks, key=rank, default=None)
    if len(tracks) > 1 and notes is not None:
        notes.append(
            f"{len(tracks)} {kind} tracks: number {tracks.index(best) + 1} is read, as ffmpeg chooses"
        )
    return best


def zero_of(container: av.container.InputContainer) -> Fraction:
    """Time stamp in seconds that is zero for video and audio: where the video
    starts, or else the audio.
    """
    stream = pick(container, "video") or pick(container, "audio")
    if stream is None or stream.start_time is None:
        return Fraction(0)
    return stream.start_time * stream.time_base


def decode(
    container: av.container.InputContainer,
    stream: av.stream.Stream,
    start: float = 0.0,
    notes: list[str] | None = None,
) -> Iterator[Decoded]:
    """Decode a track in order of presentation.

    Args:
        container: The file, opened anew.
        stream: The track.
        start: Seconds from :func:`zero_of`. The first frame given is the last one at or
            before it; with 0 the file's first.
        notes: Appended to where frames are damaged or missing, and where the track ends
            before its header says so.

    Yields:
        Frames. Undecodable packets before the first one do not count, nor those that
        the container marks as damaged, as the last one of a truncated file.

    Raises:
        av.FFmpegError: If the file breaks off, or nothing can be decoded.
    """
    frames = _from(container, stream, start) if start else _in_order(container, stream)
    return frames if notes is None else _watched(frames, container, stream, start, notes)


def _from(
    container: av.container.InputContainer, stream: av.stream.Stream, start: float
) -> Iterator[Decoded]:
    """Frames from the last one at or before ``start`` on."""
    previous = None
    for item in _sought(container, stream, start):
        if previous is not None and item.time > start:
            yield previous
        previous = item
    if previous is not None:
        yield previous


def _watched(
    frames: Iterator[Decoded],
    container: av.container.InputContainer,
    stream: av.stream.Stream,
    start: float,
    notes: list[str],
) -> Iterator[Decoded]:
    """The same frames; notes what is damaged, missing or cut off."""
    kind, instead, until = "audio", "silence stands there", ""
    if stream.type == "video":
        kind, instead, until = "video", "the frame before it stands there", " and up to the next key frame"
    damaged, missing = _Count(notes), _Count(notes)
    due = None
    for item in frames:
        if due is not None and item.time - due > HOLE:
            missing.add(f"no {kind} from {due:.2f} to {item.time:.2f} s: {instead}")
        if item.harmed:
            damaged.add(f"the {kind} is damaged at {item.time:.2f} s{until}")
        due = item.time + item.length
        yield item
    said = _said_end(container, stream)
    if due is not None and said is not None and said - due > SHORT and said > start:
        ends = f"the {kind} ends at {due:.2f} s, its header says {said:.2f} s"
        notes.append(f"{ends}: is the file truncated?")


class _Count:
    """One note for events of a kind: the first one in words, the number of the others."""

    def __init__(self, notes: list[str]) -> None:
        self.notes, self.first, self.others, self.place = notes, "", 0, 0

    def add(self, text: str) -> None:
        if self.first:
            self.others += 1
            self.notes[self.place] = f"{self.first} (and at {self.others} more places)"
        else:
            self.first, self.place = text, len(self.notes)
            self.notes.append(text)


def _said_end(container: av.container.InputContainer, stream: av.stream.Stream) -> float | None:
    """Where a track ends in seconds from :func:`zero_of`, as the header says; ``None``
    where it does not.
    """
    if not container.format.name.startswith(HEADED):
        return None
    if stream.duration:
        end = ((stream.start_time or 0) + stream.duration) * stream.time_base
    else:
        end = Fraction(container.duration or 0, av.time_base)
        hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska's
        minutes, _, seconds = rest.partition(":")
        with suppress(ValueError):
            end = 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds.rstrip("\0"))
    return float(end - zero_of(container)) if end else None


def _sought(
    container: av.container.InputContainer, stream: av.stream.Stream, start: float
) -> Iterator[Decoded]:
    """Frames from one at or before ``start`` on.

    Where a seek leads to a place from which the decoder cannot start, it is repeated to
    an earlier one.
    """
    if stream.start_time is None:  # a raw stream has no stamps to seek by
        return _in_order(container, stream)
    # After a seek in an MPEG program stream FFmpeg guesses the time stamps, and where
    # stamps begin anew, only what came before dates a frame: such a file is read from
    # the beginning, though only decoded from near the start.
    seeks = container.format.name != "mpeg" and not _begins_anew(container)
    delay = _delay(container, stream) if _is_avi(container, stream) else None
    # Matroska's index names video alone: for a place in the audio FFmpeg would read
    # all that lies before it.
    led = pick(container, "video") if container.format.name.startswith("matroska") else None
    led = led or stream
    origin = float(zero_of(container))
    back = 0
    while back < start:
        try:
            if seeks:
                container.seek(int((start + origin - back) / led.time_base), stream=led)
            else:
                _rewind(container)
            since = None if seeks else start + origin - back - LONG_GOP
            frames = _in_order(container, stream, since, delay)
            first = next(frames, None)
            if first is not None and first.time <= start:
                return chain([first], frames)
        except av.FFmpegError:  # nothing decodable from here on, or a format without seeks
            pass
        back = 2 * back + 1
    _rewind(container)
    return _in_order(container, stream)


def _is_avi(container: av.container.InputContainer, stream: av.stream.Stream) -> bool:
    return container.format.name == "avi" and stream.type == "video"


def _delay(container: av.container.InputContainer, stream: av.VideoStream) -> int | None:
    """Packets that the decoder holds back, from the beginning of the file.

    After a seek it may drop frames that refer to earlier ones, and seem to hold back
    more.
    """
    sent = None
    for packet in container.demux(stream):
        sent = packet.dts if sent is None else sent
        for frame in packet.decode():
            return None if frame.dts is None or sent is None else frame.dts - sent
    return None


def _rewind(container: av.container.InputContainer) -> None:
    # In a transport stream a seek to the first stamp of the video leads behind the
    # first packets; some formats refuse what lies before it.
    first = container.start_time or 0
    try:
        container.seek(first - av.time_base)
    except av.FFmpegError:
        container.seek(first)


def _begins_anew(container: av.container.InputContainer) -> bool:
    """Whether the stamps of a transport stream go back anywhere, as in recordings
    joined byte by byte.

    Looked at in some places, spread evenly and closer to both ends; pieces of less than
    a sixteenth that lie further inside can escape.
    """
    if not _discontinuous(container):
        return False
    size, latest = container.size, {}
    ends = [size >> k for k in range(1, SAMPLES) if size >> k > 1 << 14]
    for place in sorted(
        {*ends, *(size - end for end in ends), *(size * k // SAMPLES for k in range(SAMPLES))}
    ):
        container.seek(place, unsupported_byte_offset=True)
        packet = next((p for p in _demux(container, list(container.streams)) if p.dts is not None), None)
        if packet is not None:
            track, time = packet.stream.index, packet.dts * packet.time_base
            if latest.get(track, time) - time > BEGINS_ANEW:
                return True
            latest[track] = time
    return False


def _discontinuous(container: av.container.InputContainer) -> bool:
    """Whether its format is one whose stamps may begin anew."""
    return bool(container.format.flags & av.format.Flags.ts_discont.value)


def _packets(container: av.container.InputContainer, stream: av.stream.Stream) -> Iterator[av.Packet]:
    """Packets of a track.

    Where the stamps of a transport or program stream begin anew, as in joined
    recordings, they go on, for all tracks alike.
    """
    if not _discontinuous(container):
        yield from _demux(container, [stream])
        return
    tracks = [track for track in (pick(container, "video"), pick(container, "audio")) if track is not None]
    units = {track.index: float(track.time_base) for track in tracks}
    offset, before, due, joined, held = 0.0, 0.0, {}, set(), []
    for packet in _demux(container, tracks):
        if packet.dts is not None:
            track, unit = packet.stream.index, units[packet.stream.index]
            raw, shift = packet.dts * unit, offset
            late = due.get(track, raw + offset) - raw - offset
            if track in joined and abs(due[track] - raw - before) < abs(late):
                shift, packet.is_corrupt = before, False  # the last packet of what came before the joint
            # Of the tracks of a joint the first one tells when the rest begins; what
            # else is late overlaps a little.
            elif late > (OVERLAP if track in joined else BEGINS_ANEW):
                before, offset = offset, offset + late
                shift, joined = offset, due.keys() - {track}
                for last in held:
                    last.is_corrupt = False  # only broken off by what was joined to it
            else:
                joined = joined - {track}
            due[track] = raw + shift + (packet.duration or 0) * unit
            if shift:
                packet.dts += round(shift / unit)
                packet.pts = None if packet.pts is None else packet.pts + round(shift / unit)
        if packet.stream is stream:
            held.append(packet)
            if len(held) > HELD:
                yield held.pop(0)
    yield from held


def _demux(container: av.container.InputContainer, tracks: list[av.stream.Stream]) -> Iterator[av.Packet]:
    # PyAV 18 stumbles at the end over tracks that appeared on the way, after the others.
    with suppress(IndexError):
        yield from container.demux(tracks)


def _in_order(
    container: av.container.InputContainer,
    stream: av.stream.Stream,
    since: float | None = None,
    delay: int | None = None,
) -> Iterator[Decoded]:
    """Decode from where the container stands, or from the packet stamped ``since`` on.

    Decoders give frames in order of presentation, but not all formats say when each is
    due. AVI knows the order of decoding alone: there the packet that completed a frame
    dates it, less the decoder's delay.
    """
    origin, unit = zero_of(container), stream.time_base
    whole = unit.denominator * origin.denominator
    ticks, zero, tick = int(unit * whole), int(origin * whole), float(unit)
    avi, is_video = _is_avi(container, stream), stream.type == "video"
    usual = round(1 / (stream.average_rate or stream.guessed_rate or 25) / unit) if is_video else 0
    first_sent, last, length, failure, corrupt, lost = None, None, 0, None, set(), False
    for packet in _packets(container, stream):
        if since is not None and packet.dts is not None and packet.dts * tick < since:
            continue
        first_sent = packet.dts if first_sent is None else first_sent
        if packet.is_corrupt and packet.pts is not None:
            corrupt.add(packet.pts)
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            if last is not None and not packet.is_corrupt:
                raise
            failure, lost = error, last is not None
            continue
        for frame in frames:
            pts, dts = frame.pts, frame.dts
            following = (stream.start_time or 0) if last is None else last + length
            if avi:
                if delay is None and dts is not None:
                    delay = dts - first_sent
                stamp = following if dts is None else dts - delay
                stamp = following if last is not None and stamp <= last else stamp
            elif pts is None or (is_video and last is not None and pts <= last):  # as FFmpeg's best effort
                later = dts is not None and (last is None or dts > last)
                stamp = dts if later else following if pts is None else pts
            else:
                stamp = pts
            if last is None and stream.start_time is None:  # a raw stream begins with its first frame
                zero = stamp * ticks
            length = (
                (frame.duration or usual) if is_video else round(frame.samples / frame.sample_rate / tick)
            )
            last = stamp
            harmed = lost or bool(frame.is_corrupt) or pts in corrupt
            yield Decoded(frame, (stamp * ticks - zero) / whole, length * tick, harmed)
            lost = False
    if last is None and failure is not None:
        raise failure

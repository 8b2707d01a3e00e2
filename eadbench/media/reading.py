"""Opening files, choosing tracks, decoding from a moment on: common to picture and sound.

The rules are those of ffmpeg's command line. See docs/media.md.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av

from eadbench.core.errors import EadbenchError

Source = str | Path | BinaryIO
LONG_GOP = 2  # seconds between key frames that MPEG program streams do not reach
BEGINS_ANEW = Fraction(1, 10)  # seconds back in a transport stream that ffmpeg calls a discontinuity
DAMAGED = "the file is truncated or damaged"


def open_media(source: Source) -> av.container.InputContainer:
    """Open a path or binary file.

    Raises:
        EadbenchError: If it is not there or no media.
    """
    try:
        return av.open(source if hasattr(source, "read") else str(source), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        mend = "the file is missing, truncated or not a video"
        raise EadbenchError(f"cannot be opened as media: {error}", name_of(source), mend) from error


def name_of(source: Source) -> str | Path:
    """What to call a source in an error."""
    return getattr(source, "name", source)


def pick(container: av.container.InputContainer, kind: str, notes: list[str] | None = None) -> av.stream.Stream | None:
    """The track that ffmpeg takes.

    One flagged default, then the one with the largest picture or most channels, then the first.

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
        notes.append(f"{len(tracks)} {kind} tracks: number {tracks.index(best) + 1} is read, as ffmpeg chooses")
    return best


def zero_of(container: av.container.InputContainer) -> Fraction:
    """Time stamp in seconds that is zero for picture and sound: where the picture starts, or else the sound."""
    stream = pick(container, "video") or pick(container, "audio")
    if stream is None or stream.start_time is None:
        return Fraction(0)
    return stream.start_time * stream.time_base


def decode(
    container: av.container.InputContainer, stream: av.stream.Stream, start: Fraction = Fraction(0)
) -> Iterator[tuple[av.VideoFrame | av.AudioFrame, Fraction]]:
    """Decode a track in order of presentation.

    Args:
        container: The file, opened anew.
        stream: The track.
        start: Seconds from :func:`zero_of`. The first frame given is the last one at or before it; with 0
            the file's first.

    Yields:
        Frames with their time in seconds from :func:`zero_of`. Undecodable packets before the first frame
        do not count.

    Raises:
        av.FFmpegError: If the file breaks off, or nothing can be decoded.
    """
    if not start:
        yield from _in_order(container, stream, zero_of(container))
        return
    previous = None
    for item in _sought(container, stream, start):
        if previous is not None and item[1] > start:
            yield previous
        previous = item
    if container.format.name == "mpegts" and (previous is None or previous[1] + _length(previous[0]) <= start):
        # Where its stamps begin anew, a seek does not find what comes later: only what came before dates it.
        previous = None
        _rewind(container)
        for item in _in_order(container, stream, zero_of(container)):
            if previous is not None and item[1] > start:
                yield previous
            previous = item
    if previous is not None:
        yield previous


def _length(frame: av.VideoFrame | av.AudioFrame) -> Fraction:
    return frame.duration * frame.time_base


def _sought(
    container: av.container.InputContainer, stream: av.stream.Stream, start: Fraction
) -> Iterator[tuple[av.VideoFrame | av.AudioFrame, Fraction]]:
    """Frames from one at or before ``start`` on.

    Where a seek leads to a place from which the decoder cannot start, it is repeated to an earlier one.
    """
    origin = zero_of(container)
    # After a seek in an MPEG program stream FFmpeg guesses the time stamps: it is read from the beginning, though
    # only decoded from near the start.
    seeks = container.format.name != "mpeg"
    delay = _delay(container, stream) if _is_avi(container, stream) else None
    back = 0
    while back < start:
        try:
            if seeks:
                container.seek(int((start + origin - back) / stream.time_base), stream=stream)
            else:
                _rewind(container)
            since = None if seeks else start + origin - back - LONG_GOP
            frames = _in_order(container, stream, origin, since, delay)
            first = next(frames, None)
            if first is not None and first[1] <= start:
                return chain([first], frames)
        except av.FFmpegError:  # nothing decodable from here on, or a format without seeks
            pass
        back = 2 * back + 1
    _rewind(container)
    return _in_order(container, stream, origin)


def _is_avi(container: av.container.InputContainer, stream: av.stream.Stream) -> bool:
    return container.format.name == "avi" and stream.type == "video"


def _delay(container: av.container.InputContainer, stream: av.VideoStream) -> int | None:
    """Packets that the decoder holds back, from the beginning of the file.

    After a seek it may drop frames that refer to earlier ones, and seem to hold back more.
    """
    sent = None
    for packet in container.demux(stream):
        sent = packet.dts if sent is None else sent
        for frame in packet.decode():
            return None if frame.dts is None or sent is None else frame.dts - sent
    return None


def _rewind(container: av.container.InputContainer) -> None:
    # In a transport stream a seek to the first stamp of the picture leads behind the first packets; some formats
    # refuse what lies before it.
    try:
        container.seek(-av.time_base)
    except av.FFmpegError:
        container.seek(0)


def _packets(container: av.container.InputContainer, stream: av.stream.Stream) -> Iterator[av.Packet]:
    """Packets of a track.

    Where the stamps of a transport stream begin anew, as in joined recordings, they go on, for all tracks alike.
    """
    if container.format.name != "mpegts":
        yield from container.demux(stream)
        return
    tracks = [track for track in (pick(container, "video"), pick(container, "audio")) if track is not None]
    offset, due = Fraction(0), {}
    for packet in container.demux(tracks):
        if packet.dts is not None:
            time = packet.dts * packet.time_base + offset
            late = due.get(packet.stream.index, time) - time
            if late > BEGINS_ANEW:
                offset, time = offset + late, time + late
            due[packet.stream.index] = time + (packet.duration or 0) * packet.time_base
            packet.dts += round(offset / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + round(offset / packet.time_base)
        if packet.stream is stream:
            yield packet


def _in_order(
    container: av.container.InputContainer,
    stream: av.stream.Stream,
    origin: Fraction,
    since: Fraction | None = None,
    delay: int | None = None,
) -> Iterator[tuple[av.VideoFrame | av.AudioFrame, Fraction]]:
    """Decode from where the container stands, or from the packet stamped ``since`` on.

    Decoders give frames in order of presentation, but not all formats say when each is due. AVI knows the order of
    decoding alone: there the packet that completed a frame dates it, less the decoder's delay. Each frame's
    ``duration`` is set, since FFmpeg's filters need it for the last one.
    """
    unit = stream.time_base
    whole = unit.denominator * origin.denominator
    ticks, zero = int(unit * whole), int(origin * whole)
    rate = stream.average_rate or stream.guessed_rate or 25 if stream.type == "video" else None
    avi = _is_avi(container, stream)
    first_sent, last, length, failure = None, None, 0, None
    for packet in _packets(container, stream):
        if since is not None and packet.dts is not None and packet.dts * unit < since:
            continue
        first_sent = packet.dts if first_sent is None else first_sent
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            if last is not None:
                raise
            failure = error
            continue
        for frame in frames:
            following = (stream.start_time or 0) if last is None else last + length
            if avi and frame.dts is not None and first_sent is not None:
                delay = frame.dts - first_sent if delay is None else delay
                stamp = frame.dts - delay
                stamp = following if last is not None and stamp <= last else stamp
            elif avi:
                stamp = following
            elif frame.pts is None or (rate and last is not None and frame.pts <= last):  # as FFmpeg's best effort
                later = frame.dts is not None and (last is None or frame.dts > last)
                stamp = frame.dts if later else following if frame.pts is None else frame.pts
            else:
                stamp = frame.pts
            shown = 1 / rate if rate else Fraction(frame.samples, frame.sample_rate)
            frame.duration = frame.duration or round(shown / unit)
            last, length = stamp, frame.duration
            yield frame, Fraction(stamp * ticks - zero, whole)
    if last is None and failure is not None:
        raise failure

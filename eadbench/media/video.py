"""Video in and out through PyAV, by the rules of ffmpeg's command line.

Frames come as a player shows them: in order, upright, with square pixels, at one
size. Reading functions take ``notes``, a list to which they append a sentence for each
thing that was done to the file beyond decoding it: the track chosen, a size that
changes on the way, squeezed pixels, fields that were left woven, HDR that was brought to
SDR, a start without frame.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import atan2, degrees, floor
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.media.audio import AudioTrack
from eadbench.media.filters import (
    complete_tags,
    filter_graph,
    filtered,
    graph_to_sdr,
    hdr_of,
    kind_of,
    tags_of,
)
from eadbench.media.image import is_still, read_still
from eadbench.media.reading import (
    DAMAGED,
    STAMPS_ANEW,
    Decoded,
    Source,
    decode,
    local,
    name_of,
    open_media,
    pick,
)

AAC = {"aac_coder": "fast"}  # half the time of the default search; the wav beside a clip is what is measured
LONGEST_HOLD = 10  # seconds that one frame may stand; FFmpeg, too, calls more a jump of the time stamps
TIE = 1e-6  # of a frame: what lies half-way between two is rounded up, whatever its last bit says
SQUARE = 0.02  # pixels less far from square are left alone: odd sizes come with such ratios


@dataclass(frozen=True)
class MediaInfo:
    """What a file says of itself; sizes as shown, durations in seconds, ``None`` for
    what it lacks.
    """

    duration: float | None
    fps: float | None
    width: int | None
    height: int | None
    codec: str | None
    sample_rate: int | None
    audio_duration: float | None


def _seconds(stream: av.stream.Stream | None, container: av.container.InputContainer) -> float | None:
    if stream is None:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def probe(source: Source, notes: list[str] | None = None) -> MediaInfo:
    """Read a file's header. The first frame is decoded, since only it tells the size as
    shown.

    Raises:
        EadbenchError: If the file cannot be opened as media.
    """
    return probe_with_frame(source, notes)[0]


def probe_with_frame(
    source: Source, notes: list[str] | None = None
) -> tuple[MediaInfo, "DecodedFrame | None"]:
    """As :func:`probe`, with the first frame (``None`` where there is no video)."""
    if is_still(source):
        frame = _still(source, notes)
        kind = Path(source).suffix[1:].lower()
        return MediaInfo(None, None, frame.width, frame.height, kind, None, None), frame
    with open_media(source) as container:
        video, audio = pick(container, "video", notes), pick(container, "audio", notes)
        frame = None
        if video is not None:
            video.thread_type = "NONE"
            show = _Shown(video, name_of(source), notes)
            try:
                first = next(decode(container, video), None)
            except av.FFmpegError as error:
                raise EadbenchError(f"the first frame cannot be decoded: {error}", name_of(source)) from error
            if first is not None:
                frame = DecodedFrame(show(first.frame, first.time), first.time)
        info = MediaInfo(
            duration=_seconds(video, container),
            fps=float(video.average_rate) if video is not None and video.average_rate else None,
            width=frame.width if frame else None,
            height=frame.height if frame else None,
            codec=video.codec_context.name if video is not None else None,
            sample_rate=audio.rate if audio is not None else None,
            audio_duration=_seconds(audio, container),
        )
        return info, frame


class DecodedFrame:
    """A frame that converts to RGB only what is asked for.

    Converting a whole 1080p frame costs more than decoding it, and the face is a small
    part of it.

    Attributes:
        time: Seconds from the start of the video.
        number: Number of the frame in the file, counted from 0 (estimated from the
            frame rate after a seek).
        length: How long it stands, in seconds.
        width, height: Its size.
    """

    PLANAR = ("yuv420p", "yuvj420p")

    def __init__(self, frame: av.VideoFrame, time: float = 0.0, number: int = 0, length: float = 0.0) -> None:
        self.frame, self.time, self.number, self.length = frame, time, number, length
        self.width, self.height = frame.width, frame.height
        self._rgb: np.ndarray | None = None
        self._last: tuple[tuple[int, int, int, int], np.ndarray] | None = None

    def rgb(self) -> np.ndarray:
        """The whole frame, ``(H, W, 3)`` uint8."""
        if self._rgb is None:
            self._rgb = _reformatter().reformat(self.frame, format="rgb24").to_ndarray()
        return self._rgb

    def thumbnail(self, long_side: int = 64) -> np.ndarray:
        """A small grey image ``(h, w)`` uint8: every n-th sample of the luma. For
        comparing, not for looking at.
        """
        if self.frame.format.name in self.PLANAR:
            luma = self._plane(0)
        else:
            luma = self.frame.to_ndarray(format="gray")
        step = max(1, max(luma.shape) // long_side)
        return luma[step // 2 :: step, step // 2 :: step]

    def region(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """The rectangle ``[y0, y1) x [x0, x1)`` as RGB uint8; parts outside the frame
        repeat its edge.

        Kept for the next call: read only.
        """
        if self._last is None or self._last[0] != (x0, y0, x1, y1):
            self._last = (x0, y0, x1, y1), self._region(x0, y0, x1, y1)
        return self._last[1]

    def _region(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        left, top = max(0, min(x0, self.width - 1)), max(0, min(y0, self.height - 1))
        right, bottom = min(max(x1, 1), self.width), min(max(y1, 1), self.height)
        image = self._inside(left, top, right, bottom)
        pads = ((max(0, top - y0), max(0, y1 - bottom)), (max(0, left - x0), max(0, x1 - right)), (0, 0))
        return np.pad(image, pads, mode="edge")[: y1 - y0, : x1 - x0] if any(map(any, pads)) else image

    def _inside(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        if self._rgb is not None or self.frame.format.name not in self.PLANAR:
            return self.rgb()[y0:y1, x0:x1]
        return self._convert(y0, y1, x0, x1)

    def _convert(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """RGB of a rectangle, by even bounds, since chroma samples cover 2 x 2 pixels
        (odd sides: whole frame).
        """
        high, wide = self.frame.height, self.frame.width
        if high % 2 or wide % 2:
            return self.rgb()[top:bottom, left:right]
        # Two more samples each side, since the scaler interpolates chroma.
        t, b = max(0, top // 2 * 2 - 4), min(high, (bottom + 1) // 2 * 2 + 4)
        le, r = max(0, left // 2 * 2 - 4), min(wide, (right + 1) // 2 * 2 + 4)
        luma = self._plane(0)[t:b, le:r]
        chroma = [self._plane(k)[t // 2 : b // 2, le // 2 : r // 2].reshape(-1) for k in (1, 2)]
        packed = np.concatenate([luma.reshape(-1), *chroma]).reshape((b - t) * 3 // 2, r - le)
        part = av.VideoFrame.from_ndarray(packed, format=self.frame.format.name)
        part.colorspace, part.color_range = self.frame.colorspace, self.frame.color_range
        rgb = _reformatter().reformat(part, format="rgb24").to_ndarray()
        return rgb[top - t : bottom - t, left - le : right - le]

    def _plane(self, k: int) -> np.ndarray:
        plane = self.frame.planes[k]
        return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


_per_thread = threading.local()


def _reformatter() -> VideoReformatter:
    """A converter that lives on: a new one for every frame costs more than the
    conversion of a small region.
    """
    if not hasattr(_per_thread, "reformatter"):
        _per_thread.reformatter = VideoReformatter()
    return _per_thread.reformatter


class _Shown:
    """Frames as a player shows them: upright, with square pixels, in SDR and of the first
    one's size and format.

    FFmpeg's filters do it, those that its command line puts in; a frame that needs none
    passes untouched.
    """

    def __init__(self, stream: av.VideoStream, name: str | Path, notes: list[str] | None) -> None:
        self.name = name
        self.aspect = stream.sample_aspect_ratio or Fraction(1)
        self.notes = [] if notes is None else notes
        self.target: tuple[int, int, str] | None = None  # width, height and format before it is turned
        self.size: tuple[int, int, str] | None = None
        self.kind: tuple | None = None
        self.woven = False
        self.hdr: set[str] = set()  # kinds that are noted

    def __call__(self, frame: av.VideoFrame, time: float) -> av.VideoFrame:
        if hdr_of(frame):
            complete_tags(frame)
        kind = kind_of(frame)
        try:
            if kind != self.kind:
                self.graph = self._graph(frame, time)
                self.kind = kind
            return frame if self.graph is None else filtered(self.graph, frame)
        except av.FFmpegError as error:
            colours = f"FFmpeg cannot convert its colours ({tags_of(frame)} of ITU-T H.273)"
            raise EadbenchError(f"{colours}: {error}", self.name, "write it anew in BT.709") from error

    def _graph(self, frame: av.VideoFrame, time: float) -> av.filter.Graph | None:
        size = width, height, pixels = frame.width, frame.height, frame.format.name
        if self.target is None:
            squeezed = abs(self.aspect - 1) > SQUARE
            wide = round(width * self.aspect / 2) * 2 if squeezed else width
            if squeezed:
                sizes = f"{width}x{height} is shown as {wide}x{height}"
                self.notes.append(f"its pixels are squeezed (aspect ratio {self.aspect}): {sizes}")
            self.target = wide, height, pixels
        elif size != self.size:
            old = self.target
            new = f"the video changes to {width}x{height} {pixels} at {time:.2f} s"
            self.notes.append(f"{new}: scaled to {old[0]}x{old[1]} {old[2]}")
        self.size = size
        steps = orientation(frame)
        if size != self.target:
            steps = [("scale", f"{self.target[0]}:{self.target[1]}"), ("format", self.target[2]), *steps]
        if frame.interlaced_frame:
            if not self.woven:
                self.notes.append("interlaced: its fields are left woven, as ffmpeg leaves them")
            self.woven = True
            steps = [("setfield", "prog"), *steps]  # or RGB would be made field by field, unlike by ffmpeg
        if hdr := hdr_of(frame):
            if hdr not in self.hdr:
                self.notes.append(f"HDR ({hdr}): brought to SDR, what is brighter than white is clipped")
            self.hdr.add(hdr)
            return graph_to_sdr(frame, tuple(steps))
        return filter_graph(frame, steps) if steps else None


def orientation(frame: av.VideoFrame) -> list[tuple[str, str]]:
    """The filters by which ffmpeg turns and mirrors a frame as its display matrix says."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # Side data that PyAV does not know, as Exif in JPEG files: what they say of
        # flips is lost.
        turns = {
            90: [("transpose", "cclock")],
            180: [("hflip", ""), ("vflip", "")],
            270: [("transpose", "clock")],
        }
        return turns.get(frame.rotation % 360, [])
    if data is None:
        return []
    m = np.frombuffer(bytes(data), "<i4").astype(float)
    x, y = m[0] / (np.hypot(m[0], m[3]) or 1), m[1] / (np.hypot(m[1], m[4]) or 1)
    theta = round(degrees(atan2(y, x)), 3) % 360
    if abs(theta - 90) < 1:
        return [("transpose", "cclock_flip" if m[3] > 0 else "clock")]
    if abs(theta - 270) < 1:
        return [("transpose", "clock_flip" if m[3] < 0 else "cclock")]
    if abs(theta - 180) < 1:
        return [(name, "") for name, turned in (("hflip", m[0] < 0), ("vflip", m[4] < 0)) if turned]
    if 1 < theta < 359:
        return [("rotate", f"{theta}*PI/180")]
    return [("vflip", "")] if m[4] < 0 else []


def iter_decoded_frames(
    source: Source,
    start: float | None = None,
    end: float | None = None,
    fps: float | None = None,
    notes: list[str] | None = None,
) -> Iterator[DecodedFrame]:
    """Decode one frame after the other without converting it.

    Args:
        source: Path or open binary file.
        start: Skip frames whose time stamp lies before this time in seconds (seeks to
            the keyframe before it).
        end: Stop at this time.
        fps: Resample to this constant rate as FFmpeg's filter of that name does:
            frame k is the one nearest to ``start + k / fps``, so frames are
            repeated or left out, never blended. ``time`` and ``number`` stay the
            file's.
        notes: Appended to, see the module.

    Yields:
        Frames. At a damaged packet the stream ends with an error.

    Raises:
        EadbenchError: If the file has no video, or breaks off within the stretch; with
            ``fps`` if its time stamps jump by more than 10 seconds.
    """
    if is_still(source):
        yield _still(source, notes)
        return
    begin, end = _seconds_of(start or 0), None if end is None else _seconds_of(end)
    with open_media(source) as container:
        stream = pick(container, "video", notes)
        if stream is None:
            raise EadbenchError("no video stream", name_of(source))
        stream.thread_type = "NONE"
        shown = _show(decode(container, stream, begin, notes), stream, name_of(source), begin, notes)
        try:
            if fps:
                yield from _at_rate(shown, float(fps), begin, end, name_of(source))
                return
            for frame in shown:
                if end is not None and frame.time >= end:
                    return
                if frame.time >= begin:
                    yield frame
        except av.FFmpegError as error:
            raise EadbenchError(f"video breaks off: {error}", name_of(source), DAMAGED) from error


def _seconds_of(time: float) -> float:
    """A time without the last bits that sums such as 1.1 + 0.3 leave, so that it
    compares with time stamps.
    """
    return float(Fraction(time).limit_denominator(10**6))


def _still(path: str | Path, notes: list[str] | None) -> DecodedFrame:
    """An image, which FFmpeg would show without regard to its Exif data."""
    return DecodedFrame(av.VideoFrame.from_ndarray(read_still(path, notes), "rgb24"))


def _show(
    frames: Iterator[Decoded],
    stream: av.VideoStream,
    name: str | Path,
    begin: float,
    notes: list[str] | None,
) -> Iterator[DecodedFrame]:
    """Frames as shown."""
    show, rate = _Shown(stream, name, notes), float(stream.average_rate or 25)
    number = None
    for frame, time, length, _ in frames:
        if number is None:
            number = round(time * rate) - 1 if begin else -1
            if notes is not None and not begin and time * rate >= 1:
                notes.append(f"the first {time:.2f} s have no frame: the first one stands there")
        number += 1
        yield DecodedFrame(show(frame, time), time, number, length)


def _at_rate(
    shown: Iterator[DecodedFrame], fps: float, begin: float, stop: float | None, name: str | Path
) -> Iterator[DecodedFrame]:
    """Resample by the rule of FFmpeg's filter ``fps``, which costs a third of the
    decoding of a small frame.

    Each frame has the place that its time stamp, rounded half up, has on the grid; a
    place without one repeats the frame before it (the first places the first frame),
    and of several frames in one place the last one stands.
    """

    def place_of(time: float) -> int:
        return floor((time - begin) * fps + 0.5 + TIE)

    limit = None if stop is None else place_of(stop)
    yielded, waiting, due = 0, None, begin
    for frame in shown:
        if stop is not None and frame.time >= stop:
            frame.time = stop
        if frame.time - due > LONGEST_HOLD:
            hint = STAMPS_ANEW.format("-vf 'setpts=round(N/FRAME_RATE/TB)' -c:a copy")
            jump = f"jump by {frame.time - due:.0f} s after frame {frame.number - 1}"
            raise EadbenchError(f"the time stamps of the video {jump}", name, hint)
        due, place = frame.time, place_of(frame.time)
        while yielded < place:
            yield waiting or frame
            yielded += 1
        waiting = frame
        if limit is not None and yielded >= limit:
            return
    if waiting is not None:
        place = place_of(due + waiting.length)
        while yielded < (place if limit is None else min(place, limit)):
            yield waiting
            yielded += 1


def iter_frames(
    source: Source,
    start: float | None = None,
    end: float | None = None,
    fps: float | None = None,
    notes: list[str] | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """As :func:`iter_decoded_frames`, yielding time stamp in seconds and ``(H, W, 3)``
    RGB uint8, upright.
    """
    for frame in iter_decoded_frames(source, start, end, fps, notes):
        yield frame.time, frame.rgb()


def read_frames(
    path: str | Path, fps: float | None = None, limit: int | None = None, notes: list[str] | None = None
) -> np.ndarray:
    """Read a short video whole: ``(T, H, W, 3)`` RGB uint8, at its own rate or
    resampled to ``fps``.

    Raises:
        EadbenchError: If there is no frame.
    """
    frames = [image for _, image in islice(iter_frames(path, fps=fps, notes=notes), limit)]
    if not frames:
        raise EadbenchError("the video holds no frame", path)
    return np.stack(frames)


class VideoWriter:
    """Write H.264 (yuv420p) and AAC to an mp4, frame by frame, atomically and with the
    same bytes each time.

    Use as a context manager; ``add`` takes ``(H, W, 3)`` RGB uint8 with even sides, or
    planar I420 ``(3 H / 2, W)`` as OpenCV makes it. The file says by which matrix its
    colours are to be read: BT.709 from 1280 pixels of width or 720 of height on, BT.601
    below and for I420. Audio lies beside its video in the file.

    Args:
        path: Target.
        fps: Frame rate.
        crf: x264 quality; lower is better.
        preset: x264 preset.
        audio: Mono float32 samples in [-1, 1], or ``None`` for a silent file.
        rate: Their sample rate.
        metadata: Tags of the container, e.g. ``{"comment": "synthetic"}``.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float = 25.0,
        crf: int = 18,
        preset: str = "veryfast",
        audio: np.ndarray | None = None,
        rate: int = 16000,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.path, self.fps = Path(path), Fraction(fps).limit_denominator(1001)
        self.crf, self.preset = crf, preset
        self.audio, self.rate, self.metadata = audio, rate, metadata or {}

    def __enter__(self) -> "VideoWriter":
        self._atomic = atomic_path(self.path)
        part = self._atomic.__enter__()
        try:
            self._begin(part)
        except BaseException as error:
            self._atomic.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _begin(self, part: Path) -> None:
        self._container = av.open(
            local(part), "w", format="mp4", options={"movflags": "+faststart+use_metadata_tags"}
        )
        self._container.metadata.update(self.metadata)
        # Macroblock-tree rate control with x264's assembly gives other bytes from one
        # call to the next (seen with 25 frames of 96 x 96).
        options = {"crf": str(self.crf), "preset": self.preset, "threads": "1", "mbtree": "0"}
        self._stream = self._container.add_stream("libx264", rate=self.fps, options=options)
        self._stream.pix_fmt = "yuv420p"
        self._track = (
            AudioTrack(self._container, self.audio, self.rate, AAC) if self.audio is not None else None
        )
        self._frames, self._shape = 0, None

    def add(self, frame: np.ndarray) -> None:
        """Append one frame.

        Raises:
            EadbenchError: If its size is another than the first one's, or odd.
        """
        planar = frame.ndim == 2
        height, width = frame.shape[0] * 2 // 3 if planar else frame.shape[0], frame.shape[1]
        if self._shape is None:
            self._start(height, width, planar)
        elif self._shape != frame.shape:
            first = f"{self._stream.width}x{self._stream.height}"
            hint = "scale all frames to one size"
            raise EadbenchError(
                f"frame {self._frames} is {width}x{height}, the first one is {first}", self.path, hint
            )
        self._shape = frame.shape
        encoded = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(frame), format="yuv420p" if planar else "rgb24"
        )
        if not planar:
            colours = {
                "dst_colorspace": Colorspace.ITU709 if self._hd else Colorspace.ITU601,
                "dst_color_range": ColorRange.MPEG,
            }
            encoded = _reformatter().reformat(encoded, format="yuv420p", **colours)
        self._stamp(encoded)
        self._container.mux(self._stream.encode(encoded))
        self._frames += 1
        if self._track is not None:
            self._track.until(self._frames / self.fps)

    def _start(self, height: int, width: int, planar: bool) -> None:
        if height % 2 or width % 2:
            hint = "H.264 takes even sides: cut or scale it"
            raise EadbenchError(f"a frame of {width}x{height} cannot be written", self.path, hint)
        self._hd = not planar and (width >= 1280 or height >= 720)
        self._stream.height, self._stream.width = height, width
        self._stamp(self._stream.codec_context)

    def _stamp(self, what: av.VideoFrame | av.VideoCodecContext) -> None:
        what.color_range = ColorRange.MPEG
        what.colorspace = 1 if self._hd else 6  # as ITU-T H.273 numbers them
        what.color_primaries = what.color_trc = 1  # BT.709, whose primaries are sRGB's

    def __exit__(self, kind, value, trace) -> bool | None:
        try:
            if kind is None:
                if not self._frames:
                    raise EadbenchError("no frame was written", self.path)
                self._container.mux(self._stream.encode())
                if self._track is not None:
                    self._track.finish()
            self._container.close()
        except BaseException as error:
            self._atomic.__exit__(type(error), error, error.__traceback__)
            raise
        return self._atomic.__exit__(kind, value, trace)


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float = 25.0, **options) -> None:
    """Write frames to an mp4; options as for :class:`VideoWriter`."""
    with VideoWriter(path, fps, **options) as writer:
        for frame in frames:
            writer.add(frame)


def replace_audio(source: str | Path, target: str | Path, audio: np.ndarray, rate: int = 16000) -> None:
    """Copy the video stream of an mp4 without decoding it, with other audio.

    Args:
        source: The video, as :class:`VideoWriter` makes it.
        target: File to write, atomically.
        audio: Mono float32 in [-1, 1], from where the video starts.
        rate: Its sample rate.

    Raises:
        EadbenchError: If the source cannot be read or is no mp4.
    """
    options = {"movflags": "+faststart"}
    with (
        atomic_path(target) as part,
        open_media(source) as old,
        av.open(local(part), "w", "mp4", options) as new,
    ):
        video = pick(old, "video")
        if video is None or "mp4" not in old.format.name:
            raise EadbenchError("no mp4 with a video stream, which alone is copied", source)
        copied, track = new.add_stream_from_template(video), AudioTrack(new, audio, rate, AAC)
        origin = video.start_time or 0
        for packet in old.demux(video):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - origin, packet.dts - origin, copied
                track.until(float(packet.dts * packet.time_base))
                new.mux(packet)
        track.finish()


def hash_of_frames(source: Source) -> tuple[int, str]:
    """Number of a video's frames, and the sha256 of all of them as they are stored:
    decoded, but neither turned, scaled nor made RGB.

    Codecs such as H.264 decode to the same bytes everywhere, so that the same file has
    the same hash on every machine.

    Raises:
        EadbenchError: If there is no video in it, or it cannot be decoded.
    """
    digest, count = hashlib.sha256(), 0
    with open_media(source) as container:
        video = pick(container, "video")
        if video is None:
            raise EadbenchError("no video in it", name_of(source))
        for frame, *_ in decode(container, video):
            digest.update(f"{frame.width}x{frame.height} {frame.format.name};".encode())
            digest.update(np.ascontiguousarray(frame.to_ndarray()))
            count += 1
    return count, digest.hexdigest()

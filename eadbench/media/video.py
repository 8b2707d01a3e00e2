"""Video in and out through PyAV."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, TypeVar

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.media.audio import encode_audio

T = TypeVar("T")
LOOK_BACK = 0.5  # seconds decoded before a start, so that the frame on screen at the start is known
AAC = {"aac_coder": "fast"}  # half the time of the default search; the wav beside a clip is what is measured


@dataclass(frozen=True)
class MediaInfo:
    """What a file says of itself; sizes after rotation, durations in seconds, ``None`` for what it lacks."""

    duration: float | None
    fps: float | None
    width: int | None
    height: int | None
    codec: str | None
    rotation: int
    sample_rate: int | None
    audio_duration: float | None


def _open(source: str | Path | BinaryIO) -> av.container.InputContainer:
    try:
        return av.open(source if hasattr(source, "read") else str(source), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        name = getattr(source, "name", source)
        raise EadbenchError(f"cannot be opened as media: {error}", name, "the file is missing, truncated or not a video") from error


def _seconds(stream: av.stream.Stream | None, container: av.container.InputContainer) -> float | None:
    if stream is None:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def probe(source: str | Path | BinaryIO) -> MediaInfo:
    """Read a file's header. The first frame is decoded, since only it tells the rotation.

    Raises:
        EadbenchError: If the file cannot be opened as media.
    """
    return probe_with_frame(source)[0]


def probe_with_frame(source: str | Path | BinaryIO) -> tuple[MediaInfo, "Picture | None"]:
    """As :func:`probe`, with the first frame (``None`` where there is no video)."""
    with _open(source) as container:
        video = container.streams.video[0] if container.streams.video else None
        audio = container.streams.audio[0] if container.streams.audio else None
        picture = None
        if video is not None:
            video.thread_type = "NONE"
            try:
                frame = next(container.decode(video), None)
            except av.FFmpegError as error:
                raise EadbenchError(f"the first frame cannot be decoded: {error}", getattr(source, "name", source)) from error
            picture = Picture(frame) if frame is not None else None
        info = MediaInfo(
            duration=_seconds(video, container),
            fps=float(video.average_rate) if video is not None and video.average_rate else None,
            width=picture.width if picture else None,
            height=picture.height if picture else None,
            codec=video.codec_context.name if video is not None else None,
            rotation=picture.turns * 90 if picture else 0,
            sample_rate=audio.rate if audio is not None else None,
            audio_duration=_seconds(audio, container),
        )
        return info, picture


class Picture:
    """A decoded frame that converts to RGB only what is asked for, upright.

    Converting a whole 1080p frame costs more than decoding it, and the face is a small part of it.

    Attributes:
        time: Seconds from the start of the video.
        number: Number of the frame in the file, counted from 0 (estimated from the frame rate after a seek).
        width, height: Size after rotation.
        turns: Quarter turns, counter-clockwise, that make it upright.
    """

    PLANAR = ("yuv420p", "yuvj420p")

    def __init__(self, frame: av.VideoFrame, time: float = 0.0, number: int = 0) -> None:
        self.frame, self.time, self.number = frame, time, number
        self.turns = (frame.rotation % 360) // 90
        self.width, self.height = (frame.height, frame.width) if self.turns % 2 else (frame.width, frame.height)
        self._rgb: np.ndarray | None = None
        self._last: tuple[tuple[int, int, int, int], np.ndarray] | None = None

    def rgb(self) -> np.ndarray:
        """The whole frame, ``(H, W, 3)`` uint8."""
        if self._rgb is None:
            image = self.frame.to_ndarray(format="rgb24")
            self._rgb = np.ascontiguousarray(np.rot90(image, self.turns)) if self.turns else image
        return self._rgb

    def thumbnail(self, long_side: int = 64) -> np.ndarray:
        """A small grey picture ``(h, w)`` uint8 by taking every n-th sample of the luma; not upright. For comparing frames, not for looking at."""
        if self.frame.format.name in self.PLANAR:
            luma = self._plane(0)
        else:
            luma = self.frame.to_ndarray(format="gray")
        step = max(1, max(luma.shape) // long_side)
        return luma[step // 2 :: step, step // 2 :: step]

    def region(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """The rectangle ``[y0, y1) x [x0, x1)`` as RGB uint8; parts outside the frame repeat its edge. Kept for the next call: read only."""
        if self._last is None or self._last[0] != (x0, y0, x1, y1):
            self._last = (x0, y0, x1, y1), self._region(x0, y0, x1, y1)
        return self._last[1]

    def _region(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        inner = max(0, min(x0, self.width - 1)), max(0, min(y0, self.height - 1)), min(max(x1, 1), self.width), min(max(y1, 1), self.height)
        image = self._inside(*inner)
        pads = ((max(0, inner[1] - y0), max(0, y1 - inner[3])), (max(0, inner[0] - x0), max(0, x1 - inner[2])), (0, 0))
        return np.pad(image, pads, mode="edge")[: y1 - y0, : x1 - x0] if any(map(any, pads)) else image

    def _inside(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        if self._rgb is not None or self.frame.format.name not in self.PLANAR:
            return self.rgb()[y0:y1, x0:x1]
        high, wide = self.frame.height, self.frame.width
        rows, columns = {
            0: ((y0, y1), (x0, x1)),
            1: ((x0, x1), (wide - y1, wide - y0)),
            2: ((high - y1, high - y0), (wide - x1, wide - x0)),
            3: ((high - x1, high - x0), (y0, y1)),
        }[self.turns]
        image = self._convert(*rows, *columns)
        return np.rot90(image, self.turns) if self.turns else image

    def _convert(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """RGB of a rectangle of the stored frame, widened to even bounds, since chroma samples cover 2 x 2 pixels (odd sides: whole frame)."""
        high, wide = self.frame.height, self.frame.width
        if high % 2 or wide % 2:
            return self.frame.to_ndarray(format="rgb24")[top:bottom, left:right]
        # Two more samples each side, since the scaler interpolates chroma.
        t, b = max(0, top // 2 * 2 - 4), min(high, (bottom + 1) // 2 * 2 + 4)
        le, r = max(0, left // 2 * 2 - 4), min(wide, (right + 1) // 2 * 2 + 4)
        luma = self._plane(0)[t:b, le:r]
        chroma = [self._plane(k)[t // 2 : b // 2, le // 2 : r // 2].reshape(-1) for k in (1, 2)]
        packed = np.concatenate([luma.reshape(-1), *chroma]).reshape((b - t) * 3 // 2, r - le)
        part = av.VideoFrame.from_ndarray(packed, format=self.frame.format.name)
        part.colorspace, part.color_range = self.frame.colorspace, self.frame.color_range
        return _reformatter().reformat(part, format="rgb24").to_ndarray()[top - t : bottom - t, left - le : right - le]

    def _plane(self, k: int) -> np.ndarray:
        plane = self.frame.planes[k]
        return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


_per_thread = threading.local()


def _reformatter() -> VideoReformatter:
    """A converter that lives on, since a new one for every frame costs more than the conversion of a small region."""
    if not hasattr(_per_thread, "reformatter"):
        _per_thread.reformatter = VideoReformatter()
    return _per_thread.reformatter


def iter_pictures(source: str | Path | BinaryIO, start: float | None = None, end: float | None = None, fps: float | None = None) -> Iterator[Picture]:
    """Decode one frame after the other without converting it.

    Args:
        source: Path or open binary file.
        start: Skip frames whose time stamp lies before this time in seconds (seeks to the keyframe before it).
        end: Stop at this time.
        fps: Resample to this constant rate by time stamps: frames are repeated or left out, never blended. Picture k
            is the one on screen at ``start + k / fps``; its ``time`` and ``number`` stay those of the file.

    Yields:
        Pictures. At a damaged packet the stream ends with an error.

    Raises:
        EadbenchError: If the file has no video, or breaks off within the stretch.
    """
    if fps:
        decoded = _decode(source, max(0.0, (start or 0.0) - LOOK_BACK) or None, end)
        for _, picture in at_rate(((p.time, p) for p in decoded), fps, start or 0.0):
            yield picture
    else:
        yield from _decode(source, start, end)


def _decode(source: str | Path | BinaryIO, start: float | None, end: float | None) -> Iterator[Picture]:
    name = getattr(source, "name", source)
    with _open(source) as container:
        if not container.streams.video:
            raise EadbenchError("no video stream", name)
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        origin = float((stream.start_time or 0) * stream.time_base)
        rate = float(stream.average_rate or 25)
        if start:
            container.seek(int((start + origin) / stream.time_base), stream=stream, backward=True, any_frame=False)
        number = None if start else -1
        try:
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                time = float(frame.pts * stream.time_base) - origin
                number = round(time * rate) if number is None else number + 1
                if start and time < start - 1e-6:
                    continue
                if end is not None and time >= end - 1e-6:
                    return
                yield Picture(frame, time, number)
        except av.FFmpegError as error:
            raise EadbenchError(f"video breaks off: {error}", name, "the file is truncated or damaged") from error


def iter_frames(
    source: str | Path | BinaryIO, start: float | None = None, end: float | None = None, fps: float | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """As :func:`iter_pictures`, yielding time stamp in seconds and frame ``(H, W, 3)`` RGB uint8, upright."""
    for picture in iter_pictures(source, start, end, fps):
        yield picture.time, picture.rgb()


def at_rate(frames: Iterable[tuple[float, T]], fps: float = 25.0, start: float = 0.0) -> Iterator[tuple[float, T]]:
    """Resample to a constant rate by time stamps: output frame k shows the input frame that is on screen at ``start + k / fps``.

    Also right for variable frame rates; frames are repeated or left out, never blended.
    """
    previous: tuple[float, T] | None = None
    k = 0
    gap = 1.0 / fps
    for time, image in frames:
        while previous is not None and start + k / fps < time - 1e-6:
            yield previous[0], previous[1]
            k += 1
        if previous is not None:
            gap = time - previous[0]
        previous = (time, image)
    while previous is not None and start + k / fps < previous[0] + gap - 1e-6:
        yield previous[0], previous[1]
        k += 1


def read_frames(path: str | Path, fps: float | None = None, limit: int | None = None) -> np.ndarray:
    """Read a short video whole: ``(T, H, W, 3)`` RGB uint8, at its own rate or resampled to ``fps``.

    Raises:
        EadbenchError: If there is no frame.
    """
    frames = []
    for _, image in iter_frames(path, fps=fps):
        frames.append(image)
        if limit and len(frames) >= limit:
            break
    if not frames:
        raise EadbenchError("the video holds no frame", path)
    return np.stack(frames)


class VideoWriter:
    """Write H.264 (yuv420p) and AAC to an mp4, frame by frame, atomically and with the same bytes each time.

    Use as a context manager; ``add`` takes ``(H, W, 3)`` RGB uint8 with even sides, or planar I420 ``(3 H / 2, W)`` as OpenCV makes it.

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
        self.path, self.fps, self.crf, self.preset = Path(path), Fraction(fps).limit_denominator(1001), crf, preset
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
        self._container = av.open(str(part), "w", format="mp4", options={"movflags": "+faststart+use_metadata_tags"})
        self._container.metadata.update(self.metadata)
        # Macroblock-tree rate control with x264's assembly gives other bytes from one call to the next (seen with 25 frames of 96 x 96).
        options = {"crf": str(self.crf), "preset": self.preset, "threads": "1", "mbtree": "0"}
        self._stream = self._container.add_stream("libx264", rate=self.fps, options=options)
        self._stream.pix_fmt = "yuv420p"
        self._sound = self._container.add_stream("aac", rate=self.rate, layout="mono", options=AAC) if self.audio is not None else None
        self._started = False

    def add(self, frame: np.ndarray) -> None:
        """Append one frame."""
        planar = frame.ndim == 2
        if not self._started:
            self._stream.height, self._stream.width = frame.shape[0] * 2 // 3 if planar else frame.shape[0], frame.shape[1]
            self._started = True
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="yuv420p" if planar else "rgb24")):
            self._container.mux(packet)

    def __exit__(self, kind, value, trace) -> bool | None:
        try:
            if kind is None:
                if not self._started:
                    raise EadbenchError("no frame was written", self.path)
                for packet in self._stream.encode():
                    self._container.mux(packet)
                if self._sound is not None:
                    encode_audio(self._container, self._sound, self.audio, self.rate)
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
    """Copy a video's picture without decoding it, with another sound.

    Args:
        source: The video.
        target: File to write, atomically.
        audio: Mono float32 in [-1, 1].
        rate: Its sample rate.

    Raises:
        EadbenchError: If the source cannot be read.
    """
    with atomic_path(target) as part, _open(source) as old, av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as new:
        picture = old.streams.video[0]
        copied = new.add_stream_from_template(picture)
        sound = new.add_stream("aac", rate=rate, layout="mono", options=AAC)
        for packet in old.demux(picture):
            if packet.dts is not None:
                packet.stream = copied
                new.mux(packet)
        encode_audio(new, sound, audio, rate)

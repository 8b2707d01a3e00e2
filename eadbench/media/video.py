"""Video in and out through PyAV."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.media.audio import encode_audio


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


def _open(path: str | Path) -> av.container.InputContainer:
    try:
        return av.open(str(path), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise EadbenchError(f"cannot be opened as media: {error}", path, "the file is missing, truncated or not a video") from error


def _seconds(stream: av.stream.Stream | None, container: av.container.InputContainer) -> float | None:
    if stream is None:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def probe(path: str | Path) -> MediaInfo:
    """Read a file's header. The first frame is decoded, since only it tells the rotation.

    Raises:
        EadbenchError: If the file cannot be opened as media.
    """
    with _open(path) as container:
        video = container.streams.video[0] if container.streams.video else None
        audio = container.streams.audio[0] if container.streams.audio else None
        rotation, width, height = 0, None, None
        if video is not None:
            width, height = video.width, video.height
            try:
                frame = next(container.decode(video), None)
            except av.FFmpegError as error:
                raise EadbenchError(f"the first frame cannot be decoded: {error}", path) from error
            if frame is not None:
                rotation = frame.rotation % 360
                width, height = frame.width, frame.height
            if rotation in (90, 270):
                width, height = height, width
        return MediaInfo(
            duration=_seconds(video, container),
            fps=float(video.average_rate) if video is not None and video.average_rate else None,
            width=width,
            height=height,
            codec=video.codec_context.name if video is not None else None,
            rotation=rotation,
            sample_rate=audio.rate if audio is not None else None,
            audio_duration=_seconds(audio, container),
        )


def iter_frames(path: str | Path, start: float | None = None, end: float | None = None) -> Iterator[tuple[float, np.ndarray]]:
    """Decode one frame after the other, upright.

    Args:
        path: The video.
        start: Skip frames that end before this time in seconds (seeks to the keyframe before it).
        end: Stop at this time.

    Yields:
        Time stamp in seconds and frame ``(H, W, 3)`` RGB uint8. At a damaged packet the stream ends with an error.

    Raises:
        EadbenchError: If the file has no video, or breaks off within the stretch.
    """
    with _open(path) as container:
        if not container.streams.video:
            raise EadbenchError("no video stream", path)
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        if start:
            container.seek(int(start / stream.time_base), stream=stream, backward=True, any_frame=False)
        origin = float((stream.start_time or 0) * stream.time_base)
        try:
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                time = float(frame.pts * stream.time_base) - origin
                if start and time < start - 1e-6:
                    continue
                if end is not None and time >= end - 1e-6:
                    return
                yield time, _upright(frame)
        except av.FFmpegError as error:
            raise EadbenchError(f"video breaks off: {error}", path, "the file is truncated or damaged") from error


def _upright(frame: av.VideoFrame) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    turns = (frame.rotation % 360) // 90
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def at_rate(frames: Iterable[tuple[float, np.ndarray]], fps: float = 25.0, start: float = 0.0) -> Iterator[tuple[float, np.ndarray]]:
    """Resample to a constant rate by time stamps: output frame k shows the input frame that is on screen at ``start + k / fps``.

    Also right for variable frame rates; frames are repeated or left out, never blended.
    """
    previous: tuple[float, np.ndarray] | None = None
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
    stream = iter_frames(path)
    frames = []
    for _, image in at_rate(stream, fps) if fps else stream:
        frames.append(image)
        if limit and len(frames) >= limit:
            break
    if not frames:
        raise EadbenchError("the video holds no frame", path)
    return np.stack(frames)


class VideoWriter:
    """Write H.264 (yuv420p) and AAC to an mp4, frame by frame, atomically and with the same bytes each time.

    Use as a context manager; ``add`` takes ``(H, W, 3)`` RGB uint8 with even sides.

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
        self._part = self._atomic.__enter__()
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "+faststart+use_metadata_tags"})
        self._container.metadata.update(self.metadata)
        self._stream = self._container.add_stream("libx264", rate=self.fps, options={"crf": str(self.crf), "preset": self.preset, "threads": "1"})
        self._stream.pix_fmt = "yuv420p"
        self._sound = self._container.add_stream("aac", rate=self.rate, layout="mono") if self.audio is not None else None
        self._started = False
        return self

    def add(self, frame: np.ndarray) -> None:
        """Append one frame."""
        if not self._started:
            self._stream.height, self._stream.width = frame.shape[:2]
            self._started = True
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")):
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

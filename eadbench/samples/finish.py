"""From the raw output of a method to a checked result: alignment, the common codec,
checks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.media.audio import read_audio
from eadbench.media.video import VideoWriter, iter_frames, probe, replace_audio
from eadbench.samples.config import SamplesConfig
from eadbench.samples.manifest import FPS, RATE, SAMPLES_PER_FRAME, RenderJob
from eadbench.samples.methods.base import Alignment, RawResult

FPS_TOLERANCE = 0.01


@dataclass(frozen=True)
class Result:
    """A checked result: frames in it, and frames that the method wrote."""

    frames: int
    frames_raw: int


def finish(raw: RawResult, job: RenderJob, target: Path, config: SamplesConfig, mark: str | None) -> Result:
    """Write ``target`` from a raw result and check it.

    The rule: frame k of the result belongs to frame k of the clip (after
    ``alignment.skip`` leading ones). What is too long is cut; what is too short by at
    most ``alignment.missing`` frames stays short; everything else fails.

    Args:
        raw: The method's result.
        job: The clip.
        target: The mp4.
        config: Codec.
        mark: Comment for the file's metadata; null for real footage.

    Raises:
        EadbenchError: With the reason why the result does not count.
    """
    driving_audio = read_audio(raw.audio, RATE) if raw.audio else job.driving_audio()
    audio = _fit_audio(driving_audio, job.frames)
    if raw.verbatim:
        replace_audio(raw.file, target, audio, RATE)
        frames = sum(1 for _ in iter_frames(target))
        return check(target, job, min(frames, job.frames), frames)
    frames, count = _raw_frames(raw, job)
    tags = {"comment": mark} if mark else None
    with VideoWriter(
        target, FPS, crf=config.crf, preset=config.preset, audio=audio, rate=RATE, metadata=tags
    ) as writer:
        written = 0
        for image in frames:
            if written == job.frames:
                count.extra += 1
                continue
            writer.add(_fit_frame(image, raw.alignment, job))
            written += 1
        if written < max(1, job.frames - raw.alignment.missing):
            allowed = f" ({raw.alignment.missing} may be missing)" if raw.alignment.missing else ""
            raise EadbenchError(f"too short: {written} frames, expected {job.frames}{allowed}", job.clip_id)
    return check(target, job, written, raw.alignment.skip + written + count.extra)


class _FrameCount:
    extra = 0


def _raw_frames(raw: RawResult, job: RenderJob) -> tuple[Iterator[np.ndarray], _FrameCount]:
    """The frames of a raw result at the clip's rate, without the leading ones that do
    not belong to it.
    """
    count = _FrameCount()
    if raw.frames is not None:
        return iter(raw.frames), count
    if not raw.file.exists():
        raise EadbenchError("no output was written", raw.file.name)
    info = probe(raw.file)
    fps = None
    if info.fps is not None and abs(info.fps - job.fps) > FPS_TOLERANCE:
        if not raw.alignment.resample:
            raise EadbenchError(
                f"frame rate is {info.fps:g}, expected {job.fps:g}",
                raw.file.name,
                "set `resample: true` to accept it",
            )
        fps = job.fps
    images = (image for _, image in iter_frames(raw.file, fps=fps))
    for _ in range(raw.alignment.skip):
        next(images, None)
    first = next(images, None)
    if first is None:
        raise EadbenchError("the output holds no frame", raw.file.name)
    return chain([first], images), count


def _fit_frame(image: np.ndarray, alignment: Alignment, job: RenderJob) -> np.ndarray:
    """Crop the result's region of a frame and resize it to the clip's size."""
    height, width = image.shape[:2]
    if alignment.region != "full":
        image = image[:, : width // 2] if alignment.region == "left_half" else image[:, width // 2 :]
        height, width = image.shape[:2]
    if abs(height - width) > 0.02 * max(height, width):
        raise EadbenchError(
            f"size is {width}x{height}, expected {job.size}x{job.size} or another square", job.clip_id
        )
    if (height, width) == (job.size, job.size):
        return image
    interpolation = cv2.INTER_AREA if width > job.size else cv2.INTER_CUBIC
    return cv2.resize(image, (job.size, job.size), interpolation=interpolation)


def _fit_audio(samples: np.ndarray, frames: int) -> np.ndarray:
    """The driving audio, cut or padded to ``frames`` video frames."""
    length = frames * SAMPLES_PER_FRAME
    samples = samples[:length]
    return np.pad(samples, (0, length - len(samples)))


def check(target: Path, job: RenderJob, frames: int, frames_raw: int) -> Result:
    """Decode a finished file and compare it with what it must be.

    Raises:
        EadbenchError: If it differs; the file is removed.
    """
    info = probe(target)
    decoded = sum(1 for _ in iter_frames(target))
    differences = []
    if decoded < frames or decoded not in (frames, frames_raw):
        differences.append(f"{decoded} frames instead of {frames}")
    if (info.width, info.height) != (job.size, job.size):
        differences.append(f"{info.width}x{info.height} instead of {job.size}x{job.size}")
    if info.fps is None or abs(info.fps - job.fps) > FPS_TOLERANCE:
        differences.append(f"{info.fps} frames per second instead of {job.fps:g}")
    if info.sample_rate is None:
        differences.append("no audio")
    if differences:
        target.unlink()
        raise EadbenchError("the result does not fit: " + ", ".join(differences), job.clip_id)
    return Result(frames, frames_raw)

"""From whatever a method wrote to a result that counts: alignment, the common codec,
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
from eadbench.samples.methods.base import Alignment, Raw

FPS_TOLERANCE = 0.01


@dataclass(frozen=True)
class Result:
    """A checked result: frames in it, and frames that the method wrote."""

    frames: int
    frames_raw: int


def finish(raw: Raw, job: RenderJob, target: Path, config: SamplesConfig, mark: str | None) -> Result:
    """Write ``target`` from a raw result and check it.

    The rule: frame k of the result belongs to frame k of the clip (after
    ``alignment.skip`` leading ones). What is too long is cut; what is too short by at
    most ``alignment.missing`` frames stays short; everything else fails.

    Args:
        raw: What the method gave.
        job: The clip.
        target: The mp4.
        config: Codec.
        mark: Comment for the file's metadata; null for real footage.

    Raises:
        EadbenchError: With the reason why the result does not count.
    """
    audio = _sound(read_audio(raw.audio, RATE) if raw.audio else job.sound(), job.frames)
    if raw.verbatim:
        replace_audio(raw.file, target, audio, RATE)
        frames = sum(1 for _ in iter_frames(target))
        return check(target, job, min(frames, job.frames), frames)
    frames, count = _frames(raw, job)
    tags = {"comment": mark} if mark else None
    with VideoWriter(
        target, FPS, crf=config.crf, preset=config.preset, audio=audio, rate=RATE, metadata=tags
    ) as writer:
        written = 0
        for image in frames:
            if written == job.frames:
                count.extra += 1
                continue
            writer.add(_fit(image, raw.alignment, job))
            written += 1
        if written < max(1, job.frames - raw.alignment.missing):
            allowed = f" ({raw.alignment.missing} may be missing)" if raw.alignment.missing else ""
            raise EadbenchError(f"too short: {written} frames, expected {job.frames}{allowed}", job.clip_id)
    return check(target, job, written, raw.alignment.skip + written + count.extra)


class _FrameCount:
    extra = 0


def _frames(raw: Raw, job: RenderJob) -> tuple[Iterator[np.ndarray], _FrameCount]:
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


def _fit(image: np.ndarray, alignment: Alignment, job: RenderJob) -> np.ndarray:
    """Cut out the result's part of the picture and bring it to the clip's size."""
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
    way = cv2.INTER_AREA if width > job.size else cv2.INTER_CUBIC
    return cv2.resize(image, (job.size, job.size), interpolation=way)


def _sound(samples: np.ndarray, frames: int) -> np.ndarray:
    """The driving sound, cut or padded to ``frames`` video frames."""
    samples = samples[: frames * SAMPLES_PER_FRAME]
    return np.pad(samples, (0, frames * SAMPLES_PER_FRAME - len(samples)))


def check(target: Path, job: RenderJob, frames: int, frames_raw: int) -> Result:
    """Decode a finished file and compare it with what it must be.

    Raises:
        EadbenchError: If it differs; the file is removed.
    """
    info = probe(target)
    found = sum(1 for _ in iter_frames(target))
    wrong = []
    if found < frames or (found != frames and found != frames_raw):
        wrong.append(f"{found} frames instead of {frames}")
    if (info.width, info.height) != (job.size, job.size):
        wrong.append(f"{info.width}x{info.height} instead of {job.size}x{job.size}")
    if info.fps is None or abs(info.fps - job.fps) > FPS_TOLERANCE:
        wrong.append(f"{info.fps} frames per second instead of {job.fps:g}")
    if info.sample_rate is None:
        wrong.append("no sound")
    if wrong:
        target.unlink()
        raise EadbenchError("the result does not fit: " + ", ".join(wrong), job.clip_id)
    return Result(frames, frames_raw)

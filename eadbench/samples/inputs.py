"""A job's inputs in the form that foreign programs expect: one plain folder, safe names,
25 fps, 16 kHz.
"""

import json
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from eadbench.media.audio import write_wav
from eadbench.media.video import iter_frames, read_frames, write_video
from eadbench.samples.manifest import RATE, RenderJob

INPUT_CRF = 10  # for inputs that must be cut: near-lossless, so that the method sees what the clip shows


@dataclass(frozen=True)
class ModelInputs:
    """Paths in the working folder; see :func:`write_inputs`."""

    video: Path
    audio: Path
    reference: Path
    boxes: Path

    def as_strings(self) -> dict[str, str]:
        return {name: str(path) for name, path in vars(self).items()}


def write_inputs(job: RenderJob, folder: Path) -> ModelInputs:
    """Write ``input.mp4`` (``job.frames`` aligned frames), ``input.wav``,
    ``reference.png`` and ``boxes.json`` (``left top right bottom`` per frame).

    Raises:
        EadbenchError: If an input cannot be decoded.
    """
    names = ("input.mp4", "input.wav", "reference.png", "boxes.json")
    inputs = ModelInputs(*(folder / name for name in names))
    frames = sum(1 for _ in iter_frames(job.video))
    if frames == job.frames:
        shutil.copyfile(job.video, inputs.video)
    else:
        images = (image for _, image in iter_frames(job.video))
        write_video(inputs.video, islice(images, job.frames), job.fps, crf=INPUT_CRF)
    write_wav(inputs.audio, job.driving_audio(), RATE)
    (image,) = read_frames(job.reference_video, limit=1)
    # cv2.imwrite does not report a full disk
    inputs.reference.write_bytes(cv2.imencode(inputs.reference.suffix, image[..., ::-1])[1])
    inputs.boxes.write_text(json.dumps(face_boxes(job).tolist()))
    return inputs


def landmarks(job: RenderJob) -> np.ndarray:
    """MediaPipe's landmarks in aligned pixels, ``(T, 478, 2)`` float32."""
    with np.load(job.track) as track:
        return track["landmarks"][: job.frames].astype(np.float32)


def face_boxes(job: RenderJob) -> np.ndarray:
    """Face boxes in aligned pixels from the landmarks: ``(T, 4)`` int, left, top,
    right, bottom, a tenth of their height added below the chin.
    """
    points = landmarks(job)
    low, high = points.min(1), points.max(1)
    high[:, 1] += 0.1 * (high[:, 1] - low[:, 1])
    return np.clip(np.concatenate([low, high], 1), 0, job.size).round().astype(int)


def constant_box(boxes: np.ndarray) -> dict[str, int]:
    """One box that holds the face in all frames, for programs that take only one."""
    left, top = boxes[:, :2].min(0)
    right, bottom = boxes[:, 2:].max(0)
    return {"box_left": int(left), "box_top": int(top), "box_right": int(right), "box_bottom": int(bottom)}

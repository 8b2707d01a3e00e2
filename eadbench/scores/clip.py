"""Measure one clip: one decode of each video feeds every metric."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.tables import DROPPED, FAILED, KEPT
from eadbench.media.audio import read_audio
from eadbench.media.faces import FaceMesh
from eadbench.media.video import probe, read_frames
from eadbench.scores import image, landmarks
from eadbench.scores.config import ScoresConfig
from eadbench.scores.judges import Judges
from eadbench.scores.metrics import CLIP_METRICS, METRICS
from eadbench.zoo.emotion import spread

log = logging.getLogger(__name__)
FEWEST_SILENT = 5
CROP = 256  # side of a face that is cut out
LATENTSYNC_START = 20  # LatentSync's FVD script looks at frames 20 to 35


@dataclass(frozen=True)
class Task:
    """One clip to measure.

    Attributes:
        clip_id: Its id.
        speaker: Who is shown.
        emotion: Emotion asked for.
        fake: The video to judge; ``None`` with ``problem`` where there is none.
        real: The clip's own video, for paired metrics; ``None`` where they do not apply.
        audio: Sound that drives; ``None``: that of ``fake``.
        frames: Frames that count; ``None`` for all.
        crop: Whether both videos are first cut to the face of the real one.
        unpaired: Why paired metrics do not apply; empty if they do.
        problem: Why there is nothing to measure.
        status: Status of the rows then.
    """

    clip_id: str
    speaker: str | None = None
    emotion: str | None = None
    fake: Path | None = None
    real: Path | None = None
    audio: Path | None = None
    frames: int | None = None
    crop: bool = False
    unpaired: str = ""
    problem: str = ""
    status: str = FAILED


@dataclass
class Value:
    """One metric of one clip."""

    value: float | None
    frames: int | None = None
    status: str = KEPT
    reason: str = ""


@dataclass
class Measured:
    """What came out: values by metric, features by kind, notes on what was done to the video before, the side of its frames."""

    values: dict[str, Value] = field(default_factory=dict)
    features: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    size: int | None = None


class Measurer:
    """Measures clips with the judges of a config. Holds the face mesh and what was learnt of reference clips.

    Args:
        config: What to measure.
        judges: The networks.
        device: Where formulas run.
        real_landmarks: Landmarks of a clip's own video that are known already, by clip id.
    """

    def __init__(
        self, config: ScoresConfig, judges: Judges, device: Any = "cpu", real_landmarks: Callable[[str], np.ndarray | None] = lambda _: None
    ) -> None:
        self.config, self.judges, self.device, self.real_landmarks = config, judges, device, real_landmarks
        self.wanted = [name for name in config.metrics if name in CLIP_METRICS]
        self._mesh: FaceMesh | None = None

    def measure(self, task: Task) -> Measured:
        """Measure one clip. What cannot be measured is a value with a reason; nothing is left out."""
        if task.problem or task.fake is None:
            return self._all_missing(task.status, task.problem or "no video")
        try:
            clip = _Clip(task, self)
            for name in self.wanted:
                if name not in clip.out.values:
                    self._run(name, clip)
            for role in ("fid", "fvd"):
                if role in self.judges.nets:
                    clip.features_of(role)
        except FatalError:
            raise
        except EadbenchError as error:
            return self._all_missing(FAILED, _one_line(error))
        except Exception as error:  # whatever a strange file provokes costs that clip alone; the traceback goes to the log
            log.exception("%s cannot be measured", task.clip_id)
            return self._all_missing(FAILED, f"unexpected {type(error).__name__}: {error}")
        clip.out.values = {name: clip.out.values[name] for name in self.wanted}
        return clip.out

    def _run(self, name: str, clip: "_Clip") -> None:
        metric = METRICS[name]
        if metric.judge in self.judges.missing:
            clip.out.values[name] = Value(None, None, FAILED, self.judges.missing[metric.judge])
            return
        if metric.paired and clip.task.unpaired:
            clip.out.values[name] = Value(None, None, DROPPED, clip.task.unpaired)
            return
        try:
            clip.out.values |= {key: _checked(value) for key, value in STEPS[name](clip).items()}
        except EadbenchError as error:
            clip.out.values[name] = Value(None, None, FAILED, _one_line(error))

    def _all_missing(self, status: str, reason: str) -> Measured:
        return Measured({name: Value(None, None, status, reason) for name in self.wanted})

    def mesh(self, frames: np.ndarray) -> np.ndarray:
        """Landmarks ``(T, 478, 2)``."""
        self._mesh = self._mesh or FaceMesh()
        return landmarks.mesh_of(frames, self._mesh)

    def close(self) -> None:
        """Free the face mesh."""
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None


class _Clip:
    """A clip's decoded material, each part made when first asked for."""

    def __init__(self, task: Task, measurer: Measurer) -> None:
        self.task, self.measurer, self.config, self.judges = task, measurer, measurer.config, measurer.judges
        self.out = Measured()
        self._made: dict[str, Any] = {}
        self.fake = self._read(task.fake, task.frames, "the video")
        if task.crop:
            self._crop()
        self.out.size = max(self.fake.shape[1:3])

    def _read(self, path: Path, limit: int | None, what: str) -> np.ndarray:
        rate = probe(path).fps
        frames = read_frames(path, self.config.fps, limit)
        if rate is not None and abs(rate - self.config.fps) > 0.01:
            self.out.notes.append(f"{what} resampled from {rate:g} to {self.config.fps:g} fps")
        return frames

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _crop(self) -> None:
        """Cut both videos to one square around the face of the real one, the same place of the picture, scaled to ``CROP`` pixels.

        Raises:
            EadbenchError: If no frame shows a face.
        """
        real = self.real
        marks = self.measurer.mesh(real)
        if not np.isfinite(marks).any():
            raise EadbenchError("no face to cut to")
        shares = face_square(marks) / np.float64([real.shape[2], real.shape[1]])
        self.out.notes.append("cut to the face")
        self.fake = cut_square(self.fake, shares * [self.fake.shape[2], self.fake.shape[1]])
        self._made["real"] = cut_square(real, shares * [real.shape[2], real.shape[1]])

    @property
    def real(self) -> np.ndarray:
        """The clip's own frames.

        Raises:
            EadbenchError: If there is no such video.
        """
        if self.task.real is None:
            raise EadbenchError("no real video to compare with")
        return self._once("real", lambda: self._read(self.task.real, self.task.frames, "the real video"))

    @property
    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """The frames that both have, the generated ones at the real ones' size."""
        return self._once("pair", self._make_pair)

    def _make_pair(self) -> tuple[np.ndarray, np.ndarray]:
        count = min(len(self.fake), len(self.real))
        if len(self.fake) != len(self.real):
            self.out.notes.append(f"{len(self.fake)} frames where {len(self.real)} were expected; {count} compared")
        fake, real = self.fake[:count], self.real[:count]
        if fake.shape[1:3] != real.shape[1:3]:
            self.out.notes.append(f"resized from {fake.shape[2]}x{fake.shape[1]} to {real.shape[2]}x{real.shape[1]}")
            side = (real.shape[2], real.shape[1])
            way = cv2.INTER_AREA if fake.shape[1] > real.shape[1] else cv2.INTER_CUBIC
            fake = np.stack([cv2.resize(frame, side, interpolation=way) for frame in fake])
        return fake, real

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The pair as ``(T, 3, H, W)`` uint8 tensors on the device."""
        return self._once("tensors", lambda: tuple(torch.from_numpy(f).permute(0, 3, 1, 2).contiguous().to(self.measurer.device) for f in self.pair))

    @property
    def marks(self) -> np.ndarray:
        """Landmarks of the video to judge."""
        return self._once("marks", self._make_marks)

    def _make_marks(self) -> np.ndarray:
        found = self.measurer.mesh(self.fake)
        self.out.features["landmarks"] = found
        return found

    @property
    def real_marks(self) -> np.ndarray:
        """Landmarks of the clip's own video."""
        return self._once("real_marks", self._make_real_marks)

    def _make_real_marks(self) -> np.ndarray:
        if self.fake.shape == self.real.shape and np.array_equal(self.fake, self.real):
            return self.marks
        known = self.measurer.real_landmarks(self.task.clip_id)
        found = known[: len(self.real)] if known is not None and len(known) >= len(self.real) else self.measurer.mesh(self.real)
        self.out.features["real-landmarks"] = found
        return found

    @property
    def marks_pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks of the common frames, in pixels of the real frames.

        Raises:
            EadbenchError: If one side shows no face.
        """
        fake, real = self.pair
        marks, real_marks = self.marks[: len(fake)], self.real_marks[: len(real)]
        for found, what in ((marks, "the video"), (real_marks, "the real video")):
            if not np.isfinite(found).any():
                raise EadbenchError(f"{what} shows no face")
        scale = np.float32([real.shape[2] / self.fake.shape[2], real.shape[1] / self.fake.shape[1]])
        return marks * scale, real_marks

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """Movements over time, see :func:`landmarks.curves`."""
        if not np.isfinite(self.marks).any():
            raise EadbenchError("the video shows no face")
        return self._once("curves", lambda: landmarks.curves(self.marks))

    @property
    def curves_pair(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Movements of both sides over the common frames."""
        return self._once("curves_pair", lambda: tuple(landmarks.curves(m) for m in self.marks_pair))

    @property
    def audio(self) -> np.ndarray:
        """The sound, 16 kHz.

        Raises:
            EadbenchError: If there is none.
        """
        return self._once("audio", lambda: read_audio(self.task.audio or self.task.fake))

    def features_of(self, role: str) -> None:
        """Extract the features of a set metric; a clip too short for a protocol simply has none of it."""
        net = self.judges.nets[role]
        if role == "fid":
            self.out.features["inception"] = net.features(self.fake[spread(len(self.fake), self.config.fid_frames)])
            return
        length = self.config.fvd_window
        for protocol in self.config.fvd_protocols:
            if protocol == "stylegan-v":
                starts = range(0, len(self.fake) - length + 1, self.config.fvd_stride)
            else:
                starts = [LATENTSYNC_START] if len(self.fake) >= LATENTSYNC_START + length else []
            if len(starts):
                windows = np.stack([self.fake[s : s + length] for s in starts])
                self.out.features[f"i3d-{protocol}"] = net.features(windows, protocol)


def face_square(marks: np.ndarray) -> np.ndarray:
    """Top left and bottom right corner ``(2, 2)`` of the square around a face that moves little: the median box of the landmarks, a third larger."""
    low, high = np.nanmedian(np.nanmin(marks, 1), 0), np.nanmedian(np.nanmax(marks, 1), 0)
    centre, half = (low + high) / 2, (high - low).max() * 2 / 3
    return np.stack([centre - half, centre + half])


def cut_square(frames: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """That rectangle of ``(T, H, W, 3)`` frames, scaled to ``CROP`` pixels; what lies outside repeats the border."""
    scale = CROP / (corners[1] - corners[0])
    matrix = np.float64([[scale[0], 0, -corners[0, 0] * scale[0]], [0, scale[1], -corners[0, 1] * scale[1]]])
    way = cv2.INTER_AREA if scale.max() < 1 else cv2.INTER_CUBIC
    return np.stack([cv2.warpAffine(frame, matrix, (CROP, CROP), flags=way, borderMode=cv2.BORDER_REPLICATE) for frame in frames])


def _checked(value: Value) -> Value:
    if value.status == KEPT and (value.value is None or not math.isfinite(value.value)):
        return Value(None, value.frames, FAILED, value.reason or "cannot be measured: nothing moves, or no face in enough frames")
    return value


def _one_line(error: EadbenchError) -> str:
    where = Path(error.where).name
    return f"{error.what} ({where})" if where else error.what


def _ssim(clip: _Clip) -> dict[str, Value]:
    try:
        return {"ssim": Value(float(image.ssim(*clip.tensors).mean()), len(clip.pair[0]))}
    except ValueError as error:
        raise EadbenchError(str(error)) from error


def _psnr(clip: _Clip) -> dict[str, Value]:
    return {"psnr": Value(float(image.psnr(*clip.tensors).mean()), len(clip.pair[0]))}


@torch.no_grad()
def _lpips(clip: _Clip) -> dict[str, Value]:
    chosen = torch.from_numpy(spread(len(clip.pair[0]), clip.config.lpips_frames))
    fake, real = (side[chosen.to(side.device)].float() / 127.5 - 1 for side in clip.tensors)
    net = clip.judges.nets["lpips"]
    return {"lpips": Value(float(torch.cat([net(a, b) for a, b in zip(fake.split(8), real.split(8), strict=True)]).double().mean()), len(chosen))}


def _ratio(of: Callable[[torch.Tensor], float], name: str) -> Callable[[_Clip], dict[str, Value]]:
    def step(clip: _Clip) -> dict[str, Value]:
        fake, real = (of(side) for side in clip.tensors)
        if real <= 0:
            raise EadbenchError("the real video does not vary")
        return {name: Value(fake / real, len(clip.pair[0]))}

    return step


def _sync(clip: _Clip) -> dict[str, Value]:
    found = clip.judges.nets["sync"].score(clip.fake, clip.audio)
    frames = min(len(clip.fake), len(clip.audio) // 640)
    named = {"sync": "confidence", "lse_d": "min_distance", "sync_offset": "offset"}
    return {name: Value(found[key], frames) for name, key in named.items()}


def _acc_emo(clip: _Clip) -> dict[str, Value]:
    judge, target = clip.judges.nets["emotion"], clip.task.emotion
    logits = judge.logits(clip.fake, clip.marks)
    clip.out.features["emotion"] = logits.astype(np.float32)
    if target is None:
        return {"acc_emo": Value(None, None, DROPPED, "no emotion was asked for")}
    if target not in judge.classes:
        return {"acc_emo": Value(None, None, DROPPED, f"the judge does not know {target!r}")}
    return {"acc_emo": Value(float(judge.classes[int(logits.argmax())] == target), len(clip.fake))}


def _csim(clip: _Clip) -> dict[str, Value]:
    net = clip.judges.nets["face_id"]
    own, reference = net.embed(clip.fake, clip.marks), net.embed(clip.real, clip.real_marks).mean(0)
    clip.out.features["face_id"] = own.mean(0).astype(np.float32)
    return {"csim": Value(float((own @ reference / np.linalg.norm(reference)).mean()), len(own))}


def _lmd(clip: _Clip) -> dict[str, Value]:
    fake, real = clip.marks_pair
    size, points = max(clip.pair[1].shape[1:3]), {"m_lmd": landmarks.LIPS, "f_lmd": slice(0, landmarks.FACE)}
    return {name: Value(landmarks.landmark_distance(fake, real, chosen, size), len(fake)) for name, chosen in points.items()}


def _motion(clip: _Clip) -> dict[str, Value]:
    curves, frames = clip.curves, len(clip.fake)
    return {
        "lip_motion": Value(landmarks.spread(curves["mouth"]), frames),
        "brow_motion": Value(landmarks.spread(curves["brows"]), frames),
        "head_motion": Value(landmarks.spread(curves["head"]), frames),
        "jitter": Value(landmarks.jitter(clip.marks), frames),
    }


def _motion_ratios(clip: _Clip) -> dict[str, Value]:
    (fake, real), frames = clip.curves_pair, len(clip.pair[0])
    pairs = {f"{part}_motion_ratio": (landmarks.spread(fake[curve]), landmarks.spread(real[curve])) for part, curve in _CURVES.items()}
    pairs["jitter_ratio"] = tuple(landmarks.jitter(marks) for marks in clip.marks_pair)
    values = {name: Value(a / b if b > 0 else None, frames) for name, (a, b) in pairs.items()}
    return values | {"lip_correlation": Value(landmarks.correlation(fake["mouth"], real["mouth"]), frames)}


def _silence(clip: _Clip) -> dict[str, Value]:
    silent = landmarks.silent_frames(clip.audio, len(clip.fake), clip.config.silence_db, fps=clip.config.fps)
    if silent.sum() < FEWEST_SILENT:
        return {"silence_mouth_motion": Value(None, int(silent.sum()), DROPPED, f"only {silent.sum()} silent frames")}
    return {"silence_mouth_motion": Value(landmarks.spread(clip.curves["mouth"][silent]), int(silent.sum()))}


_CURVES = {"lip": "mouth", "brow": "brows", "head": "head"}
STEPS: dict[str, Callable[[_Clip], dict[str, Value]]] = {
    "ssim": _ssim,
    "psnr": _psnr,
    "lpips": _lpips,
    "sync": _sync, "lse_d": _sync, "sync_offset": _sync,
    "acc_emo": _acc_emo,
    "csim": _csim,
    "m_lmd": _lmd, "f_lmd": _lmd,
    "jitter": _motion, "lip_motion": _motion, "brow_motion": _motion, "head_motion": _motion,
    "jitter_ratio": _motion_ratios, "lip_motion_ratio": _motion_ratios, "brow_motion_ratio": _motion_ratios,
    "head_motion_ratio": _motion_ratios, "lip_correlation": _motion_ratios,
    "motion_energy_ratio": _ratio(image.motion_energy, "motion_energy_ratio"),
    "sharpness_ratio": _ratio(image.sharpness, "sharpness_ratio"),
    "silence_mouth_motion": _silence,
    "face_rate": lambda clip: {"face_rate": Value(landmarks.face_rate(clip.marks), len(clip.fake))},
}  # fmt: skip

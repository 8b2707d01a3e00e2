"""Kind ``syncnet_evaluator``: SyncNet as the evaluator of lip sync, the official
weights or a small one trained here.

Options of a trained one: ``width`` (factor on the channels), ``size`` (side of the
crops), ``dim`` (embedding), ``region`` (the part of the aligned frame that it sees:
top, bottom, left, right as shares), ``steps``, ``clips`` and ``windows`` (per step),
``lr``, ``max_clips``, ``max_frames``.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import python_speech_features
import torch
from pydantic import BaseModel, ConfigDict
from torch.nn import functional as F

from eadbench.core.errors import EadbenchError
from eadbench.models.syncnet_evaluator import (
    MFCC_PER_FRAME,
    MFCC_STEPS,
    SHIFT,
    SHORTEST,
    WINDOW,
    SyncNetV2,
    distances_around,
    sync_from_distances,
    window_count,
)
from eadbench.zoo.card import Card
from eadbench.zoo.evaluator_data import WHOLE, TrainingClip, iter_clips, per_split, resize
from eadbench.zoo.fit import fit
from eadbench.zoo.weights import load_weights, save_weights

log = logging.getLogger(__name__)
OFFICIAL = "syncnet_v2.model"
LENGTH, HOP = 400, 160  # samples of a step of the MFCC, and from one to the next


class SyncNetOptions(BaseModel):
    """Sizes and training of an evaluator; the defaults are the published network's.

    Attributes:
        width: Channels, as a share of the published network's.
        size: Side of the frames that it sees, in pixels.
        dim: Width of the embeddings.
        region: Top, bottom, left and right of what it sees of the aligned square, as
            shares of its side.
        steps: Length of training.
        clips: Clips per training step.
        windows: Windows of each clip that training contrasts with one another.
        lr: Peak learning rate.
        max_clips, max_frames: How many training clips, and first frames of each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: float = 1.0
    size: int = 224
    dim: int = 1024
    region: tuple[float, float, float, float] = WHOLE
    steps: int = 0
    clips: int = 8
    windows: int = 12
    lr: float = 1e-3
    max_clips: int = 400
    max_frames: int = 75


class SyncEvaluator:
    """Scores how well lips and audio match. ``crop`` names the part of the aligned
    frame that it sees.
    """

    def __init__(self, net: SyncNetV2, options: SyncNetOptions, device: Any = "cpu") -> None:
        self.net, self.options, self.device = net.eval().to(device), options, device
        self.resolution = options.size

    @property
    def crop(self) -> str:
        """Crop protocol: which part of the aligned frame is seen, at which size."""
        whole = self.options.region == WHOLE
        part = "" if whole else "-" + "-".join(f"{share:g}" for share in self.options.region)
        return f"aligned{part}-{self.options.size}"

    @torch.no_grad()
    def score(self, frames: np.ndarray, audio: np.ndarray, batch: int = 32) -> dict[str, float]:
        """Offset, confidence (LSE-C) and least distance (LSE-D) of one clip.

        Args:
            frames: ``(T, H, W, 3)`` RGB uint8, aligned face crops at 25 fps.
            audio: Mono float32 in [-1, 1] at 16 kHz.
            batch: Windows at a time.

        Returns:
            ``offset`` in frames, positive when the audio leads; ``confidence``;
            ``min_distance``.

        Raises:
            EadbenchError: If video or audio is shorter than 6 frames.
        """
        stream = self.stream(audio, batch)
        stream.add(frames)
        return stream.result()

    def stream(self, audio: np.ndarray, batch: int = 32) -> "SyncStream":
        """The same for a video whose frames come a stretch at a time."""
        return SyncStream(self, audio, batch)


class SyncStream:
    """Scores one clip whose frames come a stretch at a time; of the past it keeps the
    distances and what the next windows need.

    Args:
        evaluator: The evaluator.
        audio: Mono float32 in [-1, 1] at 16 kHz, whole.
        batch: Windows at a time.
    """

    def __init__(self, evaluator: SyncEvaluator, audio: np.ndarray, batch: int = 32) -> None:
        self.evaluator, self.batch, self.samples = evaluator, batch, len(audio)
        self.mfcc = mfcc_of(audio) if window_count(SHORTEST, len(audio)) > 0 else None
        self.frames, self.windows = 0, 0  # seen, embedded
        self._video: torch.Tensor | None = None  # (3, T, S, S), from the next window on
        # embeddings that are not compared with all shifts yet; those of the audio begin
        # SHIFT windows earlier
        self._lips: torch.Tensor | None = None
        self._audio: torch.Tensor | None = None
        self._distances: list[torch.Tensor] = []

    def add(self, frames: np.ndarray) -> None:
        """Take in the next frames ``(T, H, W, 3)`` RGB uint8."""
        self.frames += len(frames)
        if not len(frames) or self.windows >= self.samples // 640 - WINDOW:
            return
        video = lip_input(frames, self.evaluator.options)
        self._video = video if self._video is None else torch.cat([self._video, video], 1)
        while self._ready() >= self.batch:
            self._embed(self.batch)

    def _ready(self) -> int:
        """Number of windows that can be embedded now: those that count whatever frames
        follow.
        """
        return window_count(self.frames, self.samples) - self.windows

    @torch.no_grad()
    def _embed(self, count: int) -> None:
        net, device = self.evaluator.net, self.evaluator.device
        lips = net.embed_lips(lip_windows(self._video, np.arange(count)).to(device)).cpu()
        mfcc = audio_windows(self.mfcc, np.arange(self.windows, self.windows + count))
        audio = net.embed_audio(mfcc.to(device)).cpu()
        previous_audio = audio.new_zeros(SHIFT, audio.shape[1]) if self._audio is None else self._audio
        self._lips = lips if self._lips is None else torch.cat([self._lips, lips])
        self._audio = torch.cat([previous_audio, audio])
        self._video = self._video[:, count:]
        self.windows += count
        self._compare(self._audio)

    def _compare(self, audio: torch.Tensor) -> None:
        ready = len(audio) - 2 * SHIFT
        if ready > 0:
            self._distances.append(distances_around(self._lips[:ready], audio))
            self._lips, self._audio = self._lips[ready:], audio[ready:]

    def distances(self) -> torch.Tensor:
        """Distances of all windows at all shifts, ``(T, 2 * SHIFT + 1)``, once the last
        frame is in.

        Raises:
            EadbenchError: If video or audio is shorter than 6 frames.
        """
        if window_count(self.frames, self.samples) < 1:
            length = min(self.frames, self.samples // 640)
            raise EadbenchError(
                f"too short for SyncNet: {length} frames of video with audio, at least {SHORTEST} needed"
            )
        while self._ready() > 0:
            self._embed(min(self.batch, self._ready()))
        if len(self._lips):
            self._compare(F.pad(self._audio, (0, 0, 0, SHIFT)))
            self._lips = self._lips[:0]  # a second call gives the same
        return torch.cat(self._distances)

    def result(self) -> dict[str, float]:
        """As :meth:`SyncEvaluator.score`."""
        return sync_from_distances(self.distances())


def lip_input(frames: np.ndarray, options: SyncNetOptions) -> torch.Tensor:
    """``(T, H, W, 3)`` RGB uint8 to ``(3, T, S, S)`` BGR uint8, as OpenCV gave the
    frames to the original.
    """
    return _bgr(resize(frames, options.size, options.region))


def _bgr(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames[..., ::-1].copy()).permute(3, 0, 1, 2)


def mfcc_of(audio: np.ndarray, block: int = 1000) -> torch.Tensor:
    """``(13, steps)`` MFCC at 100 Hz of 16 kHz audio, computed on 16-bit values as in
    the original, ``block`` steps at a time.
    """
    steps = 1 + max(0, -(-(len(audio) - LENGTH) // HOP))
    parts = []
    for start in range(0, steps, block):
        count = min(block, steps - start)
        piece = np.asarray(audio[max(0, start * HOP - 1) : (start + count - 1) * HOP + LENGTH], np.float64)
        piece = np.clip(np.round(piece * 32768), -32768, 32767)
        # pre-emphasis as the package applies it to the whole waveform
        emphasised = np.append(piece[:1], piece[1:] - 0.97 * piece[:-1])[min(start, 1) :]
        parts.append(python_speech_features.mfcc(emphasised, 16000, preemph=0).T.astype(np.float32))
    return torch.from_numpy(np.concatenate(parts, 1))


def lip_windows(video: torch.Tensor, starts: np.ndarray) -> torch.Tensor:
    """``(N, 3, 5, S, S)`` float windows of ``(3, T, S, S)`` video that start at the
    given frames.
    """
    index = torch.as_tensor(starts)[:, None] + torch.arange(WINDOW)
    return video[:, index].transpose(0, 1).float()


def audio_windows(mfcc: torch.Tensor, starts: np.ndarray) -> torch.Tensor:
    """``(N, 1, 13, 20)`` windows of ``(13, steps)`` MFCC for the given frames."""
    index = torch.as_tensor(starts)[:, None] * MFCC_PER_FRAME + torch.arange(MFCC_STEPS)
    return mfcc[:, index].transpose(0, 1)[:, None]


def load(folder: Path, card: Card, device: Any = "cpu") -> SyncEvaluator:
    """The evaluator of an artefact's folder."""
    options = SyncNetOptions() if card.how == "fetched" else SyncNetOptions.model_validate(card.options)
    net = SyncNetV2(options.width, options.size, options.dim)
    load_weights(net, folder / (OFFICIAL if card.how == "fetched" else "model.safetensors"))
    return SyncEvaluator(net, options, device)


def train(folder: Path, raw_options: dict[str, Any], inputs: Any, seed: int) -> dict[str, Any]:
    """Train a small evaluator: InfoNCE over windows of one clip, which differ in time
    alone.

    Negatives from other clips are left out on purpose: voice and face would identify
    them, and the loss would fall while timing is not learnt.
    """
    options = SyncNetOptions.model_validate(raw_options)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clips = _read(inputs.clips, "train", options, seed)
    long_enough = [clip for clip in clips if _windows(clip) >= options.windows]
    material = [(_bgr(clip.frames), mfcc_of(clip.audio)) for clip in long_enough]
    if len(material) < 2:
        raise EadbenchError(
            f"only {len(material)} training clips are long enough for SyncNet",
            "zoo: train_on:",
            "use more or longer clips",
        )
    net = SyncNetV2(options.width, options.size, options.dim).train()
    losses = _losses(net, material, options, rng)
    loss = fit(net.parameters(), losses, options.steps, options.lr, "SyncNet evaluator")["loss"]
    save_weights(net, folder / "model.safetensors")
    evaluator = SyncEvaluator(net, options.model_copy(update={"region": WHOLE}))
    facts = {"train_clips": len(material), "loss": loss, "chance_loss": float(np.log(options.windows))}
    held_out = _read(inputs.clips, "val", options, seed)
    facts |= per_split(partial(accuracy, evaluator), train=clips[:16], val=held_out)
    log.info("SyncNet evaluator: %s", facts)
    return facts


def _read(tables: list[Path], split: str, options: SyncNetOptions, seed: int) -> list[TrainingClip]:
    """Clips cut to the evaluator's region already."""
    return list(
        iter_clips(tables, split, options.size, options.max_clips, options.max_frames, seed, options.region)
    )


def _windows(clip: TrainingClip) -> int:
    return window_count(len(clip.frames), len(clip.audio))


def _losses(
    net: SyncNetV2,
    material: list[tuple[torch.Tensor, torch.Tensor]],
    options: SyncNetOptions,
    rng: np.random.Generator,
) -> Callable[[], dict[str, torch.Tensor]]:
    def losses() -> dict[str, torch.Tensor]:
        chosen = rng.integers(len(material), size=options.clips)
        lips, mfcc = zip(*[_draw(*material[k], options.windows, rng) for k in chosen], strict=True)
        lip_vectors, audio_vectors = net.embed_lips(torch.cat(lips)), net.embed_audio(torch.cat(mfcc))
        return {"loss": in_clip_loss(lip_vectors, audio_vectors, options.windows)}

    return losses


def _draw(
    video: torch.Tensor, mfcc: torch.Tensor, count: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` windows of one clip at random times, all changed alike in brightness
    and sharpness, since generated frames are blurred at times.
    """
    possible_starts = min(video.shape[1] - WINDOW, (mfcc.shape[1] - MFCC_STEPS) // MFCC_PER_FRAME)
    starts = rng.choice(possible_starts, count, replace=False)
    gain, bias = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
    windows = lip_windows(video, starts)
    if rng.random() < 0.4:
        windows = blur(windows, float(rng.uniform(0.3, 0.9)))
    return (windows * gain + bias).clamp(0, 255), audio_windows(mfcc, starts)


def blur(windows: torch.Tensor, share: float) -> torch.Tensor:
    """Blur ``(N, 3, 5, S, S)`` frames by scaling them to a share of their size and
    back.
    """
    flat, size = windows.flatten(0, 2)[:, None], windows.shape[-1]
    small_size = (int(size * share),) * 2
    small = F.interpolate(flat, small_size, mode="bilinear", align_corners=False, antialias=True)
    return F.interpolate(small, (size, size), mode="bilinear", align_corners=False).view_as(windows)


def in_clip_loss(lips: torch.Tensor, audio: torch.Tensor, windows: int) -> torch.Tensor:
    """InfoNCE in both directions over groups of ``windows`` from one clip each;
    similarity is minus the Euclidean distance, as in the score.
    """
    lips, audio = lips.unflatten(0, (-1, windows)), audio.unflatten(0, (-1, windows))
    logits = -((lips[:, :, None] - audio[:, None]).square().sum(-1) + 1e-6).sqrt()
    target = torch.arange(windows).expand(len(logits), -1)
    return 0.5 * (F.cross_entropy(logits.transpose(1, 2), target) + F.cross_entropy(logits, target))


def accuracy(evaluator: SyncEvaluator, clips: list[TrainingClip]) -> dict[str, float | None]:
    """How often the right offset, 0, is found.

    Returns:
        ``window_accuracy``: share of windows whose nearest audio, of the windows up to
        15 frames away, is at most one frame off. ``clip_accuracy``: the same of whole
        clips, with the offset as scored. ``confidence``: mean LSE-C. ``scored``: clips.
    """
    window_hits, clip_hits, confidences = [], [], []
    for clip in clips:
        if _windows(clip) < 1:
            continue
        stream = evaluator.stream(clip.audio)
        stream.add(clip.frames)
        distances = stream.distances()
        sync = sync_from_distances(distances)
        source = torch.arange(len(distances))[:, None] + torch.arange(2 * SHIFT + 1) - SHIFT
        beyond_ends = (source < 0) | (source >= len(distances))
        nearest = distances.masked_fill(beyond_ends, torch.inf).argmin(1)
        window_hits.append(((nearest - SHIFT).abs() <= 1).float())
        clip_hits.append(abs(sync["offset"]) <= 1)
        confidences.append(sync["confidence"])
    if not window_hits:
        return {"window_accuracy": None, "clip_accuracy": None, "confidence": None, "scored": 0}
    return {
        "window_accuracy": round(torch.cat(window_hits).mean().item(), 4),
        "clip_accuracy": round(float(np.mean(clip_hits)), 4),
        "confidence": round(float(np.mean(confidences)), 4),
        "scored": len(window_hits),
    }

"""Kind ``syncnet_judge``: SyncNet as the judge of lip sync, the official weights or a small one trained here.

Options of a trained one: ``width`` (factor on the channels), ``size`` (side of the crops), ``dim`` (embedding), ``region`` (the part of the aligned
frame that it sees: top, bottom, left, right as shares), ``steps``, ``clips`` and ``windows`` (per step), ``lr``, ``max_clips``, ``max_frames``.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import python_speech_features
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save_file
from torch.nn import functional as F

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.core.progress import track
from eadbench.models.syncnet_judge import (
    MFCC_PER_FRAME,
    MFCC_STEPS,
    SHIFT,
    SHORTEST,
    WINDOW,
    SyncNet,
    shift_distances,
    sync_from_distances,
    window_count,
)
from eadbench.zoo.card import Card
from eadbench.zoo.judge_data import Clip, iter_clips, resize
from eadbench.zoo.schedule import one_cycle
from eadbench.zoo.weights import load_weights

log = logging.getLogger(__name__)
OFFICIAL = "syncnet_v2.model"
WHOLE = (0.0, 1.0, 0.0, 1.0)


class Options(BaseModel):
    """Sizes and training of a judge; the defaults are the published network's."""

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


class SyncJudge:
    """Scores how well lips and sound match. ``crop`` names what part of the aligned frame it looks at."""

    def __init__(self, net: SyncNet, options: Options, device: Any = "cpu") -> None:
        self.net, self.options, self.device = net.eval().to(device), options, device

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
            ``offset`` in frames, positive when the audio leads; ``confidence``; ``min_distance``.

        Raises:
            EadbenchError: If picture or sound is shorter than 6 frames.
        """
        lips, sound = self.embed(frames, audio, batch)
        return sync_from_distances(shift_distances(lips, sound, SHIFT))

    @torch.no_grad()
    def embed(self, frames: np.ndarray, audio: np.ndarray, batch: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings ``(T, dim)`` of all windows of lips and of sound."""
        count = window_count(len(frames), len(audio))
        if count < 1:
            length = min(len(frames), len(audio) // 640)
            raise EadbenchError(f"too short for SyncNet: {length} frames of picture with sound, at least {SHORTEST} needed")
        video = lip_input(frames, self.options)
        mfcc = mfcc_of(audio)
        lips, sound = [], []
        for at in range(0, count, batch):
            starts = np.arange(at, min(at + batch, count))
            lips.append(self.net.embed_lips(lip_windows(video, starts).to(self.device)).cpu())
            sound.append(self.net.embed_audio(audio_windows(mfcc, starts).to(self.device)).cpu())
        return torch.cat(lips), torch.cat(sound)


def lip_input(frames: np.ndarray, options: Options) -> torch.Tensor:
    """``(T, H, W, 3)`` RGB uint8 to ``(3, T, S, S)`` BGR uint8, as OpenCV gave the frames to the original."""
    return _bgr(resize(frames, options.size, options.region))


def _bgr(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames[..., ::-1].copy()).permute(3, 0, 1, 2)


def mfcc_of(audio: np.ndarray) -> torch.Tensor:
    """``(13, steps)`` MFCC at 100 Hz of 16 kHz sound, computed on 16-bit values as in the original."""
    samples = np.clip(np.round(np.asarray(audio, np.float64) * 32768), -32768, 32767).astype(np.int16)
    return torch.from_numpy(python_speech_features.mfcc(samples, 16000).T.astype(np.float32))


def lip_windows(video: torch.Tensor, starts: np.ndarray) -> torch.Tensor:
    """``(N, 3, 5, S, S)`` float windows of ``(3, T, S, S)`` video that start at the given frames."""
    index = torch.as_tensor(starts)[:, None] + torch.arange(WINDOW)
    return video[:, index].transpose(0, 1).float()


def audio_windows(mfcc: torch.Tensor, starts: np.ndarray) -> torch.Tensor:
    """``(N, 1, 13, 20)`` windows of ``(13, steps)`` MFCC for the given frames."""
    index = torch.as_tensor(starts)[:, None] * MFCC_PER_FRAME + torch.arange(MFCC_STEPS)
    return mfcc[:, index].transpose(0, 1)[:, None]


def load(folder: Path, card: Card, device: Any = "cpu") -> SyncJudge:
    """The judge of an artefact's folder."""
    options = Options() if card.how == "fetched" else Options.model_validate(card.options)
    net = SyncNet(options.width, options.size, options.dim)
    load_weights(net, folder / (OFFICIAL if card.how == "fetched" else "model.safetensors"))
    return SyncJudge(net, options, device)


def train(folder: Path, options: dict[str, Any], inputs: Any, seed: int) -> dict[str, Any]:
    """Train a small judge: InfoNCE over windows of one clip, so that only time can tell them apart.

    Negatives from other clips are left out on purpose: they can be told by voice and face, and then the loss falls while timing is not learnt.
    """
    wanted = Options.model_validate(options)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clips = _read(inputs.clips, "train", wanted, seed)
    material = [(_bgr(clip.frames), mfcc_of(clip.audio)) for clip in clips if _windows(clip) >= wanted.windows]
    if len(material) < 2:
        raise EadbenchError(f"only {len(material)} training clips are long enough for SyncNet", "zoo: train_on:", "use more or longer clips")
    net = SyncNet(wanted.width, wanted.size, wanted.dim).train()
    loss = _fit(net, material, wanted, rng)
    with atomic_path(folder / "model.safetensors") as part:
        save_file(net.state_dict(), part)
    judge = SyncJudge(net, wanted.model_copy(update={"region": WHOLE}))
    facts = {"train_clips": len(material), "loss": loss, "chance_loss": float(np.log(wanted.windows))}
    facts |= {f"train_{name}": value for name, value in accuracy(judge, clips[:16]).items()}
    facts |= {f"val_{name}": value for name, value in accuracy(judge, _read(inputs.clips, "val", wanted, seed)).items()}
    log.info("judge SyncNet: %s", facts)
    return facts


def _read(tables: list[Path], split: str, options: Options, seed: int) -> list[Clip]:
    """Clips cut to the judge's region already."""
    return list(iter_clips(tables, split, options.size, options.max_clips, options.max_frames, seed, options.region))


def _windows(clip: Clip) -> int:
    return window_count(len(clip.frames), len(clip.audio))


def _fit(net: SyncNet, material: list[tuple[torch.Tensor, torch.Tensor]], options: Options, rng: np.random.Generator) -> float:
    """Train; returns the mean loss of the last tenth of the steps."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.lr)
    schedule = one_cycle(optimiser, options.lr, options.steps, warm_up=0.1)
    losses = []
    for _ in track(range(options.steps), "train judge SyncNet", unit="step"):
        lips, sound = zip(*[_draw(*material[k], options.windows, rng) for k in rng.integers(len(material), size=options.clips)], strict=True)
        loss = in_clip_loss(net.embed_lips(torch.cat(lips)), net.embed_audio(torch.cat(sound)), options.windows)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def _draw(video: torch.Tensor, mfcc: torch.Tensor, windows: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of one clip at random times, all changed alike in brightness and sharpness, since generated frames are soft at times."""
    count = min(video.shape[1] - WINDOW, (mfcc.shape[1] - MFCC_STEPS) // MFCC_PER_FRAME)
    starts = rng.choice(count, windows, replace=False)
    gain, bias = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
    windows = lip_windows(video, starts)
    if rng.random() < 0.4:
        windows = soften(windows, float(rng.uniform(0.3, 0.9)))
    return (windows * gain + bias).clamp(0, 255), audio_windows(mfcc, starts)


def soften(windows: torch.Tensor, share: float) -> torch.Tensor:
    """Blur ``(N, 3, 5, S, S)`` frames by scaling them to a share of their size and back."""
    flat, size = windows.flatten(0, 2)[:, None], windows.shape[-1]
    small = F.interpolate(flat, (int(size * share),) * 2, mode="bilinear", align_corners=False, antialias=True)
    return F.interpolate(small, (size, size), mode="bilinear", align_corners=False).view_as(windows)


def in_clip_loss(lips: torch.Tensor, sound: torch.Tensor, windows: int) -> torch.Tensor:
    """InfoNCE in both directions over groups of ``windows`` from one clip each; similarity is minus the Euclidean distance, as in the score."""
    lips, sound = lips.unflatten(0, (-1, windows)), sound.unflatten(0, (-1, windows))
    logits = -((lips[:, :, None] - sound[:, None]).square().sum(-1) + 1e-6).sqrt()
    target = torch.arange(windows).expand(len(logits), -1)
    return 0.5 * (F.cross_entropy(logits.transpose(1, 2), target) + F.cross_entropy(logits, target))


def accuracy(judge: SyncJudge, clips: list[Clip]) -> dict[str, float | None]:
    """How often the right offset, 0, is found.

    Returns:
        ``window_accuracy``: share of windows whose nearest sound, of those up to 15 frames away, is at most one frame off. ``clip_accuracy``: the
        same of whole clips, with the offset as scored. ``confidence``: mean LSE-C. ``scored``: clips.
    """
    windows, whole, confidence = [], [], []
    for clip in clips:
        if _windows(clip) < 1:
            continue
        distances = shift_distances(*judge.embed(clip.frames, clip.audio))
        found = sync_from_distances(distances)
        source = torch.arange(len(distances))[:, None] + torch.arange(2 * SHIFT + 1) - SHIFT
        nearest = distances.masked_fill((source < 0) | (source >= len(distances)), torch.inf).argmin(1)
        windows.append(((nearest - SHIFT).abs() <= 1).float())
        whole.append(abs(found["offset"]) <= 1)
        confidence.append(found["confidence"])
    if not windows:
        return {"window_accuracy": None, "clip_accuracy": None, "confidence": None, "scored": 0}
    return {
        "window_accuracy": round(torch.cat(windows).mean().item(), 4),
        "clip_accuracy": round(float(np.mean(whole)), 4),
        "confidence": round(float(np.mean(confidence)), 4),
        "scored": len(windows),
    }

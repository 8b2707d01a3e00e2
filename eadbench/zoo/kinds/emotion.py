"""Kind ``emotion``: Emotion-FAN, the evaluator of Acc_emo: a public checkpoint, or a small
network trained here.
"""

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch.nn import functional as F

from eadbench.core.errors import EadbenchError
from eadbench.core.files import write_text
from eadbench.core.geometry import spread
from eadbench.models.emotion_fan import MEAD_CLASSES, EmotionFAN
from eadbench.zoo.card import Card
from eadbench.zoo.chips import dlib_chips
from eadbench.zoo.evaluator_data import WHOLE, TrainingClip, face_clips, per_split, resize
from eadbench.zoo.fit import fit
from eadbench.zoo.weights import load_weights, read_weights, save_weights

log = logging.getLogger(__name__)


class EmotionOptions(BaseModel):
    """Sizes and training of an evaluator; the defaults are the published network's.

    Attributes:
        width: Channels, as a share of the published network's.
        size: Side of the frames that it sees, in pixels.
        frames: Frames of a clip that it sees, spread evenly; null for all.
        region: Top, bottom, left and right of what it sees of the aligned square, as
            shares of its side.
        dropout: Share of the features that training drops.
        steps: Length of training.
        clips: Clips per training step.
        lr: Peak learning rate.
        max_clips, frames_per_clip: How many training clips, and frames of each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: float = 1.0
    size: int = 224
    frames: int | None = None
    region: tuple[float, float, float, float] = WHOLE
    dropout: float = 0.5
    steps: int = 0
    clips: int = 24
    lr: float = 2e-3
    max_clips: int = 400
    frames_per_clip: int = 24


class EmotionEvaluator(Protocol):
    """What an evaluator of emotion offers: its ``classes``, the side ``resolution`` at
    which it sees a face, the number of ``frames`` it looks at (``None``: all), and the
    steps from frames to logits.
    """

    classes: tuple[str, ...]
    resolution: int
    frames: int | None

    def inputs(self, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Frames ``(N, H, W, 3)`` RGB uint8 that show a face, with mesh points
        ``(N, 478, 2)``, to the network's inputs ``(N, S, S, 3)``.
        """
        ...

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """The network's output for each frame, ``(N, D)``."""
        ...

    def classify(self, features: np.ndarray) -> np.ndarray:
        """Logits ``(K,)`` of a video from its frames' ``(N, D)`` of :meth:`run`."""
        ...


def logits(evaluator: EmotionEvaluator, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Logits ``(K,)`` of a whole video ``(T, H, W, 3)`` RGB uint8 with mesh points
    ``(T, 478, 2)`` (NaN where no face was found).

    Raises:
        EadbenchError: If no frame shows a face.
    """
    inputs = evaluator.inputs(*with_face(frames, landmarks, evaluator.frames))
    return evaluator.classify(evaluator.run(inputs))


def with_face(frames: np.ndarray, landmarks: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spread frames among those that show a face, with their landmarks.

    Raises:
        EadbenchError: If there is none.
    """
    face_frames = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
    if not len(face_frames):
        raise EadbenchError("no frame shows a face")
    chosen = face_frames[spread(len(face_frames), count)]
    return frames[chosen], landmarks[chosen]


class FanEvaluator:
    """Emotion-FAN on whole videos.

    Args:
        net: The network.
        classes: Its classes in the order of the heads.
        options: How frames are cut and chosen.
        chips: Whether faces are cut as dlib does (published checkpoints) or the aligned
            frame is used as it is (trained here).
    """

    def __init__(
        self,
        net: EmotionFAN,
        classes: tuple[str, ...],
        options: EmotionOptions,
        chips: bool,
        device: Any = "cpu",
    ) -> None:
        self.net, self.classes, self.options, self.chips, self.device = (
            net.eval().to(device),
            classes,
            options,
            chips,
            device,
        )
        self.resolution, self.frames = options.size, options.frames

    def inputs(self, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """As :class:`EmotionEvaluator` says."""
        if self.chips:
            return dlib_chips(frames, landmarks, self.options.size)
        return resize(frames, self.options.size, self.options.region)

    @torch.no_grad()
    def run(self, inputs: np.ndarray) -> np.ndarray:
        """As :class:`EmotionEvaluator` says."""
        parts = np.array_split(inputs, -(-len(inputs) // 64))
        return torch.cat([self.net.features(to_unit(part).to(self.device)) for part in parts]).cpu().numpy()

    @torch.no_grad()
    def classify(self, features: np.ndarray) -> np.ndarray:
        """As :class:`EmotionEvaluator` says."""
        return self.net.classify(torch.from_numpy(features)[None].to(self.device))[0].cpu().numpy()


def to_unit(frames: np.ndarray) -> torch.Tensor:
    """``(..., H, W, 3)`` uint8 to ``(..., 3, H, W)`` in [0, 1], as Emotion-FAN takes
    them (no mean or deviation removed).
    """
    return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, -3).float() / 255


def load(folder: Path, card: Card, device: Any = "cpu") -> FanEvaluator:
    """The evaluator of an artefact's folder.

    Raises:
        EadbenchError: If the checkpoint is not Emotion-FAN's.
    """
    if card.how == "fetched":
        path = next(folder / name for name in card.files)
        state = fan_state(path)
        classes = len(state["pred_fc2.bias"])
        if classes != len(MEAD_CLASSES):
            raise EadbenchError(
                f"the checkpoint has {classes} classes, expected {len(MEAD_CLASSES)}",
                path,
                "use the checkpoint tuned on MEAD",
            )
        net = EmotionFAN(classes, released_evaluation=True)
        load_weights(net, path, state)
        return FanEvaluator(net, MEAD_CLASSES, EmotionOptions(), True, device)
    options = EmotionOptions.model_validate(card.options)
    classes = tuple(json.loads((folder / "classes.json").read_text()))
    net = EmotionFAN(len(classes), options.width)
    load_weights(net, folder / "model.safetensors")
    return FanEvaluator(net, classes, options, False, device)


def fan_state(path: Path) -> dict[str, torch.Tensor]:
    """The state dict within a checkpoint of the released training code, whose names
    begin with ``module.`` if it ran on several GPUs.

    Raises:
        EadbenchError: If there is none.
    """
    state = read_weights(path)
    state = state.get("state_dict", state)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    if "pred_fc2.bias" not in state:
        raise EadbenchError(
            "not a checkpoint of Emotion-FAN with relation-attention", path, "see `eadbench zoo list`"
        )
    return state


def train(folder: Path, raw_options: dict[str, Any], inputs: Any, seed: int) -> dict[str, Any]:
    """Train on the emotions of the training speakers; the card states the accuracy per
    class on those of the validation split.
    """
    options = EmotionOptions.model_validate(raw_options)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clips = _labelled_clips(inputs.clips, "train", options, seed)
    classes = tuple(sorted({clip.emotion for clip in clips}))
    if len(classes) < 2:
        raise EadbenchError(
            f"the training clips show {len(classes)} emotions, at least 2 needed",
            "zoo: train_on:",
            "use a corpus with labels",
        )
    net = EmotionFAN(len(classes), options.width, dropout=options.dropout)
    losses = _losses(net.train(), clips, classes, options, rng)
    values = fit(
        net.parameters(), losses, options.steps, options.lr, "evaluator of emotion", warm_up=0.2, clip=None
    )
    write_text(folder / "classes.json", json.dumps(classes))
    save_weights(net, folder / "model.safetensors")
    evaluator = FanEvaluator(net, classes, options.model_copy(update={"region": WHOLE}), False)
    facts = {
        "classes": list(classes),
        "loss": values["loss"],
        "train_clips": len(clips),
        "train_speakers": len({clip.speaker for clip in clips}),
    }
    held_out = _labelled_clips(inputs.clips, "val", options, seed)
    facts |= per_split(partial(accuracy, evaluator), train=clips[:64], val=held_out)
    log.info("evaluator of emotion: %s", facts)
    return facts


def _labelled_clips(tables: list[Path], split: str, options: EmotionOptions, seed: int) -> list[TrainingClip]:
    return [clip for clip in face_clips(tables, split, options, seed) if clip.emotion]


def _losses(
    net: EmotionFAN,
    clips: list[TrainingClip],
    classes: tuple[str, ...],
    options: EmotionOptions,
    rng: np.random.Generator,
) -> Callable[[], dict[str, torch.Tensor]]:
    """Losses on three frames per clip, one from each third, as the released code does;
    each emotion is drawn equally often.
    """
    target = torch.tensor([classes.index(clip.emotion) for clip in clips])
    balance = 1 / torch.bincount(target, minlength=len(classes))[target].double().numpy()

    def losses() -> dict[str, torch.Tensor]:
        chosen = rng.choice(len(clips), options.clips, p=balance / balance.sum())
        videos = torch.stack([augment(to_unit(_thirds(clips[k].frames, rng)), rng) for k in chosen])
        features = net.features(videos.flatten(0, 1))
        frame_wise = F.cross_entropy(
            net.pred_fc1(features), target[chosen].repeat_interleave(3), label_smoothing=0.05
        )
        video_wise = F.cross_entropy(
            net.classify(features.unflatten(0, (-1, 3))), target[chosen], label_smoothing=0.05
        )
        # The frame-wise loss, through the head that relation-attention leaves unused,
        # makes the trunk learn sooner.
        return {"loss": frame_wise + video_wise}

    return losses


def _thirds(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One random frame of each third."""
    return frames[((np.arange(3) + rng.random(3)) / 3 * len(frames)).astype(int)]


def augment(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Augment ``(T, 3, S, S)`` frames in [0, 1], all alike: mirror, shift by up to a
    sixteenth, colours, blur, noise.
    """
    size = frames.shape[-1]
    if rng.random() < 0.5:
        frames = frames.flip(-1)
    frames = degrade(frames, rng)
    reach = size // 16
    top, left = rng.integers(0, 2 * reach + 1, 2)
    frames = F.pad(frames, (reach,) * 4, mode="replicate")[..., top : top + size, left : left + size]
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (3, 1, 1))).float() * float(rng.uniform(0.85, 1.15))
    return (frames * gain + float(rng.uniform(-0.1, 0.1))).clamp(0, 1)


def degrade(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur a quarter of the ``(T, 3, S, S)`` videos, down to a third of the size, and
    add noise to some: generated videos are blurred too.
    """
    size = frames.shape[-1]
    if rng.random() < 0.25:
        small = int(rng.integers(size // 3, size))
        frames = F.interpolate(frames, (small, small), mode="bilinear", align_corners=False, antialias=True)
        frames = F.interpolate(frames, (size, size), mode="bilinear", align_corners=False)
    if rng.random() < 0.15:
        noise = torch.from_numpy(rng.standard_normal(frames.shape, dtype=np.float32))
        frames = frames + float(rng.uniform(0, 0.04)) * noise
    return frames


def accuracy(evaluator: FanEvaluator, clips: list[TrainingClip]) -> dict[str, Any]:
    """Share of clips classified correctly, the same per class, and the number of clips
    and speakers.
    """
    known_clips = [clip for clip in clips if clip.emotion in evaluator.classes]
    hits_by_class = {name: [] for name in evaluator.classes}
    for clip in known_clips:
        landmarks = np.zeros((len(clip.frames), 1, 2))  # finite: every frame counts as one with a face
        predicted = evaluator.classes[int(logits(evaluator, clip.frames, landmarks).argmax())]
        hits_by_class[clip.emotion].append(predicted == clip.emotion)
    total = sum(map(sum, hits_by_class.values()))
    return {
        "accuracy": round(total / len(known_clips), 4) if known_clips else None,
        "recall": {name: round(float(np.mean(hits)), 4) for name, hits in hits_by_class.items() if hits},
        "scored": len(known_clips),
        "speakers": len({clip.speaker for clip in known_clips}),
    }

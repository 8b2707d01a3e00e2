"""Kind ``face_id``: identity embeddings for CSIM: ArcFace (insightface's
``w600k_r50.onnx``), or a small network trained here to distinguish speakers.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn
from torch.nn import functional as F

from eadbench.core.errors import EadbenchError
from eadbench.models.emotion_fan import ResNet18Trunk
from eadbench.zoo.card import Card
from eadbench.zoo.chips import arcface_chips
from eadbench.zoo.evaluator_data import WHOLE, TrainingClip, face_clips, resize
from eadbench.zoo.fit import fit
from eadbench.zoo.kinds.emotion import augment, to_unit, with_face
from eadbench.zoo.onnx import open_onnx
from eadbench.zoo.weights import load_weights, save_weights

log = logging.getLogger(__name__)
SCALE, MARGIN = 16.0, 0.2  # of the cosine softmax


class FaceIdOptions(BaseModel):
    """Sizes and training of an evaluator.

    Attributes:
        width: Channels, as a share of the published network's.
        size: Side of the frames that it sees, in pixels.
        dim: Width of the embeddings.
        frames: Frames of a clip that it sees, spread evenly; null for all.
        region: Top, bottom, left and right of what it sees of the aligned square, as
            shares of its side.
        steps: Length of training.
        batch: Frames per training step.
        lr: Peak learning rate.
        max_clips, frames_per_clip: How many training clips, and frames of each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: float = 0.25
    size: int = 64
    dim: int = 64
    frames: int | None = 8
    region: tuple[float, float, float, float] = WHOLE
    steps: int = 200
    batch: int = 48
    lr: float = 2e-3
    max_clips: int = 200
    frames_per_clip: int = 8


class FaceId(Protocol):
    """What an identity network offers: the side ``resolution`` of its chips, the number
    of ``frames`` of a video that it looks at (``None``: all), and the steps from frames
    to unit vectors.
    """

    resolution: int
    frames: int | None

    def inputs(self, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Frames ``(N, H, W, 3)`` RGB uint8 that show a face, with mesh points
        ``(N, 478, 2)``, to the network's inputs ``(N, S, S, 3)``.
        """
        ...

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Unit vectors ``(N, dim)``."""
        ...


def embed(net: FaceId, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Unit vectors ``(N, dim)`` of some frames of ``(T, H, W, 3)`` RGB uint8 with mesh
    points ``(T, 478, 2)`` (NaN where no face was found).

    Raises:
        EadbenchError: If no frame shows a face.
    """
    return net.run(net.inputs(*with_face(frames, landmarks, net.frames)))


class IdNet(ResNet18Trunk):
    """A small ResNet-18 with a linear embedding."""

    def __init__(self, width: float, dim: int) -> None:
        super().__init__(width)
        self.embedding = nn.Linear(self.dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, 3, S, S)`` in [0, 1] to unit vectors ``(N, dim)``."""
        return F.normalize(self.embedding(self.features(x)), dim=1)


class TrainedFaceId:
    """The small network on aligned frames."""

    def __init__(self, net: IdNet, options: FaceIdOptions, device: Any = "cpu") -> None:
        self.net, self.options, self.device, self.resolution = (
            net.eval().to(device),
            options,
            device,
            options.size,
        )
        self.frames = options.frames

    def inputs(self, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """As :class:`FaceId` says."""
        return resize(frames, self.options.size, self.options.region)

    @torch.no_grad()
    def run(self, inputs: np.ndarray) -> np.ndarray:
        """As :class:`FaceId` says."""
        return self.net(to_unit(inputs).to(self.device)).cpu().numpy()


class ArcFace:
    """insightface's recognition network on chips cut by the mesh's points."""

    resolution = 112

    def __init__(self, session: Any, frames: int | None = None) -> None:
        self.session, self.frames = session, frames
        self._input = session.get_inputs()[0].name

    def inputs(self, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """As :class:`FaceId` says."""
        return arcface_chips(frames, landmarks)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """As :class:`FaceId` says."""
        batch = ((inputs.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
        vectors = np.concatenate(
            [self.session.run(None, {self._input: np.ascontiguousarray(image[None])})[0] for image in batch]
        )
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def load(folder: Path, card: Card, device: Any = "cpu") -> FaceId:
    """The network of an artefact's folder."""
    if card.how == "fetched":
        path = next(folder / name for name in card.files)
        return ArcFace(open_onnx(path, device), card.options.get("frames"))
    options = FaceIdOptions.model_validate(card.options)
    net = IdNet(options.width, options.dim)
    load_weights(net, folder / "model.safetensors")
    return TrainedFaceId(net, options, device)


def train(folder: Path, raw_options: dict[str, Any], inputs: Any, seed: int) -> dict[str, Any]:
    """Train by cosine softmax with a margin (CosFace) over the training speakers; the
    card states how well unseen ones are distinguished.
    """
    options = FaceIdOptions.model_validate(raw_options)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clips = face_clips(inputs.clips, "train", options, seed)
    speakers = sorted({clip.speaker for clip in clips})
    if len(speakers) < 2:
        raise EadbenchError(
            f"the training clips show {len(speakers)} speakers, at least 2 needed",
            "zoo: train_on:",
            "use more clips",
        )
    net = IdNet(options.width, options.dim)
    centres = nn.Parameter(torch.randn(len(speakers), options.dim))
    losses = _losses(net.train(), centres, clips, speakers, options, rng)
    values = fit(
        [*net.parameters(), centres],
        losses,
        options.steps,
        options.lr,
        "identity network",
        warm_up=0.2,
        clip=None,
    )
    save_weights(net, folder / "model.safetensors")
    evaluator = TrainedFaceId(net, options.model_copy(update={"region": WHOLE}))
    held_out = face_clips(inputs.clips, "val", options, seed)
    facts = {
        "train_speakers": len(speakers),
        "train_clips": len(clips),
        "train_accuracy": round(values["accuracy"], 4),
        "val_auc": verification_auc(evaluator, held_out),
    }
    log.info("identity network: %s", facts)
    return facts


def _losses(
    net: IdNet,
    centres: nn.Parameter,
    clips: list[TrainingClip],
    speakers: list[str],
    options: FaceIdOptions,
    rng: np.random.Generator,
) -> Callable[[], dict[str, torch.Tensor]]:
    speaker_index = torch.tensor([speakers.index(clip.speaker) for clip in clips])

    def losses() -> dict[str, torch.Tensor]:
        chosen = rng.integers(len(clips), size=options.batch)
        images = torch.cat([augment(_random_frame(clips[k], rng), rng) for k in chosen])
        labels = speaker_index[chosen]
        cosine = net(images) @ F.normalize(centres, dim=1).T
        loss = F.cross_entropy(SCALE * (cosine - MARGIN * F.one_hot(labels, len(speakers))), labels)
        return {"loss": loss, "accuracy": (cosine.argmax(1) == labels).float().mean()}

    return losses


def _random_frame(clip: TrainingClip, rng: np.random.Generator) -> torch.Tensor:
    """One frame ``(1, 3, S, S)`` in [0, 1]."""
    return to_unit(clip.frames[rng.integers(len(clip.frames))][None])


def verification_auc(evaluator: FaceId, clips: list[TrainingClip]) -> float | None:
    """Area under the ROC of same against different speaker over pairs of clips;
    ``None`` with fewer than two speakers.
    """
    if len({clip.speaker for clip in clips}) < 2:
        return None
    means = []
    for clip in clips:
        landmarks = np.zeros((len(clip.frames), 1, 2))  # finite: every frame counts as one with a face
        means.append(embed(evaluator, clip.frames, landmarks).mean(0))
    vectors = np.stack(means)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.triu_indices(len(clips), 1)
    names = np.array([clip.speaker for clip in clips])
    same = names[first] == names[second]
    if same.all() or not same.any():
        return None
    from sklearn.metrics import roc_auc_score

    return round(float(roc_auc_score(same, (vectors[first] * vectors[second]).sum(1))), 4)

"""Kind ``hsemotion``: HSEmotion's EfficientNet in ONNX form, an evaluator of emotion
without training (Savchenko 2022). AffectNet's eight classes.
"""

from pathlib import Path
from typing import Any

import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.zoo.card import Card
from eadbench.zoo.chips import box_chips
from eadbench.zoo.onnx import open_onnx

CLASSES = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


class HsEmotionEvaluator:
    """Mean of the frames' logits.

    Args:
        session: ONNX session; takes ``(N, 3, S, S)``, gives ``(N, 8)``.
        resolution: S.
        frames: Frames to look at, spread evenly; ``None`` for all.
    """

    classes = CLASSES

    def __init__(self, session: Any, resolution: int, frames: int | None = None) -> None:
        self.session, self.resolution, self.frames = session, resolution, frames
        self._input = session.get_inputs()[0].name

    def inputs(self, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """As :class:`eadbench.zoo.kinds.emotion.EmotionEvaluator` says."""
        return box_chips(frames, landmarks, self.resolution)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """As :class:`eadbench.zoo.kinds.emotion.EmotionEvaluator` says."""
        normalised = (inputs / np.float32(255) - MEAN) / DEVIATION
        batch = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), np.float32)
        return np.concatenate([self.session.run(None, {self._input: image[None]})[0] for image in batch])

    def classify(self, frame_logits: np.ndarray) -> np.ndarray:
        """As :class:`eadbench.zoo.kinds.emotion.EmotionEvaluator` says."""
        return frame_logits.mean(0)


def load(folder: Path, card: Card, device: Any = "cpu") -> HsEmotionEvaluator:
    """The evaluator of an artefact's folder.

    Raises:
        EadbenchError: If the model has other classes.
    """
    path = next(folder / name for name in card.files)
    session = open_onnx(path, device)
    resolution = session.get_inputs()[0].shape[-1]
    if not isinstance(resolution, int):  # a file with a free size
        resolution = 260 if "b2" in path.name else 224
    evaluator = HsEmotionEvaluator(session, resolution, card.options.get("frames"))
    black = np.zeros((1, 3, resolution, resolution), np.float32)
    class_count = session.run(None, {evaluator._input: black})[0].shape[-1]
    if class_count != len(CLASSES):
        raise EadbenchError(
            f"the model has {class_count} outputs, expected {len(CLASSES)}",
            path,
            "use one of the 8-class models without valence-arousal",
        )
    return evaluator

"""SCRFD, the face detector of insightface's packs, through onnxruntime alone.

The package insightface would bring a second OpenCV, albumentations and onnx for one small network. What its outputs mean follows the package's
`model_zoo/scrfd.py` (Guo et al., ICLR 2022).
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError

SIDE = 640  # pixels of the square that the network sees
LEAST_SCORE, MOST_OVERLAP = 0.5, 0.4
LAYOUTS = {6: (3, 2), 9: (3, 2), 10: (5, 1), 15: (5, 1)}  # number of outputs -> levels, boxes per place; with and without five points each


class ScrfdDetector:
    """The detector of an insightface pack, e.g. ``buffalo_l`` (non-commercial research licence).

    Args:
        pack: Folder with the pack's ``.onnx`` files; the detector is ``det_*.onnx`` or ``scrfd_*.onnx``. Nothing is downloaded.

    Raises:
        EadbenchError: If the folder has no detector, or it cannot be used.
    """

    def __init__(self, pack: str | Path) -> None:
        models = sorted(path for path in Path(pack).glob("*.onnx") if path.name.startswith(("det_", "scrfd")))
        if not models:
            raise EadbenchError(
                "the insightface pack has no detector, det_10g.onnx or another det_*.onnx",
                pack,
                "unpack buffalo_l.zip of https://github.com/deepinsight/insightface/releases/tag/v0.7 there "
                "(read its licence) and set `clips: pack:`, or use `clips: detector: embedded`",
            )
        self._session = _open(models[0])
        outputs = len(self._session.get_outputs())
        if outputs not in LAYOUTS:
            raise EadbenchError(f"not a face detector of insightface's: it has {outputs} outputs", models[0], "give a pack with det_10g.onnx")
        self._levels, self._anchors = LAYOUTS[outputs]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Boxes ``(N, 4)`` in pixels of an RGB image ``(H, W, 3)`` uint8, largest first."""
        scale = SIDE / max(image.shape[:2])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        canvas = np.zeros((SIDE, SIDE, 3), np.float32)
        canvas[: small.shape[0], : small.shape[1]] = small[:SIDE, :SIDE]
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: ((canvas - 127.5) / 128).transpose(2, 0, 1)[None]})
        boxes, scores = decode(outputs, self._levels, self._anchors)
        boxes /= [small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]] * 2
        chosen = boxes[cv2.dnn.NMSBoxes(np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist(), scores.tolist(), LEAST_SCORE, MOST_OVERLAP)]
        chosen = chosen.reshape(-1, 4).astype(np.float32)
        return chosen[np.argsort(-np.prod(chosen[:, 2:] - chosen[:, :2], axis=1), kind="stable")]


def decode(outputs: list[np.ndarray], levels: int, anchors: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes ``(N, 4)`` in pixels of the square and scores ``(N,)`` of all places with a score of at least ``LEAST_SCORE``.

    Args:
        outputs: ``levels`` arrays of scores, as many of distances from a place to the box's four sides in units of the level's stride, then perhaps
            as many of points, which are not looked at. Level k has a stride of ``8 * 2**k`` pixels; places go row by row, ``anchors`` boxes each.
        levels, anchors: See ``LAYOUTS``.
    """
    boxes, scores = [], []
    for level in range(levels):
        stride = 8 << level
        score = outputs[level].reshape(-1)
        sides = outputs[level + levels].reshape(-1, 4) * stride
        rows, columns = np.divmod(np.arange(len(score)) // anchors, SIDE // stride)
        place = np.stack([columns, rows], 1) * stride
        good = score >= LEAST_SCORE
        boxes.append(np.hstack([place - sides[:, :2], place + sides[:, 2:]])[good])
        scores.append(score[good])
    return np.concatenate(boxes).astype(np.float64), np.concatenate(scores)


def _open(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EadbenchError("the insightface detector needs the package onnxruntime", path, "pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a job has one core
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        raise EadbenchError(f"not a usable ONNX model: {error}", path, "fetch the pack again from the named source") from error

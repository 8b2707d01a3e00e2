"""Find faces and their landmarks: MediaPipe's face mesh and three detectors that give
it a place to look.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.core.files import nature
from eadbench.media.mesh import (
    LEFT_EYE_OUTER,
    RIGHT_EYE_OUTER,
)
from eadbench.media.onnx import session_options

log = logging.getLogger(__name__)
# pixels of the square that the mesh sees; its network takes 192 for the face with a
# margin of a quarter
MESH_SIDE = 288
DETECT_LONG_SIDE = 640
PACK = "results/zoo-cache/insightface"
SETTLING, SETTLED = (
    7,
    0.02,
)  # runs of the mesh on a first frame at most, and the change in pixels from which on it has settled
# counted up when landmarks of the same frames change, e.g. by the settling: those kept
# from before are not used then
TRACKING = 3
BLANK = np.zeros((64, 64, 3), np.uint8)


class Detector(Protocol):
    """Anything that finds faces in an RGB image ``(H, W, 3)`` uint8: boxes ``(N, 4)``
    as ``x0, y0, x1, y1`` in pixels, largest first.
    """

    def __call__(self, image: np.ndarray) -> np.ndarray: ...


@contextmanager
def suppress_stderr() -> Iterator[None]:
    """Silence the start-up messages that MediaPipe's C++ part writes past Python to the
    process's stderr.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class FaceMesh:
    """MediaPipe's face mesh with iris points, run from frame to frame.

    The graph remembers where the face was; call :meth:`reset` whenever the view
    changes, so that a result depends only on the frames since then.

    Its first results after a start are off: on one and the same frame (256 x 256,
    filmed) by 1.6, 1.0, 0.3, 0.1 and 0.04 px, and by 0.01 px from then on. So the first
    frame is run until it has settled. What remains on a frame that stands still
    behind a codec is a jitter of 0.06 to 0.5 per cent of the eye distance (crf 16 to
    35); a whole video of one frame is told by
    :class:`eadbench.scores.landmarks.MeshTracker`.
    """

    def __init__(self) -> None:
        with suppress_stderr():
            import mediapipe

            # static_image_mode=False follows the face and spares the detector;
            # refine_landmarks adds the irises: 478 points.
            self._mesh = mediapipe.solutions.face_mesh.FaceMesh(
                static_image_mode=False, max_num_faces=1, refine_landmarks=True
            )
            self._mesh.process(BLANK)
        self._spoken = False  # the graph's last message comes with the first face
        self._follows = False  # whether there was a face in the last frame

    def __call__(self, image: np.ndarray) -> np.ndarray | None:
        """Landmarks ``(478, 3)`` float32 in pixels of ``image`` (whole numbers are
        pixel centres; z negative towards the camera), or ``None``.
        """
        landmarks = self._run(image)
        if landmarks is not None and not self._follows:
            for _ in range(SETTLING):
                before, landmarks = landmarks, self._run(image)
                if landmarks is None or np.abs(landmarks[:, :2] - before[:, :2]).mean() < SETTLED:
                    break
        self._follows = landmarks is not None
        return landmarks

    def _run(self, image: np.ndarray) -> np.ndarray | None:
        height, width = image.shape[:2]
        with nullcontext() if self._spoken else suppress_stderr():
            faces = self._mesh.process(np.ascontiguousarray(image)).multi_face_landmarks
        if not faces:
            return None
        self._spoken = True
        points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float32)
        return points * np.float32([width, height, width]) - np.float32([0.5, 0.5, 0.0])

    def reset(self) -> None:
        """Forget the face followed so far: the graph loses it on a blank image, which
        is faster than starting the graph anew and as thorough.
        """
        if self._follows:
            self._mesh.process(BLANK)
            self._follows = False

    def close(self) -> None:
        """Free the graph."""
        self._mesh.close()


class HaarDetector:
    """OpenCV's cascade `haarcascade_frontalface_alt2`, which ships inside OpenCV 4's
    wheel.
    """

    def __init__(self) -> None:
        path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"
        if not path.exists():
            raise EadbenchError(
                "OpenCV came without its cascades", path, 'pip install "opencv-python-headless<5"'
            )
        self._cascade = cv2.CascadeClassifier(str(path))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        small, scale = _shrink(image)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        least = max(24, min(grey.shape) // 16)
        boxes = np.array(
            self._cascade.detectMultiScale(grey, 1.1, 4, minSize=(least, least)), np.float32
        ).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return _largest_first(boxes / scale)


class BlazeDetector:
    """MediaPipe's full-range face detector (faces up to 5 m away), which ships inside
    mediapipe 0.10.21's wheel.
    """

    def __init__(self, confidence: float = 0.5) -> None:
        with suppress_stderr():
            import mediapipe

            self._detector = mediapipe.solutions.face_detection.FaceDetection(
                model_selection=1, min_detection_confidence=confidence
            )
            self._detector.process(BLANK)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        small, scale = _shrink(image)
        height, width = small.shape[:2]
        detections = self._detector.process(np.ascontiguousarray(small)).detections or []
        boxes = [d.location_data.relative_bounding_box for d in detections]
        boxes = np.array(
            [
                (b.xmin * width, b.ymin * height, (b.xmin + b.width) * width, (b.ymin + b.height) * height)
                for b in boxes
            ],
            np.float32,
        )
        return _largest_first(boxes.reshape(-1, 4) / scale)


class EmbeddedDetector:
    """The default: MediaPipe's detector, and OpenCV's cascade where that finds nothing
    (small faces in large frames).
    """

    def __init__(self) -> None:
        self._first, self._second = BlazeDetector(), HaarDetector()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        boxes = self._first(image)
        return boxes if len(boxes) else self._second(image)


class InsightfaceDetector:
    """The detector of an insightface pack, e.g. SCRFD of ``buffalo_l`` (non-commercial
    research licence), run by the package insightface.

    Args:
        pack: Folder with the pack's ``.onnx`` files; the detector is the first of
            ``det_*.onnx``, ``scrfd*.onnx``, ``retina*.onnx``. Nothing is downloaded.

    Raises:
        EadbenchError: If the folder has no detector, it cannot be used, or the package
            is not installed.
    """

    def __init__(self, pack: str | Path) -> None:
        models = sorted(
            path for path in Path(pack).glob("*.onnx") if path.name.startswith(("det_", "scrfd", "retina"))
        )
        if not models:
            raise EadbenchError(
                "the insightface pack has no detector, det_10g.onnx or another det_*.onnx",
                pack,
                "unpack buffalo_l.zip of https://github.com/deepinsight/insightface/releases/tag/v0.7 there "
                "(read its licence) and set `clips: pack:`, or use `clips: detector: embedded`",
            )
        self._model = _insightface_model(models[0])
        if getattr(self._model, "taskname", None) != "detection":
            raise EadbenchError(
                "insightface does not take this model for a face detector",
                models[0],
                "give a pack with det_10g.onnx",
            )
        self._model.prepare(ctx_id=-1, input_size=(DETECT_LONG_SIDE, DETECT_LONG_SIDE), det_thresh=0.5)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        boxes, _ = self._model.detect(np.ascontiguousarray(image[..., ::-1]))  # it wants BGR
        return _largest_first(np.asarray(boxes, np.float32).reshape(-1, 5)[:, :4])


def _insightface_model(path: Path) -> Any:
    if disguise := nature(path):
        raise EadbenchError(f"the file is {disguise}", path, "fetch the pack again from the named source")
    try:
        from insightface.model_zoo import get_model

        options = session_options()
    except ImportError as error:
        raise EadbenchError(
            f"the insightface detector cannot be used: {error}",
            path,
            "pip install insightface onnx onnxruntime",
        ) from error
    try:
        return get_model(str(path), providers=["CPUExecutionProvider"], sess_options=options)
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        raise EadbenchError(
            f"not a usable ONNX model: {error}", path, "fetch the pack again from the named source"
        ) from error


def choose_detector(name: str, pack: str | Path | None) -> str:
    """The detector that ``auto`` means: ``insightface`` if its pack is there, else
    ``embedded``; other names mean themselves.
    """
    if name != "auto":
        return name
    detector = "insightface" if any(Path(pack or PACK).glob("*.onnx")) else "embedded"
    log.info(
        "face detector: %s, since %s holds %s",
        detector,
        pack or PACK,
        "a pack" if detector == "insightface" else "no pack",
    )
    return detector


def make_detector(name: str, pack: str | Path | None = None) -> Detector:
    """Detector by name: ``embedded``, ``blaze``, ``haar``, ``insightface`` (needs its
    pack) or ``auto``.

    Raises:
        EadbenchError: If the name is unknown or its models are missing.
    """
    name = choose_detector(name, pack)
    if name == "insightface":
        return InsightfaceDetector(pack or PACK)
    known = {"embedded": EmbeddedDetector, "blaze": BlazeDetector, "haar": HaarDetector}
    if name not in known:
        raise EadbenchError(
            f"unknown face detector {name!r}", "clips: detector", f"one of insightface, {', '.join(known)}"
        )
    return known[name]()


def _shrink(image: np.ndarray) -> tuple[np.ndarray, float]:
    scale = min(1.0, DETECT_LONG_SIDE / max(image.shape[:2]))
    return (
        (cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale)
        if scale < 1
        else (image, 1.0)
    )


def _largest_first(boxes: np.ndarray) -> np.ndarray:
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return boxes[np.argsort(-area, kind="stable")]


def box_of(landmarks: np.ndarray) -> np.ndarray:
    """Bounding boxes ``(..., 4)`` as ``x0, y0, x1, y1`` of landmarks
    ``(..., N, 2 or 3)``.
    """
    return np.concatenate([landmarks[..., :2].min(-2), landmarks[..., :2].max(-2)], -1)


def yaw_of(landmarks: np.ndarray) -> np.ndarray:
    """Yaw in degrees ``(...)`` of landmarks ``(..., 478, 3)``: turn of the line between
    the outer corners of the eyes in depth; 0 is frontal.
    """
    line = landmarks[..., LEFT_EYE_OUTER, :] - landmarks[..., RIGHT_EYE_OUTER, :]
    return np.degrees(np.arctan2(line[..., 2], np.hypot(line[..., 0], line[..., 1])))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(0.0, width) * max(0.0, height)
    return float(shared / max(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared, 1e-9))

"""One face of a video or image of any size, tracked and aligned as `clips` does, in
memory that hardly grows with the length.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from eadbench.clips import align
from eadbench.clips.config import ClipsConfig
from eadbench.clips.shots import CutDetector
from eadbench.clips.track import FaceTracker, Sight
from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track
from eadbench.media.faces import FaceMesh, make_detector
from eadbench.media.image import warp_area
from eadbench.media.video import DecodedFrame, iter_decoded_frames, iter_frames

log = logging.getLogger(__name__)
FPS = 25
NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


@dataclass
class TrackedFace:
    """The place of the face in every frame.

    Attributes:
        path: The video or image.
        sights: What was detected, without pixels; one per frame at 25 per second (an
            image: one). ``None`` where there is no face: a title card, a cut to
            something else, a face that is absent for longer than
            `clips: max_gap_seconds`.
        matrix: ``(T, 2, 3)`` source to aligned pixels; not a number without a face.
        size: Side of the aligned square.
        frames: Frames to show; more than there are sights only for an image, which is
            repeated.
    """

    path: Path
    sights: list[Sight | None]
    matrix: np.ndarray
    size: int
    frames: int

    @property
    def faceless(self) -> int:
        """Number of frames without face."""
        return sum(sight is None for sight in self.sights)

    def has_face(self, number: int) -> bool:
        """Whether a frame shows the face."""
        return self._sight(number) is not None

    def matrix_of(self, number: int) -> np.ndarray:
        """``(2, 3)`` of a frame that shows the face."""
        return self.matrix[min(number, len(self.matrix) - 1)]

    def aligned(self) -> Iterator[np.ndarray]:
        """The aligned frames ``(size, size, 3)`` uint8, one for each frame: without a
        face, the last one before or else the first one.
        """
        last = None
        for number, frame in enumerate(self._frames()):
            if self.has_face(number):
                last = self._align(number, frame)
            elif last is None:
                last = next(self.aligned_faces())
            yield last

    def aligned_faces(self) -> Iterator[np.ndarray]:
        """The aligned frames that show the face."""
        return (
            self._align(number, frame) for number, frame in enumerate(self._frames()) if self.has_face(number)
        )

    def whole(self) -> Iterator[np.ndarray]:
        """The whole frames ``(H, W, 3)`` uint8, cut to even sides as H.264 needs them."""
        for frame in self._frames():
            image = frame.rgb()
            yield image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]

    def _sight(self, number: int) -> Sight | None:
        return self.sights[min(number, len(self.sights) - 1)]

    def _align(self, number: int, frame: DecodedFrame) -> np.ndarray:
        square = self._sight(number).square
        image = frame.region(square.left, square.top, square.left + square.side, square.top + square.side)
        return warp_area(image, self.matrix_of(number) @ square.matrix(square.side), (self.size, self.size))

    def _frames(self) -> Iterator[DecodedFrame]:
        if len(self.sights) == 1:
            frame = next(iter_decoded_frames(self.path))
            yield from (frame for _ in range(self.frames))
        else:
            yield from islice(resampled_frames(self.path), self.frames)


def resampled_frames(path: Path, notes: list[str] | None = None) -> Iterator[DecodedFrame]:
    """The frames of a video, resampled to 25 per second by time stamps."""
    return iter_decoded_frames(path, fps=FPS, notes=notes)


def track_face(path: Path, frames: int, config: ClipsConfig, size: int, still: bool) -> TrackedFace:
    """Detect the face and track it.

    Args:
        path: Video, or with ``still`` an image.
        frames: Number of frames to show.
        config: How ``clips`` aligns.
        size: Side of the aligned square.
        still: The file is an image.

    Raises:
        EadbenchError: If there is no face.
    """
    tracker = FaceTracker(
        FaceMesh(),
        make_detector(config.detector, config.pack),
        size,
        config.margin,
        None,
        FPS,
        search_pause=0,
    )
    is_cut = CutDetector(config.cut_threshold)
    patience = round(config.max_gap_seconds * FPS)
    sights: list[Sight | None] = []
    # numbers of the frames that show the same face without a cut or a long gap between
    runs: list[list[int]] = []
    frames_without_face, last_thumbnail = 0, None
    notes: list[str] = []
    if still:
        decoded = islice(iter_decoded_frames(path, notes=notes), 1)
    else:
        decoded = islice(resampled_frames(path, notes), frames)
    for frame in track(decoded, "track the face", total=1 if still else frames, unit="frames"):
        if is_cut(frame):
            tracker.reset()
        sight = tracker.step(frame)
        sights.append(replace(sight, image=NO_PIXELS) if sight else None)
        if sight is not None and sight.landmarks is not None:
            runs += [[]] if sight.fresh else []
            runs[-1].append(len(sights) - 1)
            frames_without_face, last_thumbnail = 0, _thumbnail(frame, sight)
            continue
        frames_without_face += 1
        # A face that is only blurred or hidden for a moment is drawn all the same; where
        # it has left, the image at its place has changed.
        has_left = frames_without_face > patience
        if not has_left and sight is not None:
            change = np.abs(_thumbnail(frame, sight) - last_thumbnail).mean()
            has_left = change > config.cut_threshold
        if has_left:
            tracker.reset()
    for note in notes:
        log.warning("%s: %s", path, note)
    if not runs:
        raise EadbenchError("no face was found", path, "use a frontal, well-lit face of at least 60 pixels")
    matrix = np.full((len(sights), 2, 3), np.nan)
    for run in runs:
        matrix[run[0] : run[-1] + 1] = _matrices(sights[run[0] : run[-1] + 1], config, size)
    has_matrix = ~np.isnan(matrix[:, 0, 0])
    sights = [sight if usable else None for sight, usable in zip(sights, has_matrix, strict=True)]
    face = TrackedFace(path, sights, matrix, size, frames if still else len(sights))
    if face.faceless:
        log.warning("%s: no face in %d of %d frames: they stay as they are", path, face.faceless, len(sights))
    return face


def _thumbnail(frame: DecodedFrame, sight: Sight) -> np.ndarray:
    """The face and its surroundings, ``(32, 32)`` float32, grey."""
    square = sight.square
    region = frame.region(square.left, square.top, square.left + square.side, square.top + square.side)
    small = cv2.resize(region, (32, 32), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _matrices(shot: list[Sight], config: ClipsConfig, size: int) -> np.ndarray:
    landmarks = align.denoise(align.fill_gaps(shot))
    turn, centre = align.smooth_transforms(
        *align.similarities(landmarks, size, config.margin), config.align, config.smooth_seconds * FPS
    )
    return align.matrices(turn, centre, size)


def reference_frames(face: TrackedFace, limit: int) -> np.ndarray:
    """The first aligned frames with a face, ``(R, S, S, 3)``, at most ``limit``."""
    count = 1 if len(face.sights) == 1 else limit
    return np.stack(list(islice(face.aligned_faces(), count)))


def is_image(path: Path) -> bool:
    """Whether a file holds just one frame."""
    return sum(1 for _ in islice(iter_frames(path), 2)) == 1

"""One face of a video or picture of any size, followed and aligned as `clips` does, in memory that hardly grows with the length."""

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
from eadbench.media.video import Picture, iter_frames, iter_pictures

FPS = 25
NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


@dataclass
class FollowedFace:
    """Where the face is in every frame.

    Attributes:
        path: The video or picture.
        sights: What was seen, without pixels; one per frame at 25 per second (a picture: one).
        matrix: ``(T, 2, 3)`` source to aligned pixels.
        size: Side of the aligned square.
        frames: Frames to show; more than there are sights only for a picture, which stands still.
    """

    path: Path
    sights: list[Sight]
    matrix: np.ndarray
    size: int
    frames: int

    def matrix_of(self, number: int) -> np.ndarray:
        """``(2, 3)`` of a frame."""
        return self.matrix[min(number, len(self.matrix) - 1)]

    def aligned(self) -> Iterator[np.ndarray]:
        """The aligned frames ``(size, size, 3)`` uint8."""
        for number, picture in enumerate(self._pictures()):
            sight = self.sights[min(number, len(self.sights) - 1)]
            side = min(max(2 * self.size, 1), sight.square.side)
            corner = sight.square.left, sight.square.top
            image = np.ascontiguousarray(picture.region(*corner, corner[0] + sight.square.side, corner[1] + sight.square.side))
            if side < sight.square.side:
                image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            yield next(align.warp([replace(sight, image=image)], self.matrix_of(number)[None], self.size))

    def whole(self) -> Iterator[np.ndarray]:
        """The whole frames ``(H, W, 3)`` uint8, cut to even sides as H.264 wants them."""
        for picture in self._pictures():
            image = picture.rgb()
            yield image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]

    def _pictures(self) -> Iterator[Picture]:
        if len(self.sights) == 1:
            picture = next(iter_pictures(self.path))
            yield from (picture for _ in range(self.frames))
        else:
            yield from islice(pictures_of(self.path), self.frames)


def pictures_of(path: Path) -> Iterator[Picture]:
    """A video at 25 frames per second, by time stamps."""
    return iter_pictures(path, fps=FPS)


def follow(path: Path, frames: int, config: ClipsConfig, size: int, still: bool) -> FollowedFace:
    """Find the face and follow it.

    Args:
        path: Video, or with ``still`` a picture.
        frames: Frames wanted.
        config: How ``clips`` aligns.
        size: Side of the aligned square.
        still: The file is a picture.

    Raises:
        EadbenchError: If there is no face.
    """
    tracker = FaceTracker(FaceMesh(), make_detector(config.detector, config.pack), size, config.margin, None, FPS)
    is_cut = CutDetector(config.cut_threshold)
    shots: list[list[Sight]] = [[]]
    lost = 0
    pictures = islice(iter_pictures(path), 1) if still else islice(pictures_of(path), frames)
    for picture in track(pictures, "follow the face", total=1 if still else frames, unit="frames"):
        if is_cut(picture):
            tracker.forget()
            shots.append([])
            lost = 0
        sight = tracker.step(picture)
        if sight is None:
            lost += 1
            continue
        # Frames before the face was first seen get its first place.
        shots[-1] += [replace(sight, image=NO_PIXELS)] * (1 + (lost if not shots[-1] else 0))
    if not any(s.landmarks is not None for shot in shots for s in shot):
        raise EadbenchError("no face was found", path, "use a frontal, well-lit face of at least 60 pixels")
    matrix = np.concatenate([_matrices(shot, config, size) for shot in shots if shot])
    sights = [sight for shot in shots for sight in shot]
    return FollowedFace(path, sights, matrix, size, frames if still else len(sights))


def _matrices(shot: list[Sight], config: ClipsConfig, size: int) -> np.ndarray:
    landmarks = align.calm(align.fill_gaps(shot))
    turn, centre = align.steady(*align.similarities(landmarks, size, config.margin), config.align, config.smooth_seconds * FPS)
    return align.matrices(turn, centre, size)


def reference_frames(face: FollowedFace, limit: int) -> np.ndarray:
    """The first aligned frames, ``(R, S, S, 3)``, at most ``limit``."""
    count = 1 if len(face.sights) == 1 else limit
    return np.stack(list(islice(face.aligned(), count)))


def is_picture(path: Path) -> bool:
    """Whether a file holds just one frame."""
    return sum(1 for _ in islice(iter_frames(path), 2)) == 1

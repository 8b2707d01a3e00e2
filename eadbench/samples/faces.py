"""One face of a video or picture of any size, followed and aligned as `clips` does, in
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
class FollowedFace:
    """Where the face is in every frame.

    Attributes:
        path: The video or picture.
        sights: What was seen, without pixels; one per frame at 25 per second (a
            picture: one). ``None`` where no face is: a title card, a cut to something
            else, a face that is gone for longer than `clips: max_gap_seconds`.
        matrix: ``(T, 2, 3)`` source to aligned pixels; not a number where no face is.
        size: Side of the aligned square.
        frames: Frames to show; more than there are sights only for a picture, which
            stands still.
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
        """The aligned frames ``(size, size, 3)`` uint8, one for each frame: where no
        face is, the last one before or else the first one.
        """
        last = None
        for number, picture in enumerate(self._pictures()):
            if self.has_face(number):
                last = self._align(number, picture)
            elif last is None:
                last = next(self.aligned_faces())
            yield last

    def aligned_faces(self) -> Iterator[np.ndarray]:
        """The aligned frames that show the face."""
        return (
            self._align(number, picture)
            for number, picture in enumerate(self._pictures())
            if self.has_face(number)
        )

    def whole(self) -> Iterator[np.ndarray]:
        """The whole frames ``(H, W, 3)`` uint8, cut to even sides as H.264 wants them."""
        for picture in self._pictures():
            image = picture.rgb()
            yield image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]

    def _sight(self, number: int) -> Sight | None:
        return self.sights[min(number, len(self.sights) - 1)]

    def _align(self, number: int, picture: DecodedFrame) -> np.ndarray:
        square = self._sight(number).square
        image = picture.region(square.left, square.top, square.left + square.side, square.top + square.side)
        return warp_area(image, self.matrix_of(number) @ square.matrix(square.side), (self.size, self.size))

    def _pictures(self) -> Iterator[DecodedFrame]:
        if len(self.sights) == 1:
            picture = next(iter_decoded_frames(self.path))
            yield from (picture for _ in range(self.frames))
        else:
            yield from islice(pictures_of(self.path), self.frames)


def pictures_of(path: Path, notes: list[str] | None = None) -> Iterator[DecodedFrame]:
    """A video at 25 frames per second, by time stamps."""
    return iter_decoded_frames(path, fps=FPS, notes=notes)


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
    runs: list[
        list[int]
    ] = []  # numbers of the frames in which the same face was seen without a cut or a long gap between
    gone, looked = 0, None
    notes: list[str] = []
    pictures = (
        islice(iter_decoded_frames(path, notes=notes), 1)
        if still
        else islice(pictures_of(path, notes), frames)
    )
    for picture in track(pictures, "follow the face", total=1 if still else frames, unit="frames"):
        if is_cut(picture):
            tracker.reset()
        sight = tracker.step(picture)
        sights.append(replace(sight, image=NO_PIXELS) if sight else None)
        if sight is not None and sight.landmarks is not None:
            runs += [[]] if sight.fresh else []
            runs[-1].append(len(sights) - 1)
            gone, looked = 0, _look(picture, sight)
            continue
        gone += 1
        # Blurred or hidden for a moment, and drawn; or gone, and left as it is: then
        # its place looks otherwise.
        if gone > patience or (
            sight is not None and np.abs(_look(picture, sight) - looked).mean() > config.cut_threshold
        ):
            tracker.reset()
    for note in notes:
        log.warning("%s: %s", path, note)
    if not runs:
        raise EadbenchError("no face was found", path, "use a frontal, well-lit face of at least 60 pixels")
    matrix = np.full((len(sights), 2, 3), np.nan)
    for run in runs:
        matrix[run[0] : run[-1] + 1] = _matrices(sights[run[0] : run[-1] + 1], config, size)
    found = FollowedFace(
        path,
        [s if known else None for s, known in zip(sights, ~np.isnan(matrix[:, 0, 0]), strict=True)],
        matrix,
        size,
        0,
    )
    found.frames = frames if still else len(sights)
    if found.faceless:
        log.warning(
            "%s: no face in %d of %d frames: they stay as they are", path, found.faceless, len(sights)
        )
    return found


def _look(picture: DecodedFrame, sight: Sight) -> np.ndarray:
    """The face's surroundings, small and grey."""
    square = sight.square
    region = picture.region(square.left, square.top, square.left + square.side, square.top + square.side)
    return cv2.cvtColor(
        cv2.resize(region, (32, 32), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
    ).astype(np.float32)


def _matrices(shot: list[Sight], config: ClipsConfig, size: int) -> np.ndarray:
    landmarks = align.denoise(align.fill_gaps(shot))
    turn, centre = align.smooth_transforms(
        *align.similarities(landmarks, size, config.margin), config.align, config.smooth_seconds * FPS
    )
    return align.matrices(turn, centre, size)


def reference_frames(face: FollowedFace, limit: int) -> np.ndarray:
    """The first aligned frames with a face, ``(R, S, S, 3)``, at most ``limit``."""
    count = 1 if len(face.sights) == 1 else limit
    return np.stack(list(islice(face.aligned_faces(), count)))


def is_picture(path: Path) -> bool:
    """Whether a file holds just one frame."""
    return sum(1 for _ in islice(iter_frames(path), 2)) == 1

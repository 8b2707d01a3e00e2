"""Follow one face through a shot, frame by frame, keeping only a small image around
it.
"""

from dataclasses import dataclass

import numpy as np

from eadbench.media.faces import MESH_SIDE, Detector, FaceMesh, box_of, overlap
from eadbench.media.image import resize_square
from eadbench.media.video import DecodedFrame

# the region kept around a face is this much larger than the aligned square, so that the
# head may move in it
LOOSE = 1.5
SPARE = 1.25  # kept pixels per aligned pixel at most
SAME_FACE = 0.5  # least overlap of one face's boxes from frame to frame
# frames between two searches while no face is there: doubled from the first to the
# second
SEARCH_PAUSE, LONGEST_PAUSE = (3, 24)
HALVED = 16  # large squares have sides that are multiples of it
MAX_OUTSIDE = 0.2  # a face with more of its landmarks outside the frame has left it


@dataclass(frozen=True)
class Square:
    """A square of the source: its left and top pixel and its side."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, box: np.ndarray, factor: float) -> "Square":
        """``factor`` times as large as the longer side of a box; large ones in steps,
        so that they can be halved.
        """
        side = max(16, round(float(max(box[2] - box[0], box[3] - box[1])) * factor))
        step = HALVED if side >= 2 * MESH_SIDE else 1
        side = round(side / step) * step
        centre = (box[:2] + box[2:]) / 2
        return cls(round(float(centre[0]) - side / 2), round(float(centre[1]) - side / 2), side)

    def to_source(self, points: np.ndarray, side: int) -> np.ndarray:
        """Points in pixels of this square shrunk to ``side`` pixels -> source pixels
        (whole numbers are pixel centres).
        """
        scale = self.side / side
        moved = np.array(points, np.float32)
        moved[..., :2] = (moved[..., :2] + 0.5) * scale - 0.5 + np.float32([self.left, self.top])
        moved[..., 2:] *= scale
        return moved

    def matrix(self, side: int) -> np.ndarray:
        """The same map as a ``(3, 3)`` matrix."""
        scale = self.side / side
        return np.array(
            [[scale, 0, self.left + 0.5 * scale - 0.5], [0, scale, self.top + 0.5 * scale - 0.5], [0, 0, 1]]
        )


@dataclass
class Sight:
    """What was seen of the face in one frame.

    Attributes:
        time: Time stamp of the source frame in seconds.
        number: Its number in the source.
        landmarks: ``(478, 3)`` in source pixels; ``None`` where the face was lost.
        square: Region of the source that ``image`` shows.
        image: ``(s, s, 3)`` uint8.
        faces: Faces that the detector counted, where it looked.
        fresh: The face is another one than in the frame before, or the first one.
    """

    time: float
    number: int
    landmarks: np.ndarray | None
    square: Square
    image: np.ndarray
    faces: int | None
    fresh: bool


class FaceTracker:
    """Finds a face with the detector, then follows it with the mesh.

    Args:
        mesh, detector: See :mod:`eadbench.media.faces`.
        size, margin: Of the aligned square.
        search: ``(x, y, w, h)`` of the source in which faces are looked for first;
            ``None`` for the whole frame.
        count_every: Frames between two counts of faces.
        search_pause: Frames between two searches while no face is there, at first; 0
            searches every frame.
    """

    def __init__(
        self,
        mesh: FaceMesh,
        detector: Detector,
        size: int,
        margin: float,
        search: tuple[int, int, int, int] | None,
        count_every: int,
        search_pause: int = SEARCH_PAUSE,
    ) -> None:
        self.mesh, self.detector, self.search, self.count_every = mesh, detector, search, max(1, count_every)
        self.search_pause = search_pause
        self.factor = LOOSE * (1 + margin)
        self.most = round(LOOSE * size * SPARE)
        self._since_count = 0
        self.reset()

    def reset(self) -> None:
        """Start afresh, as after a cut."""
        self._square: Square | None = None
        self._box: np.ndarray | None = None
        self._pause, self._next_pause = 0, self.search_pause
        self._fresh = True

    def step(self, frame: DecodedFrame) -> Sight | None:
        """Look at the next frame. ``None`` while no face has been found since the last
        :meth:`reset`.
        """
        self._faces: int | None = None
        landmarks = self._follow(frame) if self._square else None
        if landmarks is None:
            landmarks = self._find(frame)
        elif self._since_count >= self.count_every:
            self._detect(frame)
        self._since_count += 1
        if self._square is None:
            return None
        if landmarks is not None:
            self._box = box_of(landmarks)
        image = self._cut_out(frame, self._square, min(self.most, self._square.side))
        sight = Sight(
            frame.time,
            frame.number,
            landmarks,
            self._square,
            image,
            self._faces,
            self._fresh and landmarks is not None,
        )
        if landmarks is not None:
            self._fresh = False
            self._recentre()
        return sight

    def _follow(self, frame: DecodedFrame) -> np.ndarray | None:
        landmarks = self._look(frame, self._square)
        return (
            landmarks
            if landmarks is not None and overlap(box_of(landmarks), self._box) >= SAME_FACE
            else None
        )

    def _find(self, frame: DecodedFrame) -> np.ndarray | None:
        """Search with the detector: near the face just lost, else the largest face on
        which the mesh agrees.
        """
        if self._pause:
            self._pause -= 1
            return None
        boxes = self._detect(frame)
        lost = self._box
        if lost is not None:
            boxes = sorted(boxes, key=lambda box: -overlap(box, lost))
        for box in boxes[:3]:
            self.mesh.reset()
            landmarks = self._look(frame, Square.around(box, 1.5 * 1.5))
            if landmarks is None or overlap(box_of(landmarks), box) < 0.2:
                continue
            square = Square.around(box_of(landmarks), self.factor)
            self.mesh.reset()
            again = self._look(frame, square)
            if again is None:
                continue
            self._square, self._next_pause = square, self.search_pause
            self._fresh = self._fresh or lost is None or overlap(box_of(again), lost) < SAME_FACE
            return again
        self._pause = self._next_pause
        self._next_pause = min(2 * self._next_pause, LONGEST_PAUSE)
        return None

    def _detect(self, frame: DecodedFrame) -> np.ndarray:
        self._since_count = 0
        boxes = np.zeros((0, 4), np.float32)
        if self.search is not None:
            x, y, w, h = self.search
            boxes = self.detector(frame.region(x, y, x + w, y + h)) + np.float32([x, y, x, y])
        if not len(boxes):  # a listed crop may be wrong
            boxes = self.detector(frame.rgb())
        self._faces = len(boxes)
        return boxes

    def _look(self, frame: DecodedFrame, square: Square) -> np.ndarray | None:
        landmarks = self.mesh(self._cut_out(frame, square, MESH_SIDE))
        if landmarks is None:
            return None
        landmarks = square.to_source(landmarks, MESH_SIDE)
        outside = ((landmarks[:, :2] < 0) | (landmarks[:, :2] > [frame.width, frame.height])).any(1).mean()
        return landmarks if outside <= MAX_OUTSIDE else None

    @staticmethod
    def _cut_out(frame: DecodedFrame, square: Square, side: int) -> np.ndarray:
        image = frame.region(square.left, square.top, square.left + square.side, square.top + square.side)
        return np.ascontiguousarray(image) if side == square.side else resize_square(image, side)

    def _recentre(self) -> None:
        """Move the region before the aligned square can leave it. Rarely, since the
        mesh must find the face anew.
        """
        target = Square.around(self._box, self.factor)
        now = self._square
        slack = (1 - 1 / LOOSE) / 2 * now.side * 0.8
        moved = max(
            abs(target.left + target.side / 2 - now.left - now.side / 2),
            abs(target.top + target.side / 2 - now.top - now.side / 2),
        )
        if moved > slack or not 0.8 < target.side / now.side < 1.25:
            self._square = target
            self.mesh.reset()

"""Hard cuts, found while the frames stream by."""

from collections import deque

import numpy as np

from eadbench.media.video import DecodedFrame

MEMORY = 12  # frames of context against which a jump must stand out
FACTOR = 3.0


class CutDetector:
    """A cut is a frame whose mean absolute difference in luma from the frame before is
    large in itself and against the recent past.

    The second condition (as in PySceneDetect's AdaptiveDetector) spares fast motion and
    camera shake.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._last: np.ndarray | None = None
        self._recent: deque[float] = deque(maxlen=MEMORY)

    def __call__(self, frame: DecodedFrame) -> bool:
        """Whether a cut lies just before this frame."""
        small = frame.thumbnail().astype(np.int16)
        last, self._last = self._last, small
        if last is None:
            return False
        if last.shape != small.shape:
            return True
        jump = float(np.abs(small - last).mean())
        usual = float(np.median(self._recent)) if self._recent else 0.0
        cut = jump > self.threshold and jump > FACTOR * usual
        if not cut:
            self._recent.append(jump)
        return cut

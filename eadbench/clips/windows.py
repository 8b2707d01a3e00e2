"""Split long stretches where the speech pauses."""

import numpy as np

from eadbench.media.audio import RATE

FPS = 25
PER_FRAME = RATE // FPS
QUIET = 0.15  # of the median loudness of the stretch


def split_point(samples: np.ndarray, longest: int, shortest: int) -> int:
    """Frame at which to split a stretch of ``longest`` frames.

    The quietest 0.2 s in the last 40 % of the stretch if it is a pause (below 15 % of
    the stretch's median loudness), else its end.

    Args:
        samples: The stretch's audio, 16 kHz; may be shorter than the stretch or empty.
        longest: Frames in the stretch.
        shortest: Least frames of a piece.
    """
    frames = min(len(samples) // PER_FRAME, longest)
    first = max(shortest, int(0.6 * longest))
    if frames <= first + 5:
        return longest
    loud = np.sqrt((samples[: frames * PER_FRAME].reshape(frames, PER_FRAME) ** 2).mean(1))
    around = np.convolve(loud, np.ones(5) / 5, mode="same")[first : frames - 2]
    quietest = int(np.argmin(around))
    return first + quietest if around[quietest] < QUIET * np.median(loud) else longest

"""Squared maximum mean discrepancy of features under a polynomial kernel: KID, unbiased
under the cubic one (Binkowski et al. 2018), and JEDi, biased under the square of the
product (Luo et al. 2024).
"""

import numpy as np


def kernel(x: np.ndarray, y: np.ndarray, degree: int = 3, offset: float = 1.0) -> np.ndarray:
    """``(x . y / d + offset) ** degree`` of ``(n, d)`` and ``(m, d)``: ``(n, m)``."""
    return (np.asarray(x, np.float64) @ np.asarray(y, np.float64).T / x.shape[1] + offset) ** degree


class ClipKernels:
    """Kernel sums between clips, from which KID of any resampling of the clips follows
    without touching the features again.

    Args:
        x: ``(n, d)`` features of the one side.
        x_clip: ``(n,)`` number of the clip of each.
        y: The other side, with numbers of the same clips.
        y_clip: As for ``x``.
        clips: Number of clips.
        degree: Of the kernel.
        offset: Of the kernel.
        biased: Whether pairs of a sample with itself count.
    """

    def __init__(
        self,
        x: np.ndarray,
        x_clip: np.ndarray,
        y: np.ndarray,
        y_clip: np.ndarray,
        clips: int,
        degree: int = 3,
        offset: float = 1.0,
        biased: bool = False,
    ) -> None:
        member_x, member_y = _membership(x_clip, clips), _membership(y_clip, clips)
        self.xx, self.yy, self.xy = (kernel(a, b, degree, offset) for a, b in ((x, x), (y, y), (x, y)))
        self.biased = biased
        for own in () if biased else (self.xx, self.yy):
            np.fill_diagonal(own, 0)
        self.xx, self.yy, self.xy = (
            member_x @ self.xx @ member_x.T,
            member_y @ self.yy @ member_y.T,
            member_x @ self.xy @ member_y.T,
        )
        self.nx, self.ny = member_x.sum(1), member_y.sum(1)

    def value(self, weights_x: np.ndarray, weights_y: np.ndarray) -> float:
        """The estimate with each clip counted as often as its weight says. Unbiased,
        copies of a sample are not paired with each other.
        """
        parts = []
        for own, n, w in ((self.xx, self.nx, weights_x), (self.yy, self.ny, weights_y)):
            pairs = (w @ n) ** 2 - (0 if self.biased else np.square(w) @ n)
            parts.append((w @ own @ w) / pairs if pairs > 0 else np.nan)
        return float(
            sum(parts)
            - 2 * (weights_x @ self.xy @ weights_y) / ((weights_x @ self.nx) * (weights_y @ self.ny))
        )


def _membership(clip: np.ndarray, clips: int) -> np.ndarray:
    member = np.zeros((clips, len(clip)))
    member[clip, np.arange(len(clip))] = 1
    return member

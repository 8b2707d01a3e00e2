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
        x: ``(n, d)`` features of the one set.
        x_clip: ``(n,)`` number of the clip of each.
        y: The other set, with numbers of the same clips.
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
        kernel_xx = kernel(x, x, degree, offset)
        kernel_yy = kernel(y, y, degree, offset)
        if not biased:
            np.fill_diagonal(kernel_xx, 0)
            np.fill_diagonal(kernel_yy, 0)
        self.biased = biased
        self.xx = member_x @ kernel_xx @ member_x.T
        self.yy = member_y @ kernel_yy @ member_y.T
        self.xy = member_x @ kernel(x, y, degree, offset) @ member_y.T
        self.nx, self.ny = member_x.sum(1), member_y.sum(1)

    def value(self, weights_x: np.ndarray, weights_y: np.ndarray) -> float:
        """The estimate with each clip counted as often as its weight says. Unbiased,
        copies of a sample are not paired with each other.
        """
        within = self._within(self.xx, self.nx, weights_x) + self._within(self.yy, self.ny, weights_y)
        pairs = (weights_x @ self.nx) * (weights_y @ self.ny)
        return float(within - 2 * (weights_x @ self.xy @ weights_y) / pairs)

    def _within(self, sums: np.ndarray, sizes: np.ndarray, weights: np.ndarray) -> float:
        """Mean of the kernel over the pairs of one set; NaN without a pair."""
        pairs = (weights @ sizes) ** 2
        if not self.biased:
            pairs = pairs - np.square(weights) @ sizes
        return (weights @ sums @ weights) / pairs if pairs > 0 else np.nan


def _membership(clip: np.ndarray, clips: int) -> np.ndarray:
    member = np.zeros((clips, len(clip)))
    member[clip, np.arange(len(clip))] = 1
    return member

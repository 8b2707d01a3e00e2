"""Soft dynamic time warping of two sequences that come a stretch at a time, in a band
about the diagonal.

Soft-DTW (Cuturi and Blondel, ICML 2017) is the soft minimum, ``-gamma log sum
exp(-cost / gamma)``, over all monotonic paths of the sum of distances along the path.
Its divergence (Blondel et al., AISTATS 2021) takes off half of either sequence's value
against itself, so that equal sequences have 0.
"""

import numpy as np


class Band:
    """Squared distances between the elements of two sequences that lie at most ``width``
    apart in time, and of each sequence with itself.

    Of the elements the last ``width`` of either side are kept, of the distances
    ``3 (2 width + 1)`` numbers per element.

    Args:
        width: Elements by which a path may leave the diagonal.

    Attributes:
        count: Elements so far.
    """

    def __init__(self, width: int) -> None:
        self.width, self.count = width, 0
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._rows: list[np.ndarray] = []

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Take in the next elements ``(N, D)`` of both sequences."""
        if not len(first):
            return
        added = len(first)
        if self._last is not None:
            first = np.concatenate([self._last[0], first])
            second = np.concatenate([self._last[1], second])
        if np.array_equal(first, second):
            second = first  # BLAS rounds X X' otherwise than X Y'
        offsets = np.arange(-self.width, self.width + 1)
        later = np.arange(len(first) - added, len(first))[:, None]
        t, s = later - np.maximum(offsets, 0), later + np.minimum(offsets, 0)
        exists = (t >= 0) & (s >= 0)
        pairs = ((first, second), (first, first), (second, second))
        t, s = np.maximum(t, 0), np.maximum(s, 0)
        distances = np.stack([squared_distances(*pair)[t, s] for pair in pairs])
        self._rows.append(np.where(exists, distances, np.inf))
        begin = max(0, len(first) - self.width)
        self._last = first[begin:].copy(), second[begin:].copy()
        self.count += added

    def divergence(self, gamma: float) -> float:
        """Soft-DTW divergence per element; 0 for equal sequences.

        Args:
            gamma: Softness, in the unit of the distances; above 0.

        Raises:
            ValueError: If there is no element.
        """
        if not self.count:
            raise ValueError("soft-DTW needs at least one element")
        both, first, second = soft_dtw(np.concatenate(self._rows, 1), gamma)
        return float(both - (first + second) / 2) / self.count


def squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances ``(N, M)`` between the rows of two matrices."""
    squares = (np.einsum("td,td->t", rows, rows) for rows in (first, second))
    distances = np.add.outer(*squares) - 2 * (first @ second.T)
    return np.maximum(distances, 0).astype(np.float64)


def soft_dtw(costs: np.ndarray, gamma: float) -> np.ndarray:
    """Soft-DTW of several pairs of sequences of equal length within a band.

    Args:
        costs: ``(R, T, 2 W + 1)`` by pair, by the later of two elements and by how much
            the second sequence's element is later than the first's, ``-W`` to ``W``.
        gamma: Softness, above 0.

    Returns:
        ``(R,)``; below 0 where many paths are cheap.
    """
    pairs, count, band = costs.shape
    width = band // 2
    weights = costs / -gamma
    # By the distance from the diagonal, one border on either side: logarithms of the
    # sums over all paths to a cell. Of an antidiagonal every other one is a cell; the
    # rest are still those of the antidiagonal before.
    sums = np.full((pairs, band + 2), -np.inf)
    for step in range(2 * count - 1):
        column = np.arange((step + width) % 2, band, 2)
        t = (step - column + width) // 2
        s = step - t
        inside = (t >= 0) & (s >= 0) & (t < count) & (s < count)
        column, later = column[inside], np.maximum(t, s)[inside]
        before = 0.0
        if step:
            before = np.logaddexp(sums[:, column], sums[:, column + 2])
            before = np.logaddexp(before, sums[:, column + 1])
        sums[:, column + 1] = weights[:, later, column] + before
    return -gamma * sums[:, width + 1]

"""Bootstrap over clips, clustered by speaker, and what follows from it for means and
set metrics.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import scipy  # which imports scipy.linalg when it is asked for

from eadbench.core.seeds import rng_for
from eadbench.scores.frechet import Moments, distance, nuclear_norm, root_factor, roots, trace_of_root

DIRECTIONS, ROWS = 256, 4000  # see FrechetBootstrap


def resamplings(speakers: Sequence[str | None], replicates: int, seed: int, *names: object) -> np.ndarray:
    """How often each clip is drawn: ``(replicates, clips)``.

    Two stages: speakers with replacement, then clips within each drawn speaker with
    replacement. So clips of one speaker stand or fall together, and a corpus with one
    speaker still has an interval (of its clips alone). A clip whose speaker is not
    known (null) stands alone.
    """
    rng = rng_for(seed, "bootstrap", *names)
    clips_of: dict[str | int, list[int]] = {}
    for k, speaker in enumerate(speakers):
        clips_of.setdefault(speaker if isinstance(speaker, str) else k, []).append(k)
    groups = [np.array(clips) for clips in clips_of.values()]
    counts = np.zeros((replicates, len(speakers)), np.int64)
    # choosing among one clip draws nothing, so these are the numbers of the loop below
    if len(groups) == len(speakers):
        for row in counts:
            row += np.bincount(rng.integers(len(groups), size=len(groups)), minlength=len(groups))
        return counts
    for row in counts:
        for g in rng.integers(len(groups), size=len(groups)):
            np.add.at(row, rng.choice(groups[g], len(groups[g])), 1)
    return counts


def interval(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the finite replicates; NaN without any."""
    finite = replicates[np.isfinite(replicates)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def interval_about(value: float, replicates: np.ndarray, floor: float | None = None) -> tuple[float, float]:
    """Interval of a set metric.

    Resampling repeats clips, which alone raises a Fréchet distance; the replicates are
    therefore moved so that their median is the value itself.
    """
    low, high = interval(replicates + (value - np.nanmedian(replicates)))
    return (low, high) if floor is None else (max(low, floor), max(high, floor))


def mean_interval(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Interval of the mean of ``(clips,)`` values under resamplings ``(R, clips)``."""
    return interval((counts @ values) / counts.sum(1))


class FrechetBootstrap:
    """Fréchet distance of resampled clips, quick enough for a thousand replicates, with
    bounded memory.

    The replicates look at no more than about ``ROWS`` samples a side, spread evenly.
    Means and total variances of a resampling are exact for those; the trace of the root
    is taken in the ``DIRECTIONS`` strongest directions of the pooled features, and what
    lies outside counts in proportion to its variance, as at the point estimate. With
    fewer samples and dimensions nothing is left out.

    Args:
        x: Features ``(n_k, d)`` of each clip of the one side; iterated over twice.
        y: The other side.

    Attributes:
        value: The distance of all clips, exact.
        rows: Samples of ``y``.
    """

    def __init__(self, x: Collection[np.ndarray], y: Collection[np.ndarray]) -> None:
        left, right = Moments.of(x), Moments.of(y)
        trace = trace_of_root(left, right)
        self.value, self.rows = distance(left, right, trace), right.n
        origin = (left.mean + right.mean) / 2
        basis = _basis(left, right)
        self.sides = [_Side(x, left.n, origin, basis), _Side(y, right.n, origin, basis)]
        self.outside = 0.0
        if basis is not None:
            kept_x, kept_y = (_variance_within(m, basis) for m in (left, right))
            inside = self._root(*(side.factor(np.ones(len(side.n))) for side in self.sides))
            left_out = np.sqrt(max(left.total_variance - kept_x, 0) * max(right.total_variance - kept_y, 0))
            self.outside = (trace - inside) / left_out if left_out > 0 else 0.0

    def replicate(self, weights_x: np.ndarray, weights_y: np.ndarray) -> float:
        """The distance with each clip counted as often as its weight says."""
        (mean_x, variance_x), (mean_y, variance_y) = (
            side.moments(w) for side, w in zip(self.sides, (weights_x, weights_y), strict=True)
        )
        a, b = (side.factor(w) for side, w in zip(self.sides, (weights_x, weights_y), strict=True))
        left_out = (
            max(variance_x - np.square(a).sum(), 0) * max(variance_y - np.square(b).sum(), 0)
            if self.outside
            else 0.0
        )
        gap = mean_x - mean_y
        return float(
            max(
                gap @ gap
                + variance_x
                + variance_y
                - 2 * (self._root(a, b) + self.outside * np.sqrt(left_out)),
                0.0,
            )
        )

    @staticmethod
    def _root(a: np.ndarray, b: np.ndarray) -> float:
        if min(len(a), len(b)) <= a.shape[1]:
            return nuclear_norm(a @ b.T)
        first = root_factor(a.T @ a)
        return roots(first.T @ (b.T @ b) @ first)


class _Side:
    """One side's samples in the basis, and what its exact means and variances need."""

    def __init__(
        self, clips: Collection[np.ndarray], n: int, origin: np.ndarray, basis: np.ndarray | None
    ) -> None:
        thin = -(-n // ROWS)
        self.n, self.squares = np.zeros(len(clips)), np.zeros(len(clips))
        self.sums = np.zeros((len(clips), len(origin)))
        rows, clip = [], []
        for k, features in enumerate(clips):
            centred = np.asarray(features, np.float64)[::thin] - origin
            self.n[k], self.sums[k], self.squares[k] = len(centred), centred.sum(0), np.square(centred).sum()
            rows.append(centred if basis is None else centred @ basis)
            clip += [k] * len(centred)
        self.rows, self.clip = np.concatenate(rows), np.array(clip)

    def moments(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """Mean ``(d,)`` and trace of the covariance of a resampling."""
        total = weights @ self.n
        mean = weights @ self.sums / total
        return mean, float((weights @ self.squares - total * mean @ mean) / max(total - 1, 1))

    def factor(self, weights: np.ndarray) -> np.ndarray:
        """Centred, weighted samples whose Gram matrix is the covariance of a resampling
        in the basis.
        """
        of_row = weights[self.clip].astype(float)
        used = of_row > 0
        rows, of_row = self.rows[used], of_row[used]
        total = of_row.sum()
        rows = rows - of_row @ rows / total
        return rows * np.sqrt(of_row / max(total - 1, 1))[:, None]


def _basis(left: Moments, right: Moments) -> np.ndarray | None:
    """The strongest directions ``(d, DIRECTIONS)`` of both sides together; ``None``
    where all are kept.
    """
    if left.dim <= DIRECTIONS or min(left.n, right.n) <= DIRECTIONS:
        return None
    gap = (left.mean - right.mean) / np.sqrt(2)
    # few samples: the eigenproblem of their Gram matrix is the smaller one
    if left.factor is not None and right.factor is not None:
        rows = np.concatenate([left.factor, right.factor, gap[None]])
        if len(rows) < left.dim:
            values, vectors = scipy.linalg.eigh(
                rows @ rows.T, subset_by_index=(len(rows) - DIRECTIONS, len(rows) - 1), check_finite=False
            )
            return rows.T @ (vectors / np.sqrt(np.maximum(values, 1e-300)))
    pooled = left.covariance + right.covariance + np.outer(gap, gap)
    return scipy.linalg.eigh(
        pooled, subset_by_index=(left.dim - DIRECTIONS, left.dim - 1), check_finite=False
    )[1]


def _variance_within(moments: Moments, basis: np.ndarray) -> float:
    """Trace of the covariance within a basis."""
    factor = moments.factor
    return float(
        np.square(factor @ basis).sum()
        if factor is not None
        else (basis * (moments.covariance @ basis)).sum()
    )


def replicate_all(
    metric: Callable[[np.ndarray, np.ndarray], float], counts_x: np.ndarray, counts_y: np.ndarray
) -> np.ndarray:
    """``(R,)`` values of a set metric under resamplings of both sides' clips."""
    found = np.full(len(counts_x), np.nan)
    for k, (a, b) in enumerate(zip(counts_x, counts_y, strict=True)):
        found[k] = metric(a, b)
    return found

"""Bootstrap over clips, clustered by speaker, and what follows from it for means and
set metrics.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import scipy  # which imports scipy.linalg at its first use

from eadbench.core.seeds import rng_for
from eadbench.scores.frechet import Moments, distance, nuclear_norm, root_factor, root_sum, trace_of_root

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

    The replicates look at no more than about ``ROWS`` samples of a set, spread evenly.
    Means and total variances of a resampling are exact for those; the trace of the root
    is taken in the ``DIRECTIONS`` strongest directions of the pooled features, and what
    lies outside counts in proportion to its variance, as at the point estimate. With
    fewer samples and dimensions nothing is left out.

    Args:
        x: Features ``(n_k, d)`` of each clip of the one set; iterated over twice.
        y: The other set.

    Attributes:
        value: The distance of all clips, exact.
        rows: Samples of ``y``.
    """

    def __init__(self, x: Collection[np.ndarray], y: Collection[np.ndarray]) -> None:
        moments_x, moments_y = Moments.of(x), Moments.of(y)
        trace = trace_of_root(moments_x, moments_y)
        self.value, self.rows = distance(moments_x, moments_y, trace), moments_y.n
        origin = (moments_x.mean + moments_y.mean) / 2
        basis = _basis(moments_x, moments_y)
        self.sample_sets = [
            _SampleSet(x, moments_x.n, origin, basis),
            _SampleSet(y, moments_y.n, origin, basis),
        ]
        self.outside = 0.0
        if basis is not None:
            factors = [samples.factor(np.ones(len(samples.n))) for samples in self.sample_sets]
            trace_inside = self._root(*factors)
            outside_x = max(moments_x.total_variance - _variance_within(moments_x, basis), 0)
            outside_y = max(moments_y.total_variance - _variance_within(moments_y, basis), 0)
            variance_outside = np.sqrt(outside_x * outside_y)
            self.outside = (trace - trace_inside) / variance_outside if variance_outside > 0 else 0.0

    def replicate(self, weights_x: np.ndarray, weights_y: np.ndarray) -> float:
        """The distance with each clip counted as often as its weight says."""
        samples_x, samples_y = self.sample_sets
        mean_x, variance_x = samples_x.moments(weights_x)
        mean_y, variance_y = samples_y.moments(weights_y)
        factor_x, factor_y = samples_x.factor(weights_x), samples_y.factor(weights_y)
        trace = self._root(factor_x, factor_y)
        if self.outside:
            outside_x = max(variance_x - np.square(factor_x).sum(), 0)
            outside_y = max(variance_y - np.square(factor_y).sum(), 0)
            trace = trace + self.outside * np.sqrt(outside_x * outside_y)
        difference = mean_x - mean_y
        return float(max(difference @ difference + variance_x + variance_y - 2 * trace, 0.0))

    @staticmethod
    def _root(factor_x: np.ndarray, factor_y: np.ndarray) -> float:
        """Trace of the root of the product of both covariances in the basis."""
        if min(len(factor_x), len(factor_y)) <= factor_x.shape[1]:
            return nuclear_norm(factor_x @ factor_y.T)
        root = root_factor(factor_x.T @ factor_x)
        return root_sum(root.T @ (factor_y.T @ factor_y) @ root)


class _SampleSet:
    """One set's samples in the basis, and what its exact means and variances need."""

    def __init__(
        self, clips: Collection[np.ndarray], n: int, origin: np.ndarray, basis: np.ndarray | None
    ) -> None:
        step = -(-n // ROWS)
        self.n, self.squares = np.zeros(len(clips)), np.zeros(len(clips))
        self.sums = np.zeros((len(clips), len(origin)))
        rows, clip_numbers = [], []
        for k, features in enumerate(clips):
            centred = np.asarray(features, np.float64)[::step] - origin
            self.n[k], self.sums[k], self.squares[k] = len(centred), centred.sum(0), np.square(centred).sum()
            rows.append(centred if basis is None else centred @ basis)
            clip_numbers += [k] * len(centred)
        self.rows, self.clip_numbers = np.concatenate(rows), np.array(clip_numbers)

    def moments(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """Mean ``(d,)`` and trace of the covariance of a resampling."""
        total = weights @ self.n
        mean = weights @ self.sums / total
        return mean, float((weights @ self.squares - total * mean @ mean) / max(total - 1, 1))

    def factor(self, weights: np.ndarray) -> np.ndarray:
        """Centred, weighted samples whose Gram matrix is the covariance of a resampling
        in the basis.
        """
        row_weights = weights[self.clip_numbers].astype(float)
        drawn = row_weights > 0
        rows, row_weights = self.rows[drawn], row_weights[drawn]
        total = row_weights.sum()
        rows = rows - row_weights @ rows / total
        return rows * np.sqrt(row_weights / max(total - 1, 1))[:, None]


def _basis(x: Moments, y: Moments) -> np.ndarray | None:
    """The strongest directions ``(d, DIRECTIONS)`` of both sets together; ``None``
    where all are kept.
    """
    if x.dim <= DIRECTIONS or min(x.n, y.n) <= DIRECTIONS:
        return None
    difference = (x.mean - y.mean) / np.sqrt(2)
    # few samples: the eigenproblem of their Gram matrix is the smaller one
    if x.factor is not None and y.factor is not None:
        rows = np.concatenate([x.factor, y.factor, difference[None]])
        if len(rows) < x.dim:
            values, vectors = _strongest(rows @ rows.T)
            return rows.T @ (vectors / np.sqrt(np.maximum(values, 1e-300)))
    _, vectors = _strongest(x.covariance + y.covariance + np.outer(difference, difference))
    return vectors


def _strongest(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ``DIRECTIONS`` greatest eigenvalues of a symmetric matrix, and their vectors."""
    size = len(matrix)
    return scipy.linalg.eigh(matrix, subset_by_index=(size - DIRECTIONS, size - 1), check_finite=False)


def _variance_within(moments: Moments, basis: np.ndarray) -> float:
    """Trace of the covariance within a basis."""
    factor = moments.factor
    if factor is not None:
        return float(np.square(factor @ basis).sum())
    return float((basis * (moments.covariance @ basis)).sum())


def replicate_all(
    metric: Callable[[np.ndarray, np.ndarray], float], counts_x: np.ndarray, counts_y: np.ndarray
) -> np.ndarray:
    """``(R,)`` values of a set metric under resamplings of both sets' clips."""
    values = np.full(len(counts_x), np.nan)
    for k, (weights_x, weights_y) in enumerate(zip(counts_x, counts_y, strict=True)):
        values[k] = metric(weights_x, weights_y)
    return values

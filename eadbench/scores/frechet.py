"""The Fréchet distance between two sets of features, as FID and FVD use it: exact,
quick at any number of samples, with bounded memory.
"""

from collections.abc import Iterable

import numpy as np
import scipy  # which imports scipy.linalg at its first use


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Fréchet distance between Gaussians fitted to ``(n, d)`` and ``(m, d)`` features;
    covariances with n - 1, as in pytorch-fid.

    With fewer samples than dimensions the trace of the root of the product of the
    covariances is the nuclear norm of the cross-Gram matrix of the centred samples:
    exact where ``scipy.linalg.sqrtm`` of the singular product is noisy. Otherwise it
    comes from a symmetric eigenproblem.

    Raises:
        ValueError: If a set has no sample, or the features are not finite.
    """
    return distance(Moments.of([x]), Moments.of([y]))


class Moments:
    """Mean and covariance of features, gathered in batches.

    The samples themselves are kept while there are no more than dimensions; then their
    sum and second moment take their place, so that memory is bounded by ``d * d``
    whatever the number of samples.

    Args:
        dim: Number of features.
    """

    def __init__(self, dim: int) -> None:
        self.dim, self.n = dim, 0
        self._samples: list[np.ndarray] | None = []  # None once they are folded
        self._origin: np.ndarray | None = None  # moments are taken about it, which keeps digits
        self._sum = self._outer = None

    @classmethod
    def of(cls, batches: Iterable[np.ndarray]) -> "Moments":
        """Of all batches ``(n_k, dim)``.

        Raises:
            ValueError: If there is none.
        """
        moments = None
        for batch in batches:
            moments = moments or cls(batch.shape[1])
            moments.update(batch)
        if moments is None:
            raise ValueError("no samples")
        return moments

    def update(self, features: np.ndarray) -> None:
        """Add ``(n, dim)`` features.

        Raises:
            ValueError: If their number is wrong or one is not finite.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ValueError(f"expected features (n, {self.dim}), got {features.shape}")
        if not np.isfinite(features).all():
            raise ValueError("features are not finite")
        self.n += len(features)
        if self._samples is None:
            self._fold(features)
            return
        self._samples.append(features)
        if self.n > self.dim:
            samples, self._samples = np.concatenate(self._samples), None
            self._origin = samples.mean(0)
            self._sum, self._outer = np.zeros(self.dim), np.zeros((self.dim, self.dim))
            self._fold(samples)

    def _fold(self, features: np.ndarray) -> None:
        centred = features - self._origin
        self._sum += centred.sum(0)
        self._outer += centred.T @ centred

    @property
    def mean(self) -> np.ndarray:
        """``(dim,)``."""
        if self.n == 0:
            raise ValueError("no samples")
        if self._samples is not None:
            return np.concatenate(self._samples).mean(0)
        return self._origin + self._sum / self.n

    @property
    def factor(self) -> np.ndarray | None:
        """``(n, dim)``: centred samples over the root of n - 1, whose Gram matrix is
        the covariance; ``None`` once the samples are folded.
        """
        if self._samples is None:
            return None
        samples = np.concatenate(self._samples)
        return (samples - samples.mean(0)) / np.sqrt(max(self.n - 1, 1))

    @property
    def covariance(self) -> np.ndarray:
        """``(dim, dim)``; zero for one sample."""
        factor = self.factor
        if factor is not None:
            return factor.T @ factor
        mean = self._sum / self.n
        return (self._outer - self.n * np.outer(mean, mean)) / (self.n - 1)

    @property
    def total_variance(self) -> float:
        """Trace of the covariance."""
        factor = self.factor
        if factor is not None:
            return float(np.square(factor).sum())
        mean = self._sum / self.n
        return float((np.trace(self._outer) - self.n * mean @ mean) / (self.n - 1))


def distance(x: Moments, y: Moments, trace: float | None = None) -> float:
    """Fréchet distance of two sets given by their moments; at least 0. ``trace``: that
    of the root, where it is known already.
    """
    difference = x.mean - y.mean
    trace = trace_of_root(x, y) if trace is None else trace
    value = difference @ difference + x.total_variance + y.total_variance - 2 * trace
    return float(max(value, 0.0))


def trace_of_root(x: Moments, y: Moments) -> float:
    """Trace of the root of the product of two covariances."""
    factor_x, factor_y = x.factor, y.factor
    if factor_x is not None and factor_y is not None:
        return nuclear_norm(factor_x @ factor_y.T)
    # one set of low rank: its samples turn the other covariance into a small matrix
    if factor_x is not None:
        return root_sum(factor_x @ y.covariance @ factor_x.T)
    if factor_y is not None:
        return root_sum(factor_y @ x.covariance @ factor_y.T)
    root = root_factor(x.covariance)
    return root_sum(root.T @ y.covariance @ root)


def root_factor(covariance: np.ndarray) -> np.ndarray:
    """A matrix ``L`` with ``L @ L.T`` equal to a covariance: Cholesky's where that is
    regular, else (dead features) from its eigenvectors.
    """
    try:
        return scipy.linalg.cholesky(covariance, lower=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        values, vectors = scipy.linalg.eigh(covariance, check_finite=False)
        return vectors * np.sqrt(np.maximum(values, 0))


def nuclear_norm(matrix: np.ndarray) -> float:
    """Sum of singular values."""
    return float(scipy.linalg.svdvals(matrix, check_finite=False).sum())


def root_sum(matrix: np.ndarray) -> float:
    """Sum of the roots of the eigenvalues of a symmetric positive semi-definite matrix;
    noise below zero counts as zero.
    """
    values = scipy.linalg.eigvalsh(matrix, check_finite=False, overwrite_a=True, driver="evd")
    return float(np.sqrt(np.maximum(values, 0)).sum())

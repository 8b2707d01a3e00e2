"""Effects of a factorial grid whose cells were trained with several seeds and scored on
the clips of several speakers.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from eadbench.tables.ablation import Contrast


@dataclass(frozen=True)
class Estimate:
    """The mean of a contrast over random seeds and random speakers.

    Attributes:
        value: The mean, in the metric's unit.
        low, high: 95 % interval.
        p_value: Two-sided, of no effect.
        error: Standard error.
        freedom: Degrees of freedom of the t distribution.
        seed_sd, speaker_sd: Standard deviations of the effect between seeds and between
            speakers; 0 where the residual explains them.
        seeds, speakers: Their numbers; ``speakers`` is 0 for a metric of whole sets.
    """

    value: float
    low: float
    high: float
    p_value: float
    error: float
    freedom: float
    seed_sd: float
    speaker_sd: float
    seeds: int
    speakers: int

    def detectable(self, alpha: float, power: float) -> float:
        """Smallest true effect that a two-sided test of this design finds with that
        power.
        """
        quantiles = stats.t.ppf(1 - alpha / 2, self.freedom) + stats.t.ppf(power, self.freedom)
        return float(quantiles * self.error)


def crossed_estimate(differences: np.ndarray) -> Estimate:
    """Mean of a two-way layout without replication, rows and columns both random.

    The variance of the mean is
    ``(MS_seed + MS_speaker - MS_residual) / (seeds * speakers)``, and never less than
    that of seeds or speakers alone, which makes the interval a little wide when both
    vary little. The degrees of freedom are Satterthwaite's. A percentile bootstrap over
    five seeds would be far too narrow.

    Source: Satterthwaite 1946, "An approximate distribution of estimates of variance
    components"; Clark 1973, "The language-as-fixed-effect fallacy" (both random factors
    in one test).

    Args:
        differences: ``(seeds, speakers)`` values of the contrast, at least 2 x 2.

    Raises:
        ValueError: If there are fewer, or values that are not finite.
    """
    d = np.asarray(differences, float)
    seeds, speakers = d.shape
    if min(d.shape) < 2 or not np.isfinite(d).all():
        raise ValueError(f"two seeds and two speakers at least, all finite: got {d.shape}")
    mean = d.mean()
    rows, columns = d.mean(1), d.mean(0)
    ms_seed, ms_speaker = speakers * rows.var(ddof=1), seeds * columns.var(ddof=1)
    residual = d - rows[:, None] - columns + mean
    f_seed, f_speaker = seeds - 1, speakers - 1
    f_rest = f_seed * f_speaker
    ms_rest = float(np.square(residual).sum() / f_rest)
    crossed = ms_seed + ms_speaker - ms_rest
    crossed_freedom = np.inf
    if crossed > 0:
        crossed_freedom = crossed**2 / (ms_seed**2 / f_seed + ms_speaker**2 / f_speaker + ms_rest**2 / f_rest)
    candidates = [(crossed, crossed_freedom), (ms_seed, f_seed), (ms_speaker, f_speaker)]
    mean_square, freedom = max(candidates, key=lambda pair: pair[0])
    seed_sd, speaker_sd = (
        np.sqrt(max(ms - ms_rest, 0) / n) for ms, n in ((ms_seed, speakers), (ms_speaker, seeds))
    )
    return _estimate(mean, np.sqrt(mean_square / d.size), freedom, (seed_sd, speaker_sd), d.shape)


def seed_estimate(differences: np.ndarray) -> Estimate:
    """Mean over seeds alone, for a metric of whole sets (FID, FVD), which has no value
    per speaker.

    Args:
        differences: ``(seeds,)`` values of the contrast, at least 2.

    Raises:
        ValueError: If there are fewer, or values that are not finite.
    """
    values = np.asarray(differences, float)
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"two seeds at least, all finite: got {len(values)}")
    n, sd = len(values), values.std(ddof=1)
    return _estimate(values.mean(), sd / np.sqrt(n), n - 1, (sd, 0.0), (n, 0))


def _estimate(
    mean: float, error: float, freedom: float, spreads: tuple[float, float], shape: tuple[int, ...]
) -> Estimate:
    half_width = stats.t.ppf(0.975, freedom) * error
    if error > 0:
        p = float(2 * stats.t.sf(abs(mean) / error, freedom))
    else:
        p = 1.0 if mean == 0 else 0.0
    return Estimate(
        float(mean),
        float(mean - half_width),
        float(mean + half_width),
        p,
        float(error),
        float(freedom),
        *map(float, spreads),
        *shape,
    )


def contrast_of_clips(values: pd.DataFrame, cells: dict[str, list[str]], contrast: Contrast) -> pd.DataFrame:
    """The contrast per seed and clip.

    Args:
        values: ``(clips, methods)`` with ``speaker`` in the index; only clips that
            every method has.
        cells: Cell -> its methods, one per seed.
        contrast: Weights of the cells.

    Returns:
        ``(clips, seeds)``, the index as given.
    """
    seeds = len(next(iter(cells.values())))
    differences = [
        sum(weight * values[cells[cell][seed]] for cell, weight in contrast.weights.items())
        for seed in range(seeds)
    ]
    return pd.concat(differences, axis=1, keys=range(seeds))


def by_speaker(clips: pd.DataFrame) -> np.ndarray:
    """Means ``(seeds, speakers)`` of values ``(clips, seeds)``: each speaker counts
    once, however many clips there are.
    """
    return clips.groupby(level="speaker", sort=True).mean().to_numpy().T


def verdict(
    value: float, low: float, high: float, p_adjusted: float, claim: str, smallest: float, alpha: float
) -> str:
    """``confirmed``, ``refuted`` or ``undecided``, by the rules that docs/study.md
    fixed before the run.

    Args:
        value, low, high: The effect and its interval.
        p_adjusted: Its p value after the correction over all hypotheses.
        claim: ``up`` or ``down``.
        smallest: Smallest effect that would matter, 0 or above.
        alpha: Level.
    """
    claimed_effect, largest_effect = (value, high) if claim == "up" else (-value, -low)
    if claimed_effect > 0 and p_adjusted < alpha:
        return "confirmed"
    return "refuted" if largest_effect < smallest else "undecided"

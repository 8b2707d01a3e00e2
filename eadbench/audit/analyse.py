"""What the levels say of each metric: response curves, rank correlation, smallest level
told from none, false responses.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr, t

from eadbench.audit.distortions import REGISTRY
from eadbench.audit.names import AUDIO
from eadbench.core import schemas
from eadbench.core.tables import KEPT, read_table, write_table
from eadbench.scores.config import ScoresConfig
from eadbench.scores.metrics import METRICS

LEVELS = 5
NEGLIGIBLE = 0.1
# What must not move a metric, by what it claims to measure. Beside these, no metric
# that hears nothing may answer to audio.
PICTURE = ("h264", "h265", "blur", "noise", "brightness", "colour", "scale", "shift")
MUST_STAY = {
    "sync": (*PICTURE, "aac"),
    "lse_d": (*PICTURE, "aac"),
    "sync_offset": (*PICTURE, "aac"),
    "acc_emo": PICTURE,
    "acc_emo_recall": PICTURE,
    "csim": ("h264", "h265", "brightness", "colour", "shift"),
    "m_lmd": ("h264", "h265", "noise", "brightness", "colour"),
    "f_lmd": ("h264", "h265", "noise", "brightness", "colour"),
    "jitter_ratio": ("h264", "h265", "noise", "brightness", "colour", "shift"),
    "motion_energy_ratio": ("brightness", "colour", "shift"),
    "lip_motion_ratio": ("h264", "h265", "noise", "brightness", "colour", "shift"),
    "brow_motion_ratio": ("h264", "h265", "noise", "brightness", "colour", "shift"),
    "head_motion_ratio": ("h264", "h265", "noise", "brightness", "colour", "shift"),
}


def analyse(
    cells: Path, distortions: list[str], scores: ScoresConfig, out: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the cells and write ``levels.parquet`` and ``audit.parquet``.

    Args:
        cells: Folder of the cells ``zero`` and ``NAME_K``.
        distortions: Their names.
        scores: What was measured.
        out: Folder to write to.

    Returns:
        Rows of ``schemas.AUDIT_LEVELS`` and of ``schemas.AUDIT``.
    """
    clips = pd.concat(
        [read_table(p, schemas.PER_CLIP) for p in sorted(cells.glob("*/per_clip.parquet"))], ignore_index=True
    )
    sets = pd.concat(
        [read_table(p, schemas.SUMMARY) for p in sorted(cells.glob("*/summary.parquet"))], ignore_index=True
    )
    rows = [
        row
        for name in distortions
        for row in (*_of_clips(clips, name, scores), *_of_sets(sets, name, scores))
    ]
    levels = pd.DataFrame([row for row, _ in rows], columns=schemas.AUDIT_LEVELS.names)
    rho = {(row["distortion"], row["metric"], row["variant"]): ranks for row, ranks in rows}
    largest = _largest(levels)
    found = [_finding(group, rho[key], largest.get(key[1:], 0.0)) for key, group in _groups(levels)]
    found = pd.DataFrame(found, columns=schemas.AUDIT.names)
    write_table(out / "levels.parquet", levels, schemas.AUDIT_LEVELS)
    write_table(out / "audit.parquet", found, schemas.AUDIT)
    return levels, found


def _largest(levels: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Metric and variant -> its largest change by a distortion that it is there to see."""
    seen = levels[[not must_stay(row.distortion, row.metric) for row in levels.itertuples()]]
    return seen.assign(change=seen.change.abs()).groupby(["metric", "variant"]).change.max().to_dict()


def _groups(levels: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    yield from levels.groupby(["distortion", "metric", "variant"], sort=False)


Ranks = tuple[float | None, float | None, float | None]


def _of_clips(clips: pd.DataFrame, distortion: str, scores: ScoresConfig) -> Iterator[tuple[dict, Ranks]]:
    """Rows of the metrics of clips: the mean change within a clip, its interval over
    speakers.
    """
    kept = clips[(clips.status == KEPT) & clips.value.notna()]
    speakers = kept.drop_duplicates("clip_id").set_index("clip_id").speaker
    for name in (name for name in scores.metrics if METRICS[name].kind == "clip"):
        wide = kept[kept.metric == name].pivot(index="clip_id", columns="method", values="value").sort_index()
        if "zero" not in wide:
            continue
        ranks = _rank_correlation(wide, distortion, speakers)
        for k in range(1, LEVELS + 1):
            both = (
                wide[["zero", f"{distortion}_{k}"]].dropna() if f"{distortion}_{k}" in wide else wide.iloc[:0]
            )
            if both.empty:
                continue
            at, zero = (_by_speaker(both[column], speakers) for column in (f"{distortion}_{k}", "zero"))
            low, high = _interval(at - zero)
            yield _row(distortion, k, name, "", at.mean(), zero.mean(), low, high, len(both), len(at)), ranks


def _by_speaker(values: pd.Series, speakers: pd.Series) -> np.ndarray:
    """Means ``(speakers,)`` of values ``(clips,)``: each speaker counts once."""
    return values.astype(float).groupby([_speaker(speakers, clip) for clip in values.index]).mean().to_numpy()


def _interval(means: np.ndarray) -> tuple[float | None, float | None]:
    """Student's 95 % interval of the mean over speakers; none with fewer than two.

    A bootstrap of so few is too narrow: without any change it leaves out 0 in 20 % of
    4,000 simulated audits of four speakers, and in 12 % of those of eight.
    """
    if len(means) < 2:
        return None, None
    half = float(t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means)))
    return float(means.mean()) - half, float(means.mean()) + half


def _speaker(speakers: pd.Series, clip: str) -> str:
    return speakers[clip] if isinstance(speakers[clip], str) else f"clip {clip}"


def _rank_correlation(wide: pd.DataFrame, distortion: str, speakers: pd.Series) -> Ranks:
    """Mean over clips of Spearman's rho between level and value, zero included; a value
    that never moves has 0.
    """
    names = ["zero", *(f"{distortion}_{k}" for k in range(1, LEVELS + 1))]
    if not set(names) <= set(wide):
        return None, None, None
    whole = wide[names].dropna()
    if whole.empty:
        return None, None, None
    each = pd.Series([_rho(row) for row in whole.to_numpy(float)], whole.index)
    means = _by_speaker(each, speakers)
    return float(means.mean()), *_interval(means)


def _rho(values: np.ndarray) -> float:
    return 0.0 if np.ptp(values) == 0 else float(spearmanr(np.arange(len(values)), values).statistic)


def _of_sets(sets: pd.DataFrame, distortion: str, scores: ScoresConfig) -> Iterator[tuple[dict, Ranks]]:
    """Rows of the metrics of sets: the change of the value; its interval is the level's
    own, moved by the value at zero.
    """
    names = [name for name in scores.metrics if METRICS[name].kind == "set"]
    of_sets = sets[sets.metric.isin(names) & sets.value.notna()]
    for (name, variant), part in of_sets.groupby([of_sets.metric, of_sets.variant.fillna("")], sort=False):
        by = part.set_index("method")
        at = [f"{distortion}_{k}" for k in range(1, LEVELS + 1)]
        if "zero" not in by.index or not set(at) <= set(by.index):
            continue
        zero = by.loc["zero"]
        rho = _rho(by.loc[["zero", *at], "value"].to_numpy(float))
        for k, method in enumerate(at, 1):
            row = by.loc[method]
            ends = (None, None) if pd.isna(row.low) else (row.low - zero.value, row.high - zero.value)
            yield (
                _row(distortion, k, name, variant, row.value, zero.value, *ends, int(row.n), None),
                (rho, None, None),
            )


def _row(
    distortion: str,
    k: int,
    name: str,
    variant: str,
    value: float,
    zero: float,
    low,
    high,
    n: int,
    speakers: int | None,
) -> dict:
    change = float(value - zero)
    told = change != 0 if _is_exact(distortion, name) else low is not None and (low > 0 or high < 0)
    return {
        "distortion": distortion,
        "level": k,
        "amount": float(REGISTRY[distortion].levels[k - 1]),
        "unit": REGISTRY[distortion].unit,
        "metric": name,
        "variant": variant,
        "value": float(value),
        "zero": float(zero),
        "change": change,
        "low": low,
        "high": high,
        "told": bool(told),
        "n": n,
        "speakers": speakers,
    }


def _is_exact(distortion: str, metric: str) -> bool:
    """Whether the frames are the same byte by byte and the metric hears nothing: then
    any change at all is one.
    """
    return distortion in AUDIO and not METRICS[metric].sound


def must_stay(distortion: str, metric: str) -> bool:
    """Whether the distortion does not touch what the metric claims to measure."""
    return _is_exact(distortion, metric) or distortion in MUST_STAY.get(metric, ())


def _finding(levels: pd.DataFrame, rho: Ranks, largest: float) -> dict:
    """One row of ``schemas.AUDIT``. What must stay may move by ``NEGLIGIBLE`` of the
    metric's largest change: an error of landmarks, which is never below 0, answers to
    any noise at all.
    """
    first = levels.iloc[0]
    told = levels.sort_values("level").told.to_numpy()
    smallest = next((k for k in range(len(told)) if told[k:].all()), None)
    stays = must_stay(first.distortion, first.metric)
    size = float(levels.change.abs().max() / largest) if largest else None
    if stays:
        exact = _is_exact(first.distortion, first.metric)
        moved = told.any() and (exact or size is None or size >= NEGLIGIBLE)
    else:
        moved = smallest is not None
    return {
        "distortion": first.distortion,
        "metric": first.metric,
        "variant": first.variant,
        "rho": rho[0],
        "rho_low": rho[1],
        "rho_high": rho[2],
        "smallest": None if smallest is None else float(levels.amount.iloc[smallest]),
        "smallest_level": None if smallest is None else smallest + 1,
        "size": size,
        "unit": first.unit,
        "must_stay": stays,
        "finding": ("false response" if stays else "reacts") if moved else "stays",
        "n": int(levels.n.min()),
        "speakers": first.speakers,
    }


def verdict(metric: str, found: pd.DataFrame) -> str:
    """One metric in plain words.

    Args:
        metric: Its name.
        found: Its rows of ``schemas.AUDIT``.
    """
    label = METRICS[metric].label
    reacts = [f"{_name(row)} ({_from(row)})" for row in found[found.finding == "reacts"].itertuples()]
    stays = [_name(row) for row in found[(found.finding == "stays") & ~found.must_stay].itertuples()]
    false = [f"{_name(row)} ({_from(row)})" for row in found[found.finding == "false response"].itertuples()]
    parts = [
        f"{label} reacts to {', '.join(reacts)}." if reacts else f"{label} reacts to nothing that it should."
    ]
    if stays:
        parts.append(f"Not told from none with {int(found.n.min())} clips: {', '.join(stays)}.")
    if false:
        parts.append(f"Answers to what it should not see: {', '.join(false)}.")
    return " ".join(parts)


def _from(row) -> str:
    """From which amount on; for ``AAC``, whose bit rate falls, to which."""
    if pd.isna(row.smallest):
        return "not at every level"
    kind = REGISTRY[row.distortion]
    return f"{kind.amount(row.smallest)} and {'less' if kind.levels[0] > kind.levels[-1] else 'more'}"


def _name(row) -> str:
    return REGISTRY[row.distortion].label + (f" ({row.variant})" if row.variant else "")

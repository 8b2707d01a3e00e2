"""What each module changes: main effects, interactions and single removals, with
intervals and paired tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import duckdb
import numpy as np
import pandas as pd

from eadbench.core import schemas
from eadbench.scores.bootstrap import mean_interval, resamplings
from eadbench.scores.paired import signed_rank
from eadbench.tables.config import AblationTable, TablesConfig
from eadbench.tables.gather import FEWEST, holm
from eadbench.tables.metrics import MetricLabel, metric
from eadbench.tables.render import ends, number
from eadbench.tables.wide import decimals_for


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of methods that measures an effect.

    Attributes:
        kind: ``main``, ``interaction`` or ``given``.
        effect: Module, or modules joined by ``:``.
        given: Modules that are on (kind ``given``), in the order of the config.
        weights: Method -> weight; they sum to zero.
    """

    kind: str
    effect: str
    given: tuple[str, ...] | None
    weights: dict[str, float]


def contrasts(factors: dict[str, dict[str, bool]]) -> list[Contrast]:
    """Every effect that the methods at hand allow.

    A complete grid of k modules gives main effects and all interactions: contrasts of
    the 2^k design, the product of the signs over 2^(k-1), so that an interaction of two
    is half the difference of one's effect with and without the other. Two methods that
    differ in one module give that module's effect with the others as they are; with
    everything else on it is the effect of a removal.

    Args:
        factors: Method -> module -> on; only methods that have scores.
    """
    if not factors:
        return []
    modules = list(next(iter(factors.values())))
    method_of = {tuple(states[m] for m in modules): method for method, states in factors.items()}
    allowed = []
    if len(method_of) == 2 ** len(modules):
        scale = 2 ** (len(modules) - 1)
        for size in range(1, len(modules) + 1):
            kind = "main" if size == 1 else "interaction"
            for chosen in combinations(range(len(modules)), size):
                signs = {
                    method: np.prod([1 if states[i] else -1 for i in chosen])
                    for states, method in method_of.items()
                }
                weights = {method: float(sign) / scale for method, sign in signs.items()}
                allowed.append(Contrast(kind, ":".join(modules[i] for i in chosen), None, weights))
    # most modules on first, the first-named modules before the others
    all_states = product((True, False), repeat=len(modules))
    ordered_states = sorted(all_states, key=lambda states: (-sum(states), [not on for on in states]))
    for index, module in enumerate(modules):
        for states in ordered_states:
            without = (*states[:index], False, *states[index + 1 :])
            if states[index] and states in method_of and without in method_of:
                modules_on = [name for name, on in zip(modules, states, strict=True) if on]
                others_on = tuple(name for name in modules_on if name != module)
                weights = {method_of[states]: 1.0, method_of[without]: -1.0}
                allowed.append(Contrast("given", module, others_on, weights))
    return allowed


def mover(
    weights: Sequence[float], values: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> tuple[float, float]:
    """Interval of a weighted sum from the intervals of its parts, taken as independent.

    Methods that share clips vary together, so that the interval of a difference is too
    wide rather than too narrow.

    Source: MOVER, Zou & Donner 2008, "Construction of confidence limits about effect
    measures: a general approach".
    """
    weights, values, lows, highs = (np.asarray(x, float) for x in (weights, values, lows, highs))
    total = float(weights @ values)
    ends = np.stack([weights * lows, weights * highs])
    down = np.sqrt(np.sum((weights * values - ends.min(0)) ** 2))
    up = np.sqrt(np.sum((ends.max(0) - weights * values) ** 2))
    return total - float(down), total + float(up)


def effects(
    base: duckdb.DuckDBPyConnection,
    scores: pd.DataFrame,
    spec: AblationTable,
    config: TablesConfig,
    seed: int,
) -> pd.DataFrame:
    """All effects of the ablation (``schemas.EFFECTS``), for all clips and, where a
    metric is per clip, per emotion and per speaker.

    Args:
        base: The database with ``per_clip``.
        scores: The long scores, for metrics of sets.
        spec: The ablation's table.
        config: The whole section.
        seed: Seed of the bootstrap.
    """
    rows: list[dict] = []
    for corpus in spec.corpora:
        draws = Draws(config.bootstrap, seed)
        cell_scores = scores[
            (scores.corpus == corpus) & (scores.protocol == spec.protocol) & scores.value.notna()
        ]
        for key in spec.metrics:
            label = metric(key)
            of_metric = cell_scores[cell_scores.metric == label.name]
            if label.variant:
                of_metric = of_metric[of_metric.variant == label.variant]
            factors = {m: states for m, states in spec.factors.items() if m in set(of_metric.method)}
            planned = contrasts(factors)
            clip_values = _clips(base, corpus, spec.protocol, label.name, list(factors))
            head = {
                "corpus": corpus,
                "protocol": spec.protocol,
                "metric": key,
                "direction": label.spec.direction,
            }
            if len(clip_values):
                rows += [head | row for row in _per_clip_effects(clip_values, planned, draws)]
            else:
                rows += [head | row for row in _set_effects(of_metric.set_index("method"), planned)]
    if not rows:
        return pd.DataFrame(columns=schemas.EFFECTS.names)
    frame = pd.DataFrame(rows)
    frame["p_holm"] = np.nan
    for _, group in frame.groupby(["corpus", "kind", "by"], sort=False):
        frame.loc[group.index, "p_holm"] = holm(group.p_value.to_numpy(float))
    frame["verdict"] = [_verdict(row, config.alpha) for row in frame.itertuples(index=False)]
    frame["sentence"] = _sentences(frame, config)
    return frame


def _clips(
    base: duckdb.DuckDBPyConnection, corpus: str, protocol: str, name: str, methods: list[str]
) -> pd.DataFrame:
    """Values ``(clips, methods)`` with speaker and emotion in the index, sorted by
    clip.
    """
    frame = base.execute(
        "SELECT clip_id, speaker, emotion, method, value FROM per_clip"
        " WHERE corpus = ? AND protocol = ? AND metric = ? AND list_contains(?, method) ORDER BY clip_id, "
        "method",
        [corpus, protocol, name, methods],
    ).df()
    if frame.empty:
        return frame
    labels = frame.groupby("clip_id", sort=True)[["speaker", "emotion"]].first()
    wide = frame.pivot(index="clip_id", columns="method", values="value").sort_index()
    wide.index = pd.MultiIndex.from_arrays(
        [wide.index, labels.speaker, labels.emotion], names=["clip_id", "speaker", "emotion"]
    )
    return wide


def _per_clip_effects(clip_values: pd.DataFrame, planned: list[Contrast], draws: "Draws") -> list[dict]:
    """Effects over all clips, and the leading ones per emotion and per speaker."""
    rows = []
    for contrast in planned:
        if not set(contrast.weights) <= set(clip_values.columns):
            continue
        weighted = clip_values[list(contrast.weights)] * pd.Series(contrast.weights)
        values = weighted.sum(axis=1, skipna=False).dropna()
        groups = [("all", "all", values)]
        if _is_leading(contrast, planned):
            groups += [
                (by, level, group_values)
                for by in ("emotion", "speaker")
                for level, group_values in values.groupby(level=by, sort=True)
            ]
        for by, level, group_values in groups:
            rows.append(_estimate(contrast, group_values, draws, by, str(level)))
    return rows


def _is_leading(contrast: Contrast, planned: list[Contrast]) -> bool:
    """Main effects lead; without a complete grid, the effects with the most other
    modules on do.
    """
    if any(c.kind == "main" for c in planned):
        return contrast.kind == "main"
    same_effect = [c for c in planned if c.effect == contrast.effect]
    return len(contrast.given or ()) == max(len(c.given or ()) for c in same_effect)


def _estimate(contrast: Contrast, values: pd.Series, draws: "Draws", by: str, level: str) -> dict:
    low = high = None
    speakers = values.index.get_level_values("speaker")
    clip_values = values.to_numpy(float)
    if len(clip_values) > 1:
        low, high = mean_interval(clip_values, draws.of(values.index))
    return _row(contrast, by, level) | {
        "value": clip_values.mean() if len(clip_values) else None,
        "low": low,
        "high": high,
        "interval": "bootstrap",
        "p_value": signed_rank(clip_values),
        "n": len(clip_values),
        "speakers": speakers.nunique(),
    }


class Draws:
    """Resamplings of sets of clips, made once per set, so that all effects and metrics
    over the same clips see the same draws.
    """

    def __init__(self, replicates: int, seed: int) -> None:
        self.replicates, self.seed = replicates, seed
        self._made: dict[tuple, np.ndarray] = {}

    def of(self, index: pd.MultiIndex) -> np.ndarray:
        """``(replicates, clips)`` counts for clips with ``speaker`` in their index."""
        key = tuple(index.get_level_values("clip_id"))
        if key not in self._made:
            speakers = index.get_level_values("speaker").tolist()
            self._made[key] = resamplings(speakers, self.replicates, self.seed, "ablation", *key)
        return self._made[key]


def _set_effects(summary: pd.DataFrame, planned: list[Contrast]) -> list[dict]:
    """Effects on a metric of sets, from the methods' values and intervals."""
    rows = []
    for contrast in planned:
        method_rows = summary.loc[list(contrast.weights)]
        weights = list(contrast.weights.values())
        has_intervals = method_rows.low.notna().all() and method_rows.high.notna().all()
        low = high = None
        if has_intervals:
            low, high = mover(weights, method_rows.value, method_rows.low, method_rows.high)
        rows.append(
            _row(contrast, "all", "all")
            | {
                "value": float(np.dot(weights, method_rows.value)),
                "low": low,
                "high": high,
                "interval": "mover",
                "p_value": None,
                "n": int(method_rows.n.min()),
                "speakers": None,
            }
        )
    return rows


def _row(contrast: Contrast, by: str, level: str) -> dict:
    modules_on = None if contrast.given is None else "+".join(contrast.given)
    return {"kind": contrast.kind, "effect": contrast.effect, "given": modules_on, "by": by, "level": level}


def _verdict(row, alpha: float) -> str:
    """An effect counts when its interval leaves out zero and, where there is a test,
    the adjusted p is below alpha.
    """
    if row.n < FEWEST:
        return "too few clips"
    if pd.isna(row.low) or row.low <= 0 <= row.high:
        return "none detected"
    if row.interval == "bootstrap" and not row.p_holm < alpha:
        return "none detected"
    if row.direction == "none":
        return "changed"
    return "better" if (row.value > 0) == (row.direction == "up") else "worse"


def _sentences(frame: pd.DataFrame, config: TablesConfig) -> list[str]:
    """One sentence per effect; jitter never without the motion energy of the same
    effect.
    """
    keys = ["corpus", "kind", "effect", "given", "by", "level"]
    motion_frame = frame[frame.metric.str.contains("motion_energy", regex=False)]
    motion = {tuple(str(getattr(row, k)) for k in keys): row for row in motion_frame.itertuples(index=False)}
    sentences = []
    for row in frame.itertuples(index=False):
        sentence = _sentence(row, metric(row.metric), config)
        motion_row = motion.get(tuple(str(getattr(row, k)) for k in keys))
        if "jitter" in row.metric and motion_row is not None:
            sentence += f" Motion energy at the same time: {_change(motion_row, metric(motion_row.metric))}."
        sentences.append(sentence)
    return sentences


def _sentence(row, label: MetricLabel, config: TablesConfig) -> str:
    where = f"on {config.label(row.corpus)}" + ("" if row.by == "all" else f", {row.by} {row.level}")
    subject = _subject(row, config)
    if row.verdict == "too few clips":
        return f"{subject}, {label.label} {where}: too few clips to tell ({row.n}); {_change(row, label)}."
    if row.verdict == "none detected":
        return f"{subject}: no detectable effect on {label.label} {where}: {_change(row, label)}."
    verdict_text = {"better": ", which is better", "worse": ", which is worse", "changed": ""}[row.verdict]
    if row.kind == "interaction":
        return f"{subject} changes {label.label} {where} by {_change(row, label)}{verdict_text}."
    return (
        f"{subject} {'raises' if row.value > 0 else 'lowers'} {label.label} {where}{verdict_text}: "
        f"{_change(row, label)}."
    )


def effect_name(row, config: TablesConfig) -> str:
    """An effect (a row of ``schemas.EFFECTS``) in a table or a chart."""
    name = " × ".join(config.label(m) for m in row.effect.split(":"))
    return f"{name}, with {_others(row, config)}" if row.kind == "given" else name


def _others(row, config: TablesConfig) -> str:
    return ", ".join(config.label(m) for m in row.given.split("+")) if row.given else "nothing else"


def _subject(row, config: TablesConfig) -> str:
    names = " with ".join(config.label(m) for m in row.effect.split(":"))
    if row.kind == "main":
        return f"{names} (averaged over the other modules)"
    if row.kind == "interaction":
        return f"The interaction of {names}"
    return f"{names} (with {_others(row, config)} on)"


def _change(row, label: MetricLabel) -> str:
    """``+0.012 (95 % interval [0.003, 0.020], n = 24 clips of 4 speakers, p = 0.01,
    0.04 after Holm)``.
    """
    decimals = decimals_for([x for x in (row.value, row.low, row.high) if not pd.isna(x)]) + 1
    sign = "+" if row.value > 0 else ""
    text = f"{sign}{number(row.value, decimals)}"
    parts = ["no interval" if pd.isna(row.low) else f"95 % interval {ends(row.low, row.high, decimals)}"]
    speakers = ""
    if not pd.isna(row.speakers):
        speakers = f" of {int(row.speakers)} speaker{'s' * (row.speakers != 1)}"
    parts.append(f"n = {row.n} clip{'s' * (row.n != 1)}{speakers}")
    if row.interval == "mover":
        parts.append("a metric of sets: interval from those of the runs, no paired test")
    elif not pd.isna(row.p_value):
        parts.append(f"p = {row.p_value:.2g}, {row.p_holm:.2g} after Holm")
    return f"{text} ({', '.join(parts)})"

"""Read the scores of a study's methods, estimate every effect, and write the table, the
forest plot and the page.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eadbench.core import provenance, schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import KEPT, read_table, write_table
from eadbench.study import report
from eadbench.study.config import StudyConfig
from eadbench.study.effects import by_speaker, contrast_of_clips, crossed_estimate, seed_estimate, verdict
from eadbench.tables.ablation import Contrast, contrasts
from eadbench.tables.gather import holm
from eadbench.tables.metrics import metric

COLUMNS = ["method", "corpus", "protocol", "clip_id", "speaker", "emotion", "metric", "status", "value"]


@dataclass(frozen=True)
class Scores:
    """What was measured of the study's methods.

    Attributes:
        per_clip: Rows of ``schemas.PER_CLIP`` with a value.
        summary: Rows of ``schemas.SUMMARY``.
    """

    per_clip: pd.DataFrame
    summary: pd.DataFrame


def analyse(
    per_clip: Sequence[Path], summary: Sequence[Path], config: StudyConfig, out: Path, drawn: bool = False
) -> pd.DataFrame:
    """Estimate the effects and write ``effects.parquet``, ``forest.png``,
    ``forest.pdf`` and ``study.md`` into a folder.

    Args:
        per_clip: Per-clip tables of all methods of the grid.
        summary: Their summaries.
        config: The section ``study``.
        out: Folder.
        drawn: Whether the people of the corpus are drawn, which text and figure then
            say.

    Returns:
        The table (``schemas.STUDY``).

    Raises:
        EadbenchError: If a method was not scored, or the methods have no clip in
            common.
    """
    scores = read_scores(per_clip, summary, config)
    frame = pd.DataFrame(effects(scores, config), columns=schemas.STUDY.names)
    means = means_of_cells(scores, config)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "effects.parquet", frame, schemas.STUDY)
    report.write(out, frame, means, rank_of_complete(means, config), config, drawn)
    provenance.write(out, config.model_dump(mode="json"))
    return frame


def read_scores(per_clip: Sequence[Path], summary: Sequence[Path], config: StudyConfig) -> Scores:
    """The rows of the study's methods on its corpus.

    Raises:
        EadbenchError: If a method has none.
    """
    clips = pd.concat([read_table(path, schemas.PER_CLIP, COLUMNS) for path in per_clip], ignore_index=True)
    clips = clips[
        (clips.status == KEPT) & np.isfinite(clips.value.astype(float)) & (clips.corpus == config.corpus)
    ]
    sets = pd.concat([read_table(path, schemas.SUMMARY) for path in summary], ignore_index=True)
    sets = sets[(sets.corpus == config.corpus) & sets.value.notna()]
    if absent := [method for method in config.methods if method not in set(clips.method) | set(sets.method)]:
        raise EadbenchError(
            f"{len(absent)} of {len(config.methods)} methods were not scored on {config.corpus!r}: "
            f"{', '.join(absent[:8])}",
            "study.cells",
            "run the workflow to its end (`snakemake -n` shows what is left)",
        )
    return Scores(clips, sets)


def effects(scores: Scores, config: StudyConfig) -> list[dict]:
    """The hypotheses, then all main effects and interactions on every metric (rows of
    ``schemas.STUDY``).
    """
    grid = [one for one in contrasts(config.factors) if one.kind in ("main", "interaction")]
    main = {one.effect: one for one in grid if one.kind == "main"}
    asked = [
        _row(scores, config, main[one.effect], one.protocol, one.metric)
        | {"hypothesis": name, "claim": one.claim, "smallest": one.smallest}
        for name, one in config.hypotheses.items()
    ]
    for row, p in zip(asked, holm(np.array([row["p_value"] for row in asked])), strict=True):
        row["p_holm"] = p
        row["verdict"] = verdict(
            row["value"], row["low"], row["high"], p, row["claim"], row["smallest"], config.alpha
        )
    explored = [
        row
        for protocol, key in config.metrics
        for contrast in grid
        for emotion in _emotions(scores, protocol, key, contrast)
        if (row := _row(scores, config, contrast, protocol, key, emotion))
    ]
    return asked + explored


def _emotions(scores: Scores, protocol: str, key: str, contrast: Contrast) -> list[str | None]:
    """``None`` for all clips, then for main effects on a per-clip metric each emotion."""
    clips = scores.per_clip
    found = (
        clips[(clips.protocol == protocol) & (clips.metric == key.partition("@")[0])]
        .emotion.dropna()
        .unique()
    )
    return [None, *(sorted(found) if contrast.kind == "main" else [])]


def _row(
    scores: Scores,
    config: StudyConfig,
    contrast: Contrast,
    protocol: str,
    key: str,
    emotion: str | None = None,
) -> dict | None:
    """The effect over seeds and speakers, or over seeds alone for a metric of sets;
    ``None`` for an emotion with too few speakers.
    """
    cells = {name: cell.methods for name, cell in config.cells.items()}
    values = _clips(scores.per_clip, protocol, key, config.methods, emotion)
    spread = None
    if values is None:
        found = seed_estimate(_sets(scores.summary, cells, contrast, protocol, key))
    else:
        differences = by_speaker(contrast_of_clips(values, cells, contrast))
        if min(differences.shape) < 2:
            if emotion:
                return None
            raise EadbenchError(
                f"{key!r} under {protocol!r}: the methods of the grid have clips of {differences.shape[1]} "
                "speakers in common, two are needed",
                "study.cells",
                "the per-clip tables say with `reason` which clips were not measured",
            )
        found = crossed_estimate(differences)
        spread = float(np.sqrt(values.var(ddof=1).mean()))  # between clips, within methods
    one = metric(key)
    return dataclasses.asdict(found) | {
        "hypothesis": None,
        "claim": None,
        "smallest": None,
        "p_holm": None,
        "verdict": None,
        "protocol": protocol,
        "metric": key,
        "direction": one.direction,
        "kind": contrast.kind,
        "effect": contrast.effect,
        "by": "emotion" if emotion else "all",
        "level": emotion or "all",
        "clips": 0 if values is None else len(values),
        "standardised": found.value / spread if spread else None,
        "detectable": found.detectable(config.alpha, config.power),
    }


def _clips(
    per_clip: pd.DataFrame, protocol: str, key: str, methods: list[str], emotion: str | None
) -> pd.DataFrame | None:
    """Values ``(clips, methods)`` of the clips that every method has; ``None`` for a
    metric of sets.
    """
    frame = per_clip[
        (per_clip.protocol == protocol)
        & (per_clip.metric == key.partition("@")[0])
        & per_clip.method.isin(methods)
    ]
    if frame.empty:
        return None
    if emotion:
        frame = frame[frame.emotion == emotion]
    wide = frame.pivot(index=["clip_id", "speaker"], columns="method", values="value")
    return wide.reindex(columns=methods).dropna().sort_index()


def _sets(
    summary: pd.DataFrame, cells: dict[str, list[str]], contrast: Contrast, protocol: str, key: str
) -> np.ndarray:
    """The contrast ``(seeds,)`` of a metric of sets.

    Raises:
        EadbenchError: If a method lacks it.
    """
    name, _, variant = key.partition("@")
    frame = summary[(summary.protocol == protocol) & (summary.metric == name)]
    if variant:
        frame = frame[frame.variant == variant]
    values = frame.groupby("method").value.agg(list)
    for method in (one for methods in cells.values() for one in methods):
        if len(values.get(method, [])) != 1:
            what = (
                "has no value"
                if method not in values
                else f"has {len(values[method])} values; name one as {name}@variant"
            )
            raise EadbenchError(
                f"{method!r} {what} of {key!r} under {protocol!r}",
                "study",
                "scores.metrics chooses what is measured",
            )
    return sum(
        weight * np.array([values[method][0] for method in cells[cell]])
        for cell, weight in contrast.weights.items()
    )


def means_of_cells(scores: Scores, config: StudyConfig) -> pd.DataFrame:
    """Mean and standard deviation between seeds of every cell: rows of
    ``protocol, metric, cell, mean, sd``.
    """
    rows = []
    for protocol, key in config.metrics:
        values = _clips(scores.per_clip, protocol, key, config.methods, None)
        for name, cell in config.cells.items():
            alone = Contrast("main", name, None, {name: 1.0})
            by_seed = (
                _sets(scores.summary, {name: cell.methods}, alone, protocol, key)
                if values is None
                else values[cell.methods].mean().to_numpy()
            )
            rows.append(
                {
                    "protocol": protocol,
                    "metric": key,
                    "cell": name,
                    "mean": by_seed.mean(),
                    "sd": by_seed.std(ddof=1),
                }
            )
    return pd.DataFrame(rows)


def rank_of_complete(means: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """Where the cell with everything on stands among the cells, by metric with a
    direction: rows of ``protocol, metric, rank, cells``.
    """
    rows = []
    for (protocol, key), part in means.groupby(["protocol", "metric"], sort=False):
        direction = metric(key).direction
        if direction != "none":
            ranks = part.set_index("cell")["mean"].rank(ascending=direction == "down", method="min")
            rows.append(
                {
                    "protocol": protocol,
                    "metric": key,
                    "rank": int(ranks[config.complete]),
                    "cells": len(ranks),
                }
            )
    return pd.DataFrame(rows, columns=["protocol", "metric", "rank", "cells"])

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
from eadbench.scores.metrics import METRICS
from eadbench.study import report
from eadbench.study.config import StudyConfig
from eadbench.study.effects import (
    Estimate,
    by_speaker,
    contrast_of_clips,
    crossed_estimate,
    seed_estimate,
    verdict,
)
from eadbench.tables.ablation import Contrast, contrasts
from eadbench.tables.gather import holm
from eadbench.tables.metrics import metric

COLUMNS = ["method", "corpus", "protocol", "clip_id", "speaker", "emotion", "metric", "status", "value"]


@dataclass(frozen=True)
class Scores:
    """Values of the study's methods.

    Attributes:
        per_clip: Rows of ``schemas.PER_CLIP`` with a value.
        summary: Rows of ``schemas.SUMMARY`` with a value.
    """

    per_clip: pd.DataFrame
    summary: pd.DataFrame

    def values(self, methods: list[str], protocol: str, key: str) -> pd.DataFrame | None:
        """One metric of several methods.

        Args:
            methods: Their names.
            protocol: Driving protocol.
            key: The metric, ``name@variant`` where it has several.

        Returns:
            ``(clips, methods)``, only clips that every method has, with ``clip_id``,
            ``speaker`` and ``emotion`` in the index; of a metric of sets one row.
            ``None`` where no method was measured by it, as by a metric that compares
            frames under another protocol than ``self``.

        Raises:
            EadbenchError: If some methods have it and some do not, or a metric of sets
                has several variants and none is named.
        """
        name, _, variant = key.partition("@")
        source = self.summary if METRICS[name].kind == "set" else self.per_clip
        of_metric = (source.protocol == protocol) & (source.metric == name)
        rows = source[of_metric & source.method.isin(methods)]
        if variant and METRICS[name].kind != "set":
            raise EadbenchError(f"{key!r}: a value per clip has no variants", "study", f"name it as {name}")
        if variant:
            rows = rows[rows.variant == variant]
        if rows.empty:
            return None
        where = f"{key!r} under {protocol!r}"
        if absent := sorted(set(methods) - set(rows.method)):
            raise EadbenchError(
                f"{where}: {len(absent)} of {len(methods)} methods have no value, e.g. {absent[0]}",
                "study",
                "the per-clip tables say why, with `reason`",
            )
        if METRICS[name].kind != "set":
            index = ["clip_id", "speaker", "emotion"]
            rows = rows.assign(emotion=rows.emotion.fillna(""))
            wide = rows.pivot(index=index, columns="method", values="value")
            return wide.reindex(columns=methods).dropna().sort_index()
        if variants := sorted(set(rows.variant[rows.duplicated("method", keep=False)].dropna())):
            raise EadbenchError(
                f"{where} has the variants {', '.join(variants)}", "study", f"name one as {name}@VARIANT"
            )
        return rows.set_index("method").value.reindex(methods).to_frame().T

    def of_all(self, methods: list[str], metrics: list[tuple[str, str]]) -> "Values":
        """:meth:`values` of every pair of protocol and metric that was measured."""
        found = {pair: self.values(methods, *pair) for pair in metrics}
        return {pair: wide for pair, wide in found.items() if wide is not None}


Values = dict[tuple[str, str], pd.DataFrame]  # protocol and metric -> Scores.values


def analyse(
    per_clip: Sequence[Path], summary: Sequence[Path], config: StudyConfig, out: Path, drawn: bool = False
) -> pd.DataFrame:
    """Estimate the effects and write ``effects.parquet``, ``forest.png``,
    ``forest.pdf`` and ``study.md`` into a folder.

    Args:
        per_clip: Per-clip tables of all methods of the study.
        summary: Their summaries.
        config: The section ``study``.
        out: Folder.
        drawn: Whether the people of the corpus are drawn, which text and figure then
            say.

    Returns:
        The table (``schemas.STUDY``).

    Raises:
        EadbenchError: If a method was not scored, or the methods have too few clips in
            common.
    """
    scores = read_scores(per_clip, summary, config.corpus, config.methods)
    values = scores.of_all(config.methods, config.metrics)
    frame = pd.DataFrame(effects(values, config), columns=schemas.STUDY.names)
    cells = {name: cell.methods for name, cell in config.cells.items()}
    means = means_of_cells(values, cells)
    _write_effects(out, frame)
    report.write(out, frame, means, ranks(means, config), config, drawn)
    provenance.write(out, config.model_dump(mode="json"))
    return frame


def compare_readings(
    per_clip: Sequence[Path], summary: Sequence[Path], config: StudyConfig, out: Path, drawn: bool = False
) -> pd.DataFrame:
    """Compare other readings of the modules with the complete cell, and write
    ``effects.parquet``, ``forest.png``, ``forest.pdf`` and ``readings.md`` into a
    folder.

    Args:
        per_clip: Per-clip tables of the readings' methods and of the complete cell's.
        summary: Their summaries.
        config: The section ``study``.
        out: Folder.
        drawn: Whether the people of the corpus are drawn, which text and figure then
            say.

    Returns:
        The table (``schemas.STUDY``), all rows of kind ``reading``.

    Raises:
        EadbenchError: If the section has no readings, a method was not scored, or the
            methods have too few clips in common.
    """
    if not config.readings:
        raise EadbenchError("the study has no other readings of a module", "study.readings")
    methods = [method for method, _ in config.rendered_readings]
    cells = {config.complete: [m for m in config.cells[config.complete].methods if m in methods]}
    cells |= {name: reading.methods for name, reading in config.readings.items()}
    scores = read_scores(per_clip, summary, config.corpus, methods)
    values = scores.of_all(methods, [pair for pair in config.metrics if pair[0] == "self"])
    frame = pd.DataFrame(readings(values, config), columns=schemas.STUDY.names)
    means = means_of_cells(values, cells)
    _write_effects(out, frame)
    report.write_readings(out, frame, means, config, drawn)
    provenance.write(out, config.model_dump(mode="json"))
    return frame


def _write_effects(out: Path, frame: pd.DataFrame) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "effects.parquet", frame, schemas.STUDY)


def read_scores(per_clip: Sequence[Path], summary: Sequence[Path], corpus: str, methods: list[str]) -> Scores:
    """The rows of some methods on a corpus.

    Raises:
        EadbenchError: If a method has none, or a table was given twice.
    """
    clips = pd.concat([read_table(path, schemas.PER_CLIP, COLUMNS) for path in per_clip], ignore_index=True)
    clips = clips[(clips.status == KEPT) & np.isfinite(clips.value.astype(float))]
    sets = pd.concat([read_table(path, schemas.SUMMARY) for path in summary], ignore_index=True)
    sets = sets[sets.value.notna()]
    clips, sets = (rows[rows.corpus == corpus] for rows in (clips, sets))
    for rows, table in ((clips, schemas.PER_CLIP), (sets, schemas.SUMMARY)):
        if rows.duplicated([*table.key]).any():
            raise EadbenchError(f"values of table {table.name!r} come twice", "study", "give each file once")
    if absent := [method for method in methods if method not in {*clips.method, *sets.method}]:
        raise EadbenchError(
            f"{len(absent)} of {len(methods)} methods were not scored on {corpus!r}: {', '.join(absent[:8])}",
            "study",
            "run the workflow to its end (`snakemake -n` shows what is left)",
        )
    return Scores(clips, sets)


def effects(values: Values, config: StudyConfig) -> list[dict]:
    """The hypotheses, then all main effects and interactions on every metric (rows of
    ``schemas.STUDY``).

    Args:
        values: Protocol and metric -> :meth:`Scores.values`.
        config: The section.

    Raises:
        EadbenchError: If a hypothesis is about a metric that was not measured, or only
            on clips of one speaker.
    """
    grid = [contrast for contrast in contrasts(config.factors) if contrast.kind in ("main", "interaction")]
    main = {contrast.effect: contrast for contrast in grid if contrast.kind == "main"}
    cells = {name: cell.methods for name, cell in config.cells.items()}
    confirmatory = []
    for name, hypothesis in config.hypotheses.items():
        pair = (hypothesis.protocol, hypothesis.metric)
        row = None
        if pair in values:
            row = _row(values[pair], main[hypothesis.effect], *pair, config, cells)
        if row is None:
            raise EadbenchError(
                f"{hypothesis.metric!r} under {hypothesis.protocol!r}: the methods of the grid have no clips "
                "of two speakers in common",
                f"study.hypotheses.{name}",
                "the per-clip tables say with `reason` which clips were not measured",
            )
        confirmatory.append(
            row | {"hypothesis": name, "claim": hypothesis.claim, "smallest": hypothesis.smallest}
        )
    for row, p in zip(confirmatory, holm(np.array([row["p_value"] for row in confirmatory])), strict=True):
        row["p_holm"] = p
        row["verdict"] = verdict(
            row["value"], row["low"], row["high"], p, row["claim"], row["smallest"], config.alpha
        )
    explored = []
    for pair, metric_values in values.items():
        for contrast in grid:
            emotions = _emotions(metric_values) if contrast.kind == "main" else []
            for emotion in ["", *emotions]:
                explored.append(_row(metric_values, contrast, *pair, config, cells, emotion))
    return confirmatory + [row for row in explored if row is not None]


def readings(values: Values, config: StudyConfig) -> list[dict]:
    """Effects of the other readings: each minus the cell with everything on, seed by
    seed (rows of ``schemas.STUDY``).

    Args:
        values: Protocol and metric -> :meth:`Scores.values`, of the complete cell and of
            all readings.
        config: The section.
    """
    rows = []
    for name, reading in config.readings.items():
        cells = {name: reading.methods, config.complete: config.partners(name)}
        methods = [*cells[name], *cells[config.complete]]
        contrast = Contrast("reading", name, None, {name: 1.0, config.complete: -1.0})
        for pair, wide in values.items():
            rows.append(_row(wide[methods], contrast, *pair, config, cells))
    return [row for row in rows if row is not None]


def _emotions(values: pd.DataFrame) -> list[str]:
    """Emotions of the clips; none of a metric of sets."""
    if "emotion" not in values.index.names:
        return []
    return sorted(filter(None, set(values.index.get_level_values("emotion"))))


def _row(
    values: pd.DataFrame,
    contrast: Contrast,
    protocol: str,
    key: str,
    config: StudyConfig,
    cells: dict[str, list[str]],
    emotion: str = "",
) -> dict | None:
    """The contrast of cells, each with its methods, of all clips or of those of one
    emotion; ``None`` with fewer than two speakers.
    """
    per_clip = "speaker" in values.index.names
    if emotion:
        values = values.xs(emotion, level="emotion", drop_level=False)
    estimate = _estimate(values, cells, contrast)
    if estimate is None:
        return None
    spread = float(np.sqrt(values.var(ddof=1).mean())) if per_clip else None  # between clips, within methods
    return dataclasses.asdict(estimate) | {
        "hypothesis": None,
        "claim": None,
        "smallest": None,
        "p_holm": None,
        "verdict": None,
        "protocol": protocol,
        "metric": key,
        "direction": metric(key).spec.direction,
        "kind": contrast.kind,
        "effect": contrast.effect,
        "by": "emotion" if emotion else "all",
        "level": emotion or "all",
        "clips": len(values) if per_clip else 0,
        "standardised": estimate.value / spread if spread else None,
        "detectable": estimate.detectable(config.alpha, config.power),
    }


def _estimate(values: pd.DataFrame, cells: dict[str, list[str]], contrast: Contrast) -> Estimate | None:
    """Over seeds and speakers, or over seeds alone for a metric of sets."""
    if "speaker" not in values.index.names:
        return seed_estimate(contrast_of_clips(values, cells, contrast).to_numpy()[0])
    differences = by_speaker(contrast_of_clips(values, cells, contrast))
    return crossed_estimate(differences) if min(differences.shape) > 1 else None


def means_of_cells(values: Values, cells: dict[str, list[str]]) -> pd.DataFrame:
    """Mean and standard deviation between seeds of cells: rows of
    ``protocol, metric, cell, mean, sd``.

    Args:
        values: Protocol and metric -> :meth:`Scores.values`.
        cells: Cell, or reading, -> its methods.
    """
    rows = []
    for (protocol, key), metric_values in values.items():
        for name, methods in cells.items():
            by_seed = metric_values[methods].mean()
            rows.append(
                {
                    "protocol": protocol,
                    "metric": key,
                    "cell": name,
                    "mean": by_seed.mean(),
                    "sd": by_seed.std(),
                }
            )
    return pd.DataFrame(rows)


def ranks(means: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """Ranks ``(cells, metrics)`` of the cells by each metric of ``config.overall`` under
    protocol ``self``, 1 the best, and their ``mean``; the best cell comes first.

    A metric without direction ranks by the distance to its ideal.
    """
    wide = means[means.protocol == "self"].pivot(index="cell", columns="metric", values="mean")
    columns = {}
    for key in (key for key in config.overall if key in wide):
        spec = metric(key).spec
        distance = wide[key] if spec.ideal is None else (wide[key] - spec.ideal).abs()
        columns[key] = distance.rank(ascending=spec.direction != "up", method="average")
    frame = pd.DataFrame(columns, index=wide.index)
    return frame.assign(mean=frame.mean(axis=1)).sort_values("mean", kind="stable")

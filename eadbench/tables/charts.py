"""The numbers behind the page's charts, as plain data for its script."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eadbench.core import schemas
from eadbench.core.emotions import EMOTIONS
from eadbench.core.progress import track
from eadbench.core.tables import read_table
from eadbench.corpora.config import DRAWN
from eadbench.tables.ablation import effect_name
from eadbench.tables.figures import QUANTITIES, RUNNING, quality
from eadbench.tables.load import Built, read_json
from eadbench.tables.metrics import metric
from eadbench.tables.wide import decimals_for
from eadbench.zoo.card import Card, read_card

BINS = 40


def page_data(built: Built, results: Path) -> dict[str, Any]:
    """Everything that the page's script and template show, and ``absent``: which
    optional pieces the results lack.
    """
    config = built.config
    methods = list(dict.fromkeys([*config.methods, *sorted(set(built.scores.method))]))
    shown_metrics = [column.metric for table in built.tables for column in table.columns]
    absent: list[str] = []
    history = read_table(built.folder / "history.parquet", schemas.HISTORY)
    data = {
        "methods": {m: {"label": config.label(m), "role": config.role(m)} for m in methods},
        "corpora": {c: config.label(c) for c in sorted(set(built.scores.corpus))},
        "metrics": {m: _metric(built.scores, m) for m in sorted(set(built.scores.metric))},
        "emotions": list(EMOTIONS),
        "shown": list(dict.fromkeys(metric.name for metric in shown_metrics)),
        "variants": {metric.name: metric.variant for metric in shown_metrics if metric.variant},
        "scores": _scores(built.scores),
        "breakdown": _breakdown(built.breakdown),
        "effects": _effects(read_table(built.folder / "effects.parquet", schemas.EFFECTS), built),
        "history": _history(history),
        "quantities": {
            name: QUANTITIES.get(name, name)
            for name in [*quality(history), *sorted(set(history.quantity) & set(RUNNING))]
        },
        "drawn": built.facts.drawn,
        "mark": DRAWN,
        "perclip": _per_clip(built, results),
        "confusion": _confusion(built, results, absent),
        "captions": _captions(results, absent),
        "losses": _losses(results, absent),
        "provenance": _provenance(results),
        "signatures": _signatures(built, results),
    }
    if not data["history"]:
        absent.append("training histories (results/training/*/history.parquet)")
    if not data["perclip"]:
        absent.append("per-clip values (results/scores/*/*/*/per_clip.parquet)")
    return clean(data | {"absent": absent})


def clean(value: Any) -> Any:
    """JSON without NaN: numbers that are none become null."""
    if isinstance(value, dict):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v) for v in value]
    if value is None or value is pd.NA:
        return None
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _short(value: float, digits: int = 5) -> float | None:
    """Rounded to significant digits, so that the page stays small."""
    return None if pd.isna(value) else float(f"{value:.{digits}g}")


def _metric(scores: pd.DataFrame, name: str) -> dict:
    label = metric(name)
    decimals = decimals_for(scores[(scores.metric == name)].value.dropna(), label.spec.unit)
    return {
        "label": label.label,
        "direction": label.spec.direction,
        "ideal": label.spec.ideal,
        "meaning": label.spec.meaning,
        "decimals": decimals,
    }


def _scores(scores: pd.DataFrame) -> list[dict]:
    columns = ["method", "corpus", "protocol", "metric", "variant", "value", "low", "high", "n"]
    return scores[scores.value.notna()][columns].to_dict("records")


def _breakdown(frame: pd.DataFrame) -> list[list]:
    """Rows: method, corpus, protocol, metric, by, level, value, low, high, n, warning."""
    names = ["method", "corpus", "protocol", "metric", "by", "level"]
    rows = zip(
        *(frame[n] for n in names),
        *(map(_short, frame[n]) for n in ("value", "low", "high")),
        frame.n,
        frame.warning,
        strict=True,
    )
    return [list(r) for r in rows]


def _effects(frame: pd.DataFrame, built: Built) -> list[dict]:
    """Effects with names for print."""
    names = ["corpus", "metric", "kind", "by", "level", "value", "low", "high", "n", "verdict", "sentence"]
    return (
        frame[names]
        .assign(name=[effect_name(row, built.config) for row in frame.itertuples(index=False)])
        .to_dict("records")
    )


def _history(frame: pd.DataFrame) -> list[dict]:
    groups = frame.groupby(["quantity", "run", "split"], sort=True)
    return [
        {"quantity": q, "run": r, "split": s, "step": g.step.tolist(), "value": [_short(v) for v in g.value]}
        for (q, r, s), g in groups
    ]


def _per_clip_frames(built: Built, results: Path) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Per-clip values of every cell in the scores, where they are there."""
    cells = built.scores[["method", "corpus", "protocol"]].drop_duplicates()
    frames = {}
    for cell in track(list(cells.itertuples(index=False)), "reading per-clip values", unit="cell"):
        path = results / "scores" / cell.method / cell.corpus / cell.protocol / "per_clip.parquet"
        if path.exists():
            frames[tuple(cell)] = read_table(path, schemas.PER_CLIP, ["clip_id", "metric", "value"])
    return frames


def _per_clip(built: Built, results: Path) -> dict[str, dict]:
    """``corpus/protocol`` -> clip ids and, per metric and method, the values in their
    order.
    """
    frames = _per_clip_frames(built, results)
    cells: dict[str, dict] = {}
    for corpus, protocol in sorted({key[1:] for key in frames}):
        method_frames = {m: f for (m, c, p), f in frames.items() if (c, p) == (corpus, protocol)}
        clips = sorted(set().union(*(f.clip_id for f in method_frames.values())))
        values: dict[str, dict] = {}
        for method, frame in method_frames.items():
            wide = frame.pivot_table(index="metric", columns="clip_id", values="value").reindex(columns=clips)
            for name, row in zip(wide.index, wide.to_numpy(float), strict=True):
                values.setdefault(name, {})[method] = [_short(v, 4) for v in row]
        cells[f"{corpus}/{protocol}"] = {"clips": clips, "values": values}
    return cells


def _confusion(built: Built, results: Path, absent: list[str]) -> list[dict]:
    """Confusion matrices of the emotion evaluator: rows the emotion asked for, columns
    the emotion recognised.
    """
    matrices = []
    for cell in built.scores[["method", "corpus", "protocol"]].drop_duplicates().itertuples(index=False):
        path = results / "scores" / cell.method / cell.corpus / cell.protocol / "confusion.parquet"
        if not path.exists():
            continue
        matrix = read_table(path, schemas.CONFUSION).pivot(index="asked", columns="judged", values="n")
        if len(matrix):
            matrices.append(
                cell._asdict()
                | {
                    "asked": list(matrix.index),
                    "classes": list(matrix.columns),
                    "counts": matrix.to_numpy().tolist(),
                }
            )
    if not matrices:
        absent.append("confusion matrices of the emotion evaluator (results/scores/*/*/*/confusion.parquet)")
    return matrices


def _captions(results: Path, absent: list[str]) -> list[dict]:
    """Histograms of the cosine similarity, per corpus and split into kept and dropped."""
    histograms = []
    for path in sorted((results / "captions").glob("*/captions.parquet")):
        frame = read_table(path, schemas.CAPTIONS)
        scored = frame[frame.similarity.notna()]
        if scored.empty:
            histograms.append({"corpus": path.parent.name, "clips": len(frame), "bars": {}})
            continue
        edges = np.linspace(min(0.0, scored.similarity.min()), max(1.0, scored.similarity.max()), BINS + 1)
        bars = {
            status: np.histogram(group.similarity, edges)[0].tolist()
            for status, group in scored.groupby("status")
        }
        thresholds = sorted(set(scored.threshold.dropna()))
        histograms.append(
            {
                "corpus": path.parent.name,
                "edges": edges.tolist(),
                "bars": bars,
                "thresholds": thresholds,
                "kind": ", ".join(sorted(set(scored.similarity_kind.dropna()))),
            }
        )
    if not histograms:
        absent.append("captions (results/captions/*/captions.parquet): no cosine similarities")
    return histograms


def _losses(results: Path, absent: list[str]) -> list[dict]:
    """What each stage kept, dropped and failed on, with reasons."""
    losses = []
    stages = (
        ("corpora", "*/index.parquet", schemas.INDEX),
        ("clips", "*/clips.parquet", schemas.CLIPS),
        ("captions", "*/captions.parquet", schemas.CAPTIONS),
        ("features", "*/index.parquet", schemas.FEATURES),
        ("samples", "*/*/*/samples.parquet", schemas.SAMPLES),
    )
    for stage, pattern, table in stages:
        frames = []
        for path in sorted((results / stage).glob(pattern)):
            frames.append(read_table(path, table, ["status", "reason", "corpus"]))
        if not frames:
            absent.append(f"results/{stage}: no data losses of that stage")
            continue
        counts = (
            pd.concat(frames)
            .groupby(["corpus", "status", "reason"], dropna=False)
            .size()
            .reset_index(name="count")
        )
        for row in counts.itertuples(index=False):
            losses.append(
                {
                    "stage": stage,
                    "corpus": row.corpus,
                    "status": row.status,
                    "reason": row.reason or "",
                    "count": int(row.count),
                }
            )
    return losses


def _provenance(results: Path) -> list[dict]:
    """All ``provenance.json`` of the results, by folder."""
    records = []
    for path in sorted(results.glob("**/provenance.json")):
        records.append({"folder": path.parent.relative_to(results).as_posix(), "record": read_json(path)})
    return records


def _signatures(built: Built, results: Path) -> list[dict]:
    """Every extractor in the scores with its hash, what it measured, and its card where
    there is one.
    """
    # by the hashes by which scores may name an artefact: of its files, and of all of them
    cards: dict[str, Card] = {}
    for path in sorted((results / "zoo").glob("*/card.json")):
        card = read_card(path.parent)
        for sha256 in (*card.files.values(), card.sha256):
            cards.setdefault(sha256, card)
    signatures = []
    frame = built.scores[built.scores.value.notna()].assign(
        weights_sha256=lambda f: f.weights_sha256.fillna("")
    )
    for (extractor, sha256), group in frame.groupby(["extractor", "weights_sha256"], sort=True):
        card = cards.get(sha256)
        facts = card.model_dump(include={"how", "source", "licence"}) if card else None
        resolutions = sorted(set(group.resolution.dropna().astype(int)))
        signatures.append(
            {
                "extractor": extractor,
                "sha256": sha256,
                "metrics": sorted(set(group.metric)),
                "resolutions": resolutions,
                "card": facts,
            }
        )
    return signatures

"""The captions page: what the filter keeps and loses, how it tells swapped captions,
how often the captioner is right.
"""

import io
import json
import logging
import time
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.metrics import precision_recall_curve

from eadbench.core import provenance, schemas
from eadbench.core.files import write_text
from eadbench.core.tables import DROPPED, FAILED, KEPT, read_table
from eadbench.corpora.config import DRAWN

log = logging.getLogger(__name__)
EXAMPLES = 6
BOOTSTRAPS = 500


def write_report(
    paths: list[Path], out: Path, least_auc: float, drawn: Collection[str] = ()
) -> dict[str, Any]:
    """Write the page and, beside it, ``{stem}.json`` with its numbers. An AUC below
    ``least_auc`` is a warning, not a failure.

    Page and figures of the corpora in ``drawn`` say that their people are drawn.

    Raises:
        EadbenchError: If a table cannot be read.
    """
    started = time.time()
    tables = pd.concat([read_table(p, schemas.CAPTIONS) for p in paths], ignore_index=True)
    corpora = {
        str(name): describe_corpus(table.reset_index(drop=True)) for name, table in tables.groupby("corpus")
    }
    for name, facts in corpora.items():
        auc = facts["swap"]["auc"]
        facts["swap"]["enough"] = auc is None or auc >= least_auc
        if not facts["swap"]["enough"]:
            log.warning(
                "%s: the filter tells swapped captions with AUC %.3f, less than %.2f", name, auc, least_auc
            )
    write_text(out.with_suffix(".json"), json.dumps(corpora, indent=1, allow_nan=False) + "\n")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.1f} %"
    environment.filters["number"] = lambda value: "–" if value is None else f"{value:.3f}"
    template = environment.from_string(
        files("eadbench.captions").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    titles = {name: f"{name}: {DRAWN}" if name in drawn else name for name in corpora}
    figures = {
        name: draw(table.reset_index(drop=True), titles[name]) for name, table in tables.groupby("corpus")
    }
    write_text(
        out, template.render(corpora=corpora, figures=figures, least_auc=least_auc, drawn=drawn, words=DRAWN)
    )
    provenance.write(out.parent, None, {str(p): "" for p in paths}, started)
    return corpora


def describe_corpus(table: pd.DataFrame) -> dict[str, Any]:
    """All numbers of a corpus, ready for JSON."""
    described = table[table.caption.notna()]
    labelled = described[described.emotion.notna()]
    right = labelled.caption_emotion == labelled.emotion
    reasons = table[table.status == FAILED].reason.str.slice(0, 60).value_counts()
    return {
        "captioner": sorted(set(table.captioner)),
        "prompt": sorted(set(table.prompt_version.dropna())),
        "embedder": sorted(set(table.embedder.dropna())),
        "compared": sorted(set(table.similarity_kind.dropna())),
        "counts": {status: int((table.status == status).sum()) for status in (KEPT, DROPPED, FAILED)},
        "failures": {str(k): int(v) for k, v in reasons.items()},
        "accuracy": _mean(right),
        "accuracy_n": len(right),
        "accuracy_kept": _mean(right[labelled.status == KEPT]),
        "accuracy_dropped": _mean(right[labelled.status == DROPPED]),
        "accuracy_by_emotion": {str(e): _mean(g) for e, g in right.groupby(labelled.emotion)},
        "confusion": _counts(pd.crosstab(labelled.emotion, labelled.caption_emotion)),
        "lost_by_emotion": _losses(described, "emotion"),
        "lost_by_speaker": _losses(described, "speaker"),
        "swap": swap_check(described),
        "thresholds": sorted({round(float(v), 4) for v in described.threshold.dropna()}),
        "unscored": int(described.similarity.isna().sum()),
        "examples": _shown(described.iloc[:: max(1, len(described) // EXAMPLES)].head(EXAMPLES)),
        "worst": _shown(
            described[described.similarity.notna()].sort_values("similarity", kind="stable").head(EXAMPLES)
        ),
    }


def _shown(rows: pd.DataFrame) -> list[dict[str, Any]]:
    columns = ("clip_id", "emotion", "caption_emotion", "caption", "similarity", "status")
    return [
        {key: None if pd.isna(row[key]) else row[key] for key in columns} for row in rows.to_dict("records")
    ]


def swap_check(described: pd.DataFrame) -> dict[str, Any]:
    """How well the similarity tells swapped captions from true ones.

    In the held-out check the clips drawn for it carry another clip's caption, all
    others their own. ``auc`` is the chance that a true caption scores above a swapped
    one; ``precision`` and ``recall`` say how the thresholds do at finding true captions
    among both. ``auc_all`` swaps every clip, which gives a steadier number;
    ``auc_unseen`` only clips outside the train split.
    """
    usable = described[described.similarity.notna() & described.swap_similarity.notna()]
    taken = usable.swap_held_out.fillna(False).astype(bool)
    true, swapped = usable[~taken], usable[taken]
    passing = (
        np.concatenate([true.similarity >= true.threshold, swapped.swap_similarity >= swapped.threshold])
        if len(usable)
        else np.array([])
    )
    is_true = np.concatenate([np.ones(len(true), bool), np.zeros(len(swapped), bool)])
    unseen = usable[usable.split != "train"]
    low, high = _interval(true.similarity.to_numpy(), swapped.swap_similarity.to_numpy())
    return {
        "n_true": len(true),
        "n_swapped": len(swapped),
        "auc": auc(true.similarity, swapped.swap_similarity),
        "auc_low": low,
        "auc_high": high,
        "auc_all": auc(usable.similarity, usable.swap_similarity),
        "auc_unseen": auc(unseen.similarity, unseen.swap_similarity),
        "precision": float(is_true[passing].mean()) if len(usable) and passing.any() else None,
        "recall": float(passing[is_true].mean()) if is_true.any() else None,
        "swapped_found": float((~passing[~is_true]).mean()) if len(swapped) else None,
    }


def auc(true: np.ndarray | pd.Series, wrong: np.ndarray | pd.Series) -> float | None:
    """The chance that one of ``true`` (n,) is above one of ``wrong`` (m,), a tie
    counting a half; None if either is empty.
    """
    if not len(true) or not len(wrong):
        return None
    # Mann and Whitney's U; sklearn's roc_auc_score gives the same, with checks that
    # took most of the bootstrap's time
    above = rankdata(np.r_[true, wrong])[: len(true)].sum() - len(true) * (len(true) + 1) / 2
    return float(above / (len(true) * len(wrong)))


def _interval(true: np.ndarray, wrong: np.ndarray) -> tuple[float | None, float | None]:
    """95 % interval of the AUC by resampling clips."""
    if not len(true) or not len(wrong):
        return None, None
    rng = np.random.default_rng(0)
    values = [auc(rng.choice(true, len(true)), rng.choice(wrong, len(wrong))) for _ in range(BOOTSTRAPS)]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _mean(values: pd.Series) -> float | None:
    return float(values.mean()) if len(values) else None


def _counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {
        str(row): {str(column): int(table.loc[row, column]) for column in table.columns}
        for row in table.index
    }


def _losses(described: pd.DataFrame, column: str) -> dict[str, dict[str, Any]]:
    groups = described.assign(
        key=described[column].fillna("(unlabelled)"), lost=described.status == DROPPED
    ).groupby("key")
    return {
        str(key): {"clips": len(group), "dropped": int(group.lost.sum()), "share": float(group.lost.mean())}
        for key, group in groups
    }


def draw(table: pd.DataFrame, title: str) -> str:
    """Distribution of similarities and the precision-recall curve, as inline SVG; empty
    without similarities.
    """
    from matplotlib.figure import Figure

    usable = table[table.similarity.notna()]
    if usable.empty:
        return ""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    bars, right = figure.subplots(1, 2)
    figure.suptitle(title.replace("$", r"\$"), fontsize=9)
    wrong = usable.swap_similarity.dropna()
    bins = np.linspace(min(usable.similarity.min(), wrong.min() if len(wrong) else 1), 1, 41)
    bars.hist(usable.similarity, bins, alpha=0.75, label="own caption", color="#0072b2")
    bars.hist(wrong, bins, alpha=0.6, label="another emotion's caption", color="#d55e00")
    for value in sorted(set(usable.threshold.dropna())):
        bars.axvline(value, color="black", lw=0.8, ls="--")
    bars.set(xlabel="cosine similarity", ylabel="clips", title="Similarities and threshold")
    bars.legend(fontsize=8)
    if len(wrong):
        truth, score = np.r_[np.ones(len(usable)), np.zeros(len(wrong))], np.r_[usable.similarity, wrong]
        precision, recall, _ = precision_recall_curve(truth, score)
        right.plot(recall, precision, color="#0072b2")
        right.set(
            xlabel="recall of true captions",
            ylabel="precision",
            title="All captions swapped once",
            xlim=(0, 1.02),
            ylim=(0.45, 1.02),
        )
    buffer = io.StringIO()
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "eadbench", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]

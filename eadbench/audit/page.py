"""The audit's page: verdicts, the matrix of metrics and distortions, response curves."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from eadbench.audit.analyse import from_amount, verdict
from eadbench.audit.distortions import LEVELS, REGISTRY
from eadbench.core.files import write_text
from eadbench.corpora.config import DRAWN
from eadbench.scores.metrics import METRICS


def write_page(
    out: Path,
    levels: pd.DataFrame,
    findings: pd.DataFrame,
    clips: Sequence,
    skipped: Mapping[str, str],
    evaluators: Mapping[str, str],
    drawn: bool = False,
) -> None:
    """Write ``index.html``, ``matrix.png``, ``matrix.pdf`` and ``curves_METRIC.png``.

    Args:
        out: Folder.
        levels: Rows of ``schemas.AUDIT_LEVELS``.
        findings: Rows of ``schemas.AUDIT``.
        clips: What was distorted.
        skipped: Distortions left out, with the reason.
        evaluators: Name of each network -> its id.
        drawn: Whether the people of the clips are drawn, which page and figures then
            say.
    """
    from eadbench.tables.figures import save

    mark = DRAWN if drawn else ""
    save(matrix_figure(findings), out / "matrix", mark)
    metrics = list(dict.fromkeys(findings.metric))
    for name in metrics:
        save(curves_figure(levels[levels.metric == name]), out / f"curves_{name}", mark)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("eadbench.audit").joinpath("audit.html.j2").read_text(encoding="utf-8")
    template = environment.from_string(source)
    verdicts = [(METRICS[name], verdict(name, findings[findings.metric == name])) for name in metrics]
    text = template.render(
        verdicts=verdicts,
        false=_false(findings),
        n=len(clips),
        speakers=len({clip.speaker or clip.clip_id for clip in clips}),
        skipped={REGISTRY[name].label: reason for name, reason in skipped.items()},
        distortions=[REGISTRY[name] for name in REGISTRY if name in set(findings.distortion)],
        evaluators=evaluators,
        mark=mark,
    )
    write_text(out / "index.html", text)


def _false(findings: pd.DataFrame) -> list[dict[str, str]]:
    """The false responses for print, the largest first."""
    rows = findings[findings.finding == "false response"].sort_values("size", ascending=False, kind="stable")
    return [
        {
            "metric": label_of(row),
            "distortion": REGISTRY[row.distortion].label,
            "amount": from_amount(row),
            "share": "–" if pd.isna(row.size) else f"{100 * row.size:.0f} %",
        }
        for row in rows.itertuples()
    ]


def label_of(row) -> str:
    """A metric in print, with its variant where it has several."""
    return METRICS[row.metric].label + (f" ({row.variant})" if row.variant else "")


def matrix_figure(findings: pd.DataFrame):
    """Rank correlations as colours, metrics in rows and distortions in columns; the
    number is the smallest detected level.

    A red frame marks a false response, a grey field what was not measured.
    """
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    from eadbench.tables.figures import STYLE

    metrics = list(dict.fromkeys(label_of(row) for row in findings.itertuples()))
    distortions = list(dict.fromkeys(findings.distortion))
    rows = list(findings.itertuples())
    placed = [(metrics.index(label_of(row)), distortions.index(row.distortion), row) for row in rows]
    values = np.full((len(metrics), len(distortions)), np.nan)
    for i, j, row in placed:
        values[i, j] = np.nan if pd.isna(row.rho) else row.rho
    size = (2.6 + 0.42 * len(distortions), 1.6 + 0.27 * len(metrics))
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=size, layout="constrained")
        image = axis.imshow(np.ma.masked_invalid(values), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        axis.set_facecolor("0.85")
        for i, j, row in placed:
            if pd.notna(row.smallest_level):
                ink = {"color": "w" if abs(values[i, j]) > 0.6 else "k", "fontsize": 7}
                axis.text(j, i, f"{int(row.smallest_level)}", ha="center", va="center", **ink)
            if row.finding == "false response":
                axis.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, ec="#d00000", lw=1.6))
        labels = [REGISTRY[name].label for name in distortions]
        axis.set_xticks(range(len(distortions)), labels, rotation=55, ha="right")
        axis.set_yticks(range(len(metrics)), metrics)
        axis.tick_params(length=0)
        figure.colorbar(image, ax=axis, label="rank correlation with the level", shrink=0.6)
    return figure


def curves_figure(levels: pd.DataFrame):
    """One metric's change at each level with its interval: a panel per distortion, a
    line per variant.
    """
    from matplotlib import pyplot as plt

    from eadbench.tables.figures import COLOURS, STYLE

    names = list(dict.fromkeys(levels.distortion))
    columns = 5
    lines = -(-len(names) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            lines,
            columns,
            figsize=(2.1 * columns, 1.6 * lines),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )
        for axis, name in zip(axes.flat, names, strict=False):
            part = levels[levels.distortion == name]
            for k, (variant, line) in enumerate(part.groupby("variant", sort=False)):
                x, colour = [0, *line.level], COLOURS[k % len(COLOURS)]
                axis.plot(x, [0, *line.change], ".-", color=colour, lw=1, label=variant or None)
                low, high = (pd.to_numeric(line[end]).fillna(line.change) for end in ("low", "high"))
                axis.fill_between(x, [0, *low], [0, *high], color=colour, alpha=0.2, lw=0)
            axis.axhline(0, color="0.6", lw=0.6, zorder=0)
            amounts = [f"{amount:g}" for amount in REGISTRY[name].levels]
            axis.set_xticks(range(LEVELS + 1), ["0", *amounts])
            axis.set_title(REGISTRY[name].label, fontsize=8)
            axis.set_xlabel(REGISTRY[name].unit, fontsize=7)
        for axis in list(axes.flat)[len(names) :]:
            axis.remove()
        metric = METRICS[levels.metric.iloc[0]]
        figure.supylabel(f"change of {metric.label}", fontsize=8)
        if levels.variant.nunique() > 1:
            axes.flat[0].legend(frameon=False, fontsize=6)
    return figure

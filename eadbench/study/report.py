"""The study's page (Markdown) and its forest plot."""

from pathlib import Path

import pandas as pd

from eadbench.core.files import write_text
from eadbench.corpora.config import DRAWN
from eadbench.study.config import StudyConfig
from eadbench.tables import render
from eadbench.tables.metrics import metric
from eadbench.tables.wide import decimals_for

RULES = """\
An effect is the mean of the cells with a module minus the mean of those without it.
Seeds and speakers are both random: intervals (95 %) and p values come of the two-way
layout seeds x speakers, each speaker counting once, with Satterthwaite's degrees of
freedom; for a metric of whole sets (FID, FVD) over seeds alone. *Confirmed*: it goes
the way of the claim and its p after Holm's correction over all hypotheses is below
{alpha:g}. *Refuted*: its interval leaves out every effect as large as the smallest that
would matter. *Undecided*: neither.
"""
READING_RULES = """\
Another way to build one module, everything else as in the cell with everything on
({complete}), minus that cell, seed by seed. Intervals (95 %) over seeds and speakers as
in the study, for a metric of whole sets (FID, FVD) over seeds alone. Explored, not
corrected for their number: what stands here is for the next study to test.
"""


def write(
    out: Path,
    frame: pd.DataFrame,
    means: pd.DataFrame,
    ranks: pd.DataFrame,
    config: StudyConfig,
    drawn: bool = False,
) -> None:
    """Write ``study.md``, ``forest.png`` and ``forest.pdf``.

    Args:
        out: Folder.
        frame: The effects (``schemas.STUDY``).
        means: Rows of ``protocol, metric, cell, mean, sd``.
        ranks: ``(cells, metrics)`` with ``mean``, the best cell first.
        config: The section.
        drawn: Whether the people of the corpus are drawn, which text and figure then
            say.
    """
    from eadbench.tables.figures import save

    confirmatory, exploratory = frame[frame.hypothesis.notna()], frame[frame.hypothesis.isna()]
    parts = [
        f"# {render.escape_markdown(config.title)}",
        *material(frame, f"{len(config.cells)} cells", config, drawn),
        "## What was asked",
        RULES.format(alpha=config.alpha),
        render.frame_to_markdown(hypotheses(confirmatory, config)),
        "\n".join(
            f"- {render.escape_markdown(sentence(row))}" for row in confirmatory.itertuples(index=False)
        ),
        "![Effects of the modules with intervals](forest.png)",
        *overall(ranks, config),
        "## Cells (mean over seeds, standard deviation between seeds)",
        render.frame_to_markdown(cells(means, {name: cell.modules for name, cell in config.cells.items()})),
        "## Explored: all effects",
        "Not corrected for their number: what stands here is for the next study to test.",
        render.frame_to_markdown(explored(exploratory[exploratory.by == "all"])),
        "## Explored: by emotion",
        render.frame_to_markdown(explored(exploratory[exploratory.by == "emotion"])),
    ]
    _write_page(out / "study.md", parts)
    main = frame[(frame.by == "all") & (frame.kind == "main")]
    save(forest_figure(main, config.modules), out / "forest", DRAWN if drawn else "")


def write_readings(
    out: Path, frame: pd.DataFrame, means: pd.DataFrame, config: StudyConfig, drawn: bool = False
) -> None:
    """Write ``readings.md``, ``forest.png`` and ``forest.pdf``.

    Args:
        out: Folder.
        frame: The effects of the readings (``schemas.STUDY``).
        means: Rows of ``protocol, metric, cell, mean, sd``, of the complete cell and of
            the readings.
        config: The section.
        drawn: Whether the people of the corpus are drawn, which text and figure then
            say.
    """
    from eadbench.tables.figures import save

    named = frame.assign(effect=frame.effect.map(lambda name: f"{config.readings[name].module} as {name}"))
    built = {config.complete: ["everything"]}
    built |= {name: [f"{reading.module} as {name}"] for name, reading in config.readings.items()}
    parts = [
        f"# {render.escape_markdown(config.title)} Other readings of the modules",
        *material(frame, f"{config.complete} and {', '.join(config.readings)}", config, drawn),
        READING_RULES.format(complete=render.escape_markdown(config.complete)),
        render.frame_to_markdown(explored(named)),
        "![Effects of the readings with intervals](forest.png)",
        "## Means (over seeds, standard deviation between seeds)",
        render.frame_to_markdown(cells(means, built)),
    ]
    _write_page(out / "readings.md", parts)
    save(forest_figure(named, list(dict.fromkeys(named.effect))), out / "forest", DRAWN if drawn else "")


def _write_page(path: Path, parts: list[str]) -> None:
    write_text(path, "\n\n".join(part.rstrip("\n") for part in parts) + "\n")


def material(frame: pd.DataFrame, groups: str, config: StudyConfig, drawn: bool) -> list[str]:
    """What was compared on what, and whether the people are drawn."""
    sets = (
        f"{groups}, {int(frame.seeds.max())} trainings each, {int(frame.clips.max())} clips of "
        f"{int(frame.speakers.max())} speakers"
    )
    notice = f"**{DRAWN.capitalize()}: nobody real is seen or heard in this corpus.**"
    return [render.escape_markdown(f"Corpus {config.corpus}: {sets}."), *([notice] if drawn else [])]


def overall(ranks: pd.DataFrame, config: StudyConfig) -> list[str]:
    """Whether the cell with everything on is the best: the cells' ranks and a sentence."""
    if not config.overall:
        return []
    best, mean = ranks.index[0], ranks["mean"]
    is_best = best == config.complete and (mean == mean.min()).sum() == 1
    rank_text = f"{mean[config.complete]:.2f}, the best cell ({best}) {mean[best]:.2f}"
    table = ranks.rename(columns=lambda key: "mean rank" if key == "mean" else metric(key).label).round(2)
    return [
        "## Everything on against the rest",
        f"**{'Supported' if is_best else 'Not supported'}**: the cell with everything on has the mean "
        f"rank {rank_text} (of {len(ranks)} cells, protocol `self`, 1 is the best).",
        render.frame_to_markdown(table.rename_axis("Cell").reset_index()),
    ]


def hypotheses(confirmatory: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """The confirmatory table for print."""
    rows = []
    for row in confirmatory.itertuples(index=False):
        line = {
            "Hypothesis": row.hypothesis,
            "Claim": f"{row.effect} moves {metric(row.metric).label} {row.claim} ({row.protocol})",
            "Source": config.hypotheses[row.hypothesis].source,
            "Effect": with_interval(row),
            "p": f"{row.p_value:.2g}",
            "p (Holm)": f"{row.p_holm:.2g}",
            "Smallest that matters": f"{row.smallest:g}",
            "Detectable": f"{row.detectable:.2g}",
            "Verdict": row.verdict,
        }
        rows.append(line)
    return pd.DataFrame(rows)


def sentence(row) -> str:
    """One finding in words, e.g.
    ``H1 (confirmed): with tfrm, Jitter changes by -0.1 [-0.2, -0.05].``.
    """
    spread_text = f"seeds differ by {row.seed_sd:.2g}"
    if row.speakers:
        spread_text += f", speakers by {row.speaker_sd:.2g}"
    verdict_text = ""
    if row.verdict == "refuted":
        verdict_text = f" An effect of {row.smallest:g} or more in the claimed direction is ruled out."
    elif row.verdict == "undecided":
        verdict_text = f" The design would find {row.detectable:.2g} with the power asked for."
    elif abs(row.value) < row.smallest:
        verdict_text = f" It is smaller than {row.smallest:g}, which was said to matter."
    return (
        f"{row.hypothesis} ({row.verdict}): with {row.effect}, {metric(row.metric).label} changes by "
        f"{with_interval(row)}; {spread_text}.{verdict_text}"
    )


def with_interval(row) -> str:
    """``-0.10 [-0.20, -0.05]``."""
    decimals = decimals_for([row.value, row.low, row.high])
    sign = "+" if row.value > 0 else ""
    return sign + render.estimate(row.value, row.low, row.high, decimals)


def cells(means: pd.DataFrame, modules: dict[str, list[str]]) -> pd.DataFrame:
    """Cells in rows, metrics in columns.

    Args:
        means: Rows of ``protocol, metric, cell, mean, sd``.
        modules: Cell -> what is on in it.
    """
    rows = []
    for name, on in modules.items():
        row = {"Cell": name, "On": ", ".join(on) or "nothing"}
        for mean in means[means.cell == name].itertuples(index=False):
            decimals = decimals_for([mean.mean, mean.sd])
            row[f"{metric(mean.metric).heading} ({mean.protocol})"] = (
                f"{render.number(mean.mean, decimals)} ± {render.number(mean.sd, decimals)}"
            )
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def explored(rows: pd.DataFrame) -> pd.DataFrame:
    """Effects in rows, metrics in columns."""
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows.itertuples(index=False):
        line = lines.setdefault(
            (row.effect, row.level, row.protocol),
            {"Effect": row.effect.replace(":", " × "), "Protocol": row.protocol},
        )
        if row.by != "all":
            line["Emotion"] = row.level
        line[metric(row.metric).heading] = with_interval(row)
    return pd.DataFrame(list(lines.values())).fillna("–") if lines else pd.DataFrame({"Effect": ["none"]})


def forest_figure(rows: pd.DataFrame, effects: list[str]):
    """Effects with intervals: a panel per metric and protocol, a row per effect; what
    was claimed is filled.

    Args:
        rows: One row of ``schemas.STUDY`` per effect, metric and protocol, two where a
            hypothesis is about it.
        effects: Effects from top to bottom.
    """
    from matplotlib import pyplot as plt

    from eadbench.tables.figures import COLOURS, STYLE

    panels = list(dict.fromkeys(zip(rows.protocol, rows.metric, strict=True)))
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    with plt.rc_context(STYLE):
        size = (3.2 * columns, (0.6 + 0.28 * len(effects)) * lines)
        figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
        for axis, (protocol, key) in zip(axes.flat, panels, strict=False):
            part = rows[(rows.protocol == protocol) & (rows.metric == key)]
            claimed = set(part[part.hypothesis.notna()].effect)
            for place, effect in enumerate(reversed(effects)):
                row = part[part.effect == effect].iloc[0]
                colour = COLOURS[0] if effect in claimed else COLOURS[-1]
                axis.plot([row.low, row.high], [place, place], color=colour, lw=1.5)
                axis.plot(
                    row.value, place, "o", color=colour, mfc=colour if effect in claimed else "white", ms=5
                )
            axis.axvline(0, color="0.6", lw=0.8, zorder=0)
            axis.locator_params(axis="x", nbins=4)
            axis.set_yticks(range(len(effects)), list(reversed(effects)))
            axis.set_ylim(-0.6, len(effects) - 0.4)
            axis.set_title(f"{metric(key).heading} ({protocol})", fontsize=8)
        for axis in list(axes.flat)[len(panels) :]:
            axis.remove()
    return figure

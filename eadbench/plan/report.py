"""``eadbench plan``: put the parts together and print them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from eadbench.core import settings as core_settings
from eadbench.plan.calibrate import calibrate
from eadbench.plan.counts import Counts, counts
from eadbench.plan.dag import planned
from eadbench.plan.estimate import by_figure, by_stage, costs, wall_time
from eadbench.plan.figures import WHILE_TRAINING, load

CAVEATS = (
    "Assumed figures mean one A100-class GPU and the sizes of config/paper.yaml. Wall times are simulated, "
    "without queues, retries and failures. "
    f"Disk is what is left at the end; a training run needs about {WHILE_TRAINING} times its weights more "
    "while it runs. Memory is the peak of one job."
)


@dataclass(frozen=True)
class Report:
    """Amounts per corpus; a row per stage (``schemas.PLAN``), per figure, and per pair
    of cores and GPUs.
    """

    configs: list[str]
    corpora: dict[str, Counts]
    stages: pd.DataFrame
    figures: pd.DataFrame
    walls: list[dict[str, float]]


def make_report(
    configs: list[Path],
    results: Path,
    finished: Path | None,
    figures: Path | None,
    workers: list[int],
    gpus: list[int],
) -> Report:
    """Plan a run.

    Args:
        configs: Configuration files, later ones over earlier ones.
        results: Folder with index and clips tables, if they are there.
        finished: Results of a finished run to calibrate on.
        figures: YAML with figures.
        workers, gpus: Cores and GPUs to give the wall time for, each with each.

    Raises:
        EadbenchError: If the configuration, the finished run or the figures are not
            valid.
    """
    settings = core_settings.load(None, configs, whole=True)
    plan = planned(configs)
    corpora = counts(settings, results)
    measured = calibrate(finished, plan) if finished else {}
    job_costs = costs(plan.jobs, settings, corpora, load(figures), measured)
    on_gpu = any(job.gpus for job in plan.jobs)
    walls = [
        {"workers": n, "gpus": g, "hours": wall_time(plan.jobs, job_costs, n, g) / 3600}
        for n in workers
        for g in (gpus if on_gpu else [0])
    ]
    return Report(
        [str(path) for path in configs],
        corpora,
        by_stage(plan.jobs, job_costs),
        by_figure(plan.jobs, job_costs),
        walls,
    )


def as_json(report: Report) -> dict[str, Any]:
    """All of it as JSON can hold it."""
    return {
        "configs": report.configs,
        "corpora": {name: asdict(c) for name, c in report.corpora.items()},
        "stages": report.stages.astype(object).where(report.stages.notna(), None).to_dict("records"),
        "figures": report.figures.to_dict("records"),
        "walls": report.walls,
    }


def show(report: Report, details: bool) -> None:
    """Print it, the totals last."""
    console = Console()
    corpora = _table("Corpora", "corpus", "recordings", "hours", "clips", "clip hours", "rendered", "source")
    for name, c in report.corpora.items():
        row = (
            f"{c.recordings:,.0f}",
            f"{c.seconds / 3600:.1f}",
            f"{c.clips:,.0f}",
            f"{c.clip_seconds / 3600:.1f}",
            f"{c.test_clips:,.0f}",
        )
        corpora.add_row(name, *row, c.source)
    console.print(corpora)
    _print_notes(console, ((name, c.note) for name, c in report.corpora.items()))
    if details:
        rows = report.figures.sort_values("hours", ascending=False)
        console.print(_figures(rows))
        _print_notes(console, ((f"{r.figure}, {r.work:,.0f} {r.unit}", r.note) for r in rows.itertuples()))
    stages = _table(
        "Cost", "stage", "jobs", "core h", "GPU h", "disk GB", "memory GB", "GPU GB", "measured", "figures"
    )
    for row in report.stages.itertuples():
        gpu = f"{row.peak_gpu_memory_gb:.0f}" if pd.notna(row.peak_gpu_memory_gb) else "-"
        hours = (
            f"{row.core_hours:,.1f}",
            f"{row.gpu_hours:,.1f}",
            f"{row.disk_gb:,.1f}",
            f"{row.peak_memory_gb:.1f}",
        )
        stages.add_row(
            row.stage,
            str(row.jobs),
            *hours,
            gpu,
            f"{row.measured_share:.0%}",
            row.source.replace(", ", "\n"),
            style="bold" if row.stage == "all" else None,
        )
    console.print(stages)
    walls = _table("Wall time", "cores", "GPUs", "hours")
    for wall in report.walls:
        walls.add_row(str(wall["workers"]), str(wall["gpus"]), f"{wall['hours']:,.1f}")
    console.print(walls)
    console.print(CAVEATS)


def _figures(rows: pd.DataFrame) -> Table:
    table = _table("Figures", "figure", "jobs", "s per unit", "start s", "hours", "source")
    for row in rows.itertuples():
        table.add_row(
            row.figure,
            str(row.jobs),
            f"{row.seconds_per_unit:.3g}",
            f"{row.start_seconds:.3g}",
            f"{row.hours:,.2f}",
            row.source,
        )
    return table


def _print_notes(console: Console, notes: Iterable[tuple[str, str]]) -> None:
    """Where figures are from, below their table."""
    for name, note in notes:
        console.print(f"{name}: {note}", highlight=False, markup=False)


def _table(title: str, *columns: str) -> Table:
    """A table that breaks no word at 80 columns: headings are stacked, cells are not
    wrapped.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE, collapse_padding=True, pad_edge=False)
    for column in columns:
        words = column in ("corpus", "stage", "figure", "source", "figures")
        heading = column.replace(" ", "\n")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table

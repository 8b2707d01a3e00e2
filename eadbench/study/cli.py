"""``eadbench study``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson

app = typer.Typer(
    add_completion=False,
    help="The factorial study over seeds and speakers (docs/study.md).",
    no_args_is_help=True,
)


@app.callback()
def root() -> None:
    """The factorial study over seeds and speakers (docs/study.md)."""


PerClip = Annotated[
    list[Path], typer.Option(metavar="FILE", help="results/scores/M/C/P/per_clip.parquet, once per cell.")
]
Summary = Annotated[
    list[Path], typer.Option(metavar="FILE", help="results/scores/M/C/P/summary.parquet, once per cell.")
]


@app.command("analyse")
def analyse_command(
    per_clip: PerClip,
    summary: Summary,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for effects.parquet, study.md and the forest plot. "
            "[default: study in the configuration's results]",
            show_default=False,
        ),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Estimate what each module does, over seeds and speakers, and decide the
    hypotheses.

    The workflow calls it with all cells of the study: snakemake --cores all
    --configfile config.yaml config/study.yaml -- study/results/study/study.md

    Example:

        cell=full/demo_mead/self
        eadbench study analyse --config config.yaml --config config/study.yaml \\
          --per-clip results/scores/$cell/per_clip.parquet \\
          --summary results/scores/$cell/summary.parquet
    """
    loaded = core_settings.load(settings, config, "study analyse")
    out = out or loaded.results / "study"
    from eadbench.study.analyse import analyse

    analyse(per_clip, summary, loaded.study, out, _is_drawn(loaded))
    typer.echo(f"read {out / 'study.md'}")


@app.command("readings")
def readings_command(
    per_clip: PerClip,
    summary: Summary,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for effects.parquet, readings.md and the forest plot. "
            "[default: study/readings in the configuration's results]",
            show_default=False,
        ),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Compare other readings of the modules with the cell that has everything on,
    without a verdict.

    The workflow calls it with the cells of the readings and of the complete cell:
    snakemake --cores all --configfile config.yaml config/study.yaml
    config/study_readings.yaml -- study/results/study/readings/readings.md

    Example:

        cell=strip_h_1/study_mead/self
        eadbench study readings --config config.yaml --config config/study.yaml \\
          --config config/study_readings.yaml \\
          --per-clip study/results/scores/$cell/per_clip.parquet \\
          --summary study/results/scores/$cell/summary.parquet
    """
    loaded = core_settings.load(settings, config, "study readings")
    out = out or loaded.results / "study/readings"
    from eadbench.study.analyse import compare_readings

    compare_readings(per_clip, summary, loaded.study, out, _is_drawn(loaded))
    typer.echo(f"read {out / 'readings.md'}")


def _is_drawn(loaded: core_settings.Settings) -> bool:
    return "corpora" in loaded.given and loaded.study.corpus in loaded.corpora.drawn

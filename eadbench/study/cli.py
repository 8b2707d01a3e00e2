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


@app.command("analyse")
def analyse_command(
    per_clip: Annotated[
        list[Path], typer.Option(metavar="FILE", help="results/scores/M/C/P/per_clip.parquet, once per cell.")
    ],
    summary: Annotated[
        list[Path], typer.Option(metavar="FILE", help="results/scores/M/C/P/summary.parquet, once per cell.")
    ],
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

    drawn = "corpora" in loaded.given and loaded.study.corpus in loaded.corpora.drawn
    analyse(per_clip, summary, loaded.study, out, drawn)
    typer.echo(f"read {out / 'study.md'}")

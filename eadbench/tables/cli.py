"""``eadbench tables``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson

app = typer.Typer(add_completion=False, help="Tables, ablation report, page.", no_args_is_help=True)


@app.command("build")
def build_command(
    out: Annotated[Path, typer.Option(help="The long table, e.g. results/tables/scores.parquet; all others are written beside it.")],
    summary: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="results/scores/M/C/P/summary.parquet, once per cell.")] = None,
    per_clip: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="results/scores/M/C/P/per_clip.parquet, once per cell.")] = None,
    samples: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="results/samples/M/C/P/samples.parquet, once per cell.")] = None,
    history: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="results/training/R/history.parquet, once per run.")] = None,
    run_card: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="results/training/R/card.json, once per run.")] = None,
    coverage: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="results/clips/C/coverage.json, once per corpus.")] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Make all tables from the scores: Parquet, CSV, Markdown and LaTeX, and the ablation report.

    One metric in one table has one ruler (extractor, weights, resolution); where rulers are mixed, the command stops and names them.

    Example:

        cell=ground_truth/demo_hdtf/self
        eadbench tables build --out tables/scores.parquet \\
          --summary results/scores/$cell/summary.parquet \\
          --per-clip results/scores/$cell/per_clip.parquet \\
          --samples results/samples/$cell/samples.parquet
    """
    given = core_settings.load(settings, config, "tables build")
    from eadbench.tables.build import Inputs, build

    inputs = Inputs(summary or [], per_clip or [], samples or [], history or [], run_card or [], coverage or [])
    build(inputs, given.tables, given.seed, out, given.scores.few_clips)


@app.command("report")
def report_command(
    tables: Annotated[Path, typer.Option(help="Folder that `tables build` wrote.")] = Path("results/tables"),
    results: Annotated[Path, typer.Option(help="Folder of all results; what is there of captions, clips, training and samples is shown.")] = Path(
        "results"
    ),
    out: Annotated[Path, typer.Option(help="The page; all that it needs goes to report_assets beside it.")] = Path("results/report/index.html"),
    bundle: Annotated[Path | None, typer.Option(help="Folder that gets the page again, alone and as hard links.")] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Make the page: it opens from disk, offline. Without --settings or --config it shows what the tables were built with.

    Example:

        eadbench tables report --out page/index.html
    """
    given = core_settings.load(settings, config, "tables report").tables if settings or config else None
    from eadbench.tables.report import bundle_page, report

    report(tables, results, out, given)
    if bundle:
        bundle_page(out, bundle)
    typer.echo(f"open {out} in a browser")


@app.command("compare")
def compare_command(
    first: Annotated[Path, typer.Argument(help="Results folder, or its tables folder.")],
    second: Annotated[Path, typer.Argument(help="The other one.")],
    out: Annotated[Path | None, typer.Option(help="Write the differences to this Markdown file, too.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show values that did not change, too.")] = False,
) -> None:
    """Say what changed between two results: values, whether by more than noise, which rulers, settings, inputs and versions differ.

    Example:

        eadbench tables compare ../before/results results --out changes.md
    """
    from eadbench.tables.compare import compare

    compare(first, second, out, everything)


@app.command("show")
def show_command(
    tables: Annotated[Path, typer.Option(help="Folder that `tables build` wrote.")] = Path("results/tables"),
    report: Annotated[Path, typer.Option(help="The page to point to.")] = Path("results/report/index.html"),
) -> None:
    """Print the tables to the terminal, with what to know before believing them.

    Example:

        eadbench tables show --tables results/tables
    """
    from eadbench.tables.show import show

    show(tables, report)


@app.command("dictionary")
def dictionary_command(out: Annotated[Path, typer.Option(help="Markdown file.")] = Path("docs/tables.md")) -> None:
    """Write the data dictionary: every table, every column, its meaning.

    Example:

        eadbench tables dictionary --out tables.md
    """
    from eadbench.tables.dictionary import write_dictionary

    write_dictionary(out)

"""``eadbench tables``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
from eadbench.core.options import ConfigFiles, SettingsJson

TablesOption = Annotated[
    Path,
    typer.Option(help="Folder that `tables build` wrote, or the table that `eadbench score` wrote."),
]
app = typer.Typer(add_completion=False, help="Tables, ablation report, page.", no_args_is_help=True)


@app.command("build")
def build_command(
    out: Annotated[
        Path,
        typer.Option(
            help="The long table, e.g. results/tables/scores.parquet; all others are written beside it."
        ),
    ],
    summary: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="results/scores/M/C/P/summary.parquet, once per cell."),
    ] = None,
    per_clip: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="results/scores/M/C/P/per_clip.parquet, once per cell."),
    ] = None,
    samples: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="results/samples/M/C/P/samples.parquet, once per cell."),
    ] = None,
    history: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="results/training/R/history.parquet, once per run."),
    ] = None,
    run_card: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="results/training/R/card.json, once per run.")
    ] = None,
    coverage: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="results/clips/C/coverage.json, once per corpus."),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="results/clips/C/clips.parquet, once per corpus: for tables.breakdown.by."
        ),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Your labels: for tables.breakdown.by.")] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Make all tables from the scores: Parquet, CSV, Markdown and LaTeX, and the
    ablation report.

    One metric in one table has one metric signature (extractor, weights, resolution);
    where signatures are mixed, the command stops and names them.

    Example:

        cell=ground_truth/demo_hdtf/self
        eadbench tables build --out tables/scores.parquet \\
          --summary results/scores/$cell/summary.parquet \\
          --per-clip results/scores/$cell/per_clip.parquet \\
          --samples results/samples/$cell/samples.parquet
    """
    run_settings = core_settings.load(settings, config, "tables build")
    from eadbench.tables.build import TableInputs, build

    kinds: dict[str, str] = {}
    if "samples" in run_settings.raw:
        methods = run_settings.samples.methods
        kinds = {name: getattr(method, "recipe", method.kind) for name, method in methods.items()}
    corpora: dict[str, dict] = {}
    if "corpora" in run_settings.raw:
        drawn = run_settings.corpora.drawn
        sets = run_settings.corpora.sets
        corpora = {name: {"kind": corpus.kind, "drawn": name in drawn} for name, corpus in sets.items()}
    files = (
        summary or [],
        per_clip or [],
        samples or [],
        history or [],
        run_card or [],
        coverage or [],
        clips or [],
        labels,
    )
    inputs = TableInputs(*files, kinds=kinds, corpora=corpora)
    build(inputs, run_settings.tables, run_settings.seed, out, run_settings.scores.few_clips)


@app.command("report")
def report_command(
    tables: Annotated[
        Path | None,
        typer.Option(
            help="Folder that `tables build` wrote. [default: tables in --results]", show_default=False
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder of all results; what is there of captions, clips, training and samples is shown. "
            "[default: the configuration's, else results]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page; all that it needs goes to report_assets beside it. "
            "[default: report/index.html in --results]",
            show_default=False,
        ),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Folder that gets the page again, alone and as hard links.")
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Make the page: it opens from disk, offline. Without --settings or --config it
    shows what the tables were built with.

    Example:

        eadbench tables report --out page/index.html
    """
    run_settings = core_settings.load(settings, config, "tables report") if settings or config else None
    results = results or (run_settings.results if run_settings else Path("results"))
    out = out or results / "report/index.html"
    from eadbench.tables.report import bundle_page, report

    report(tables or results / "tables", results, out, run_settings.tables if run_settings else None)
    if bundle:
        bundle_page(out, bundle)
    typer.echo(f"open {out} in a browser")


@app.command("compare")
def compare_command(
    first: Annotated[
        Path, typer.Argument(help="Results folder, its tables folder, or a table of `eadbench score`.")
    ],
    second: Annotated[Path, typer.Argument(help="The other one.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the differences to this Markdown file, too.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show values that did not change, too.")] = False,
) -> None:
    """Say what changed between two results: values, whether by more than noise, which
    signatures, settings, inputs and versions differ.

    Example:

        eadbench tables compare ../before/results results --out changes.md
    """
    from eadbench.tables.compare import compare

    compare(first, second, out, everything)


@app.command("show")
def show_command(
    tables: TablesOption = Path("results/tables"),
    report: Annotated[
        Path | None,
        typer.Option(
            help="The page to point to. [default: report/index.html beside the tables]", show_default=False
        ),
    ] = None,
) -> None:
    """Print the tables to the terminal, with what to know before believing them.

    Example:

        eadbench tables show --tables results/tables
    """
    from eadbench.tables.load import tables_folder
    from eadbench.tables.show import show

    folder = tables_folder(tables)
    show(folder, report or folder.parent / "report/index.html")


@app.command("breakdown")
def breakdown_command(
    by: Annotated[
        list[str], typer.Option(metavar="COLUMN", help="Column of the clips table or of --labels.")
    ],
    results: Annotated[Path, typer.Option(help="Folder of all results.")] = Path("results"),
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV with columns clip_id, optionally corpus, and yours.", show_default=False),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Only these, comma-separated. [default: those of the tables]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write all values to this CSV, too.", show_default=False)
    ] = None,
) -> None:
    """Print means by sex, level, view or any other column, with intervals and n, of
    what was scored; nothing is measured again.

    Example:

        eadbench tables breakdown --by sex --by level --metrics acc_emo,sync
        eadbench tables breakdown --by accent --labels mine.csv --out accent.csv
    """
    from rich.console import Console

    from eadbench.tables import breakdown as groups
    from eadbench.tables import gather
    from eadbench.tables.build import write_csv
    from eadbench.tables.load import load_built
    from eadbench.tables.show import WIDTH, plain_table

    built = load_built(results / "tables")
    cells, clips = groups.of_results(results)
    group_rows = groups.groups_of(clips, by, labels)
    with gather.open_per_clip(cells, results / "tables") as base:
        frame = groups.breakdown(base, group_rows, built.few_clips)
    if metrics:
        shown = [name.strip() for name in metrics.split(",")]
        groups.check_known(shown, sorted(set(frame.metric)), "metric per clip", "--metrics")
    else:
        shown = [column.metric.name for table in built.tables for column in table.columns]
    frame = frame[frame.by.isin(by)]
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for name in by:
        tables = groups.printed(frame, built.config, name, shown)
        if not tables:
            console.print(f"no clip has a value of {name!r}", highlight=False)
        for title, table in tables.items():
            console.print(plain_table(title, table))
    console.print(groups.LEGEND, style="dim", highlight=False)
    if out:
        write_csv(out, frame)


@app.command("merge")
def merge_command(
    results: Annotated[
        list[str],
        typer.Argument(
            help="Results folders, or tables of `eadbench score`, two or more; NAME=PATH gives one a name.",
            metavar="PATH...",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="scores.parquet of the merged tables; all others are written beside it.")
    ],
    without: Annotated[
        str | None,
        typer.Option(help="Metrics to leave out, comma-separated, e.g. fid,fvd.", show_default=False),
    ] = None,
) -> None:
    """Join the results of several people. Values of different signatures are refused,
    and the difference is named.

    A signature is the network that measures, the hash of its weights, the resolution,
    and the metric's variant. The test clips must be the same. Beside a table of
    `eadbench score` its folder (scores.parquet.tables) must lie.

    Example:

        eadbench tables merge mine=results theirs=../theirs/results \\
          --out merged/scores.parquet
        eadbench tables merge mine=scores.parquet \\
          theirs=../theirs/scores.parquet --out merged/scores.parquet
    """
    from eadbench.tables.merge import merge

    folders: dict[str, Path] = {}
    for text in results:
        name, equals, folder = text.partition("=")
        path = Path(folder if equals else text)
        if not equals:
            is_default_name = path.name in ("results", "tables", "scores.parquet")
            name = path.resolve().parent.name if is_default_name else path.name.removesuffix(".parquet")
        if name in folders:
            raise EadbenchError(f"two results are named {name!r}", text, "give them names: NAME=PATH")
        folders[name] = path
    built = merge(folders, out, [part.strip() for part in (without or "").split(",") if part.strip()])
    typer.echo(f"{built.scores.method.nunique()} methods, {len(built.scores)} values: {out}")
    typer.echo(f"`eadbench tables show --tables {out.parent}` prints them")


@app.command("export")
def export_command(
    to: Annotated[str, typer.Option(help="hf-evals, csv or croissant.", metavar="hf-evals|csv|croissant")],
    out: Annotated[
        Path,
        typer.Option(
            help="hf-evals: a folder; csv: a file; croissant: a file in the tables folder, e.g. "
            "results/tables/croissant.json."
        ),
    ],
    tables: TablesOption = Path("results/tables"),
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="hf-evals: CORPUS=ID, the id of its benchmark on the Hub.", show_default=False),
    ] = None,
    name: Annotated[str, typer.Option(help="croissant: name of the data set.")] = "eadbench-scores",
    licence: Annotated[
        str, typer.Option(help="croissant: licence under which you publish the values.")
    ] = "https://spdx.org/licenses/CC0-1.0.html",
) -> None:
    """Write the values in a form that others read. Each value keeps its interval, n,
    and what it was measured with.

    hf-evals: for repositories on the Hugging Face Hub, .eval_results/*.yaml of each
    method's model and eval.yaml of each corpus's test clips (its config and split are
    named default and test: change them to yours). csv: all values in one file.
    croissant: JSON-LD that describes the Parquet tables for data set search.

    Example:

        eadbench tables export --to csv --out scores.csv
        eadbench tables export --to hf-evals --out hub \\
          --dataset demo_mead=me/mead-like
    """
    from eadbench.tables import export
    from eadbench.tables.load import load_built, tables_folder

    built = load_built(tables_folder(tables))
    if to == "csv":
        export.to_csv(built, out)
        typer.echo(f"{len(built.scores)} values: {out}")
    elif to == "hf-evals":
        ids = dict(text.partition("=")[::2] for text in dataset or [])
        for path in export.to_hub(built, out, ids):
            typer.echo(str(path))
    elif to == "croissant":
        export.to_croissant(built, out, name, licence)
        typer.echo(str(out))
    else:
        raise EadbenchError(
            f"no form is named {to!r}{nearest(to, ('hf-evals', 'csv', 'croissant'))}",
            "--to",
            "known: hf-evals, csv, croissant",
        )


@app.command("cite")
def cite_command(
    tables: TablesOption = Path("results/tables"),
    table: Annotated[
        str | None, typer.Option(help="Only what this table holds, e.g. main.", show_default=False)
    ] = None,
) -> None:
    """Print the BibTeX of every corpus, method and metric that the tables hold. The
    page has the same under "Cite this".

    Example:

        eadbench tables cite --table main > benchmark.bib
    """
    from eadbench.tables.load import load_built, references, tables_folder

    typer.echo(references(load_built(tables_folder(tables)), table), nl=False)


@app.command("dictionary")
def dictionary_command(
    out: Annotated[Path, typer.Option(help="Markdown file.")] = Path("docs/tables.md"),
) -> None:
    """Write the data dictionary: every table, every column, its meaning.

    Example:

        eadbench tables dictionary --out tables.md
    """
    from eadbench.tables.dictionary import write_dictionary

    write_dictionary(out)

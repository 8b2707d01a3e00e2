"""``eadbench clips``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson
from eadbench.core.settings import entry_of

app = typer.Typer(
    add_completion=False,
    help="From recordings to aligned face clips: cut, check, merge, report.",
    no_args_is_help=True,
)


@app.command("cut")
def cut_command(
    corpus: Annotated[str, typer.Option(help="Name of the corpus in the config.")],
    index: Annotated[Path, typer.Option(help="results/corpora/CORPUS/index.parquet")],
    out: Annotated[Path, typer.Option(help="Table to write; videos/, audio/ and tracks/ go beside it.")],
    shard: Annotated[str, typer.Option(help="Which share of the recordings, e.g. 0-of-4.")] = "0-of-1",
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Find shots and faces, align, cut. A killed run continues where it was.

    Clips have 25 frames per second and 16 kHz mono audio; faces are aligned in squares
    of `clips: size:` pixels.

    Example:

        eadbench clips cut --corpus demo_hdtf \\
          --index results/corpora/demo_hdtf/index.parquet \\
          --out results/clips/demo_hdtf/shards/0-of-1/cut.parquet
    """
    loaded = core_settings.load(settings, config, "clips cut")
    from eadbench.clips.cut import cut_shard

    cut_shard(corpus, shard, index, out, loaded.clips)


@app.command("check")
def check_command(
    corpus: Annotated[str, typer.Option(help="Name of the corpus in the config.")],
    cut: Annotated[Path, typer.Option(help="The shard's cut.parquet.")],
    evaluator: Annotated[
        Path, typer.Option("--evaluator", "--judge", help="Folder of the SyncNet evaluator in the zoo.")
    ],
    out: Annotated[Path, typer.Option(help="Table to write; corrected media go to corrected/ beside it.")],
    shard: Annotated[str, typer.Option(help="The shard's name, for messages.")] = "0-of-1",
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Measure the audio-video offset, move the audio within limits, keep or drop.

    The offset is in frames of 40 ms; the limits are those of `clips: sync:` and
    `clips: keep:`.

    Example:

        eadbench clips check --corpus demo_hdtf \\
          --evaluator results/zoo/syncnet_evaluator \\
          --cut results/clips/demo_hdtf/shards/0-of-1/cut.parquet \\
          --out results/clips/demo_hdtf/shards/0-of-1/checked.parquet
    """
    loaded = core_settings.load(settings, config, "clips check")
    from eadbench.clips.check import check_shard
    from eadbench.core.device import pick_device

    check_shard(corpus, shard, cut, evaluator, out, loaded.clips, pick_device(loaded.device))


@app.command("merge")
def merge_command(
    tables: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tables of the shards.")],
    out: Annotated[Path, typer.Option(help="Table to write, e.g. results/clips/CORPUS/clips.parquet.")],
) -> None:
    """Put shards together; how many there were leaves no trace.

    Example:

        eadbench clips merge --out results/clips/demo_mead/clips.parquet \\
          results/clips/demo_mead/shards/*/checked.parquet
    """
    from eadbench.core import schemas
    from eadbench.core.tables import concat_tables

    concat_tables(tables, schemas.CLIPS, out, "clip_id")


@app.command("report")
def report_command(
    corpus: Annotated[str, typer.Option(help="Name of the corpus in the config.")],
    clips: Annotated[Path, typer.Option(help="results/clips/CORPUS/clips.parquet")],
    out: Annotated[Path, typer.Option(help="HTML page to write.")],
    index: Annotated[
        Path | None,
        typer.Option(
            help="results/corpora/CORPUS/index.parquet; list.csv, list.parquet and coverage.json then go "
            "beside the page."
        ),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Draw what was kept and what was lost to which reason, with example frames.

    With `--index` it also lists the test and validation clips with the hashes
    of their frames, and compares them with the corpus's `test_list`.

    Example:

        eadbench clips report --corpus demo_hdtf --out clips.html \\
          --clips results/clips/demo_hdtf/clips.parquet
    """
    loaded = core_settings.load(settings, config, "clips report")
    from eadbench.clips.listing import write_list
    from eadbench.clips.report import write_report

    coverage = None
    if index:
        test_list = entry_of(loaded.corpora.sets, corpus, "corpora.sets").test_list
        coverage = write_list(corpus, index, clips, out.parent, test_list)
    drawn = "corpora" in loaded.given and corpus in loaded.corpora.drawn
    write_report(corpus, clips, out, coverage.sentence() if coverage else "", drawn)


@app.command("compare")
def compare_command(
    listed: Annotated[
        str, typer.Argument(help="A test list: the name of a shipped one (hdtf, mead, ravdess), or a CSV.")
    ],
    found: Annotated[Path, typer.Argument(help="The list of a run, results/clips/CORPUS/list.csv.")],
) -> None:
    """Say which clips of a test list a run has, which are gone and why.

    The status is 0 if it has them all, of the same stretches and frames.

    Example:

        eadbench clips compare theirs.csv results/clips/hdtf/list.csv
    """
    from eadbench.clips.listing import compare, read_list

    coverage = compare(read_list(listed), read_list(str(found)), listed)
    typer.echo(coverage.sentence(most=10**6))
    if coverage.covered < coverage.listed:
        raise typer.Exit(1)

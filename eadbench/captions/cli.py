"""``eadbench captions``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, Parts, SettingsJson, parse_parts

app = typer.Typer(
    add_completion=False,
    help="Describe the emotion of clips; choose which descriptions train.",
    no_args_is_help=True,
)

Corpus = Annotated[str, typer.Option(help="Name of the corpus.")]
Clips = Annotated[Path, typer.Option(help="Table of the corpus's clips, results/clips/C/clips.parquet.")]


@app.command("write")
def write_command(
    corpus: Corpus,
    shard: Annotated[str, typer.Option(help="Shard as 0-of-4.")],
    clips: Clips,
    out: Annotated[Path, typer.Option(help="Table to write, results/captions/C/shards/K.parquet.")],
    part: Parts = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Describe each kept clip of a shard with the captioner of the config.

    A killed run goes on where it stopped. A clip without a usable answer becomes a row
    with its reason.

    Example:

        eadbench captions write --corpus demo_mead --shard 0-of-1 \\
          --clips results/clips/demo_mead/clips.parquet \\
          --out results/captions/demo_mead/shards/0-of-1.parquet
    """
    loaded = core_settings.load(settings, config, "captions write")
    from eadbench.captions.write import write_captions

    write_captions(clips, corpus, shard, loaded.captions, parse_parts(part), loaded.seed, loaded.device, out)


@app.command("merge")
def merge_command(
    shards: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tables of the shards.")],
    out: Annotated[Path, typer.Option(help="Merged table, results/captions/C/written.parquet.")],
) -> None:
    """Join the shards of a corpus; text artefacts of the zoo train on the result.

    Example:

        eadbench captions merge --out results/captions/demo_mead/written.parquet \\
          results/captions/demo_mead/shards/*.parquet
    """
    from eadbench.core import schemas
    from eadbench.core.tables import concat_tables

    concat_tables(shards, schemas.CAPTIONS, out, "clip_id")


@app.command("filter")
def filter_command(
    corpus: Corpus,
    written: Annotated[Path, typer.Option(help="Merged captions, results/captions/C/written.parquet.")],
    clips: Clips,
    out: Annotated[Path, typer.Option(help="Table to write, results/captions/C/captions.parquet.")],
    part: Parts = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Measure each caption's cosine similarity with its clip's label, frames or audio,
    and keep or drop it for training.

    Scores (-1 to 1) stand in the table for every clip, kept or not, and beside them
    those of a wrong caption, for the held-out check.

    Example:

        eadbench captions filter --corpus demo_mead \\
          --part sentence=results/zoo/sentence \\
          --written results/captions/demo_mead/written.parquet \\
          --clips results/clips/demo_mead/clips.parquet \\
          --out results/captions/demo_mead/captions.parquet
    """
    loaded = core_settings.load(settings, config, "captions filter")
    from eadbench.captions.filter import filter_captions

    filter_captions(
        written, clips, corpus, loaded.captions.filter, parse_parts(part), loaded.seed, loaded.device, out
    )


@app.command("report")
def report_command(
    captions: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE", help="Filtered captions of the corpora, results/captions/C/captions.parquet."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Page to write; report.json with the numbers comes beside it.")],
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Draw what the filter keeps and loses, how it tells swapped captions, and how
    often the captioner names the label's emotion.

    The page and the log warn where the check with swapped captions stays below
    `captions: filter: least_auc`.

    Example:

        eadbench captions report --out captions.html \\
          --captions results/captions/demo_mead/captions.parquet
    """
    loaded = core_settings.load(settings, config, "captions report")
    from eadbench.captions.report import write_report

    drawn = loaded.corpora.drawn if "corpora" in loaded.given else ()
    write_report(captions, out, loaded.captions.filter.least_auc, drawn)

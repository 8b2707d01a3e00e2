"""``eadbench corpora``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson
from eadbench.core.settings import entry_of
from eadbench.synthetic.cli import film_command

CorpusName = Annotated[str, typer.Option(help="Name of the corpus in the config's `corpora: sets:`.")]
app = typer.Typer(add_completion=False, help="Fetch corpora and list their recordings.", no_args_is_help=True)
# The former name of `synthetic film`, which workflow/rules/synthetic.smk still calls.
app.command("film", hidden=True)(film_command)


@app.command("fetch")
def fetch_command(
    corpus: CorpusName,
    out: Annotated[
        Path, typer.Option(help="results/corpora/CORPUS/fetch.json; what is fetched goes to raw/ beside it.")
    ],
    studio: Annotated[
        Path | None,
        typer.Option(help="studio.json of a filmed corpus: it is fetched from a server on this machine."),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Download a corpus (after its terms are accepted in the config), or record where
    it is. Interrupted downloads are resumed.

    Example:

        eadbench corpora fetch --corpus hdtf --config config/paper.yaml \\
          --out results/corpora/hdtf/fetch.json
    """
    corpora_config = core_settings.load(settings, config, "corpora fetch").corpora
    entry_of(corpora_config.sets, corpus, "corpora.sets")
    from eadbench.corpora.fetch import fetch

    fetch(corpus, studio, out, corpora_config)


@app.command("index")
def index_command(
    corpus: CorpusName,
    fetch: Annotated[Path, typer.Option(help="results/corpora/CORPUS/fetch.json")],
    out: Annotated[Path, typer.Option(help="results/corpora/CORPUS/index.parquet")],
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """List the recordings with their labels, probe each file, split by speaker, drop
    duplicates across splits.

    Example:

        eadbench corpora index --corpus demo_mead \\
          --fetch results/corpora/demo_mead/fetch.json \\
          --out results/corpora/demo_mead/index.parquet
    """
    corpora_config = core_settings.load(settings, config, "corpora index").corpora
    entry_of(corpora_config.sets, corpus, "corpora.sets")
    from eadbench.corpora.index import index

    index(corpus, fetch, out, corpora_config)


@app.command("leaks")
def leaks_command(
    out: Annotated[Path, typer.Option(help="results/corpora/leaks.json, written if nothing is shared.")],
    train: Annotated[
        list[Path],
        typer.Option("--train", metavar="FILE", help="Index of a corpus that something is trained on."),
    ],
    test: Annotated[
        list[Path],
        typer.Option("--test", metavar="FILE", help="Index of a corpus that methods are tested on."),
    ],
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Refuse recordings and speakers that may train in one corpus and are tested in
    another.

    Example:

        eadbench corpora leaks --train results/corpora/demo_mead/index.parquet \\
          --test results/corpora/demo_ravdess/index.parquet --out leaks.json
    """
    corpora_config = core_settings.load(settings, config, "corpora leaks").corpora
    from eadbench.corpora.leaks import check_leaks

    check_leaks(train, test, out, corpora_config)

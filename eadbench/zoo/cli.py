"""``eadbench zoo``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson

app = typer.Typer(help="Pretrained parts: list, fetch, train.", no_args_is_help=True)


def parse_parts(items: list[str] | None) -> dict[str, Path]:
    """``["vae=results/zoo/vae"]`` to a mapping.

    Raises:
        typer.BadParameter: If an item has no ``=``.
    """
    parts = {}
    for item in items or []:
        name, sign, path = item.partition("=")
        if not sign:
            raise typer.BadParameter(f"expected NAME=FOLDER, got {item!r}")
        parts[name] = Path(path)
    return parts


@app.command("make")
def make_command(
    artefact: Annotated[str, typer.Argument(help="Name in the config's `zoo: artefacts:`.")],
    out: Annotated[Path, typer.Option(help="The card to write, e.g. results/zoo/vae/card.json.")],
    clips: Annotated[list[Path] | None, typer.Option(help="Tables of clips to train on.")] = None,
    captions: Annotated[list[Path] | None, typer.Option(help="Tables of written captions to train on.")] = None,
    part: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of another artefact that the training needs.")] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Fetch, train or draw an artefact, as the config says."""
    from eadbench.zoo.make import Inputs, make

    given = core_settings.load(settings, config)
    make(artefact, given.zoo, given.seed, Inputs(clips or [], parse_parts(part), captions or []), out.parent)


@app.command("fetch")
def fetch_command(
    artefact: Annotated[str, typer.Argument(help="Id in the registry, see `zoo list`.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the files. [default: results/zoo-cache/ID]")] = None,
    accept: Annotated[bool, typer.Option("--accept-licence", help="I have read and accept the licence.")] = False,
) -> None:
    """Fetch published weights by hand, e.g. on a machine with network."""
    from eadbench.zoo.fetch import fetch_files
    from eadbench.zoo.registry import entry

    fetch_files(artefact, entry(artefact), out or Path("results/zoo-cache") / artefact, [artefact] if accept else [])


@app.command("list")
def list_command(cache: Annotated[Path, typer.Option(help="Folder with fetched weights.")] = Path("results/zoo-cache")) -> None:
    """All published weights: what they are, their licence, and what is here."""
    from rich.console import Console
    from rich.table import Table

    from eadbench.zoo.registry import registry

    table = Table("id", "kind", "title", "licence", "files here", "source")
    for name, entry in registry().items():
        wanted = [f.name for f in entry.files] or ["config.json"]
        here = sum((cache / name / file).exists() for file in wanted)
        table.add_row(name, entry.kind, entry.title, entry.licence, f"{here}/{len(wanted)}", entry.source)
    Console().print(table)

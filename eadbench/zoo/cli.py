"""``eadbench zoo``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.errors import EadbenchError
from eadbench.core.options import ConfigFiles, SettingsJson, parse_parts
from eadbench.core.settings import entry_of

app = typer.Typer(add_completion=False, help="Pretrained parts: list, fetch, train.", no_args_is_help=True)


@app.command("make")
def make_command(
    artefact: Annotated[str, typer.Argument(help="Name in the config's `zoo: artefacts:`.")],
    out: Annotated[Path, typer.Option(help="The card to write, e.g. results/zoo/vae/card.json.")],
    clips: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Tables of clips to train on.")
    ] = None,
    captions: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Tables of written captions to train on.")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="NAME=FOLDER of another artefact that the training needs."),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Yes, a small network trained or drawn here, not the published one."),
    ] = False,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Fetch, train or draw an artefact, as the config says.

    Where the config says `trained` or `random`, what comes is a demo's network: by
    hand, this needs --demo.

    Example:

        eadbench zoo make vae --demo --clips results/clips/demo_mead/cut.parquet \\
          --out results/zoo/vae/card.json
    """
    loaded_settings = core_settings.load(settings, config, "zoo make")
    artefact_config = entry_of(loaded_settings.zoo.artefacts, artefact, "zoo.artefacts")
    if artefact_config.how != "fetched" and not (demo or settings):
        refuse_demo(artefact, artefact_config.kind, artefact_config.how)
    from eadbench.zoo.make import ArtefactInputs, make

    make(
        artefact,
        loaded_settings.zoo,
        loaded_settings.seed,
        ArtefactInputs(clips or [], parse_parts(part), captions or []),
        out.parent,
    )


def refuse_demo(artefact: str, kind: str, how: str) -> None:
    """Refuse to make a demo network without ``--demo``.

    Raises:
        EadbenchError: Always.
    """
    from eadbench.zoo.registry import registry

    description = {
        "trained": "a small network trained on the clips",
        "random": "random features of a fixed seed",
    }[how]
    published = [name for name, entry in registry().items() if entry.kind == kind]
    hint = "add --demo if that is what you want"
    if published:
        hint += f"; the published weights: `eadbench zoo fetch {published[0]}`"
    raise EadbenchError(
        f"{artefact!r} is {description} in this configuration, not the published weights",
        f"zoo: artefacts: {artefact}",
        hint,
    )


@app.command("fetch")
def fetch_command(
    artefact: Annotated[str, typer.Argument(help="Id of published weights, see `zoo list`.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files. [default: the user's cache, where every command looks]"),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept-licence/--no-accept-licence",
            help="I have read and accept the licence.",
            show_default=False,
        ),
    ] = False,
) -> None:
    """Fetch published weights by hand, e.g. on a machine with network.

    Example:

        eadbench zoo fetch inception-fid --accept-licence
    """
    from eadbench.zoo.registry import entry

    registry_entry = entry(artefact)
    from eadbench.zoo.fetch import fetch_files, user_cache
    from eadbench.zoo.make import card_of_published

    folder = out or user_cache() / artefact
    fetch_files(artefact, registry_entry, folder, [artefact] if accept else [])
    if registry_entry.files:
        card_of_published(artefact, artefact, folder)
    typer.echo(f"{artefact}: {folder}")


@app.command("list")
def list_command(
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder with fetched weights. [default: the user's cache]", show_default=False),
    ] = None,
) -> None:
    """All published weights: what they are, their size in MB and licence, where they
    come from, and what is here.

    Example:

        eadbench zoo list
    """
    from rich.console import Console
    from rich.markup import escape

    from eadbench.zoo.registry import registry, user_cache

    cache = cache or user_cache()
    console = Console(soft_wrap=True, highlight=False)
    for name, entry in registry().items():
        file_names = [f.name for f in entry.files] or ["config.json"]
        present = sum((cache / name / file).exists() for file in file_names)
        if present == len(file_names):
            state = "here"
        elif present:
            state = f"{present} of {len(file_names)} files here"
        else:
            state = "by hand" if entry.manual else "not here"
        console.print(f"[bold]{escape(name)}[/bold]  ({entry.kind}, {entry.size}, {state})")
        for line in (entry.title, f"licence: {entry.licence}", f"from: {entry.source}", entry.note):
            if line:
                console.print(f"    {escape(line)}")
    console.print(
        f"\nLooked for in {escape(str(cache))}. `eadbench zoo fetch ID --accept-licence` fetches one."
    )

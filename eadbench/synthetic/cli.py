"""``eadbench synthetic``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.errors import EadbenchError
from eadbench.core.options import ConfigFiles, SettingsJson
from eadbench.core.settings import entry_of

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def root() -> None:
    """Draw and voice corpora where none can be downloaded."""


@app.command("film")
def film_command(
    out: Annotated[
        Path, typer.Option(help="studio.json to write (or a folder for it); the files go beside it.")
    ],
    corpus: Annotated[
        str | None, typer.Option(help="A corpus of the config with a `studio:` mapping.")
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(min=1, max=48, help="Without --corpus: how many actors of a MEAD-like corpus."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Without --corpus: how much footage, at least; never less than a sentence each."
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=96, help="Without --corpus: side of the square frames in pixels.")
    ] = 256,
    seed: Annotated[
        int | None,
        typer.Option(help="Without --corpus: the seed. [default: the config's]", show_default=False),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes one per core.")] = 0,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Film drawn actors who speak with emotion, in the layout of a real corpus.

    With --corpus the config's `corpora: sets: CORPUS: studio:` says whom and what.
    Without it, a MEAD-like corpus is made to measure.

    Example:

        eadbench synthetic film --actors 40 --minutes 60 --out my-corpus

    Everything is drawn and synthesised; no real person is shown or heard. The same seed
    gives the same files. An interrupted run goes on where it stopped.
    """
    target = out if out.suffix == ".json" else out / "studio.json"
    needs_settings = corpus or seed is None
    loaded_settings = core_settings.load(settings, config, "corpora film") if needs_settings else None
    if corpus:
        corpus_config = entry_of(loaded_settings.corpora.sets, corpus, "corpora.sets")
        if corpus_config.studio is None:
            raise EadbenchError(
                "this corpus is not filmed",
                f"corpora: sets: {corpus}: studio",
                "give it a `studio:` mapping, see config.yaml",
            )
    elif not (actors and minutes):
        raise EadbenchError(
            "nothing to film", "synthetic film", "give --corpus NAME, or --actors N and --minutes M"
        )
    from eadbench.synthetic.production import mead_like_config, produce

    studio = corpus_config.studio if corpus else mead_like_config(actors, minutes, size)
    produce(studio, loaded_settings.seed if seed is None else seed, target, workers)

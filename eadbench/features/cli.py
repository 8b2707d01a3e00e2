"""``eadbench features``."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson
from eadbench.zoo.cli import parse_parts


class _WithText(TyperGroup):
    """Adds ``text``, which lives in a module of its own and is imported only when named."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "text"])

    def get_command(self, ctx: typer.Context, name: str) -> Any:
        if name != "text":
            return super().get_command(ctx, name)
        single = typer.Typer(add_completion=False)
        single.command("text")(import_module("eadbench.features.text").text_command)
        return typer.main.get_command(single)


app = typer.Typer(help="Audio, text and latent features of clips, stored as safetensors.", no_args_is_help=True, cls=_WithText)


@app.command("extract")
def extract_command(
    corpus: Annotated[str, typer.Option(help="Name of the corpus.")],
    shard: Annotated[str, typer.Option(help="Which part of the clips, e.g. 0-of-4.")],
    clips: Annotated[Path, typer.Option(help="Table of clips.")],
    out: Annotated[Path, typer.Option(help="Table to write; safetensors files go beside it.")],
    part: Annotated[list[str] | None, typer.Option(help="vae=FOLDER and whisper=FOLDER.")] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Latents of frames and masked frames, the frames, Whisper states and mel spectrograms of the clips of one shard."""
    from eadbench.core.device import pick_device
    from eadbench.features.extract import extract

    given = core_settings.load(settings, config)
    extract(clips, shard, parse_parts(part), given.features, out, pick_device(given.device))


@app.command("merge")
def merge_command(
    corpus: Annotated[str, typer.Option(help="Name of the corpus.")],
    clips: Annotated[Path, typer.Option(help="Table of clips that the shards were made from.")],
    out: Annotated[Path, typer.Option(help="The index to write, e.g. results/features/C/index.parquet.")],
    shards: Annotated[list[Path], typer.Argument(help="Tables of `features extract`.")],
    captions: Annotated[Path | None, typer.Option(help="Table of captions, if there are any.")] = None,
    text: Annotated[Path | None, typer.Option(help="Table of `features text`.")] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """One index per corpus: where each clip's features lie, its caption, and whether it may train."""
    from eadbench.features.merge import merge

    merge(shards, clips, out, captions, text)

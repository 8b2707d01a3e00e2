"""``eadbench features``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.errors import EadbenchError
from eadbench.core.options import ConfigFiles, SettingsJson, parse_parts

app = typer.Typer(
    add_completion=False,
    help="Audio, text and latent features of clips, stored as safetensors.",
    no_args_is_help=True,
)


@app.command("extract")
def extract_command(
    corpus: Annotated[str, typer.Option(help="Name of the corpus.")],
    shard: Annotated[str, typer.Option(help="Which part of the clips, e.g. 0-of-4.")],
    clips: Annotated[Path, typer.Option(help="Table of clips.")],
    out: Annotated[Path, typer.Option(help="Table to write; safetensors files go beside it.")],
    part: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="vae=FOLDER and whisper=FOLDER.")
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Latents of frames and masked frames, the frames, Whisper states and mel
    spectrograms of the clips of one shard.

    Example:

        eadbench features extract --corpus demo_hdtf --shard 0-of-1 \\
          --clips results/clips/demo_hdtf/clips.parquet \\
          --part vae=results/zoo/vae --part whisper=results/zoo/whisper \\
          --out results/features/demo_hdtf/shards/0-of-1/features.parquet
    """
    loaded = core_settings.load(settings, config, "features extract")
    from eadbench.core.device import pick_device
    from eadbench.features.extract import extract

    extract(clips, shard, parse_parts(part), loaded.features, out, pick_device(loaded.device))


@app.command("text")
def text_command(
    corpus: Annotated[str, typer.Option(help="Name of the corpus.")],
    captions: Annotated[Path, typer.Option(help="Filtered captions, results/captions/C/captions.parquet.")],
    part: Annotated[list[str], typer.Option(metavar="NAME=FOLDER", help="text_encoder=FOLDER.")],
    out: Annotated[
        Path,
        typer.Option(help="Table to write, results/features/C/text.parquet; the vectors come beside it."),
    ],
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Encode every distinct caption once, and the label descriptions and the empty text
    with them.

    Example:

        eadbench features text --corpus demo_mead \\
          --captions results/captions/demo_mead/captions.parquet \\
          --part text_encoder=results/zoo/text_encoder \\
          --out results/features/demo_mead/text.parquet
    """
    loaded = core_settings.load(settings, config, "features text")
    parts = parse_parts(part)
    if "text_encoder" not in parts:
        raise EadbenchError(
            "the text encoder was not handed over",
            "--part",
            "add --part text_encoder=results/zoo/text_encoder",
        )
    from eadbench.features.text import encode_texts

    encode_texts(corpus, captions, parts["text_encoder"], loaded.device, out)


@app.command("merge")
def merge_command(
    corpus: Annotated[str, typer.Option(help="Name of the corpus.")],
    clips: Annotated[Path, typer.Option(help="Table of clips that the shards were made from.")],
    out: Annotated[Path, typer.Option(help="The index to write, e.g. results/features/C/index.parquet.")],
    shards: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tables of `features extract`.")],
    captions: Annotated[Path | None, typer.Option(help="Table of captions, if there are any.")] = None,
    text: Annotated[Path | None, typer.Option(help="Table of `features text`.")] = None,
) -> None:
    """One index per corpus: where each clip's features lie, its caption, and whether it
    may train.

    Example:

        eadbench features merge --corpus demo_hdtf \\
          --clips results/clips/demo_hdtf/clips.parquet \\
          --out results/features/demo_hdtf/index.parquet \\
          results/features/demo_hdtf/shards/*/features.parquet
    """
    from eadbench.features.merge import merge

    merge(shards, clips, out, captions, text)

"""``eadbench samples`` and ``eadbench methods``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, Parts, SettingsJson, parse_parts
from eadbench.core.settings import entry_of

app = typer.Typer(
    add_completion=False, help="Render test clips with any method; render one video.", no_args_is_help=True
)
methods_app = typer.Typer(
    add_completion=False, help="What each method needs, and what is missing here.", no_args_is_help=True
)


@app.command("make")
def make_command(
    method: Annotated[str, typer.Option(help="Name in the config's `samples: methods:`.")],
    corpus: Annotated[str, typer.Option(help="Corpus whose test clips are rendered.")],
    clips: Annotated[Path, typer.Option(help="Its table of clips.")],
    out: Annotated[
        Path,
        typer.Option(
            help="The table to write, e.g. results/samples/full/demo_hdtf/self/samples.parquet; videos go "
            "beside it."
        ),
    ],
    protocol: Annotated[
        str,
        typer.Option(
            help="`self`, `cross` (another clip's audio), `cross_emotion`, `silent`, "
            "or `dial_0.2` to `dial_1`."
        ),
    ] = "self",
    features: Annotated[
        Path | None, typer.Option(help="Its table of features; trained models need it.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the training run; trained models need it.")
    ] = None,
    part: Parts = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Render the test clips of a corpus with one method.

    One row per clip: `kept` with its video, `failed` with the reason, or `dropped`
    where the method cannot run (something is missing, or it cannot do the protocol). An
    interrupted run goes on where it stopped.

    Example:

        eadbench samples make --method still --corpus demo_hdtf \\
          --clips results/clips/demo_hdtf/clips.parquet \\
          --out results/samples/still/demo_hdtf/self/samples.parquet
    """
    loaded_settings = core_settings.load(settings, config, "samples make")
    entry_of(loaded_settings.samples.methods, method, "samples.methods")
    from eadbench.samples.make import make
    from eadbench.samples.methods.base import MethodContext

    context = MethodContext(
        loaded_settings.seed,
        loaded_settings.device,
        loaded_settings.samples,
        features,
        run,
        parse_parts(part),
        out.parent / "logs",
    )
    make(method, corpus, protocol, clips, context, out)


@app.command("render")
def render_command(
    run: Annotated[Path, typer.Option(help="Folder of a trained EAD-Net, e.g. results/training/full.")],
    audio: Annotated[Path, typer.Option(help="Speech that drives; any media file.")],
    out: Annotated[Path, typer.Option(help="The mp4 to write.")],
    video: Annotated[Path | None, typer.Option(help="Video whose face speaks.")] = None,
    image: Annotated[Path | None, typer.Option(help="Or an image.")] = None,
    emotion: Annotated[str | None, typer.Option(help="Emotion, e.g. angry.")] = None,
    intensity: Annotated[
        float, typer.Option(help="Its intensity, from 0 (none) to 1 (full).", min=0.0, max=1.0)
    ] = 1.0,
    text: Annotated[
        str | None, typer.Option(help="Or a description in words, for runs that read text.")
    ] = None,
    valence: Annotated[
        float | None,
        typer.Option(
            help="Or a point between the emotions, for runs that read it: -1 to 1.", min=-1.0, max=1.0
        ),
    ] = None,
    arousal: Annotated[float | None, typer.Option(help="Its arousal, -1 to 1.", min=-1.0, max=1.0)] = None,
    zoo: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the artefacts vae, whisper and text_encoder. [default: zoo beside the run's]",
            show_default=False,
        ),
    ] = None,
    part: Parts = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps. [default: the config's]", show_default=False, min=1)
    ] = None,
    audio_guidance: Annotated[
        float | None, typer.Option(help="Guidance of the audio. [default: the config's]", show_default=False)
    ] = None,
    text_guidance: Annotated[
        float | None,
        typer.Option(help="Guidance of the emotion. [default: the config's]", show_default=False),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Let one face speak: align, sample, paste back into the full frame, add the audio.

    The result is as long as the shorter of video and speech, at 25 frames per second; of
    an image only the face moves. The file's metadata say that it is synthetic.
    A demo's model has seen drawn faces alone: on a real one it paints a blur.

    Example:

        eadbench samples render --run results/training/full --video in.mp4 \\
          --audio speech.wav --emotion angry --intensity 0.8 --out out.mp4
    """
    from eadbench.samples.request import RenderRequest

    request = RenderRequest(video, image, audio, emotion, intensity, text, valence, arousal)
    loaded_settings = core_settings.load(
        settings, config, defaults={"seed": 1, "device": "auto", "samples": {}}
    )
    overrides = {"steps": steps, "audio_guidance": audio_guidance, "text_guidance": text_guidance}
    from eadbench.samples.render import render

    render(
        request,
        run,
        zoo or run.resolve().parents[1] / "zoo",
        parse_parts(part),
        loaded_settings,
        {key: value for key, value in overrides.items() if value is not None},
        out,
    )


@methods_app.callback()
def methods_group() -> None:
    """What each method needs, and what is missing here."""


@methods_app.command("list")
def list_command(
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the workflow's results, in which runs and artefacts are looked for. "
            "[default: the configuration's]",
            show_default=False,
        ),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """All methods of the config: what they can do, what they need, their licence, and
    in one list what is missing here.

    A run or an artefact in --results that was made with other settings than those of
    the configuration counts as missing.

    Example:

        eadbench methods list --config config/paper.yaml
    """
    loaded_settings = core_settings.load(settings, config)
    from eadbench.samples.listing import show

    show(loaded_settings, results or loaded_settings.results)

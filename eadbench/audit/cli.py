"""``eadbench audit``."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from eadbench.audit.config import AuditConfig
from eadbench.audit.names import DISTORTIONS
from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson, parse_parts
from eadbench.score.options import (
    EvaluatorsOption,
    JobsOption,
    LabelsOption,
    LicencesOption,
    PartOption,
    config_of,
    device_of,
    names_of,
    seed_of,
)

app = typer.Typer(
    add_completion=False,
    help="How each metric reacts to distortions of known strength.",
    no_args_is_help=True,
)


@app.callback()
def root() -> None:
    """How each metric reacts to distortions of known strength."""


@app.command("run")
def run_command(
    clips: Annotated[Path, typer.Option(help="Folder of real videos, or a corpus's clips.parquet.")],
    out: Annotated[Path, typer.Option(help="Folder for tables, figures and index.html.")] = Path("audit"),
    labels: LabelsOption = None,
    metrics: Annotated[
        str | None, typer.Option(help="Only these metrics, comma-separated.", show_default=False)
    ] = None,
    distortions: Annotated[
        str | None, typer.Option(help="Only these distortions, comma-separated.", show_default=False)
    ] = None,
    max_clips: Annotated[
        int | None, typer.Option(min=2, help="At most so many clips. [default: 6]", show_default=False)
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0.6, help="Clips are cut to this. [default: 2]", show_default=False)
    ] = None,
    evaluators: EvaluatorsOption = None,
    part: PartOption = None,
    accept_licence: LicencesOption = None,
    jobs: JobsOption = 1,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Distort clips by known amounts, score every level with every metric, and say what
    each metric reacts to.

    An interrupted run goes on where it stopped.

    Example:

        eadbench audit run --clips results/clips/demo_mead/clips.parquet \\
          --evaluators demo --jobs 2 --out audit
    """
    loaded = core_settings.load(settings, config, "audit run") if settings or config else None
    sections = loaded.given if loaded else ()
    scores = config_of(loaded, metrics)
    if "audit" in sections:
        values = loaded.audit.model_dump()
    else:
        values = {"corpus": clips.resolve().parent.name if clips.is_file() else clips.name}
    options = {
        "max_clips": max_clips,
        "max_seconds": max_seconds,
        "distortions": distortions and names_of(distortions, DISTORTIONS, "distortion"),
    }
    values |= {key: value for key, value in options.items() if value is not None}
    audit_config = AuditConfig.model_validate(values)
    parts = parse_parts(part)
    from eadbench.audit.run import audit, clips_of_folder, clips_of_table
    from eadbench.media.files import AUDIO
    from eadbench.score.evaluators import ask_on_terminal, choose, load_chosen
    from eadbench.score.labels import read_labels
    from eadbench.scores.workers import Workers
    from eadbench.zoo.card import read_card

    if clips.is_file():
        pool = clips_of_table(clips, audit_config)
    else:
        pool = clips_of_folder(clips, read_labels(labels, AUDIO))
    folders = choose(evaluators, scores, parts, accept_licence or (), ask_on_terminal())
    load = partial(load_chosen, scores, folders, device_of(loaded, scores))
    ids = {
        name: read_card(folder).id
        for name, folder in folders.parts.items()
        if (folder / "card.json").exists()
    }
    drawn = "corpora" in sections and audit_config.corpus in loaded.corpora.drawn
    with Workers(jobs, scores, load) if jobs > 1 else nullcontext() as workers:
        audit(pool, audit_config, scores, load(), seed_of(loaded), out, workers, ids, drawn)
    typer.echo(f"open {out / 'index.html'} in a browser")

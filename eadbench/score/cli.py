"""``eadbench score``."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.errors import EadbenchError
from eadbench.core.options import ConfigFiles, SettingsJson, parse_parts
from eadbench.score.options import (
    EvaluatorsOption,
    JobsOption,
    LabelsOption,
    LicencesOption,
    PartOption,
    config_of,
    device_of,
    seed_of,
)

app = typer.Typer(add_completion=False)


@app.command()
def score_command(
    real: Annotated[Path, typer.Option(help="Folder of real videos.")],
    fake: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER", help="Folder of generated videos of the same names; may be given several times."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Parquet table to write; Markdown, LaTeX, CSV and the table of all clips go beside it. "
            "Needed unless --dry-run.",
        ),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            help="Folder of driving audio, same names. [default: the videos' own]", show_default=False
        ),
    ] = None,
    labels: LabelsOption = None,
    image_driven: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="Of --fake, a folder whose method animates one image: SSIM, PSNR, LPIPS and landmark "
            "distances do not apply to it. May be given several times.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            show_default=False,
            help="Column of the labels: print means by it, too, with intervals and n. May be given several "
            "times.",
        ),
    ] = None,
    crop: Annotated[
        bool, typer.Option("--crop/--no-crop", help="Cut all videos to the face of the real one first.")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Only these metrics, comma-separated, e.g. fid,ssim,sync,sync_offset.", show_default=False
        ),
    ] = None,
    lpips_frames: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            show_default=False,
            help="Frames per clip, spread evenly, that LPIPS looks at; all takes minutes on a CPU. "
            "[default: 25]",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a page with players, plots and tables; opens from disk.", show_default=False
        ),
    ] = None,
    part: PartOption = None,
    evaluators: EvaluatorsOption = None,
    accept_licence: LicencesOption = None,
    jobs: JobsOption = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched and measured, and stop.")
    ] = False,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Score folders of generated videos against real ones: FID, KID, FVD, SSIM, PSNR,
    LPIPS, Sync, Acc_emo, CSIM, landmarks, motion.

    Videos are paired by file name. A missing, broken or unpaired one is a row with the
    reason and counts as missing. An interrupted run goes on where it stopped. All
    frames of all videos count (LPIPS: 25 per clip, see --lpips-frames), whatever a
    config.yaml in this folder says; --config FILE takes its sections `scores` and
    `tables`.

    AV offset (sync_offset) is in frames: positive where the audio is early, negative
    where it is late.

    Example:

        eadbench score --real test/real --fake out/mine --fake out/theirs \\
          --labels emotions.csv --out scores.parquet
    """
    loaded_settings = core_settings.load(settings, config) if settings or config else None
    scores_config = config_of(loaded_settings, metrics, lpips_frames)
    parts = parse_parts(part)
    if out is None and not dry_run:
        raise EadbenchError(
            "no table to write is named",
            "--out",
            "give a name that ends with .parquet, e.g. --out scores.parquet",
        )
    from eadbench.media.files import AUDIO
    from eadbench.score.evaluators import ask_on_terminal, choose, describe_choice, load_chosen
    from eadbench.score.folders import Folders, pairs_of
    from eadbench.score.labels import read_labels
    from eadbench.score.output import reserve_output

    folders = Folders(real, tuple(fake), audio, tuple(image_driven or ()))
    by = [column.strip().lower() for column in by or ()]
    video_labels = read_labels(labels, AUDIO, by)
    if dry_run:
        for method, tasks in pairs_of(folders, video_labels, crop).tasks.items():
            paired = sum(not task.problem for task in tasks)
            typer.echo(f"{method}: {paired} of {len(tasks)} videos paired")
        describe_choice(evaluators, scores_config, parts, accept_licence or ())
        return
    with reserve_output(out, page):
        pairs = pairs_of(folders, video_labels, crop)
        chosen = choose(evaluators, scores_config, parts, accept_licence or (), ask_on_terminal())
        # What is large is imported only now, when nothing is left to refuse.
        from eadbench.score.run import columns, score_folders
        from eadbench.score.show import show
        from eadbench.scores.workers import Workers

        load = partial(load_chosen, scores_config, chosen, device_of(loaded_settings, scores_config))
        shown = tuple(scores_config.metrics) if metrics else columns(bool(image_driven))
        with Workers(jobs, scores_config, load) if jobs > 1 else nullcontext() as workers:
            built = score_folders(
                pairs,
                out,
                scores_config,
                load(),
                seed_of(loaded_settings),
                shown,
                page,
                chosen.parts,
                workers=workers,
                by=by,
                labels=video_labels,
            )
        show(built, out, page, by=by)

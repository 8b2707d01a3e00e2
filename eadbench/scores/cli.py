"""``eadbench scores`` and ``eadbench score``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson
from eadbench.zoo.cli import parse_parts

app = typer.Typer(help="Measure rendered clips and sum up.", no_args_is_help=True)
score_app = typer.Typer()
Parts = Annotated[list[str] | None, typer.Option("--part", help="NAME=FOLDER of a judge, e.g. judge_syncnet=results/zoo/judge_syncnet.")]


@app.command("measure")
def measure_command(
    method: Annotated[str, typer.Option(help="Method of the config.")],
    corpus: Annotated[str, typer.Option(help="Corpus of the clips.")],
    protocol: Annotated[str, typer.Option(help="self, cross or cross_emotion.")],
    samples: Annotated[Path, typer.Option(help="Table of samples.")],
    clips: Annotated[Path, typer.Option(help="Table of the corpus's clips.")],
    out: Annotated[Path, typer.Option(help="per_clip.parquet to write; features and rulers lie beside it.")],
    part: Parts = None,
    real: Annotated[Path | None, typer.Option(help="Folder of the ground truth's cell: its landmarks are used again, which saves time.")] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Measure every clip of a cell. An interrupted run goes on where it stopped."""
    from eadbench.core.device import pick_device
    from eadbench.scores.judges import load_judges
    from eadbench.scores.measure import cell_tasks, measure_cell

    given = core_settings.load(settings, config)
    device = pick_device(given.device)
    judges = load_judges(given.scores, parse_parts(part), device)
    cell = {"method": method, "corpus": corpus, "protocol": protocol}
    measure_cell(cell, cell_tasks(samples, clips, protocol), given.scores, judges, out, device, real)


@app.command("summarise")
def summarise_command(
    cell: Annotated[Path, typer.Option(help="Folder of a measured cell.")],
    real: Annotated[Path, typer.Option(help="Folder of the ground truth's cell, e.g. results/scores/ground_truth/hdtf/self.")],
    out: Annotated[Path, typer.Option(help="summary.parquet to write.")],
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Sum up a cell: means, FID, KID, FVD, with 95 % intervals by bootstrap over clips, clustered by speaker."""
    from eadbench.scores.summarise import Cell, write_summary

    given = core_settings.load(settings, config)
    write_summary(Cell.read(cell), Cell.read(real), given.scores, given.seed, out)


@score_app.callback(invoke_without_command=True)
def score_command(
    real: Annotated[Path, typer.Option(help="Folder of real videos.")],
    fake: Annotated[list[Path], typer.Option(help="Folder of generated videos, with the same file names. May be given several times.")],
    out: Annotated[Path, typer.Option(help="Table to write; Markdown and LaTeX go beside it.")],
    audio: Annotated[Path | None, typer.Option(help="Folder of driving sound, same names. [default: the videos' own]", show_default=False)] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV, TSV or Parquet with columns name, emotion, speaker.", show_default=False)] = None,
    crop: Annotated[bool, typer.Option("--crop/--no-crop", help="Cut all videos to the face of the real one first.")] = False,
    metrics: Annotated[str | None, typer.Option(help="Only these metrics, comma-separated, e.g. fid,ssim,sync.", show_default=False)] = None,
    part: Parts = None,
    zoo: Annotated[Path, typer.Option(help="Where judges are looked for that no --part names.")] = Path("results/zoo"),
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Score folders of generated videos against real ones: FID, KID, FVD, SSIM, PSNR, LPIPS, Sync, Acc_emo, CSIM, landmarks, motion.

    Videos are paired by file name. A missing, broken or unpaired one is a row with the reason and counts as missing. A judge that is not there leaves
    its metrics empty and says how to get it. An interrupted run goes on where it stopped.

        eadbench score --real test/real --fake out/mine --fake out/theirs --labels emotions.csv --out scores.parquet
    """
    from rich.console import Console
    from rich.table import Table

    from eadbench.core.device import pick_device
    from eadbench.scores.folder import Folders, notes, score_folders, wide
    from eadbench.scores.judges import load_judges

    given = core_settings.load(settings, config)
    wanted = given.scores if metrics is None else type(given.scores).model_validate({**given.scores.model_dump(), "metrics": metrics.split(",")})
    device = pick_device(given.device)
    parts = {name: zoo / name for name in wanted.judges.values()} | parse_parts(part)
    judges = load_judges(wanted, parts, device, may_miss=True)
    scores = score_folders(Folders(real, tuple(fake), audio, labels), out, wanted, judges, given.seed, crop, device)
    shown, console = wide(scores), Console()
    table = Table("metric", *shown["method"])
    for name in shown.columns[1:]:
        table.add_row(name, *shown[name])
    console.print(table)
    for remark in notes(scores):
        console.print(f"[dim]- {remark}[/dim]", highlight=False)

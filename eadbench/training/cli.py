"""``eadbench training``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson, parse_parts

app = typer.Typer(
    add_completion=False, help="Train SyncNet, EAD-Net, its ablations and Wav2Lip.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Keeps ``run`` a verb of its own."""


@app.command("run")
def run_command(
    name: Annotated[str, typer.Option("--run", help="Name in the config's `training: runs:`.")],
    features: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Index of features; several for several corpora.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The card to write, e.g. results/training/full/card.json; weights and history go beside it."
        ),
    ],
    init: Annotated[Path | None, typer.Option(help="Folder of the run to start from.")] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="NAME=FOLDER: vae, lpips, videomae (zoo), syncnet (a run)."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine. [default: the config's `training: processes:`]"),
    ] = None,
    settings: SettingsJson = None,
    config: ConfigFiles = None,
) -> None:
    """Train one run. A killed run goes on from its last saved state when the same
    command is given again.

    Several GPUs: `--processes 4` (through torchrun). Several nodes:
    `torchrun --nnodes 2 --nproc_per_node 4 ... -m eadbench training run ...` or
    `accelerate launch`. The batch of the config is split over the processes, so that
    results compare.

    Example:

        eadbench training run --run wav2lip \\
          --part syncnet=results/training/syncnet \\
          --features results/features/demo_hdtf/index.parquet \\
          --out results/training/wav2lip/card.json
    """
    given = core_settings.load(settings, config, "training run")
    given.training.run(name)
    from eadbench.training.launch import launch

    launch(processes or given.training.processes)

    from eadbench.training.run import run

    run(name, given.training, given.seed, given.device, features, out, init, parse_parts(part))

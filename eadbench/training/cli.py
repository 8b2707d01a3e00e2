"""``eadbench training``."""

from pathlib import Path
from typing import Annotated

import typer

from eadbench.core import settings as core_settings
from eadbench.core.options import ConfigFiles, SettingsJson, parse_parts

app = typer.Typer(
    add_completion=False, help="Train SyncNet, EAD-Net, its ablations and Wav2Lip.", no_args_is_help=True
)


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
    loaded = core_settings.load(settings, config, "training run")
    loaded.training.run(name)
    from eadbench.training.launch import launch

    launch(processes or loaded.training.processes)

    from eadbench.training.run import run

    run(name, loaded.training, loaded.seed, loaded.device, features, out, init, parse_parts(part))


@app.command("modules")
def modules_command(
    name: Annotated[
        list[str], typer.Option("--run", help="Name of a trained EAD-Net; may be given several times.")
    ],
    features: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Index of features. [default: those of the corpora that the run trained on]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table, as CSV.")] = None,
    config: ConfigFiles = None,
) -> None:
    """Show what each module of a trained EAD-Net does, on the validation split: how much
    it adds to the features (share), and how much the noise loss rises without it
    (reliance; 0: the network does without).

    Example:

        eadbench training modules --run full --run no_tfrm
    """
    loaded = core_settings.load(None, config)
    import pandas as pd

    from eadbench.core.files import write_text
    from eadbench.training.modules import uses

    tables = []
    for run_name in name:
        run = loaded.training.run(run_name)
        indexes = features or [
            loaded.results / "features" / corpus / "index.parquet" for corpus in run.train_on
        ]
        tables.append(
            uses(run_name, run, loaded.seed, loaded.device, indexes, loaded.results / "training" / run_name)
        )
    frame = pd.concat(tables, ignore_index=True)
    if out is not None:
        write_text(out, frame.to_csv(index=False))
    typer.echo(frame.to_string(index=False, na_rep="-", float_format="{:.4f}".format))

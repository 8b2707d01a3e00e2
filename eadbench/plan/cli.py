"""``eadbench plan`` and ``eadbench prepare``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from eadbench.core.options import ConfigFiles
from eadbench.core.settings import load

app, prepare_app = typer.Typer(add_completion=False), typer.Typer(add_completion=False)


@app.command()
def plan_command(
    config: ConfigFiles = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Where index and clips tables are looked for; corpora without them have typical sizes. "
            "[default: the configuration's results]",
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Results of a finished run; its times, memory and disk are used.")
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="YAML with figures of your own, of the form of eadbench/plan/assumed.yaml."),
    ] = None,
    workers: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Cores; several times for several answers. [default: 16, 200]",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=0, help="GPUs; as --workers. [default: 1, 8]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write it: .json (all), or .parquet (the stages).")
    ] = None,
    details: Annotated[bool, typer.Option(help="Show every figure with its origin.")] = True,
) -> None:
    """Jobs, core-hours, GPU-hours, disk and memory per stage, and the wall time, of a
    run from nothing.

    The jobs are those that Snakemake plans. Their amounts come from the index and clips
    tables where they are there. Seconds per unit come from --figures, else from a
    finished run (--calibrate; only where it had the same settings), else are assumed;
    every row says which. Nothing is made.

    Example:

        eadbench plan --config config/paper.yaml --workers 200 --gpus 8 \\
          --calibrate results --out plan.json
    """
    if out and out.suffix not in (".json", ".parquet"):
        raise typer.BadParameter("must end in .json or .parquet", param_hint="--out")
    results = results or load(None, config, whole=True).results
    from eadbench.core.files import write_text
    from eadbench.core.schemas import PLAN
    from eadbench.core.tables import write_table
    from eadbench.plan.report import as_json, make_report, show

    report = make_report(
        config or [Path("config.yaml")], results, calibrate, figures, workers or [16, 200], gpus or [1, 8]
    )
    show(report, details)
    if out and out.suffix == ".json":
        write_text(out, json.dumps(as_json(report), indent=1) + "\n")
    elif out:
        write_table(out, report.stages, PLAN)


@prepare_app.command()
def prepare_command(
    config: ConfigFiles = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder of results; what lies there is not asked for again. "
            "[default: the configuration's results]",
            show_default=False,
        ),
    ] = None,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Id of weights whose licence I have read and accept; several times, or `all`."
        ),
    ] = None,
    fetch: Annotated[bool, typer.Option(help="Download the weights whose licence was accepted.")] = True,
) -> None:
    """What a run still needs on this machine, in the order to get it, until it says
    "Ready".

    Six steps: disk space, licences to accept, weights, corpora, methods of others
    (checkouts, environments, weights), libraries and programs. The space is what
    `eadbench plan` counts, less what is there. Weights whose licence is accepted
    (here or in the configuration) are fetched to the user's cache; what is here is left
    alone. The status is 0 if the run can start.

    Example:

        eadbench prepare --config config/paper.yaml
    """
    results = results or load(None, config, whole=True).results
    from eadbench.plan.prepare import prepare

    if not prepare(config or [Path("config.yaml")], results, accept_licence or (), fetch):
        raise typer.Exit(1)

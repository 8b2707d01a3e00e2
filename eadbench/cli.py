"""``python -m eadbench``: one sub-command per stage, loaded when asked for."""

import logging
import os
import sys
from importlib import import_module
from pathlib import Path

import click
import typer

from eadbench import __version__
from eadbench.core import log
from eadbench.core.errors import EadbenchError

ROOMS = {
    "corpora": "Fetch or film corpora and list their recordings.",
    "clips": "Cut recordings to aligned face clips and check them.",
    "zoo": "Pretrained parts: list, fetch, train.",
    "captions": "Describe the emotion of clips; filter by cosine similarity.",
    "features": "Audio, text and latent features.",
    "training": "Train SyncNet, EAD-Net and its ablations.",
    "samples": "Render test clips with any method; render one video.",
    "scores": "Score rendered clips.",
    "tables": "Tables, ablation report, page.",
}
SHORTCUTS = {  # command -> (module, attribute, help)
    "score": ("eadbench.scores.cli", "score_app", "Score any folder of videos against another."),
    "methods": ("eadbench.samples.cli", "methods_app", "What each method needs, and what is missing here."),
}


class LazyGroup(click.Group):
    """A group that imports a stage's ``cli`` module only when that stage is named, since torch takes seconds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*ROOMS, *SHORTCUTS]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in ROOMS:
            module, attribute = f"eadbench.{name}.cli", "app"
        elif name in SHORTCUTS:
            module, attribute, _ = SHORTCUTS[name]
        else:
            return None
        return typer.main.get_command(getattr(import_module(module), attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*ROOMS.items(), *((name, spec[2]) for name, spec in SHORTCUTS.items())])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="eadbench")
@click.option("--log", "log_file", type=click.Path(path_type=Path), help="Write the log to this file, too.")
@click.option("--threads", type=int, default=0, help="Threads for torch and BLAS; 0 leaves it to them.")
def cli(log_file: Path | None, threads: int) -> None:
    """EAD-Net and its benchmark. Every stage of the workflow is a sub-command; `eadbench STAGE --help` tells more."""
    log.set_up(log_file)
    if threads:
        set_threads(threads)


def set_threads(threads: int) -> None:
    """Bound the threads of torch, OpenMP, BLAS and OpenCV. Must run before torch is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[name] = str(threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def main() -> None:
    """Run; an ``EadbenchError`` ends with status 1 and its message, anything else with its traceback."""
    try:
        cli(prog_name="eadbench")
    except EadbenchError as error:
        logging.getLogger("eadbench").debug("traceback", exc_info=True)
        logging.getLogger("eadbench").error("%s", error)
        sys.exit(1)

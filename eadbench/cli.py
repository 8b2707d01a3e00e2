"""``python -m eadbench``: one sub-command per stage, loaded when asked for."""

import atexit
import gc
import logging
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from eadbench import __version__
from eadbench.core import children, log, provenance
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.files import explained
from eadbench.core.mistakes import nearest
from eadbench.core.options import check_target, prepared
from eadbench.core.settings import STAGES
from eadbench.core.threads import set_threads
from eadbench.training.launch import rank

# Command -> (module, attribute), for what users call without thinking of stages.
SHORTCUTS = {
    "score": ("eadbench.score.cli", "app"),
    "methods": ("eadbench.samples.cli", "methods_app"),
    "plan": ("eadbench.plan.cli", "app"),
    "prepare": ("eadbench.plan.cli", "prepare_app"),
    "config": ("eadbench.core.config_cli", "app"),
}
# Command -> extra of the package that holds what it needs.
EXTRAS = {
    "score": "score",
    "scores": "score",
    "tables": "score",
    "study": "score",
    "audit": "score",
} | dict.fromkeys(("clips", "zoo", "features", "training", "samples", "methods", "prepare"), "train")


class Stages(TyperGroup):
    """A group that imports a stage's ``cli`` module only when it is asked for."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        """Names in the order of the stages."""
        return [*STAGES, *SHORTCUTS]

    def get_command(self, ctx: typer.Context, name: str) -> TyperGroup:
        """The stage's or shortcut's group.

        Raises:
            EadbenchError: If there is none; with the nearest name.
        """
        known = self.list_commands(ctx)
        if name not in known:
            raise EadbenchError(
                f"there is no command {name!r}{nearest(name, known)}", "", f"known: {', '.join(known)}"
            )
        module, attribute = SHORTCUTS.get(name, (f"eadbench.{name}.cli", "app"))
        command = prepared(getattr(import_module(module), attribute))
        command.name = name
        return command


app = typer.Typer(
    cls=Stages,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"eadbench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    log_file: Annotated[
        Path | None, typer.Option("--log", help="Write the log to this file, too, with tracebacks.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads for torch and BLAS; 0 leaves it to them.")] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """EAD-Net and its benchmark of talking heads with emotion.

    The workflow (`snakemake --cores all`) calls the stages synthetic, corpora, clips,
    zoo, captions, features, training, samples, scores and tables in turn. By hand one
    mostly needs the others (score, methods, plan, prepare, config) and
    `samples render`.
    `eadbench COMMAND --help` tells more.

    Example:

    \b
        eadbench score --real real/ --fake mine/ --out scores.parquet
        eadbench --log a.log --threads 2 tables show
    """
    if log_file:
        check_target(log_file, "--log")
    log.set_up(None if rank() else log_file)  # of the processes of a launcher, one writes files
    if "RANK" in os.environ:
        children.die_with_parent()
    provenance.begin()
    if threads:
        set_threads(max(1, threads // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def run() -> None:
    """:func:`main` as the process's only work, which ends with it.

    Python's last collection and the destructors of torch's libraries are spared: up to
    a second of CPU, and 160 MB that those touch. All handlers of ``atexit`` run before.
    """
    status = 1

    def end() -> None:
        logging.shutdown()  # the one handler that is older than this one
        try:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        except OSError:
            os._exit(status or 120)  # as Python itself
        os._exit(status)

    atexit.register(end)
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise


def main() -> None:
    """Run. What can be explained (an ``EadbenchError``, a ``FatalError``, an error
    about a path) ends with status 1 and its message; anything else with its traceback,
    in the log file too.
    """
    children.exit_on_signals()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    # at the usual 700 the collector takes a tenth or more of the imports' time, and
    # most jobs are short
    gc.set_threshold(50_000, 20, 20)
    log.set_up(None)
    try:
        app(prog_name="eadbench")
    except SystemExit as end:
        # (typer ends with the code of SIGINT when Ctrl-C is pressed)
        if end.code in [128 + number for number in (*children.ENDING, signal.SIGINT)]:
            logging.getLogger("eadbench").error(
                "ended by %s; what is finished is kept", signal.Signals(end.code - 128).name
            )
        # a rule's command; what people call by hand leaves no record in their folders
        if not end.code and "--log" in sys.argv and not rank():
            provenance.complete(sys.argv)
        raise
    except (EadbenchError, FatalError) as error:
        logging.getLogger("eadbench").debug("traceback", exc_info=True)
        logging.getLogger("eadbench").error("%s", error)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "eadbench"):
            logging.getLogger("eadbench").exception("unexpected failure")
        else:
            extra = EXTRAS.get(
                next((word for word in sys.argv[1:] if word in (*STAGES, *SHORTCUTS)), ""), "workflow"
            )
            logging.getLogger("eadbench").error(
                "the package %r is not installed: pip install 'eadbench[%s]'", error.name, extra
            )
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and (told := explained(error)):
            logging.getLogger("eadbench").debug("traceback", exc_info=True)
            logging.getLogger("eadbench").error("%s", told)
            sys.exit(1)
        logging.getLogger("eadbench").exception("unexpected failure")
        sys.exit(1)

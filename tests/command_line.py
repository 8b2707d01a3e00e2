"""The commands of `eadbench`, walked over and parsed as the program does it."""

import importlib.util
import inspect
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints
from unittest import mock

import typer

from eadbench import cli
from eadbench.core import options
from eadbench.core.settings import STAGES

# The program that times what commands import; its list of heavy modules is the only one.
_spec = importlib.util.spec_from_file_location("imports", Path(__file__).parents[1] / "benchmarks/imports.py")
imports = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(imports)


def apps() -> Iterator[tuple[str, typer.Typer]]:
    """Name and app of every command below `eadbench`."""
    for name in (*STAGES, *cli.SHORTCUTS):
        module, attribute = cli.SHORTCUTS.get(name, (f"eadbench.{name}.cli", "app"))
        yield name, getattr(import_module(module), attribute)


def commands() -> dict[str, Any]:
    """Every command with an action of its own, as it is written (``clips cut``), to its
    function; without names that are only still understood.
    """
    found = {}
    for name, app in apps():
        for one in (one for one in app.registered_commands if not one.hidden):
            function = inspect.unwrap(one.callback)
            found[f"{name} {one.name}" if one.name else name] = function
    return found


def groups() -> list[str]:
    """`eadbench` itself and every command that has others below it."""
    return ["", *dict.fromkeys(name.split()[0] for name in commands() if " " in name)]


def parameters(function: Any) -> Iterator[tuple[str, str, Any, bool]]:
    """Name, spelling on the command line, plain type and whether it must be given, of
    every parameter of a command.
    """
    hints = get_type_hints(function, include_extras=True)
    for name, one in inspect.signature(function).parameters.items():
        yield (
            name,
            options._option(name, hints[name]),
            get_args(hints[name])[0],
            one.default is inspect.Parameter.empty,
        )


@contextmanager
def parsing_only() -> Iterator[Any]:
    """Within it, `parse(words)` reads a command line with the program's own parser and
    does nothing else.
    """
    ready = cli.prepared

    def idle(app: typer.Typer) -> Any:
        command = ready(app)
        for one in (command, *getattr(command, "commands", {}).values()):
            one.callback = None
        return command

    root = typer.main.get_command(cli.app)
    root.callback = None
    with mock.patch.object(cli, "prepared", idle):

        def parse(words: list[str]) -> None:
            try:
                root.main(list(words), prog_name="eadbench", standalone_mode=False)
            except SystemExit as end:
                assert not end.code, shlex.join(words)

        yield parse

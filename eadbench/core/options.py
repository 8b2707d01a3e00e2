"""What all commands share: options, how their help is set, and the cheap checks before
anything large is imported.
"""

import errno
import inspect
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from eadbench.core.errors import EadbenchError, workflow_command
from eadbench.core.files import explained
from eadbench.core.mistakes import nearest
from eadbench.core.settings import new_name

SettingsJson = Annotated[
    list[str] | None,
    typer.Option(
        "--settings",
        metavar="JSON",
        help="Configuration as JSON (what a rule passes), or @FILE; may be given several times.",
        show_default=False,
    ),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration; may be given several times, later files over earlier ones. [default: "
        "config.yaml]",
        show_default=False,
    ),
]
Parts = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        metavar="NAME=FOLDER",
        help="Artefact of the zoo, e.g. vae=results/zoo/vae; may be given several times.",
        show_default=False,
    ),
]
# Parameters that name what a command writes; all other paths are read and must be
# there.
WRITTEN = ("out", "log_file", "page", "bundle")


def prepared(app: typer.Typer) -> Any:
    """The command of an app, with help that wraps at 80 columns, and with a look at its
    paths before it begins.

    Args:
        app: Of typer's; changed in place, once.
    """
    for command in app.registered_commands:
        if not hasattr(command.callback, "__wrapped__"):
            command.callback = _checked(command.callback)
    return _plain(typer.main.get_command(app))


def _plain(command: Any) -> Any:
    """Help as plain text: the boxes of rich cut long names and leave narrow columns."""
    command.rich_markup_mode = None
    parts = (command.help or "").partition("\f")[0].split("\n\n")
    command.short_help = parts[0]  # in full: it would be cut with dots
    # commands to copy are not wrapped
    command.help = "\n\n".join(f"\b\n{part}" if part.startswith("    ") else part for part in parts)
    for below in getattr(command, "commands", {}).values():
        _plain(below)
    return command


def _checked(callback: Callable[..., Any]) -> Callable[..., Any]:
    defaults = {name: parameter.default for name, parameter in inspect.signature(callback).parameters.items()}
    option_of = {
        name: _option(name, hint) for name, hint in get_type_hints(callback, include_extras=True).items()
    }

    @wraps(callback)
    def call(**values: Any) -> Any:
        passed = {}
        for name, value in values.items():
            if value is not None and value != defaults[name]:
                passed[name] = value
        if "part" in passed:
            passed["part"] = list(parse_parts(passed["part"]).values())
        for name, value in sorted(passed.items(), key=lambda item: item[0] in WRITTEN):
            check_path = check_target if name in WRITTEN else check_there
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, Path):
                    check_path(path, option_of[name])
        return callback(**values)

    return call


def _option(name: str, hint: Any) -> str:
    """How a parameter is written on the command line."""
    infos = [info for info in get_args(hint)[1:] if hasattr(info, "param_decls")]
    if infos and isinstance(infos[0], typer.models.ArgumentInfo):
        return name.upper()
    written = [
        form
        for info in infos
        for form in (info.default, *(info.param_decls or ()))
        if isinstance(form, str) and form.startswith("--")
    ]
    return [*written, f"--{name.replace('_', '-')}"][0].partition("/")[0]


def check_there(path: Path, option: str) -> None:
    """Refuse an input that is not there.

    Raises:
        EadbenchError: With the nearest name in its folder.
    """
    if not os.path.exists(path):  # noqa: PTH110 (Path.exists raises where a folder may not be entered)
        try:
            near = nearest(path.name, [sibling.name for sibling in path.parent.iterdir()])
        except OSError:
            near = ""
        hint = "check the path"
        if "results" in path.parts:
            is_target = path.suffix in (".parquet", ".json")
            hint += f"; the workflow makes its files: {workflow_command(path, is_target)}"
        raise EadbenchError(f"there is no such file or folder{near}", f"{option} {path}", hint)


def check_target(path: Path, option: str) -> None:
    """Refuse an output that cannot be written, before the work and not after it.

    Raises:
        FatalError: What the operating system would say.
    """
    code = 0
    above = next((parent for parent in path.parents if os.path.lexists(parent)), Path())
    if any(len(os.fsencode(part)) > 255 for part in path.parts):
        code = errno.ENAMETOOLONG
    elif path.suffix and path.is_dir():
        code = errno.EISDIR
    elif not above.is_dir():
        code, path = errno.EEXIST, above
    elif not os.access(above, os.W_OK):
        code, path = errno.EACCES, above
    if code and (refusal := explained(OSError(code, "", str(path)))):
        raise type(refusal)(refusal.what, f"{option} {refusal.where}", refusal.hint)


def parse_parts(items: list[str] | None) -> dict[str, Path]:
    """``["vae=results/zoo/vae"]`` to a mapping.

    Raises:
        typer.BadParameter: If an item has no ``=``, or nothing on one side of it.
    """
    parts = {}
    for item in items or []:
        name, sign, path = item.partition("=")
        if not (name and sign and path):
            raise typer.BadParameter(f"expected NAME=FOLDER, got {item!r}")
        parts[new_name(name)] = Path(path)
    return parts

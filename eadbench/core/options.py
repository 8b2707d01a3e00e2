"""The options that all commands share."""

from pathlib import Path
from typing import Annotated

import typer

SettingsJson = Annotated[
    list[str] | None,
    typer.Option("--settings", help="Configuration as JSON (what a rule passes), or @FILE; may be given several times.", show_default=False),
]
ConfigFiles = Annotated[
    list[Path] | None, typer.Option("--config", help="Configuration file; may be given several times. [default: config.yaml]", show_default=False)
]

"""``eadbench config``."""

import json

import typer

from eadbench.core import settings
from eadbench.core.config_reference import reference
from eadbench.core.config_schema import config_schema
from eadbench.core.options import ConfigFiles

app = typer.Typer(
    add_completion=False,
    help="Check a configuration; its JSON schema; which command reads what.",
    no_args_is_help=True,
)


@app.command("check")
def check_command(config: ConfigFiles = None) -> None:
    """Check a configuration as the workflow does before it plans: every value, every
    name, circles.

    Example:

        eadbench config check --config config.yaml --config mine.yaml
    """
    settings.load(None, config, whole=True)
    typer.echo("the configuration is valid")


@app.command("schema")
def schema_command() -> None:
    """Print the JSON schema of the configuration, for editors that check YAML while it
    is written.

    Example:

        eadbench config schema > schema.json
    """
    typer.echo(json.dumps(config_schema(), indent=1))


@app.command("reference")
def reference_command() -> None:
    """Print every setting with its type, default, range and meaning, as Markdown.

    Example:

        eadbench config reference > docs/reference.md
    """
    typer.echo(reference(), nl=False)

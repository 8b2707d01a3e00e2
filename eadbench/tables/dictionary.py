"""The data dictionary, written from the declared tables."""

from pathlib import Path

from eadbench.core import schemas
from eadbench.core.files import write_text
from eadbench.core.tables import Table

HEAD = """# Data dictionary

Every table of the project, written by `eadbench tables dictionary` from
`eadbench/core/schemas.py`; do not edit by hand. All are Parquet and read alike by
pandas, polars and DuckDB. Paths in a table are relative to the folder that holds it.
The file's metadata names the table and its version; each column carries its meaning as
metadata of the field.
"""
WIDE = """
## Wide tables: `main`, `generalisation`, `ablation` and those of `tables: more:`

One row is one method. After the columns below come, for each metric and corpus,
`{metric}_{corpus}` with `_low`, `_high` (95 % interval), `_n` (clips) and `_p` (paired
test against the reference method); `_quoted` where the paper's value is known: QUOTED,
not measured here. The ablation has one boolean column per module before them.
"""


def write_dictionary(out: Path) -> None:
    """Write the dictionary as Markdown."""
    write_text(out, dictionary())


def dictionary() -> str:
    """The dictionary as Markdown."""
    parts = [HEAD, *(_section(table) for table in schemas.ALL), WIDE, _columns(schemas.WIDE_ROW)]
    return "\n".join(parts)


def _section(table: Table) -> str:
    return (
        f"\n## `{table.name}` (version {table.version})\n\nOne row is "
        f"{table.row}.\n\n{_columns(table.columns)}"
    )


def _columns(columns) -> str:
    lines = ["| column | type | may be null | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{c.name}` | {c.type} | {'yes' if c.nullable else 'no'} | "
        f"{c.meaning.replace('|', chr(92) + '|')} |"
        for c in columns
    ]
    return "\n".join(lines) + "\n"

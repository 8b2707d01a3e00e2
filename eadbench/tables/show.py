"""``tables show``: the tables in a terminal."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eadbench.tables.build import speed_text
from eadbench.tables.dial import LEGEND, TITLE, dial_text
from eadbench.tables.in_time import LEGEND as IN_TIME_LEGEND
from eadbench.tables.in_time import in_time
from eadbench.tables.load import Built, load_built
from eadbench.tables.notes import Note, grouped
from eadbench.tables.render import (
    NOT_COMPARABLE,
    QUOTED,
    column_n,
    differing_n,
    interval,
    is_marked,
    legend,
    number,
    quoted_frame,
    row_name,
)  # fmt: skip
from eadbench.tables.wide import WideColumn, WideRow, WideTable

WIDTH = 80  # characters a line of a file or a pipe, which have no width of their own
NAMES = 24  # characters that the names of the methods take at most
BETWEEN = 3  # characters between two columns


def show(folder: Path, report: Path) -> None:
    """Print every table, its notes and where the page is.

    Raises:
        EadbenchError: If ``tables build`` has not run.
    """
    built = load_built(folder)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    general_notes = [n for n in built.notes if not n.table]
    print_notes(console, general_notes, "")
    for table in built.tables:
        for corpus in dict.fromkeys(c.corpus for c in table.columns):
            for columns in columns_that_fit(table, corpus, console.width):
                console.print(to_rich(table, columns, built))
        print_notes(console, [n for n in built.notes if n.table], table.name)
        quoted = quoted_frame(table)
        if quoted is not None:
            console.print(plain_table(QUOTED, quoted), style="dim")
            console.print(NOT_COMPARABLE, style="dim", highlight=False)
        console.print()
    if built.speed is not None and built.config.speed is not None:
        console.print(
            plain_table(built.config.title_of(built.config.speed), speed_text(built.speed, built.config))
        )
    if built.dial is not None:
        console.print(plain_table(TITLE, dial_text(built.dial, built.config)))
        console.print(LEGEND, style="dim", highlight=False)
    bins = in_time(built.scores, built.config)
    for title, table in bins.items():
        console.print(plain_table(title, table))
    if bins:
        console.print(IN_TIME_LEGEND, style="dim", highlight=False)
    if built.tables:
        console.print(
            escape(legend(built.tables[0], built.config.labels, built.config.alpha)),
            style="dim",
            highlight=False,
        )
    console.print(f"\nTables: {folder}", highlight=False, soft_wrap=True)
    missing = f"not made yet; run `eadbench tables report --out {report}`"
    console.print(f"Page:   {report if report.exists() else missing}", highlight=False, soft_wrap=True)


def print_notes(console: Console, notes: list[Note], table: str) -> None:
    """Notes under headings."""
    for heading, texts in grouped(notes, table).items():
        console.print(escape(heading), style="bold", highlight=False)
        for text in texts:
            console.print(f"• {escape(text)}", highlight=False, soft_wrap=not console.is_terminal)


def columns_that_fit(table: WideTable, corpus: str, width: int) -> Iterator[list[WideColumn]]:
    """The columns of a corpus in parts that fit a width, value over interval."""
    names_width = min(NAMES, max(len(row_name(row)) for row in table.rows))
    available = width - names_width - BETWEEN - 5 * len(table.flags)
    part: list[WideColumn] = []
    used = 0
    for column in (c for c in table.columns if c.corpus == corpus):
        texts = [_heading(table, column), *(_cell(table, row, column) for row in table.rows)]
        column_width = max(len(line) for text in texts for line in text.split("\n")) + BETWEEN
        if part and used + column_width > available:
            yield part
            part, used = [], 0
        part.append(column)
        used += column_width
    if part:
        yield part


def to_rich(table: WideTable, columns: list[WideColumn], built: Built) -> Table:
    """Some columns of one corpus of a wide table for the terminal."""
    shown = Table(
        title=escape(f"{table.title}: {columns[0].corpus_label}"), title_justify="left", pad_edge=False
    )
    shown.add_column("method", max_width=NAMES, overflow="fold")
    for flag in table.flags:
        shown.add_column(escape(built.config.label(flag)), justify="center")
    for column in columns:
        shown.add_column(escape(_heading(table, column)), justify="right", no_wrap=True)
    for row in table.rows:
        line = [escape(row_name(row))] + ["✓" if row.flags[f] else "" for f in table.flags]
        for column in columns:
            value, _, below = _cell(table, row, column, built.config.alpha).partition("\n")
            mark = {1: "bold", 2: "underline"}.get(
                table.cells[row.method, column.key].rank if value != "–" else 0
            )
            line.append(
                (f"[{mark}]{value}[/{mark}]" if mark else value)
                + (f"\n[dim]{escape(below)}[/dim]" if below else "")
            )
        shown.add_row(*line, style={"control": "dim", "ground_truth": "dim"}.get(row.role))
    return shown


def _heading(table: WideTable, column: WideColumn) -> str:
    """Name over n."""
    n = column_n(table, column)
    return column.metric.heading + (f"\nn={n}" if n is not None else "")


def _cell(table: WideTable, row: WideRow, column: WideColumn, alpha: float = 0.0) -> str:
    """Value over interval and n."""
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return "–"
    value = number(cell.value, column.decimals) + ("†" if is_marked(cell, alpha) else "")
    lines = [value, interval(cell, column.decimals), differing_n(cell, column_n(table, column))]
    return "\n".join(filter(None, lines))


def plain_table(title: str, frame: pd.DataFrame) -> Table:
    """A frame of text for the terminal."""
    shown = Table(title=escape(title), title_justify="left", pad_edge=False)
    for name in frame.columns:
        shown.add_column(escape(name), overflow="fold")
    for row in frame.itertuples(index=False):
        shown.add_row(*(escape(str(v)) for v in row))
    return shown

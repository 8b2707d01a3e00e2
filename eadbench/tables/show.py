"""``tables show``: the tables in a terminal."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eadbench.tables.build import speed_text
from eadbench.tables.load import Built, load_built
from eadbench.tables.notes import for_table
from eadbench.tables.render import column_n, differing_n, heading, interval, is_marked, legend, number, quoted_heading, quoted_text, row_name
from eadbench.tables.wide import WideTable

WIDE = 150  # columns from which the intervals fit


def show(folder: Path, report: Path) -> None:
    """Print every table, its notes and where the page is.

    Raises:
        EadbenchError: If ``tables build`` has not run.
    """
    built = load_built(folder)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)  # a file or a pipe has no width of its own
    for table in built.tables:
        for corpus in dict.fromkeys(c.corpus for c in table.columns):
            console.print(to_rich(table, corpus, built, intervals=console.width >= WIDE))
        for note in for_table(built.notes, table.name):
            console.print(f"  • {escape(note)}", highlight=False, style="yellow" if "Demo judges" in note or "does not beat" in note else None)
        console.print()
    if built.speed is not None and built.config.speed is not None:
        console.print(plain_table(built.config.speed.title, speed_text(built.speed, built.config)))
    if built.tables:
        console.print(escape(legend(built.tables[0], built.config.labels, built.config.alpha)), style="dim", highlight=False)
    console.print(f"\nTables: {folder}", highlight=False)
    console.print(f"Page:   {report}" if report.exists() else f"Page:   not made yet; run `eadbench tables report --out {report}`", highlight=False)


def to_rich(table: WideTable, corpus: str, built: Built, intervals: bool = True) -> Table:
    """One corpus of a wide table for the terminal: value over interval, or the value alone where the terminal is narrow."""
    columns = [c for c in table.columns if c.corpus == corpus]
    shown = Table(title=escape(f"{table.title}: {columns[0].corpus_label}"), title_justify="left", pad_edge=False)
    shown.add_column("method")
    for flag in table.flags:
        shown.add_column(escape(built.config.label(flag)), justify="center")
    for column in columns:
        shown.add_column(escape(heading(column, column_n(table, column))), justify="right")
        if column.quoted:
            shown.add_column(escape(quoted_heading(column)), justify="right", style="dim italic")
    for row in table.rows:
        line = [escape(row_name(row))] + ["✓" if row.flags[f] else "" for f in table.flags]
        for column in columns:
            line.append(_cell(table, row.method, column, built.config.alpha, intervals))
            if column.quoted:
                line.append(quoted_text(column, row))
        shown.add_row(*line, style={"control": "dim", "ground_truth": "dim"}.get(row.role))
    return shown


def _cell(table: WideTable, method: str, column, alpha: float, intervals: bool) -> str:
    cell = table.cells.get((method, column.key))
    if cell is None or cell.value is None:
        return "–"
    value = number(cell.value, column.decimals) + ("†" if is_marked(cell, alpha) else "")
    value = {1: f"[bold]{value}[/bold]", 2: f"[underline]{value}[/underline]"}.get(cell.rank, value)
    if not intervals:
        return value
    below = " ".join(p for p in (interval(cell, column.decimals), differing_n(cell, column_n(table, column))) if p)
    return value + (f"\n[dim]{escape(below)}[/dim]" if below else "")


def plain_table(title: str, frame) -> Table:
    """A frame of text for the terminal."""
    shown = Table(title=escape(title), title_justify="left", pad_edge=False)
    for name in frame.columns:
        shown.add_column(escape(name))
    for row in frame.itertuples(index=False):
        shown.add_row(*(escape(str(v)) for v in row))
    return shown

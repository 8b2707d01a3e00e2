"""The table in a terminal: metrics in rows, methods in columns, as many beside each
other as fit.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eadbench.score.output import PRINT_SUFFIXES, clips_file, groups_file
from eadbench.tables.breakdown import LEGEND, printed
from eadbench.tables.load import Built
from eadbench.tables.render import column_n, differing_n, interval, is_marked, legend, number
from eadbench.tables.show import WIDTH, plain_table, print_notes
from eadbench.tables.wide import WideColumn, WideRow, WideTable

# characters that a method's column takes: with the interval beside the value, and below it
WIDTH_BESIDE, WIDTH_STACKED = (25, 18)


def show(
    built: Built,
    out: Path,
    page: Path | None = None,
    console: Console | None = None,
    by: Sequence[str] = (),
) -> None:
    """Print the table, the means by the columns of ``by``, the notes and the paths of
    all files.
    """
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH)
    table = built.tables[0]
    counts = {column_n(table, column) for column in table.columns} - {None}
    heading_width = max(len(_heading(table, column, counts)) for column in table.columns) + 3
    width = console.width - heading_width
    stacked = len(table.rows) > width // WIDTH_BESIDE
    columns_that_fit = max(1, width // (WIDTH_STACKED if stacked else WIDTH_BESIDE))
    for start in range(0, len(table.rows), columns_that_fit):
        methods = table.rows[start : start + columns_that_fit]
        console.print(to_rich(table, methods, built.config.alpha, "\n" if stacked else " "))
    shown = [column.metric.name for column in table.columns]
    for name in by:
        for title, groups in printed(built.breakdown, built.config, name, shown).items():
            console.print(plain_table(title, groups))
    if by:
        console.print(LEGEND, style="dim", highlight=False)
    print_notes(console, built.notes, table.name)
    console.print(
        escape(legend(table, built.config.labels, built.config.alpha)),
        style="dim",
        highlight=False,
        soft_wrap=not console.is_terminal,
    )
    print_files = ", ".join(str(out.with_suffix(f".{suffix}")) for suffix in PRINT_SUFFIXES)
    paths = {
        "table": out,
        "in print": print_files,
        "all clips": clips_file(out),
        "groups": groups_file(out) if by else None,
        "page": page and page / "index.html",
    }
    for title, path in paths.items():
        if path:
            console.print(f"{title + ':':<10} {escape(str(path))}", highlight=False, soft_wrap=True)


def to_rich(table: WideTable, methods: tuple[WideRow, ...], alpha: float, separator: str = " ") -> Table:
    """Some methods of a wide table, transposed: metrics in rows, with ``separator``
    between value and interval.
    """
    counts = {column_n(table, column) for column in table.columns} - {None}
    title = table.title + (f" ({counts.copy().pop()} clips)" if len(counts) == 1 else "")
    shown = Table(title=escape(title), title_justify="left", pad_edge=False)
    shown.add_column("metric", overflow="fold")
    for row in methods:
        shown.add_column(escape(row.label), justify="right", overflow="fold")
    for column in table.columns:
        shown.add_row(
            escape(_heading(table, column, counts)),
            *(_cell(table, row, column, alpha, separator) for row in methods),
        )
    return shown


def _heading(table: WideTable, column: WideColumn, counts: set[int | None]) -> str:
    """Name and direction of a metric, with its number of clips where metrics differ in
    it.
    """
    n = column_n(table, column)
    return column.metric.heading + (f" n={n}" if n is not None and len(counts) > 1 else "")


def _cell(table: WideTable, row: WideRow, column: WideColumn, alpha: float, separator: str) -> str:
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return "–"
    value = number(cell.value, column.decimals) + ("†" if is_marked(cell, alpha) else "")
    value = {1: f"[bold]{value}[/bold]", 2: f"[underline]{value}[/underline]"}.get(cell.rank, value)
    details = (interval(cell, column.decimals), differing_n(cell, column_n(table, column)))
    detail = " ".join(filter(None, details))
    return value + (f"{separator}[dim]{escape(detail)}[/dim]" if detail else "")

"""Wide tables as Markdown, and the pieces that all formats share."""

import html
import re

import pandas as pd

from eadbench.tables.wide import UNRANKED, Cell, WideColumn, WideRow, WideTable

ROLES = {"ours": "", "other": "", "ablation": "", "control": "control", "ground_truth": "ground truth"}
LEGEND = (
    "Bold: best; underlined: second best, among methods with the same clips and only where the best can be "
    "told from another; "
    "ground truth and controls are not ranked. "
    "In brackets the 95 % interval (bootstrap over clips, clustered by speaker where speakers are known; "
    "none for one clip). "
    "† differs from {reference} (Wilcoxon signed-rank test over the common clips, p < {alpha:g}, not "
    "adjusted for the number of comparisons). "
    "Where a cell has fewer clips than the column's n, it says so."
)
QUOTED = "Quoted from the paper, not measured here"
NOT_COMPARABLE = (
    "Measured by the paper's authors on other clips with other evaluators: not comparable with the "
    "table above."
)


def number(value: float | None, decimals: int) -> str:
    """A number in print, with a true minus; a dash for none."""
    if value is None or pd.isna(value):
        return "–"
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")  # + 0.0: no minus before a zero


def interval(cell: Cell, decimals: int) -> str:
    """``[low, high]`` or nothing."""
    return ends(cell.low, cell.high, decimals)


def ends(low: float | None, high: float | None, decimals: int) -> str:
    """``[low, high]`` or nothing."""
    return "" if pd.isna(low) or pd.isna(high) else f"[{number(low, decimals)}, {number(high, decimals)}]"


def estimate(value: float | None, low: float | None, high: float | None, decimals: int) -> str:
    """``0.41 [0.32, 0.50]``; without brackets where there is no interval."""
    return f"{number(value, decimals)} {ends(low, high, decimals)}".rstrip()


def column_n(table: WideTable, column: WideColumn) -> int | None:
    """Clips that most methods of a column rest on; the ground truth and the controls
    count only if there is nothing else.
    """
    ranked = {row.method for row in table.rows if row.role not in UNRANKED}
    column_cells = {method: cell for (method, key), cell in table.cells.items() if key == column.key}
    n_of = {method: cell.n for method, cell in column_cells.items() if cell.value is not None}
    counts = [n for method, n in n_of.items() if method in ranked] or list(n_of.values())
    return max(set(counts), key=lambda n: (counts.count(n), n)) if counts else None


def differing_n(cell: Cell, usual: int | None) -> str:
    """``n=7`` where a cell rests on another number of clips than its column, or clips
    are missing.
    """
    return f"n={cell.n}" if cell.value is not None and cell.n != usual else ""


def is_marked(cell: Cell, alpha: float) -> bool:
    """Whether the paired test finds a difference from the reference."""
    return cell.p is not None and cell.p < alpha


def heading(column: WideColumn, n: int | None) -> str:
    """Heading with arrow and n."""
    return column.metric.heading + (f" (n={n})" if n is not None else "")


def quoted_frame(table: WideTable) -> pd.DataFrame | None:
    """Values that the paper prints, as a table of their own; ``None`` if there are
    none.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    names = {row.method: row_name(row) for row in table.rows}
    for column in table.columns:
        for method, quoted in column.quoted.items():
            row = rows.setdefault(
                (method, column.quoted_corpus),
                {"Method": names[method], "Corpus of the paper": column.quoted_corpus},
            )
            row[column.metric.heading] = quoted["printed"]
    return pd.DataFrame(list(rows.values())).fillna("–") if rows else None


def row_name(row: WideRow) -> str:
    """Name with its role, where the name does not contain it."""
    role = ROLES[row.role]
    return row.label + (f" ({role})" if role and role not in row.label.lower() else "")


def legend(table: WideTable, labels: dict[str, str], alpha: float) -> str:
    """What the marks of a table mean."""
    return LEGEND.format(reference=labels.get(table.reference, table.reference), alpha=alpha)


def escape_markdown(text: str) -> str:
    """Neutralise what Markdown or HTML would take for markup."""
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", html.escape(text, quote=False)).replace("\n", " ")


def to_markdown(table: WideTable, notes: dict[str, list[str]], labels: dict[str, str], alpha: float) -> str:
    """A table with its legend and its notes under headings."""
    heads, marks = ["Method"], ["---"]
    for flag in table.flags:
        heads.append(labels.get(flag, flag))
        marks.append(":-:")
    for column in table.columns:
        prefix = f"{column.corpus_label}: " if len({c.corpus for c in table.columns}) > 1 else ""
        heads.append(prefix + heading(column, column_n(table, column)))
        marks.append("--:")
    lines = [
        f"## {escape_markdown(table.title)}",
        "",
        _line([escape_markdown(h) for h in heads]),
        _line(marks),
    ]
    for row in table.rows:
        line = [escape_markdown(row_name(row))] + ["✓" if row.flags[f] else "" for f in table.flags]
        lines.append(_line([*line, *(_markdown_cell(table, row, column, alpha) for column in table.columns)]))
    lines += ["", legend(table, {k: escape_markdown(v) for k, v in labels.items()}, alpha), ""]
    for title, texts in notes.items():
        lines += [f"**{escape_markdown(title)}**", "", *(f"- {escape_markdown(text)}" for text in texts), ""]
    quoted = quoted_frame(table)
    if quoted is not None:
        lines += [f"### {QUOTED}", "", NOT_COMPARABLE, "", frame_to_markdown(quoted)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(table: WideTable, row: WideRow, column: WideColumn, alpha: float) -> str:
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return "–"
    value = number(cell.value, column.decimals)
    value = {1: f"**{value}**", 2: f"<u>{value}</u>"}.get(cell.rank, value) + (
        "†" if is_marked(cell, alpha) else ""
    )
    parts = [value, interval(cell, column.decimals), differing_n(cell, column_n(table, column))]
    return " ".join(p for p in parts if p).replace("[", "\\[").replace("]", "\\]")


def frame_to_markdown(frame: pd.DataFrame) -> str:
    """A plain frame of text as a Markdown table."""
    lines = [_line([escape_markdown(str(c)) for c in frame.columns]), _line(["---"] * len(frame.columns))]
    lines += [_line([escape_markdown(str(v)) for v in row]) for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"

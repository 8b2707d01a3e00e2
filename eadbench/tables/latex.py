"""Tables as LaTeX: for a paper of one or two columns, legible in both."""

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Any

import pandas as pd

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

LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{NO-BREAK SPACE}": "~",
    '"': r"\char34{}",  # \textquotedbl is not in every paper's font encoding
    "`": r"\textasciigrave{}",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "✓": r"$\checkmark$",
}
LATIN_END = 0x180  # pdflatex with T1 fonts has these letters; others are written as their code points
# Points of `article` at 10 pt, whose text is the narrowest of the usual classes: widths of
# the text and of one of two columns; height of a table without caption and marks.
PAGE, COLUMN, HEIGHT = 345, 229, 450
SMALLEST = 6  # points below which no text is scaled down
ABOVE, BELOW, BETWEEN = 8, 7, 7  # \footnotesize, \scriptsize, space between columns


@dataclass(frozen=True)
class PrintedCell:
    """A cell's source, and how many points it is wide and high, roughly."""

    source: str
    width: float
    height: float = 1.5 * ABOVE


@dataclass(frozen=True)
class LatexColumn:
    """A column in print.

    Attributes:
        align: ``l``, ``c`` or ``r``.
        head: Its heading.
        cells: One per row.
        groups: Keys that it shares with neighbours, the widest group first: a table is
            split between groups.
        block: Heading above it and its neighbours.
    """

    align: str
    head: PrintedCell
    cells: Sequence[PrintedCell]
    groups: tuple[str, ...] = ()
    block: str = ""

    @property
    def width(self) -> float:
        """Points, with the space beside it."""
        return BETWEEN + max(printed.width for printed in (self.head, *self.cells))


def escape_latex(text: str) -> str:
    """Any text as LaTeX source that pdflatex can set; letters beyond Latin are written
    as their code points.
    """
    return "".join(
        LATEX_SPECIAL.get(c) or (c if c >= " " and ord(c) < LATIN_END else f"[U+{ord(c):04X}]")
        for c in text.replace("\n", " ")
    )


def points(text: str, size: float) -> float:
    """About how wide a text is in Computer Modern."""
    shares = {**dict.fromkeys("\N{NO-BREAK SPACE} .,:;[]()|il'", 0.3), **dict.fromkeys("↑↓→×", 0.9)}
    letters = sum(shares.get(c, 0.75 if c.isupper() or c in "mw✓" else 0.53) for c in text)
    return size * letters * (1.07 if size == BELOW else 1)  # small print is cut wider


def printed_cell(
    above: str, below: str = "", mark: Callable[[str], str] = str, align: str = "t"
) -> PrintedCell:
    """Plain text, marked up by ``mark``, over smaller text or nothing; ``align`` is the
    line (``t``: top, ``b``: bottom) that is level with the row.
    """
    lines = above.split("\n")
    sources = [mark(escape_latex(line)) for line in lines]
    width = max(points(line, ABOVE) for line in lines)
    if below:
        sources.append(rf"{{\scriptsize {escape_latex(below)}}}")
        width = max(width, points(below, BELOW))
    if len(sources) == 1:
        return PrintedCell(sources[0], width)
    stack = r"\\[-3pt]".join(sources)
    return PrintedCell(
        rf"\begin{{tabular}}[{align}]{{@{{}}r@{{}}}}{stack}\end{{tabular}}",
        width,
        len(sources) * (1.5 * ABOVE - 2),
    )


def heading_cell(text: str, below: str, cells: Sequence[PrintedCell]) -> PrintedCell:
    """A heading, wrapped to the width of its column; an arrow stays with its word."""
    letters = max(printed.width for printed in cells) / points("n", ABOVE)
    text = re.sub(r" ([↑↓→])", "\N{NO-BREAK SPACE}\\1", text)
    lines = textwrap.wrap(text, max(10, int(letters)), break_long_words=False, break_on_hyphens=False)
    return printed_cell("\n".join(lines), below, align="b")


def to_latex(table: WideTable, notes: dict[str, list[str]], labels: dict[str, str], alpha: float) -> str:
    """A document that compiles as it is; the lines between the two comments can be
    pasted into a paper.

    The legend is below the table, or its first part where it has several; the notes
    follow after the floats.
    """
    front = [LatexColumn("l", printed_cell("Method"), [printed_cell(row_name(row)) for row in table.rows])]
    for flag in table.flags:
        states = [printed_cell("✓" if row.flags[flag] else "") for row in table.rows]
        front.append(LatexColumn("c", printed_cell(labels.get(flag, flag)), states))
    columns = []
    for column in table.columns:
        n = column_n(table, column)
        cells = [_value(table, row, column, alpha) for row in table.rows]
        head = heading_cell(column.metric.heading, f"n={n}" if n is not None else "", cells)
        groups = (column.corpus, *_groups(column))
        columns.append(LatexColumn("r", head, cells, groups, column.corpus_label))
    floats = latex_floats(table.title, front, columns, [legend(table, labels, alpha)])
    quoted = quoted_frame(table)
    if quoted is not None:
        floats += frame_floats(quoted, QUOTED, [NOT_COMPARABLE])
    return latex_document(floats, notes)


def frame_to_latex(frame: pd.DataFrame, title: str, below: list[str]) -> str:
    """A plain frame of text as a LaTeX document that compiles as it is."""
    return latex_document(frame_floats(frame, title, below), {})


def frame_floats(frame: pd.DataFrame, title: str, below: list[str]) -> list[str]:
    """A plain frame of text as floats."""
    columns = []
    for name in frame.columns:
        cells = [printed_cell(str(value)) for value in frame[name]]
        columns.append(LatexColumn("r", heading_cell(str(name), "", cells), cells, (str(name),)))
    return latex_floats(title, [replace(columns[0], align="l")], columns[1:], below)


def latex_floats(
    title: str, front: list[LatexColumn], columns: list[LatexColumn], below: list[str]
) -> list[str]:
    """Floats of a table that hold nothing below ``SMALLEST`` points.

    A table too wide for that is split by the groups of its columns, one too long between
    its rows; parts that fit on a page share a float. The float goes into a column of the
    paper where that is wide enough, else across the page. A part that is still too wide,
    since its width is only estimated, is scaled down.
    """

    def width_of(part_columns: Sequence[LatexColumn]) -> float:
        return sum(c.width for c in (*front, *part_columns))

    def fits_width(part_columns: Sequence[LatexColumn]) -> bool:
        return width_of(part_columns) * SMALLEST / BELOW <= PAGE

    heights = [max(c.cells[k].height for c in (*front, *columns)) for k in range(len(front[0].cells))]
    heads = 8 * ABOVE

    def height_of(rows: Sequence[int]) -> float:
        return sum(heights[k] for k in rows)

    def fits_page(page_parts: list[tuple[list[LatexColumn], list[int]]]) -> bool:
        return sum(heads + height_of(rows) for _, rows in page_parts) <= HEIGHT

    row_groups = packed(range(len(heights)), lambda rows: height_of(rows) <= HEIGHT)
    column_groups = split(columns, fits_width)
    pages = packed([(group, rows) for group in column_groups for rows in row_groups], fits_page)
    lines = []
    for k, page in enumerate(pages, 1):
        widest = max(width_of(part_columns) for part_columns, _ in page)
        name = "table" if widest <= COLUMN else "table*"
        part = f" (part {k} of {len(pages)})" if len(pages) > 1 else ""
        lines += [
            rf"\begin{{{name}}}[tp]",
            r"\centering\footnotesize",
            rf"\setlength{{\tabcolsep}}{{{BETWEEN / 2:g}pt}}\renewcommand{{\arraystretch}}{{1.2}}",
            rf"\caption{{{escape_latex(title + part)}}}",
        ]
        for part_columns, rows in page:
            lines += [
                r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
                *_tabular(front, part_columns, rows),
                r"}\par\smallskip",
            ]
        for text in below if k == 1 else ():
            lines.append(rf"\begin{{minipage}}{{\linewidth}}{escape_latex(text)}\end{{minipage}}")
        lines.append(rf"\end{{{name}}}")
    return lines


def packed(items: Iterable[Any], fits: Callable[[list], bool]) -> list[list]:
    """Neighbours together as long as they fit."""
    groups: list[list] = []
    for item in items:
        if groups and fits([*groups[-1], item]):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def split(
    columns: list[LatexColumn], fits: Callable[[Sequence[LatexColumn]], bool], level: int = 1
) -> list[list[LatexColumn]]:
    """Parts that fit: whole groups where they do, else groups within them."""
    if fits(columns) or level > len(columns[0].groups):
        return [columns]
    groups = [list(group) for _, group in groupby(columns, key=lambda c: c.groups[:level])]
    neighbours = packed(groups, lambda some_groups: fits([*chain(*some_groups)]))
    return [part for some_groups in neighbours for part in split([*chain(*some_groups)], fits, level + 1)]


def _tabular(front: list[LatexColumn], columns: list[LatexColumn], rows: Sequence[int]) -> list[str]:
    all_columns = [*front, *columns]
    lines = [rf"\begin{{tabular}}{{{''.join(c.align for c in all_columns)}}}", r"\toprule"]
    if any(c.block for c in columns):
        top, rules, first_column = " & " * (len(front) - 1), "", len(front) + 1
        for block, group in groupby(columns, key=lambda c: c.block):
            width = len(list(group))
            top += rf" & \multicolumn{{{width}}}{{c}}{{{escape_latex(block)}}}"
            rules += rf"\cmidrule(lr){{{first_column}-{first_column + width - 1}}}"
            first_column += width
        lines += [top + r" \\", rules]
    lines += [" & ".join(c.head.source for c in all_columns) + r" \\", r"\midrule"]
    # {}: a name that starts with [ or * is no argument of the row before
    lines += ["{}" + " & ".join(c.cells[k].source for c in all_columns) + r" \\" for k in rows]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _groups(column: WideColumn) -> tuple[str, str]:
    """Module and key of the metric. Jitter and motion energy form one group and share a
    part: a method that moves less has less jitter.
    """
    together = any(word in column.metric.name for word in ("jitter", "motion_energy"))
    return ("motion", "motion") if together else (column.metric.spec.__module__, column.key)


def _value(table: WideTable, row: WideRow, column: WideColumn, alpha: float) -> PrintedCell:
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return printed_cell("–")
    marks = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(cell.rank, "%s")
    marks += r"$^\dagger$" if is_marked(cell, alpha) else ""
    below = interval(cell, column.decimals), differing_n(cell, column_n(table, column))
    text = number(cell.value, column.decimals)
    return printed_cell(text, " ".join(filter(None, below)), lambda source: marks % source)


def latex_document(floats: list[str], notes: dict[str, list[str]]) -> str:
    """A document of floats and, after them, notes under headings. It compiles as it is."""
    note_lines = []
    for title, texts in notes.items():
        items = [r"\item " + "{}" + escape_latex(text) for text in texts]
        note_lines += [
            rf"\paragraph{{{escape_latex(title)}}}",
            r"\begin{itemize}\raggedright\footnotesize",
            *items,
            r"\end{itemize}",
        ]
    return "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[T1]{fontenc}",
            r"\usepackage[utf8]{inputenc}",
            r"\usepackage{amssymb,booktabs,graphicx,textcomp}",
            r"\usepackage[a4paper,margin=2cm]{geometry}",
            r"\pagestyle{empty}",
            r"\setlength{\emergencystretch}{3em}",
            r"\renewcommand{\topfraction}{.95}\renewcommand{\textfraction}{.05}",
            r"\begin{document}",
            "% ---- from here on, for a paper (needs booktabs, amssymb, graphicx) ----",
            *floats,
            "% ---- up to here; the notes below are to be read before quoting the table ----",
            *note_lines,
            r"\end{document}",
            "",
        ]
    )

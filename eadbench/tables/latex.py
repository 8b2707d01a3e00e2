"""Tables as LaTeX: for a paper of one or two columns, legible in both."""

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Any

import pandas as pd

from eadbench.tables.render import (
    APART,
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
from eadbench.tables.wide import Row, WideColumn, WideTable

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
# Points of `article` at 10 pt, whose text is the narrowest of the usual classes.
PAGE, COLUMN, HEIGHT = 345, 229, 450  # text; one of two columns; a table without caption and marks
SMALLEST = 6  # no print is scaled down below this
ABOVE, BELOW, BETWEEN = 8, 7, 7  # \footnotesize, \scriptsize, space between columns


@dataclass(frozen=True)
class Print:
    """A cell's source, and how many points it is wide and high, roughly."""

    source: str
    width: float
    height: float = 1.5 * ABOVE


@dataclass(frozen=True)
class Column:
    """A column in print.

    Attributes:
        align: ``l``, ``c`` or ``r``.
        head: What it is called.
        cells: One per row.
        groups: What it shares with neighbours, the widest first: a table is split
            between these.
        block: What stands above it and its neighbours.
    """

    align: str
    head: Print
    cells: Sequence[Print]
    groups: tuple[str, ...] = ()
    block: str = ""

    @property
    def width(self) -> float:
        """Points, with the space beside it."""
        return BETWEEN + max(one.width for one in (self.head, *self.cells))


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


def cell(above: str, below: str = "", mark: Callable[[str], str] = str, at: str = "t") -> Print:
    """Plain text, marked up by ``mark``, over smaller text or nothing; ``at`` is the end
    (``t`` or ``b``) that stands level with the row.
    """
    lines = above.split("\n")
    sources = [mark(escape_latex(line)) for line in lines]
    width = max(points(line, ABOVE) for line in lines)
    if below:
        sources.append(rf"{{\scriptsize {escape_latex(below)}}}")
        width = max(width, points(below, BELOW))
    if len(sources) == 1:
        return Print(sources[0], width)
    stack = r"\\[-3pt]".join(sources)
    return Print(
        rf"\begin{{tabular}}[{at}]{{@{{}}r@{{}}}}{stack}\end{{tabular}}",
        width,
        len(sources) * (1.5 * ABOVE - 2),
    )


def head_over(text: str, below: str, cells: Sequence[Print]) -> Print:
    """A heading in as many lines as its column is narrow; an arrow stays with its word."""
    letters = max(one.width for one in cells) / points("n", ABOVE)
    arrow = re.sub(r" ([↑↓→])", "\N{NO-BREAK SPACE}\\1", text)
    lines = textwrap.wrap(arrow, max(10, int(letters)), break_long_words=False, break_on_hyphens=False)
    return cell("\n".join(lines), below, at="b")


def to_latex(table: WideTable, notes: dict[str, list[str]], labels: dict[str, str], alpha: float) -> str:
    """A document that compiles as it is; what stands between the marks can be pasted
    into a paper.

    What the marks mean stands below the table, its first part where it has several; the
    notes follow after the floats.
    """
    front = [Column("l", cell("Method"), [cell(row_name(row)) for row in table.rows])]
    for flag in table.flags:
        states = [cell("✓" if row.flags[flag] else "") for row in table.rows]
        front.append(Column("c", cell(labels.get(flag, flag)), states))
    columns = []
    for column in table.columns:
        n = column_n(table, column)
        cells = [_value(table, row, column, alpha) for row in table.rows]
        head = head_over(column.metric.heading, f"n={n}" if n is not None else "", cells)
        groups = (column.corpus, *_groups(column))
        columns.append(Column("r", head, cells, groups, column.corpus_label))
    floats = latex_floats(table.title, front, columns, [legend(table, labels, alpha)])
    quoted = quoted_frame(table)
    if quoted is not None:
        floats += frame_floats(quoted, QUOTED, [APART])
    return latex_document(floats, notes)


def frame_to_latex(frame: pd.DataFrame, title: str, below: list[str]) -> str:
    """A plain frame of text as a LaTeX document that compiles as it is."""
    return latex_document(frame_floats(frame, title, below), {})


def frame_floats(frame: pd.DataFrame, title: str, below: list[str]) -> list[str]:
    """A plain frame of text as floats."""
    columns = []
    for name in frame.columns:
        cells = [cell(str(value)) for value in frame[name]]
        columns.append(Column("r", head_over(str(name), "", cells), cells, (str(name),)))
    return latex_floats(title, [replace(columns[0], align="l")], columns[1:], below)


def latex_floats(title: str, front: list[Column], columns: list[Column], below: list[str]) -> list[str]:
    """Floats of a table that hold nothing below ``SMALLEST`` points.

    A table too wide for that is split by the groups of its columns, one too long between
    its rows; parts that fit on a page share a float. Where a column of a paper is wide
    enough, that is where the float goes, else across the page. What the estimate of the
    width left too wide is scaled down.
    """

    def fits(some: Sequence[Column]) -> bool:
        return sum(c.width for c in (*front, *some)) * SMALLEST / BELOW <= PAGE

    heights = [max(c.cells[k].height for c in (*front, *columns)) for k in range(len(front[0].cells))]
    stretches = packed(range(len(heights)), lambda rows: sum(heights[k] for k in rows) <= HEIGHT)
    parts = [(some, rows) for some in split(columns, fits) for rows in stretches]
    heads = 8 * ABOVE
    pages = packed(
        parts, lambda found: sum(heads + sum(heights[k] for k in rows) for _, rows in found) <= HEIGHT
    )
    lines = []
    for k, page in enumerate(pages, 1):
        widest = max(sum(c.width for c in (*front, *some)) for some, _ in page)
        name = "table" if widest <= COLUMN else "table*"
        part = f" (part {k} of {len(pages)})" if len(pages) > 1 else ""
        lines += [
            rf"\begin{{{name}}}[tp]",
            r"\centering\footnotesize",
            rf"\setlength{{\tabcolsep}}{{{BETWEEN / 2:g}pt}}\renewcommand{{\arraystretch}}{{1.2}}",
            rf"\caption{{{escape_latex(title + part)}}}",
        ]
        for some, rows in page:
            lines += [
                r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
                *_tabular(front, some, rows),
                r"}\par\smallskip",
            ]
        lines += [
            rf"\begin{{minipage}}{{\linewidth}}{escape_latex(line)}\end{{minipage}}"
            for line in (below if k == 1 else ())
        ]
        lines.append(rf"\end{{{name}}}")
    return lines


def packed(items: Iterable[Any], fits: Callable[[list], bool]) -> list[list]:
    """Neighbours together as long as they fit."""
    found: list[list] = []
    for one in items:
        if found and fits([*found[-1], one]):
            found[-1].append(one)
        else:
            found.append([one])
    return found


def split(
    columns: list[Column], fits: Callable[[Sequence[Column]], bool], level: int = 1
) -> list[list[Column]]:
    """Parts that fit: whole groups where they do, else groups within them."""
    if fits(columns) or level > len(columns[0].groups):
        return [columns]
    groups = [list(group) for _, group in groupby(columns, key=lambda c: c.groups[:level])]
    together = packed(groups, lambda some: fits([*chain(*some)]))
    return [part for some in together for part in split([*chain(*some)], fits, level + 1)]


def _tabular(front: list[Column], columns: list[Column], rows: Sequence[int]) -> list[str]:
    every = [*front, *columns]
    lines = [rf"\begin{{tabular}}{{{''.join(c.align for c in every)}}}", r"\toprule"]
    if any(c.block for c in columns):
        top, rules, at = " & " * (len(front) - 1), "", len(front) + 1
        for block, group in groupby(columns, key=lambda c: c.block):
            width = len(list(group))
            top += rf" & \multicolumn{{{width}}}{{c}}{{{escape_latex(block)}}}"
            rules += rf"\cmidrule(lr){{{at}-{at + width - 1}}}"
            at += width
        lines += [top + r" \\", rules]
    lines += [" & ".join(c.head.source for c in every) + r" \\", r"\midrule"]
    # {}: a name that starts with [ or * is no argument of the row before
    lines += ["{}" + " & ".join(c.cells[k].source for c in every) + r" \\" for k in rows]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _groups(column: WideColumn) -> tuple[str, str]:
    """Family and own name, but for jitter and motion energy, which no part holds without
    the other: less jitter is had by moving less.
    """
    together = any(word in column.metric.name for word in ("jitter", "motion_energy"))
    return ("motion", "motion") if together else (column.metric.spec.__module__, column.key)


def _value(table: WideTable, row: Row, column: WideColumn, alpha: float) -> Print:
    found = table.cells.get((row.method, column.key))
    if found is None or found.value is None:
        return cell("–")
    marks = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(found.rank, "%s")
    marks += r"$^\dagger$" if is_marked(found, alpha) else ""
    told = interval(found, column.decimals), differing_n(found, column_n(table, column))
    return cell(number(found.value, column.decimals), " ".join(filter(None, told)), lambda text: marks % text)


def latex_document(floats: list[str], notes: dict[str, list[str]]) -> str:
    """A document of floats and, after them, notes under headings. It compiles as it is."""
    told = []
    for title, texts in notes.items():
        items = [r"\item " + "{}" + escape_latex(text) for text in texts]
        told += [
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
            "% ---- up to here; what follows is what to know before quoting the table ----",
            *told,
            r"\end{document}",
            "",
        ]
    )

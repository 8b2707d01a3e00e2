"""Wide tables as Markdown, LaTeX and CSV."""

import html
import re
from itertools import groupby

import pandas as pd

from eadbench.tables.wide import UNRANKED, Cell, Row, WideColumn, WideTable

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
QUOTED = "Quoted from the paper, not measured here"
APART = (
    "Measured by the paper's authors on other clips with other evaluators: not comparable with the "
    "table above."
)
WIDE_COLUMNS = 8  # from more on, the page is turned
LATIN_END = 0x180  # pdflatex with T1 fonts has these letters; others are written as their code points


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
    counts = [
        (m in ranked, c.n) for (m, key), c in table.cells.items() if key == column.key and c.value is not None
    ]
    counts = [n for mine, n in counts if mine or not any(m for m, _ in counts)]
    return max(set(counts), key=lambda n: (counts.count(n), n)) if counts else None


def differing_n(cell: Cell, usual: int | None) -> str:
    """``n=7`` where a cell rests on another number of clips than its column, or clips
    are missing.
    """
    return f"n={cell.n}" if cell.value is not None and cell.n != usual else ""


def is_marked(cell: Cell, alpha: float) -> bool:
    """Whether the paired test tells the cell from the reference."""
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
        for method, found in column.quoted.items():
            row = rows.setdefault(
                (method, column.quoted_corpus),
                {"Method": names[method], "Corpus of the paper": column.quoted_corpus},
            )
            row[column.metric.heading] = found["printed"]
    return pd.DataFrame(list(rows.values())).fillna("–") if rows else None


def row_name(row: Row) -> str:
    """Name with its role, where the name does not tell."""
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
        many = f"{column.corpus_label}: " if len({c.corpus for c in table.columns}) > 1 else ""
        heads.append(many + heading(column, column_n(table, column)))
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
        lines += [f"### {QUOTED}", "", APART, "", frame_to_markdown(quoted)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(table: WideTable, row: Row, column: WideColumn, alpha: float) -> str:
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return "–"
    value = number(cell.value, column.decimals)
    value = {1: f"**{value}**", 2: f"<u>{value}</u>"}.get(cell.rank, value) + (
        "†" if is_marked(cell, alpha) else ""
    )
    parts = [value, interval(cell, column.decimals), differing_n(cell, column_n(table, column))]
    return " ".join(p for p in parts if p).replace("[", "\\[").replace("]", "\\]")


def escape_latex(text: str) -> str:
    """Any text as LaTeX source that pdflatex can set; letters beyond Latin are written
    as their code points.
    """
    return "".join(
        LATEX_SPECIAL.get(c) or (c if c >= " " and ord(c) < LATIN_END else f"[U+{ord(c):04X}]")
        for c in text.replace("\n", " ")
    )


def to_latex(table: WideTable, notes: dict[str, list[str]], labels: dict[str, str], alpha: float) -> str:
    """A document that compiles as it is; what stands between the marks can be pasted
    into a paper.

    The table is made to fit the width of the text. Below it stand the marks; the notes
    follow after the float.
    """
    blocks = [
        (label, len(list(columns))) for label, columns in groupby(table.columns, key=lambda c: c.corpus_label)
    ]
    front = 1 + len(table.flags)
    top, rules, at = " & " * (front - 1), "", front + 1
    for label, width in blocks:
        top += f" & \\multicolumn{{{width}}}{{c}}{{{escape_latex(label)}}}"
        rules += f"\\cmidrule(lr){{{at}-{at + width - 1}}}"
        at += width
    heads = ["Method", *(escape_latex(labels.get(f, f)) for f in table.flags)]
    for column in table.columns:
        n = column_n(table, column)
        heads.append(_stack(escape_latex(column.metric.heading), f"$n={n}$" if n is not None else ""))
    body = []
    for row in table.rows:
        line = [escape_latex(row_name(row))] + [r"$\checkmark$" if row.flags[f] else "" for f in table.flags]
        line += [_latex_cell(table, row, column, alpha) for column in table.columns]
        # {}: a name that starts with [ or * is no argument of the row before
        body.append("{}" + " & ".join(line) + r" \\")
    columns = "l" + "c" * len(table.flags) + "r" * len(table.columns)
    tabular = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        top + r" \\",
        rules,
        " & ".join(heads) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    floats = [latex_float(table.title, tabular, [legend(table, labels, alpha)])]
    quoted = quoted_frame(table)
    if quoted is not None:
        floats.append(latex_float(QUOTED, _latex_rows(quoted), [APART]))
    return latex_document(floats, notes, landscape=len(table.columns) > WIDE_COLUMNS)


def latex_float(title: str, tabular: list[str], below: list[str]) -> list[str]:
    """A float whose table is scaled down to the width of the text where it is wider."""
    return [
        r"\begin{table}[h!]",
        r"\centering",
        r"\renewcommand{\arraystretch}{1.3}",
        rf"\caption{{{escape_latex(title)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        *tabular[:-1],
        tabular[-1] + "}",
        *(
            rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize "
            rf"{escape_latex(line)}\end{{minipage}}"
            for line in below
        ),
        r"\end{table}",
    ]


def latex_document(floats: list[list[str]], notes: dict[str, list[str]], landscape: bool = False) -> str:
    """A document of floats and, after them, notes under headings. It compiles as it is."""
    paper = "a4paper,landscape" if landscape else "a4paper"
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
            rf"\usepackage[{paper},margin=2cm]{{geometry}}",
            r"\pagestyle{empty}",
            r"\setlength{\emergencystretch}{3em}",
            r"\begin{document}",
            "% ---- from here on, for a paper (needs booktabs, amssymb, graphicx) ----",
            *(line for lines in floats for line in lines),
            "% ---- up to here; what follows is what to know before quoting the table ----",
            *told,
            r"\end{document}",
            "",
        ]
    )


def _stack(above: str, below: str) -> str:
    return (
        rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{above}\\[-3pt]{{\scriptsize {below}}}\end{{tabular}}"
        if below
        else above
    )


def _latex_cell(table: WideTable, row: Row, column: WideColumn, alpha: float) -> str:
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return "--"
    value = escape_latex(number(cell.value, column.decimals))
    value = {1: rf"\textbf{{{value}}}", 2: rf"\underline{{{value}}}"}.get(cell.rank, value) + (
        r"$^\dagger$" if is_marked(cell, alpha) else ""
    )
    below = " ".join(
        p for p in (interval(cell, column.decimals), differing_n(cell, column_n(table, column))) if p
    )
    return _stack(value, escape_latex(below))


def frame_to_markdown(frame: pd.DataFrame) -> str:
    """A plain frame of text as a Markdown table."""
    lines = [_line([escape_markdown(str(c)) for c in frame.columns]), _line(["---"] * len(frame.columns))]
    lines += [_line([escape_markdown(str(v)) for v in row]) for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def frame_to_latex(frame: pd.DataFrame, title: str, below: list[str]) -> str:
    """A plain frame of text as a LaTeX document that compiles as it is."""
    return latex_document([latex_float(title, _latex_rows(frame), below)], {})


def _latex_rows(frame: pd.DataFrame) -> list[str]:
    """A plain frame of text as a tabular."""
    return [
        rf"\begin{{tabular}}{{l{'r' * (len(frame.columns) - 1)}}}",
        r"\toprule",
        " & ".join(escape_latex(str(c)) for c in frame.columns) + r" \\",
        r"\midrule",
        *(
            "{}" + " & ".join(escape_latex(str(v)) for v in row) + r" \\"
            for row in frame.itertuples(index=False)
        ),
        r"\bottomrule",
        r"\end{tabular}",
    ]

"""Wide tables as Markdown, LaTeX and CSV."""

import html
import re
from itertools import groupby

import pandas as pd

from eadbench.tables.wide import Cell, Row, WideColumn, WideTable

ROLES = {"ours": "", "other": "", "ablation": "", "control": "control", "ground_truth": "ground truth"}
LEGEND = (
    "Bold: best; underlined: second best; ground truth and controls are not ranked. "
    "In brackets the 95 % interval (bootstrap over clips, clustered by speaker). "
    "† differs from {reference} (Wilcoxon signed-rank test over the common clips, p < {alpha:g}, not adjusted for the number of comparisons). "
    "Where a cell has fewer clips than the column's n, it says so."
)
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "↑": r"$\uparrow$", "→": r"$\rightarrow$", "↓": r"$\downarrow$", "†": r"$^\dagger$", "–": "--", "−": "$-$",
    "×": r"$\times$", "✓": r"$\checkmark$",
}  # fmt: skip
LATIN_END = 0x180  # pdflatex with T1 fonts has these letters; others are written as their code points


def number(value: float | None, decimals: int) -> str:
    """A number in print, with a true minus; a dash for none."""
    if value is None or pd.isna(value):
        return "–"
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")  # + 0.0: no minus before a zero


def interval(cell: Cell, decimals: int) -> str:
    """``[low, high]`` or nothing."""
    if cell.low is None or cell.high is None:
        return ""
    return f"[{number(cell.low, decimals)}, {number(cell.high, decimals)}]"


def column_n(table: WideTable, column: WideColumn) -> int | None:
    """Clips that most cells of a column rest on."""
    counts = [c.n for (_, key), c in table.cells.items() if key == column.key and c.value is not None]
    return max(set(counts), key=lambda n: (counts.count(n), n)) if counts else None


def differing_n(cell: Cell, usual: int | None) -> str:
    """``n=7`` where a cell rests on another number of clips than its column, or clips are missing."""
    return f"n={cell.n}" if cell.value is not None and cell.n != usual else ""


def is_marked(cell: Cell, alpha: float) -> bool:
    """Whether the paired test tells the cell from the reference."""
    return cell.p is not None and cell.p < alpha


def heading(column: WideColumn, n: int | None) -> str:
    """Heading with arrow and n."""
    return column.metric.heading + (f" (n={n})" if n is not None else "")


def quoted_heading(column: WideColumn) -> str:
    """Heading of a column with quoted values."""
    return f"{column.metric.label} {column.metric.arrow}, {column.quoted_corpus} in the paper (quoted)".replace(" ,", ",")


def quoted_text(column: WideColumn, row: Row) -> str:
    """The paper's value as the paper prints it."""
    return column.quoted.get(row.method, {}).get("printed", "–")


def row_name(row: Row) -> str:
    """Name with its role, where the name does not tell."""
    role = ROLES[row.role]
    return row.label + (f" ({role})" if role and role not in row.label.lower() else "")


def legend(table: WideTable, labels: dict[str, str], alpha: float) -> str:
    """What the marks of a table mean."""
    text = LEGEND.format(reference=labels.get(table.reference, table.reference), alpha=alpha)
    if any(c.quoted for c in table.columns):
        text += " Columns marked quoted hold values printed in the paper, measured there with other judges on other clips; they are not comparable."
    return text


def escape_markdown(text: str) -> str:
    """Neutralise what Markdown or HTML would take for markup."""
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", html.escape(text, quote=False)).replace("\n", " ")


def to_markdown(table: WideTable, notes: list[str], labels: dict[str, str], alpha: float) -> str:
    """A table with its legend and notes."""
    heads, marks = ["Method"], ["---"]
    for flag in table.flags:
        heads.append(labels.get(flag, flag))
        marks.append(":-:")
    for column in table.columns:
        many = f"{column.corpus_label}: " if len({c.corpus for c in table.columns}) > 1 else ""
        heads.append(many + heading(column, column_n(table, column)))
        if column.quoted:
            heads.append(quoted_heading(column))
        marks += ["--:"] * (2 if column.quoted else 1)
    lines = [f"## {escape_markdown(table.title)}", "", _line([escape_markdown(h) for h in heads]), _line(marks)]
    for row in table.rows:
        line = [escape_markdown(row_name(row))] + ["✓" if row.flags[f] else "" for f in table.flags]
        for column in table.columns:
            line.append(_markdown_cell(table, row, column, alpha))
            if column.quoted:
                line.append(quoted_text(column, row))
        lines.append(_line(line))
    lines += ["", legend(table, {k: escape_markdown(v) for k, v in labels.items()}, alpha), ""]
    lines += [f"- {escape_markdown(note)}" for note in notes]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(table: WideTable, row: Row, column: WideColumn, alpha: float) -> str:
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return "–"
    value = number(cell.value, column.decimals)
    value = {1: f"**{value}**", 2: f"<u>{value}</u>"}.get(cell.rank, value) + ("†" if is_marked(cell, alpha) else "")
    parts = [value, interval(cell, column.decimals), differing_n(cell, column_n(table, column))]
    return " ".join(p for p in parts if p).replace("[", "\\[").replace("]", "\\]")


def escape_latex(text: str) -> str:
    """Any text as LaTeX source that pdflatex can set; letters beyond Latin are written as their code points."""
    return "".join(LATEX_SPECIAL.get(c) or (c if c >= " " and ord(c) < LATIN_END else f"[U+{ord(c):04X}]") for c in text.replace("\n", " "))


def to_latex(table: WideTable, notes: list[str], labels: dict[str, str], alpha: float) -> str:
    """A document that compiles as it is; what stands between the marks can be pasted into a paper."""
    blocks = [(label, list(columns)) for label, columns in groupby(table.columns, key=lambda c: c.corpus_label)]
    front = 1 + len(table.flags)
    widths = [sum(2 if c.quoted else 1 for c in columns) for _, columns in blocks]
    top = " & " * (front - 1)
    rules, at = "", front + 1
    for (label, _), width in zip(blocks, widths, strict=True):
        top += f" & \\multicolumn{{{width}}}{{c}}{{{escape_latex(label)}}}"
        rules += f"\\cmidrule(lr){{{at}-{at + width - 1}}}"
        at += width
    heads = ["Method", *(escape_latex(labels.get(f, f)) for f in table.flags)]
    for _, columns in blocks:
        for column in columns:
            n = column_n(table, column)
            heads.append(_stack(escape_latex(column.metric.heading), f"$n={n}$" if n is not None else ""))
            if column.quoted:
                heads.append(_stack(escape_latex(f"{column.metric.label} {column.metric.arrow}"), escape_latex(f"quoted, {column.quoted_corpus}")))
    body = []
    for row in table.rows:
        line = [escape_latex(row_name(row))] + [r"$\checkmark$" if row.flags[f] else "" for f in table.flags]
        for column in table.columns:
            line.append(_latex_cell(table, row, column, alpha))
            if column.quoted:
                line.append(escape_latex(quoted_text(column, row)))
        body.append("{}" + " & ".join(line) + r" \\")  # {}: a name that starts with [ or * is no argument of the row before
    columns = "l" + "c" * len(table.flags) + "r" * sum(widths)
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
    below = [legend(table, labels, alpha), *notes]
    width = 7 + 2.6 * (front + sum(widths))
    height = 6 + 1.1 * len(table.rows) + sum(0.45 * (1 + len(line) // (7 * width)) for line in below)
    return latex_document(table.title, tabular, below, width, height)


def latex_document(title: str, tabular: list[str], below: list[str], width: float, height: float) -> str:
    """A document of one table that compiles as it is; ``width`` and ``height`` of the page in cm."""
    return "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[T1]{fontenc}",
            r"\usepackage[utf8]{inputenc}",
            r"\usepackage{amssymb,booktabs,textcomp}",
            rf"\usepackage[paperwidth={width:.1f}cm,paperheight={height:.1f}cm,margin=1cm]{{geometry}}",
            r"\pagestyle{empty}",
            r"\begin{document}",
            "% ---- from here on, for a paper (needs booktabs, amssymb) ----",
            r"\begin{table}[h!]",
            r"\centering",
            r"\renewcommand{\arraystretch}{1.3}",
            rf"\caption{{{escape_latex(title)}}}",
            *tabular,
            *(rf"\par\smallskip\raggedright\footnotesize {escape_latex(line)}" for line in below),
            r"\end{table}",
            "% ---- up to here ----",
            r"\end{document}",
            "",
        ]
    )


def _stack(above: str, below: str) -> str:
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{above}\\[-3pt]{{\scriptsize {below}}}\end{{tabular}}" if below else above


def _latex_cell(table: WideTable, row: Row, column: WideColumn, alpha: float) -> str:
    cell = table.cells.get((row.method, column.key))
    if cell is None or cell.value is None:
        return "--"
    value = escape_latex(number(cell.value, column.decimals))
    value = {1: rf"\textbf{{{value}}}", 2: rf"\underline{{{value}}}"}.get(cell.rank, value) + (r"$^\dagger$" if is_marked(cell, alpha) else "")
    below = " ".join(p for p in (interval(cell, column.decimals), differing_n(cell, column_n(table, column))) if p)
    return _stack(value, escape_latex(below))


def frame_to_markdown(frame: pd.DataFrame) -> str:
    """A plain frame of text as a Markdown table."""
    lines = [_line([escape_markdown(str(c)) for c in frame.columns]), _line(["---"] * len(frame.columns))]
    lines += [_line([escape_markdown(str(v)) for v in row]) for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def frame_to_latex(frame: pd.DataFrame, title: str, below: list[str]) -> str:
    """A plain frame of text as a LaTeX document that compiles as it is."""
    body = ["{}" + " & ".join(escape_latex(str(v)) for v in row) + r" \\" for row in frame.itertuples(index=False)]
    tabular = [
        rf"\begin{{tabular}}{{l{'r' * (len(frame.columns) - 1)}}}",
        r"\toprule",
        " & ".join(escape_latex(str(c)) for c in frame.columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return latex_document(title, tabular, below, max(16, 4 + 4.5 * len(frame.columns)), 5 + 0.7 * len(frame))

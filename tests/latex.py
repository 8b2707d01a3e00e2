"""LaTeX tables, compiled as a reader compiles them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

needs_pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
MARKS = re.compile(r"^% ---- from here on.*?\n(.*)^% ---- up to here", re.M | re.S)
# A paper that has nothing but what the mark asks for, and tells how far each table is
# scaled down.
PAPER = r"""\documentclass[%s]{article}
\usepackage{booktabs,amssymb,graphicx}
\let\scaled\resizebox
\renewcommand{\resizebox}[3]{\setbox0\hbox{#3}\typeout{TABLE \the\wd0/\the\linewidth}\scaled{#1}{#2}{#3}}
\begin{document}
%s
\end{document}
"""


def compile_latex(source: str, folder: Path) -> str:
    """Compile a document; nothing of it may stick out of the page.

    Returns:
        What pdflatex said.
    """
    (folder / "t.tex").write_text(source, encoding="utf-8")
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "t.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="latin-1",
    )
    assert run.returncode == 0, run.stdout[-1500:]
    assert "Output written on t.pdf" in run.stdout
    assert not re.search("Overfull|Float too large", run.stdout), "the table does not fit its page"
    return run.stdout


def compile_both_ways(path: Path, folder: Path) -> None:
    """Compile a table's file as it is, and what stands between its marks in papers."""
    source = path.read_text(encoding="utf-8")
    compile_latex(source, folder)
    scales_in_papers(source, folder)


def scales_in_papers(source: str, folder: Path) -> list[float]:
    """What stands between the marks of a table's file, pasted into a paper of one column
    and one of two.

    Returns:
        How far each tabular was scaled down, 1 for not at all.
    """
    said = [compile_latex(PAPER % (kind, MARKS.search(source)[1]), folder) for kind in ("10pt", "twocolumn")]
    found = re.findall(r"TABLE ([\d.]+)pt/([\d.]+)pt", "\n".join(said))
    assert found
    return [min(1.0, float(room) / float(width)) for width, room in found]

"""LaTeX tables, compiled as a reader compiles them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

needs_pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
MARKS = re.compile(r"^% ---- from here on.*?\n(.*)^% ---- up to here", re.M | re.S)
# A paper that has nothing but what the mark asks for, in two columns.
PAPER = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs,amssymb,graphicx}
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
    assert "Overfull" not in run.stdout, "the table does not fit its page"
    return run.stdout


def compile_both_ways(path: Path, folder: Path) -> None:
    """Compile a table's file as it is, and what stands between its marks in a paper."""
    source = path.read_text(encoding="utf-8")
    compile_latex(source, folder)
    compile_latex(in_a_paper(source), folder)


def in_a_paper(source: str) -> str:
    """What stands between the marks of a table's file, pasted into a paper."""
    return PAPER % MARKS.search(source)[1]

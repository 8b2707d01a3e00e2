"""The page that is there outlives a rerun that fails, and so does what a user put
beside it.
"""

import os
from pathlib import Path

import pytest
from workflow.running import snakemake

# Stands in for `python -m eadbench ... tables report ...` in the job's shell (Snakemake
# puts its own python first on PATH).
STAND_IN = """
python() {
    while [ $# -gt 0 ]; do case "$1" in --out) out=$2;; --bundle) bundle=$2;; esac; shift; done
    [ -z "${BROKEN:-}" ] || return 1
    mkdir -p "$(dirname "$out")" "$bundle"
    echo new > "$out"; echo new > "$bundle/index.html"
}
"""


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder with tables and a page."""
    files = {
        "results/tables/scores.parquet": "",
        "results/report/index.html": "old\n",
        "results/report/notes.txt": "mine",
        "stand_in.sh": STAND_IN,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def page(folder: Path, **env: str) -> tuple[int, str]:
    """Status and messages of a rerun of the page alone."""
    environment = os.environ | {"BASH_ENV": str(folder / "stand_in.sh")} | env
    done = snakemake(
        folder,
        "results/report/index.html",
        "--allowed-rules",
        "write_report",
        "--forcerun",
        "write_report",
        env=environment,
    )
    assert "write_report" in done.stdout + done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_last_page_and_a_users_file_outlive_a_rerun_that_fails(finished: Path) -> None:
    status, text = page(finished, BROKEN="1")
    assert status != 0, text
    assert (finished / "results/report/index.html").read_text() == "old\n"
    status, text = page(finished)
    assert status == 0, text
    assert (finished / "results/report/index.html").read_text() == "new\n"
    assert (finished / "results/report/notes.txt").read_text() == "mine"

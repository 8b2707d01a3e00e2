"""What is wrong with a path that a user gives is told in one message, whichever command
meets it.
"""

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eadbench import cli
from eadbench.core.files import explained, write_text


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> Iterator[Callable[..., tuple[int, str]]]:
    """Call the command as the shell does; its exit status and what it says."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    monkeypatch.setattr(cli.children, "exit_on_signals", lambda: None)

    def call(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["eadbench", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, capfd.readouterr().err

    yield call
    root.handlers[:] = before
    root.setLevel(level)


OUTS = {
    "a folder": (lambda folder: folder, "a folder is there, expected a file"),
    "below a file": (
        lambda folder: folder / "file" / "x.md",
        "a part of the path is a file|a file is there, expected a folder",
    ),
    "below a link to nowhere": (
        lambda folder: folder / "link" / "x.md",
        "a file is there, expected a folder|no such file",
    ),
    "a long name": (lambda folder: folder / ("x" * 300 + ".md"), "a name is too long"),
    "no place for files": (
        lambda folder: Path("/proc/eadbench/x.md"),
        "no such file or folder|no permission",
    ),
}


@pytest.mark.parametrize("case", OUTS)
@pytest.mark.parametrize("option", ["--out", "--log"])
def test_an_output_that_cannot_be_written_ends_in_one_message(
    run, tmp_path: Path, case: str, option: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    path = OUTS[case][0](tmp_path)
    words = ["--log", path, "tables", "dictionary", "--out", tmp_path / "d.md"]
    status, said = run(*(words if option == "--log" else [*words[2:-1], path]))
    assert status == 1 and "Traceback" not in said
    assert any(word in said for word in OUTS[case][1].split("|")), said
    assert "where: " in said and "hint: " in said


def test_an_artefact_that_nobody_configured_is_named(run, tmp_path: Path) -> None:
    config = Path(__file__).parents[1] / "config.yaml"
    status, said = run(
        "zoo", "make", "nobody", "--config", config, "--out", tmp_path / "nobody" / "card.json"
    )
    assert status == 1 and "nobody" in said and "Traceback" not in said


def test_an_error_without_a_path_is_not_explained_away() -> None:
    assert explained(OSError("something")) is None
    assert explained(ConnectionResetError(errno.ECONNRESET, "reset")) is None
    assert explained(OSError(errno.ENOSPC, "full")).what == "the disk is full"
    assert explained(PermissionError(errno.EACCES, "x", b"/a\xff")).where == "/a\udcff"


def test_names_that_are_not_utf8_reach_logs_and_texts(run, tmp_path: Path) -> None:
    name = os.fsdecode(b"clip-\xff.mp4")
    write_text(tmp_path / "t.md", f"{name} Zoë")
    assert (tmp_path / "t.md").read_text(encoding="utf-8") == "clip-\\udcff.mp4 Zoë"
    run("--log", tmp_path / "log", "tables", "dictionary", "--out", tmp_path / "d.md")
    logging.getLogger("eadbench").info("working on %s", name)
    assert "clip-\\udcff.mp4" in (tmp_path / "log").read_text(encoding="utf-8")


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["scores", "nothing"], 2)])
def test_a_command_ends_at_once_with_its_status(words, status):
    """Handlers of atexit run and what was written is written; nothing is collected, and
    DuckDB calls nothing leaked.
    """
    code = (
        "import atexit, duckdb; from eadbench import cli; main = cli.main\n"
        "class Kept:\n    def __del__(self): print('collected')\n"
        "kept, base = Kept(), duckdb.connect()\n"
        "cli.main = lambda: (atexit.register(print, 'handler'), main()); cli.run()"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == status
    assert done.stdout.endswith("handler\n") and "leak" not in done.stderr


def test_output_that_cannot_be_written_is_a_failure():
    with Path("/dev/full").open("w") as full:
        assert subprocess.run([sys.executable, "-m", "eadbench", "--version"], stdout=full).returncode > 0

"""`samples make` that is ended from outside leaves no program of the user's behind, and
no scratch.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_clips import make_clips

from eadbench.core import scratch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
# The program starts one child in its group and one in a session of its own, writes the
# numbers of all three, and hangs.
PROGRAM = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(300)"]
group, session = subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {group.pid} {session.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(300)
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clips(tmp_path_factory.mktemp("clips"), speakers=2, per_speaker=1, frames=8)


@pytest.fixture
def job(clips: Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """`samples make` with a method whose program hangs."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "scratch").mkdir()
    method = {
        "kind": "command",
        "corpora": ["tiny"],
        "command": f"{{python}} '{tmp_path}/program.py' '{tmp_path}/numbers'",
    }
    settings = json.dumps({"seed": 1, "device": "cpu", "samples": {"methods": {"m": method}}})
    command = [
        sys.executable,
        "-m",
        "eadbench",
        "--log",
        str(tmp_path / "log"),
        "samples",
        "make",
        "--method",
        "m",
        "--corpus",
        "tiny",
    ]
    command += [
        "--clips",
        str(clips),
        "--settings",
        settings,
        "--out",
        str(tmp_path / "out" / "samples.parquet"),
    ]
    process = subprocess.Popen(
        command,
        env=os.environ | {"TMPDIR": str(tmp_path / "scratch")},
        stderr=subprocess.DEVNULL,
        # a shell has what it starts in the background ignore Ctrl-C, these tests included
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    yield process
    process.kill()
    process.wait()


def numbers_of(folder: Path, job: subprocess.Popen) -> list[int]:
    """Process numbers of the program and its children, once they run."""
    end = time.monotonic() + 100
    while not (folder / "numbers").exists():
        assert job.poll() is None and time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.1)
    return [int(word) for word in (folder / "numbers").read_text().split()]


def lives(process: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_for_the_end(processes: list[int]) -> None:
    end = time.monotonic() + 20
    while any(map(lives, processes)):
        assert time.monotonic() < end, f"still there: {[process for process in processes if lives(process)]}"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl_c"])
def test_a_signal_ends_the_program_with_its_children_and_removes_the_scratch(
    number: signal.Signals, job: subprocess.Popen, tmp_path: Path
) -> None:
    programs = numbers_of(tmp_path, job)
    assert len(programs) == 3 and all(map(lives, programs))
    assert list((tmp_path / "scratch").iterdir()), "it works in a scratch folder"
    job.send_signal(number)
    assert job.wait(timeout=30) == 128 + number
    wait_for_the_end(programs)
    assert not list((tmp_path / "scratch").iterdir())
    assert f"ended by {number.name}" in (tmp_path / "log").read_text()


def test_after_sigkill_the_program_ends_and_the_next_start_removes_the_scratch(
    job: subprocess.Popen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = numbers_of(tmp_path, job)
    assert all(map(lives, programs))
    job.kill()
    job.wait()
    wait_for_the_end(programs)
    leftovers = set((tmp_path / "scratch").iterdir())
    assert leftovers
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    with scratch.scratch_folder() as folder:
        assert set((tmp_path / "scratch").iterdir()) == {folder}


def test_the_scratch_of_a_process_that_lives_is_left_alone(
    job: subprocess.Popen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers_of(tmp_path, job)
    before = set((tmp_path / "scratch").iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    with scratch.scratch_folder() as folder:
        assert set((tmp_path / "scratch").iterdir()) == {folder, *before}
    assert set((tmp_path / "scratch").iterdir()) == before and before

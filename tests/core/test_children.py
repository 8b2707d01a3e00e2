"""Processes end with their parent, and a process that is asked to end does so in time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def started(code: str, ready: Path) -> subprocess.Popen:
    """A Python process that has made the file ``ready``."""
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    end = time.monotonic() + 60
    while not ready.exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    return process


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(process: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while lives(process) and time.monotonic() < end:
        time.sleep(0.02)
    return not lives(process)


def test_workers_of_a_pool_end_with_a_killed_parent(tmp_path: Path) -> None:
    """As the studio's, in the middle of a long task, of which a closed pipe would tell
    them nothing.
    """
    code = f"""
import multiprocessing, time
from pathlib import Path
from eadbench.core.children import die_with_parent
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2, die_with_parent) as pool:
        pids = [process.pid for process in multiprocessing.active_children()]
        pool.map(abs, range(4))
        Path({str(tmp_path / "part")!r}).write_text(" ".join(map(str, pids)))
        Path({str(tmp_path / "part")!r}).rename({str(tmp_path / "pids")!r})
        pool.map(time.sleep, [300, 300])
"""
    parent = started(code, tmp_path / "pids")
    workers = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert len(workers) == 2 and all(map(lives, workers))
    time.sleep(0.2)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert all(map(gone, workers))


WAITS = {
    "a thread at work": "with ThreadPoolExecutor() as pool: [pool.submit(time.sleep, 300), ready.touch(), "
    "time.sleep(300)]",
    "tidying that hangs": "try: [ready.touch(), time.sleep(300)]\nfinally: time.sleep(300)",
    "nothing": "[ready.touch(), time.sleep(300)]",
}


@pytest.mark.parametrize("busy", WAITS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_asked_to_end_tidies_up_and_ends_in_time(
    tmp_path: Path, busy: str, number: signal.Signals
) -> None:
    code = f"""
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from eadbench.core import children
children.SECONDS_TO_CLEAN_UP = 1
children.exit_on_signals()
ready = Path({str(tmp_path / "ready")!r})
try:
    exec({WAITS[busy]!r})
finally:
    Path({str(tmp_path / "tidied")!r}).touch()
"""
    process = started(code, tmp_path / "ready")
    process.send_signal(number)
    assert process.wait(timeout=10) == 128 + number
    assert (tmp_path / "tidied").exists() == (busy == "nothing")


def test_a_process_that_was_told_to_survive_the_terminal_does(tmp_path: Path) -> None:
    code = f"""
import signal, time
from pathlib import Path
from eadbench.core import children
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
children.exit_on_signals()
Path({str(tmp_path / "ready")!r}).touch()
time.sleep(300)
"""
    process = started(code, tmp_path / "ready")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.wait()


def test_the_guard_ends_with_its_work(tmp_path: Path) -> None:
    """It is no orphan itself, and holds nothing of its parent's open."""
    code = f"""
import subprocess, sys
from pathlib import Path
from eadbench.core import children
child = children.popen([sys.executable, "-c", "pass"])
child.wait()
children.kill_group(child)
guards = [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline")
    if b"guard.py" in path.read_bytes()
          and f"PPid:\\t{{__import__('os').getpid()}}\\n" in (path.parent / "status").read_text()]
Path({str(tmp_path / "part")!r}).write_text(" ".join(guards))
Path({str(tmp_path / "part")!r}).rename({str(tmp_path / "guard")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stderr == ""
    (guard,) = (tmp_path / "guard").read_text().split()
    assert gone(int(guard))

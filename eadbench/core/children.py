"""Programs that end with this process, however it ends: normally, by SIGTERM, or by
SIGKILL, of which it learns nothing.
"""

import ctypes
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FrameType

from eadbench.core import guard

MARK = "EADBENCH_PARENT"  # environment variable of all programs that a process starts, and of theirs
PR_SET_PDEATHSIG = 1
ENDING = (signal.SIGTERM, signal.SIGHUP)
SECONDS_TO_CLEAN_UP = 10.0


def popen(command: list[str], env: Mapping[str, str] | None = None, **options: object) -> subprocess.Popen:
    """``subprocess.Popen`` of a program that leads a process group of its own and is
    killed with it once this process is gone.

    Args:
        command: Words; no shell.
        env: Variables on top of this process's.
        options: Further options of ``Popen``.

    Raises:
        OSError: If it cannot be started.
    """
    pipe, mark = _guard(os.getpid())
    child = subprocess.Popen(
        command, env={**os.environ, **(env or {}), MARK: mark}, start_new_session=True, **options
    )
    _write_line(pipe, f"+{child.pid}\n")
    return child


def kill_group(child: subprocess.Popen, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a program of :func:`popen` and what it started in its group;
    after SIGKILL it needs no guard any more.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
    if number == signal.SIGKILL:
        pipe, _ = _guard(os.getpid())
        _write_line(pipe, f"-{child.pid}\n")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; for processes that a
    library starts. Does nothing outside Linux.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def exit_on_signals() -> None:
    """Let SIGTERM, which batch systems send, and SIGHUP unwind this process like an
    exception, so that it cleans up.

    What takes longer than ``SECONDS_TO_CLEAN_UP`` (a request under way, a step on the GPU)
    is cut short, before the batch system does it.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # written to at once, whatever the main thread is busy with
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_in_time, args=(reader,), daemon=True).start()
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _exit)


def _end_in_time(reader: int) -> None:
    while (number := os.read(reader, 1)[0]) not in ENDING:
        pass
    time.sleep(SECONDS_TO_CLEAN_UP)
    os._exit(128 + number)


def _exit(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough; the second would cut the cleanup short
    raise SystemExit(128 + number)


@cache
def _guard(process: int) -> tuple[int, str]:
    """The pipe to the guard of this process and the mark of its programs. (A fork needs
    another one.)
    """
    mark = f"{process}-{secrets.token_hex(8)}"
    command = [sys.executable, "-I", "-S", str(Path(guard.__file__)), f"{MARK}={mark}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, cwd="/", **quiet)
    child.returncode = 0  # it outlives us; do not warn
    return os.dup(child.stdin.fileno()), mark


def _write_line(pipe: int, line: str) -> None:
    with suppress(BrokenPipeError):  # the guard was killed
        os.write(pipe, line.encode())

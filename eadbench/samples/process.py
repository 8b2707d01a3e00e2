"""Run somebody else's program so that it can do no harm: no shell, a time limit for the whole process group, bounded log."""

import os
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

HEAD, TAIL, BLOCK = 1 << 20, 1 << 18, 1 << 16
GRACE = 3.0


@dataclass(frozen=True)
class Finished:
    """How a program ended.

    Attributes:
        status: Exit status; negative for a signal; null when it could not be started.
        timed_out: Whether we stopped it.
        seconds: Wall time.
        peak_mb: Its largest resident set, MiB, without that of its children; null where /proc does not tell, or it was too quick.
        output: Bytes that it printed.
        note: Why it could not be started.
    """

    status: int | None
    timed_out: bool
    seconds: float
    peak_mb: float | None
    output: int
    note: str = ""

    def trouble(self, timeout: float) -> str:
        """One sentence on what was wrong with its end; empty for an exit status of 0, which proves nothing."""
        if self.note:
            return self.note
        if self.timed_out:
            return f"stopped after {timeout:g} s"
        if self.status:
            return f"ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        return ""


def run(command: list[str], cwd: Path, log: Path, timeout: float, env: dict[str, str] | None = None) -> Finished:
    """Run ``command`` in ``cwd``; everything that it prints goes to ``log``, of which the first MiB and the last 256 KiB are kept.

    The program leads a process group of its own; when it ends or the time is over the whole group is killed.
    """
    started = time.monotonic()
    variables = {**os.environ, **(env or {})}
    try:
        child = subprocess.Popen(
            command, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        return Finished(None, False, 0.0, None, 0, f"cannot be started: {error}")
    drain = _Drain(child.stdout, log)
    drain.start()
    try:
        status, peak_mb, timed_out = _wait(child, started + timeout)
    finally:
        _kill_group(child.pid, signal.SIGKILL)
    drain.join(GRACE)
    child.stdout.close()
    return Finished(status, timed_out, time.monotonic() - started, peak_mb, drain.seen)


def _wait(child: subprocess.Popen, deadline: float) -> tuple[int, float | None, bool]:
    """Wait and watch its memory. (``ru_maxrss`` will not do: it holds what we had ourselves when we forked.)"""
    timed_out, pause, peak_mb, signals = False, 0.005, None, [signal.SIGTERM, signal.SIGKILL]
    while True:
        peak_mb = _high_water(child.pid) or peak_mb
        status = child.poll()
        if status is not None:
            return status, peak_mb, timed_out
        if time.monotonic() > deadline and signals:
            timed_out = True
            _kill_group(child.pid, signals.pop(0))
            deadline = time.monotonic() + GRACE
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)


def _high_water(pid: int) -> float | None:
    """``VmHWM`` of a running process, MiB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), None)


def _kill_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


class _Drain(threading.Thread):
    """Reads a pipe to its end and keeps its beginning and its end on disk."""

    def __init__(self, pipe, log: Path) -> None:
        super().__init__(daemon=True)
        self.pipe, self.log, self.seen = pipe, log, 0

    def run(self) -> None:
        tail: deque[bytes] = deque(maxlen=TAIL // BLOCK)
        with self.log.open("wb", buffering=0) as kept:
            try:
                while block := os.read(self.pipe.fileno(), BLOCK):
                    room = max(0, HEAD - self.seen)
                    kept.write(block[:room])
                    if block[room:]:
                        tail.append(block[room:])
                    self.seen += len(block)
            except (OSError, ValueError):  # closed by us: a grandchild outlived its group
                pass
            rest = b"".join(tail)
            left_out = self.seen - HEAD - len(rest)
            if left_out > 0:
                kept.write(f"\n... {left_out} bytes left out ...\n".encode())
            kept.write(rest)

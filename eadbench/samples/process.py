"""Run somebody else's program so that it can do no harm: no shell, a time limit for the
whole process group, bounded log.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from eadbench.core.children import kill_group, popen
from eadbench.core.secrets import hide_in_file

HEAD, TAIL, BLOCK = 1 << 20, 1 << 18, 1 << 16
GRACE = 3.0
POLL = 0.1
GPU_EVERY = 1.0  # seconds between questions to nvidia-smi


@dataclass(frozen=True)
class Finished:
    """How a program ended.

    Attributes:
        status: Exit status; negative for a signal; null when it could not be started.
        timed_out: Whether we stopped it.
        seconds: Wall time.
        peak_mb: Largest GPU memory where it says or ``nvidia-smi`` tells, else its
            largest resident set with that of its children, MiB; null where /proc does
            not tell, or it was too quick.
        note: Why it could not be started.
    """

    status: int | None
    timed_out: bool
    seconds: float
    peak_mb: float | None
    note: str = ""

    def trouble(self, timeout: float) -> str:
        """One sentence on what was wrong with its end; empty for an exit status of 0,
        which proves nothing.
        """
        if self.note:
            return self.note
        if self.timed_out:
            return f"stopped after {timeout:g} s"
        if self.status:
            return (
                f"ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
            )
        return ""


def not_started(error: OSError) -> Finished:
    """The end of a program that never began."""
    return Finished(None, False, 0.0, None, f"cannot be started: {error}")


def run(
    command: list[str], cwd: Path, log: Path, timeout: float, env: dict[str, str] | None = None
) -> Finished:
    """Run ``command`` in ``cwd``; everything that it prints goes to ``log``, of which
    the first MiB and the last 256 KiB are kept.

    The program leads a process group of its own; when it ends, the time is over or this
    process ends the whole group is killed.
    """
    started = time.monotonic()
    try:
        child = popen(
            command, env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        return not_started(error)
    drain = Drain(child.stdout.fileno(), log)
    drain.start()
    memory = Memory(child.pid)
    try:
        status, timed_out = _wait(child, started + timeout, memory)
    finally:
        kill_group(child)
    drain.finish()
    child.stdout.close()
    hide_in_file(log)
    return Finished(status, timed_out, time.monotonic() - started, memory.peak_mb)


def _wait(child: subprocess.Popen, deadline: float, memory: "Memory") -> tuple[int, bool]:
    timed_out, pause, signals = False, 0.005, [signal.SIGTERM, signal.SIGKILL]
    while True:
        memory.look()
        status = child.poll()
        if status is not None:
            return status, timed_out
        if time.monotonic() > deadline and signals:
            timed_out = True
            kill_group(child, signals.pop(0))
            deadline = time.monotonic() + GRACE
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)


class Memory:
    """Watches the memory of a process and its children. (``ru_maxrss`` will not do: it
    holds what we had ourselves when we forked.)
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.main_mb: float | None = None
        self.gpu_mb: float | None = None
        self._next_gpu = (
            time.monotonic()
            if Path("/dev/nvidiactl").exists() and shutil.which("nvidia-smi")
            else float("inf")
        )
        with contextlib.suppress(OSError):  # a worker lives on: forget the peak of its earlier clips
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    @property
    def peak_mb(self) -> float | None:
        return self.gpu_mb or self.main_mb

    def look(self) -> None:
        """Take a sample: the process's own high water, and what it and its children
        hold now.
        """
        family = [self.pid, *descendants(self.pid)]
        own, *others = [_status_mb(pid) for pid in family]
        # A child of the very size is one that was forked just now: it still shares our
        # memory.
        now = own.get("VmRSS", 0.0) + sum(
            one.get("VmRSS", 0.0) for one in others if one.get("VmSize") != own.get("VmSize")
        )
        self.main_mb = max(self.main_mb or 0.0, now, own.get("VmHWM", 0.0)) or None
        if time.monotonic() >= self._next_gpu:
            self._next_gpu = time.monotonic() + GPU_EVERY
            self.gpu_mb = max(self.gpu_mb or 0.0, _gpu_mb(set(family))) or None


def _status_mb(pid: int) -> dict[str, float]:
    """``VmRSS``, ``VmHWM`` and ``VmSize`` of a running process, MiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {
        line[: line.index(":")]: int(line.split()[1]) / 1024
        for line in lines
        if line.startswith(("VmRSS:", "VmHWM:", "VmSize:"))
    }


def descendants(pid: int) -> list[int]:
    """Children of a running process, and theirs; what ends while we look has none."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():  # by the thread that made them
            with contextlib.suppress(OSError):
                children += [int(word) for word in (thread / "children").read_text().split()]
    return [one for child in children for one in (child, *descendants(child))]


def _gpu_mb(pids: set[int]) -> float:
    """GPU memory of some processes by ``nvidia-smi``, MiB; 0 where it does not tell (in
    containers it knows other numbers).
    """
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(
            query, capture_output=True, text=True, timeout=5, check=True
        ).stdout.splitlines()
        pairs = [line.split(",") for line in lines]
        return sum(float(used) for pid, used in pairs if int(pid) in pids)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0.0


class Drain(threading.Thread):
    """Reads a pipe to its end, or until :meth:`finish`, and keeps the beginning and the
    end of what it brings on disk.
    """

    def __init__(self, pipe: int, log: Path) -> None:
        super().__init__(daemon=True)
        self.pipe, self.log = pipe, log
        self._over = threading.Event()

    def finish(self) -> None:
        """Take the rest, and leave the pipe to the caller; a grandchild that outlived
        its group may hold it open for ever.
        """
        self.join(GRACE)
        self._over.set()
        self.join()

    def run(self) -> None:
        try:
            self._keep()
        except OSError:  # a full disk: the log ends here, and the program must not wait for us
            while self._next():
                pass

    def _keep(self) -> None:
        seen, tail = 0, bytearray()
        with self.log.open("wb", buffering=0) as kept:
            while block := self._next():
                room = max(0, HEAD - seen)
                kept.write(block[:room])
                tail += block[room:]
                if len(tail) > 2 * TAIL:
                    del tail[:-TAIL]
                seen += len(block)
            rest = tail[-TAIL:]
            left_out = seen - HEAD - len(rest)
            if left_out > 0:
                kept.write(f"\n... {left_out} bytes left out ...\n".encode())
            kept.write(rest)

    def _next(self) -> bytes:
        while not self._over.is_set():
            if select.select([self.pipe], [], [], POLL)[0]:
                return os.read(self.pipe, BLOCK)
        return b""

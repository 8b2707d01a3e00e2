"""Run a foreign program safely: no shell, a time limit for the whole process group, a
bounded log.
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

HEAD, TAIL, BLOCK = 1 << 20, 1 << 18, 1 << 16  # bytes of a log's beginning and end, and per read
GRACE = 3.0  # seconds between the signals that end a program
POLL = 0.1
GPU_EVERY = 1.0  # seconds between questions to nvidia-smi


@dataclass(frozen=True)
class ProcessResult:
    """How a program ended.

    Attributes:
        status: Exit status; negative for a signal; null when it could not be started.
        timed_out: Whether we stopped it.
        seconds: Wall time.
        peak_mb: Peak of GPU memory where the program or ``nvidia-smi`` reports it, else
            of its resident set with that of its children, MiB; null where /proc does
            not report it, or the program was too quick.
        note: Why it could not be started.
    """

    status: int | None
    timed_out: bool
    seconds: float
    peak_mb: float | None
    note: str = ""

    def problem(self, timeout: float) -> str:
        """What was wrong with its end, in words; empty for an exit status of 0, which
        proves nothing.
        """
        if self.note:
            return self.note
        if self.timed_out:
            return f"stopped after {timeout:g} s"
        if self.status:
            by_signal = self.status < 0
            return f"ended by signal {-self.status}" if by_signal else f"ended with status {self.status}"
        return ""


def not_started(error: OSError) -> ProcessResult:
    """The result of a program that could not be started."""
    return ProcessResult(None, False, 0.0, None, f"cannot be started: {error}")


def run(
    command: list[str], cwd: Path, log: Path, timeout: float, env: dict[str, str] | None = None
) -> ProcessResult:
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
    drain = LogWriter(child.stdout.fileno(), log)
    drain.start()
    memory = MemoryMonitor(child.pid)
    try:
        status, timed_out = _wait(child, started + timeout, memory)
    finally:
        kill_group(child)
    drain.finish()
    child.stdout.close()
    hide_in_file(log)
    return ProcessResult(status, timed_out, time.monotonic() - started, memory.peak_mb)


def _wait(child: subprocess.Popen, deadline: float, memory: "MemoryMonitor") -> tuple[int, bool]:
    timed_out, pause, signals = False, 0.005, [signal.SIGTERM, signal.SIGKILL]
    while True:
        memory.sample()
        status = child.poll()
        if status is not None:
            return status, timed_out
        if time.monotonic() > deadline and signals:
            timed_out = True
            kill_group(child, signals.pop(0))
            deadline = time.monotonic() + GRACE
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)


class MemoryMonitor:
    """Measures the memory of a process and its children. (``ru_maxrss`` includes our own
    memory at the time of the fork.)
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.main_mb: float | None = None
        self.gpu_mb: float | None = None
        has_gpu = Path("/dev/nvidiactl").exists() and shutil.which("nvidia-smi")
        self._next_gpu = time.monotonic() if has_gpu else float("inf")
        with contextlib.suppress(OSError):  # reset the peak of a worker's earlier clips
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    @property
    def peak_mb(self) -> float | None:
        return self.gpu_mb or self.main_mb

    def sample(self) -> None:
        """Measure once: the peak of the process itself, and the present memory of it
        and its children.
        """
        family = [self.pid, *descendants(self.pid)]
        own, *children = [_status_mb(pid) for pid in family]
        # A child of exactly the same size was forked just now and still shares the memory.
        separate = [child for child in children if child.get("VmSize") != own.get("VmSize")]
        now = own.get("VmRSS", 0.0) + sum(child.get("VmRSS", 0.0) for child in separate)
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
    """Process ids of the children of a running process, and of theirs."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():  # children are listed by thread
            with contextlib.suppress(OSError):  # a thread may end meanwhile
                children += [int(word) for word in (thread / "children").read_text().split()]
    pids = []
    for child in children:
        pids += [child, *descendants(child)]
    return pids


def _gpu_mb(pids: set[int]) -> float:
    """GPU memory of some processes by ``nvidia-smi``, MiB; 0 where it does not list them
    (in containers their numbers are others).
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


class LogWriter(threading.Thread):
    """Reads a pipe to its end, or until :meth:`finish`, and writes the beginning and the
    end of the output to a log file.
    """

    def __init__(self, pipe: int, log: Path) -> None:
        super().__init__(daemon=True)
        self.pipe, self.log = pipe, log
        self._stopped = threading.Event()

    def finish(self) -> None:
        """Read the rest and stop; a grandchild that outlived its group may hold the pipe
        open for ever.
        """
        self.join(GRACE)
        self._stopped.set()
        self.join()

    def run(self) -> None:
        try:
            self._write_log()
        except OSError:  # a full disk: the log ends here, but the program must not block
            while self._next():
                pass

    def _write_log(self) -> None:
        read_bytes, tail = 0, bytearray()
        with self.log.open("wb", buffering=0) as log:
            while block := self._next():
                room = max(0, HEAD - read_bytes)
                log.write(block[:room])
                tail += block[room:]
                if len(tail) > 2 * TAIL:
                    del tail[:-TAIL]
                read_bytes += len(block)
            rest = tail[-TAIL:]
            left_out = read_bytes - HEAD - len(rest)
            if left_out > 0:
                log.write(f"\n... {left_out} bytes left out ...\n".encode())
            log.write(rest)

    def _next(self) -> bytes:
        while not self._stopped.is_set():
            if select.select([self.pipe], [], [], POLL)[0]:
                return os.read(self.pipe, BLOCK)
        return b""

"""The client of ``recipes/worker.py``: a published program that stays loaded from clip
to clip, under the same rules as one that is started for each.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from eadbench.core.children import kill_group, popen
from eadbench.core.scratch import scratch_folder
from eadbench.core.secrets import hide_in_file
from eadbench.samples.process import POLL, LogWriter, MemoryMonitor, ProcessResult, descendants, not_started

SCRIPT = Path(str(files("eadbench.samples").joinpath("recipes", "worker.py")))


@dataclass(frozen=True)
class WorkerRequest:
    """One clip.

    Attributes:
        argv: Words of the command after the interpreter.
        cwd: The clip's private folder.
        log: File for what the program prints, bounded as in ``process``.
        seed: For the program's generators.
        options: For the adapter.
    """

    argv: list[str]
    cwd: Path
    log: Path
    seed: int
    options: dict[str, str]


class Worker:
    """A process that runs clips one after another. One that failed, hung or died is
    replaced by a new one for the next clip.
    """

    def __init__(self, python: str, env: Mapping[str, str], keep: list[str], adapter: Path | None) -> None:
        self.python, self.env, self.keep, self.adapter = python, dict(env), keep, adapter
        self._child: subprocess.Popen | None = None
        self._replies = -1

    def run(self, request: WorkerRequest, timeout: float) -> ProcessResult:
        """Run one clip; the first one pays for starting and loading."""
        started = time.monotonic()
        if self._child is None:
            try:
                self._start()
            except OSError as error:
                return not_started(error)
        with scratch_folder() as folder:
            return self._run(request, folder / "printed", started, timeout)

    def _run(self, request: WorkerRequest, fifo: Path, started: float, timeout: float) -> ProcessResult:
        os.mkfifo(fifo)
        # a writer of ours, so that opening the FIFO blocks nobody; closed when the clip
        # is done
        keep_open = os.open(fifo, os.O_RDWR)
        reader = os.open(fifo, os.O_RDONLY)
        log_writer, memory = LogWriter(reader, request.log), MemoryMonitor(self._child.pid)
        log_writer.start()
        reply, timed_out = self._ask(request, fifo, started + timeout, memory)
        status = reply["status"] if reply else self._child.poll()
        if reply and reply["gpu_mb"]:
            memory.gpu_mb = reply["gpu_mb"]
        if status != 0:
            self.close()
        else:
            self._end_children()
        os.close(keep_open)
        log_writer.finish()
        os.close(reader)
        hide_in_file(request.log)
        return ProcessResult(
            -signal.SIGKILL if status is None else status,
            timed_out,
            time.monotonic() - started,
            memory.peak_mb,
        )

    def close(self) -> None:
        """End the process and all that it started."""
        if self._child is None:
            return
        self._end_children()
        kill_group(self._child)
        self._child.stdin.close()
        self._child.wait()
        os.close(self._replies)
        self._child = None

    def _start(self) -> None:
        replies, child_end = os.pipe()
        try:
            self._child = popen(
                [self.python, str(SCRIPT), str(child_end)],
                self.env,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[child_end],
            )
        except OSError:
            os.close(replies)
            raise
        finally:
            os.close(child_end)
        self._replies = replies

    def _ask(
        self, request: WorkerRequest, fifo: Path, deadline: float, memory: MemoryMonitor
    ) -> tuple[dict | None, bool]:
        """Send a request and wait; no reply means that the process died or was stopped."""
        message = {
            "argv": request.argv,
            "cwd": str(request.cwd),
            "log": str(fifo),
            "seed": request.seed,
            "keep": self.keep,
            "adapter": str(self.adapter or ""),
            "options": request.options,
        }
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(message).encode() + b"\n")
            self._child.stdin.flush()
        line = b""
        while time.monotonic() < deadline:
            memory.sample()
            if not select.select([self._replies], [], [], POLL)[0]:
                continue
            block = os.read(self._replies, 1 << 16)
            line += block
            if not block:
                self._child.wait()
                return None, False
            if line.endswith(b"\n"):
                return json.loads(line), False
        return None, True

    def _end_children(self) -> None:
        """End all processes that a clip left running, those in a group of their own
        too.
        """
        for pid in descendants(self._child.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

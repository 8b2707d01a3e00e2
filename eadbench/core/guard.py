"""Program of :mod:`eadbench.core.children`: waits for its parent's end, then ends the
programs that the parent left.

Run by path with the standard library alone, so that it starts in 20 ms and holds 8 MB.
Its standard input lists the process groups, ``+NUMBER`` when one began and ``-NUMBER``
when it ended, and closes when the parent is gone, however it ended. What left its group
is found by a variable of its environment.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

SECONDS = 5.0  # how long it tries; a process that waits for a dead disk cannot be ended


def marked(mark: bytes) -> list[int]:
    """Processes of this user whose environment holds ``mark``, where there is /proc."""
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                processes.append(int(folder.name))
    return processes


def end(groups: set[int], mark: bytes) -> None:
    """Kill the groups, and what bears the mark until nothing does."""
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    until = time.monotonic() + SECONDS
    while (remaining := marked(mark)) and time.monotonic() < until:
        for process in remaining:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def main() -> None:
    """Read the groups until the parent is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end(groups, sys.argv[1].encode())


if __name__ == "__main__":
    main()

"""Folders for what no one needs after the work: removed at its end, or at the next
start if a kill came before.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

PREFIX = "eadbench-scratch-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private empty folder in the system's temporary folder (``TMPDIR``).

    Its process holds a lock on it, which the kernel releases when the process ends; by
    that the folders of killed ones are known, on whatever machine or in whatever
    container they ran.
    """
    _sweep(tempfile.gettempdir())
    folder, lock = _locked()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # some network disks know no locks; what a kill leaves there stays
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # else another process swept it before it was locked
            return folder, lock
        os.close(lock)


@cache
def _sweep(place: str) -> None:
    """Remove this user's scratch folders that no process holds; once per process."""
    for folder in Path(place).glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)

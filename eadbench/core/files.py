"""Atomic outputs and content hashes."""

import errno
import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from eadbench.core.errors import EadbenchError, FatalError

log = logging.getLogger(__name__)

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def exclusive_lock(handle: IO[str], where: Path, hint: str) -> Iterator[None]:
    """Hold the lock of an open file, which is removed afterwards.

    Raises:
        EadbenchError: If another process holds it.
    """
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EadbenchError("another run writes here", where, hint) from error
        except OSError as error:  # some network disks know no locks
            log.debug("no lock on %s: %s", handle.name, error)
        try:
            yield
        finally:
            Path(handle.name).unlink(missing_ok=True)


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; rename it to ``target`` if the block
    succeeds.

    Works for files and folders (the block creates either). The suffix is
    kept, since codecs look at it. On failure the temporary file or folder is removed
    and ``target`` is left as it was. A folder that is replaced is moved aside before
    the new one takes its name; :func:`restore` takes it up if a kill came in between.

    Raises:
        FatalError: If the block failed because the disk is full.
    """
    target = Path(target)
    part = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove(part)
        restore(target)
        yield part
        if part.is_dir() and target.is_dir():
            target.replace(_aside(target))
        part.replace(target)
        restore(target)
    except BaseException as error:
        full = disk_is_full(error, target.parent)
        _remove(part)
        restore(target)
        if full:
            raise full_disk(target) from error
        raise


def restore(target: Path) -> None:
    """Undo or complete the replacement of a folder that a kill interrupted.

    Code that reads a folder that :func:`atomic_path` replaces calls this first: without
    the new folder under its name, the old one gets it back; with it, the old one is
    removed.
    """
    aside = _aside(target)
    if not os.path.lexists(aside):
        return
    if os.path.lexists(target):
        _remove(aside)
    else:
        aside.replace(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".old-{target.name}")


def disk_is_full(error: BaseException, folder: Path) -> bool:
    """Whether a failure came from a full disk: by the numbers and words of it and its
    causes, or since ``folder`` has no room (codecs do not say).
    """
    if isinstance(error, FatalError) or not isinstance(error, Exception):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "errno", None) in NO_SPACE or os.strerror(errno.ENOSPC) in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    try:
        return shutil.disk_usage(folder).free < os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return False


PATH_ERRORS = {
    errno.ENOENT: ("there is no such file or folder", "check the path"),
    errno.EACCES: (
        "no permission",
        "look at the owner and the rights of it and of the folders above (`ls -ld`)",
    ),
    errno.EPERM: ("the operation is not permitted", "look at the owner and the rights of it (`ls -ld`)"),
    errno.EISDIR: ("a folder is there, expected a file", "name a file"),
    errno.ENOTDIR: ("a part of the path is a file, expected a folder", "name another path"),
    errno.EEXIST: ("a file is there, expected a folder", "name another path, or move the file away"),
    errno.EROFS: ("the disk can only be read", "name a path on another disk"),
    errno.ENAMETOOLONG: ("a name is too long", "file systems take 255 bytes for a name and 4,096 for a path"),
    errno.ELOOP: ("links that lead in a circle", "remove one of them"),
    errno.EIO: ("the disk reports an error", "look at the disk; run again once it is well"),
    errno.ESTALE: ("the network disk lost the file", "run again once the disk is back"),
}


def explained(error: OSError) -> FatalError | None:
    """What an operating system's error about a path means for who gave the path;
    ``None`` for one that is about no path.
    """
    if error.errno in NO_SPACE:
        return full_disk(error.filename or "")
    if error.filename is None or error.errno not in PATH_ERRORS:
        return None
    what, hint = PATH_ERRORS[error.errno]
    path = error.filename2 if error.filename2 is not None else error.filename
    return FatalError(what, os.fsdecode(path) if isinstance(path, bytes) else path, hint)


def full_disk(where: object) -> FatalError:
    """The error to raise where the disk is full."""
    return FatalError("the disk is full", where, "free some space and run again; what is finished is kept")


def remove_partial(folder: Path) -> None:
    """Remove what :func:`atomic_path` left in a folder when its process was killed;
    halves of processes that live are theirs.
    """
    for part in folder.glob(".part-*"):
        owner = part.name.split("-")[1]
        if owner.isdigit() and not _lives(int(owner)):
            _remove(part)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(target: str | Path, text: str) -> None:
    """Write ``text`` to ``target`` atomically."""
    with atomic_path(target) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files need not be UTF-8


def sha256_of(path: str | Path) -> str:
    """Hex sha256 of a file's content, read in blocks."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hash_once(path: str | Path) -> str:
    """:func:`sha256_of`, once per process for a path, size and time of change: for what
    is large and asked for often.
    """
    stat = Path(path).stat()
    return _hashed(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hashed(path: str, size: int, changed: int) -> str:
    return sha256_of(path)


def nature(path: Path) -> str:
    """What a file is that stands in the place of binary data, in words; empty if it may
    be the data.
    """
    with path.open("rb") as handle:
        head = handle.read(512)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        return "a web page, which a server sent in place of the file (a login, a quota, a moved address)"
    if start.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer in place of the file (`git lfs pull` fetches it)"
    return "" if head else "empty"

"""Checksums of what a job leaves beside its table, compared before a later job reads
it.

Tables carry their own (`core.tables`). Media, safetensors and JSON carry none, and a
video with a flipped byte decodes to other pixels without a word. So a job writes
``sums.sha256`` into its folder (``sha256sum --check`` reads it), and code that reads a
file of that folder calls :func:`check`. Files that no list names, such as those of
users, are taken as they are.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from eadbench.core.errors import FatalError
from eadbench.core.files import remove_partial, sha256_of, write_text

NAME = "sums.sha256"
# folders above a file in which its list is looked for:
# studio/CORPUS/ACTOR/video/VIEW/EMOTION/level_N/FILE is the deepest
LEVELS = 6
_checked: dict[str, tuple[int, int]] = {}


def sums_of(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """Hex sha256 of files below ``folder``, by their path in it."""
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(set(files))}


def seal(folder: Path, sums: Mapping[str, str], made_by: Path) -> None:
    """Write the list of a folder, replacing an earlier one, and remove partial files that
    a kill left.

    Args:
        folder: Folder of the files, one that no other job seals.
        sums: Their sha256, see :func:`sums_of`.
        made_by: The output whose deletion makes the workflow write the files anew.
    """
    for place in {folder, *((folder / name).parent for name in sums)}:
        remove_partial(place)
    lines = [f"# to have these files made anew, delete: {os.path.relpath(made_by, folder)}"]
    lines += [f"{digest}  {name}" for name, digest in sorted(sums.items())]
    body = "\n".join(lines) + "\n"
    write_text(folder / NAME, f"# {hashlib.sha256(body.encode()).hexdigest()}\n{body}")


def seal_files(folder: Path, files: Iterable[Path], made_by: Path) -> None:
    """Hash files and write the list."""
    seal(folder, sums_of(folder, files), made_by)


def check(path: str | Path) -> str | None:
    """Compare a file with the list that names it. A file is read once per process,
    unless it changes.

    Returns:
        Its sha256, or ``None`` if no list names it.

    Raises:
        FatalError: If the file is gone or was changed since its list was written, or
            the list itself is damaged.
    """
    path = _plain(path)
    for folder in path.parents[:LEVELS]:
        listed = _list_of(folder)
        if listed is None:
            continue
        expected = listed[0].get(path.relative_to(folder).as_posix())
        if expected is None:
            continue
        _compare(path, expected, _plain(folder / listed[1]))
        return expected
    return None


def checked(path: Path) -> Path:
    """The path, once :func:`check` has found nothing wrong."""
    check(path)
    return path


def check_all(folder: str | Path) -> None:
    """Compare all files that a folder's list names.

    Raises:
        FatalError: If one is gone or was changed.
    """
    folder = _plain(folder)
    listed = _list_of(folder)
    for name, expected in listed[0].items() if listed else ():
        _compare(folder / name, expected, _plain(folder / listed[1]))


def drop_damaged(folder: Path) -> list[str]:
    """Remove the files of a folder that are no longer what its list says, so that a job
    that keeps what is there makes them anew; their names.
    """
    listed = _list_of(_plain(folder))
    dropped = []
    for name, expected in (listed[0] if listed else {}).items():
        path = folder / name
        if path.exists() and sha256_of(path) != expected:
            path.unlink()
            dropped.append(name)
    return dropped


def trust(paths: Iterable[Path]) -> None:
    """Take files as checked: another process of the same job has done so."""
    for path in map(Path, paths):
        if path.exists():
            _checked[str(_plain(path))] = _state(path)


def _plain(path: str | Path) -> Path:
    """Absolute and without ``..``; links stay, since a list stands beside the name and
    not beside what it points to.
    """
    return Path(os.path.normpath(Path(path).absolute()))


def _compare(path: Path, expected: str, made_by: Path) -> None:
    if made_by.is_relative_to(Path.cwd()):
        made_by = made_by.relative_to(Path.cwd())
    hint = f"delete {made_by} and run the workflow again"
    try:
        state = _state(path)
    except FileNotFoundError as error:
        raise FatalError("a file that an earlier job made is gone", path, hint) from error
    if _checked.get(str(path)) == state:
        return
    if sha256_of(path) != expected:
        raise FatalError("a file was changed since an earlier job made it: its checksum differs", path, hint)
    _checked[str(path)] = state


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _list_of(folder: Path) -> tuple[dict[str, str], str] | None:
    """Checksums by name, and the output whose deletion makes the files anew."""
    path = folder / NAME
    try:
        return _parse(path, *_state(path))
    except FileNotFoundError:
        return None


@lru_cache(maxsize=4096)
def _parse(path: Path, size: int, changed: int) -> tuple[dict[str, str], str] | None:
    head, _, body = path.read_bytes().partition(b"\n")
    if not (head.startswith(b"# ") or body.startswith(b"# ")):
        return None  # a user's own list: sha256sum writes no such lines
    if head != b"# " + hashlib.sha256(body).hexdigest().encode():
        raise FatalError(
            "a list of checksums was changed since it was written",
            path,
            "delete the file and run the workflow again, or have the files of its folder made anew",
        )
    first, *lines = body.decode().splitlines()
    sums = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        sums[name] = digest
    return sums, first.partition("delete: ")[2]

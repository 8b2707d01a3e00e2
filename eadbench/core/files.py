"""Atomic outputs and content hashes."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; rename it to ``target`` if the block succeeds.

    Works for files and folders (the block creates whichever it wants). The suffix is kept, since codecs look at it.
    On failure the temporary file or folder is removed and ``target`` is left as it was.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part-{os.getpid()}-{target.name}")
    _remove(part)
    try:
        yield part
        if part.is_dir() and target.is_dir():
            _remove(target)
        part.replace(target)
    except BaseException:
        _remove(part)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(target: str | Path, text: str) -> None:
    """Write ``text`` to ``target`` atomically."""
    with atomic_path(target) as part:
        part.write_text(text, encoding="utf-8")


def sha256_of(path: str | Path) -> str:
    """Hex sha256 of a file's content, read in blocks."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

"""Where the results go; checked before anything large is imported."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eadbench.core import files
from eadbench.core.errors import EadbenchError
from eadbench.tables.config import CELLS, TABLES

PRINT_SUFFIXES = ("md", "tex", "csv")  # the table in print, beside the long one


@contextmanager
def reserve_output(out: Path, page: Path | None = None) -> Iterator[None]:
    """Check, before anything is measured, that ``out``, what goes beside it and the
    folder of the page can be written, and hold the right to write ``out``.

    Raises:
        EadbenchError: If it is no Parquet file's name, a folder, in a place that cannot
            be written, or another run's; if what goes beside it or the page cannot be
            written.
    """
    if out.suffix != ".parquet":
        others = " ".join(f"*.{suffix}" for suffix in PRINT_SUFFIXES)
        raise EadbenchError(
            "--out names a Parquet table",
            out,
            f"give a name that ends with .parquet; {others} of the same name go beside it",
        )
    if out.is_dir():
        raise EadbenchError("--out is a folder", out, f"name a file in it, e.g. {out / 'scores.parquet'}")
    _refuse_others_beside(out)
    if page is not None:
        _make_page_folder(page)
    lock = out.with_name(f".{out.name}.lock")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
    except OSError as error:
        raise EadbenchError(
            f"--out cannot be written: {error.strerror}", out, "name a file in a folder of yours"
        ) from error
    with files.exclusive_lock(handle, out, "wait for it, or give another --out"):
        yield


def _refuse_others_beside(out: Path) -> None:
    """Refuse a folder that has the name of a file that goes beside ``out``, and a file
    that has the name of a folder.
    """
    prints = (out.with_suffix(f".{suffix}") for suffix in PRINT_SUFFIXES)
    expected_files = (*prints, clips_file(out), groups_file(out))
    expected_folders = (out.with_name(out.name + suffix) for suffix in (CELLS, TABLES))
    found = [("folder", path) for path in expected_files if path.is_dir()]
    found += [("file", path) for path in expected_folders if path.exists() and not path.is_dir()]
    for kind, path in found:
        raise EadbenchError(
            f"a {kind} has a name that --out needs", path, "move it away, or give another --out"
        )


def _make_page_folder(page: Path) -> None:
    try:
        page.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=page):
            pass
    except OSError as error:
        raise EadbenchError(
            f"--page cannot be written: {error.strerror}", page, "name a folder of yours"
        ) from error


def clips_file(out: Path) -> Path:
    """The table of all clips beside ``out``."""
    return out.with_suffix(".clips.csv")


def groups_file(out: Path) -> Path:
    """The means by group beside ``out``."""
    return out.with_suffix(".by.csv")

"""Where the results go; checked before anything large is imported."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eadbench.core import files
from eadbench.core.errors import EadbenchError

PRINT_SUFFIXES = ("md", "tex", "csv")  # the table in print, beside the long one


@contextmanager
def reserve_output(out: Path) -> Iterator[None]:
    """Check, before anything is measured, that ``out`` can be written, and hold the
    right to write it.

    Raises:
        EadbenchError: If it is no Parquet file's name, a folder, in a place that cannot
            be written, or another run's.
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


def clips_file(out: Path) -> Path:
    """The table of all clips beside ``out``."""
    return out.with_suffix(".clips.csv")


def groups_file(out: Path) -> Path:
    """The means by group beside ``out``."""
    return out.with_suffix(".by.csv")

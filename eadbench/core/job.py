"""One command's work on many items: what an interrupted run finished is used again, the
table is written, and what lies beside it is sealed.

A stage reads its rows, asks :meth:`Job.done` for each item, computes those that are
not, gives each to :meth:`Job.keep`, and ends with :meth:`Job.write`. "Unchanged" means
the same everywhere: the content of the files that went in, by their sha256, and what of
the settings shapes an item; and the files that came out are still what they were.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from eadbench.core import provenance, seals
from eadbench.core.files import disk_is_full, full_disk, remove_partial, sha256_of, write_text
from eadbench.core.tables import DROPPED, FAILED, Table, check_not_all_failed, write_table

VERSION = 1  # of the records


class Job:
    """See the module.

    Args:
        out: The table that the job writes. The folder, or ``media``, is the job's own.
        settings: Settings for the record of provenance (anything JSON can hold).
        shaping: What decides how an item comes out: settings, versions, hashes of
            networks (anything JSON can hold).
        inputs: Name to file (hashed) or to a hash, for the record.
        media: Folder of the files that come with the rows; that of ``out`` by default.
        record: Folder of ``provenance.json``; that of ``out`` by default.
        lasting: Keep what is finished for later runs, not only for one that goes on:
            for work that is expensive, and whose files stay where they are.
        begin: Whether to :meth:`begin` at once; a stage that may find everything done
            already does it later.
    """

    def __init__(
        self,
        out: Path,
        settings: object,
        shaping: object,
        inputs: Mapping[str, Path | str] | None = None,
        media: Path | None = None,
        record: Path | None = None,
        lasting: bool = False,
        begin: bool = True,
    ) -> None:
        self.out, self.settings = out, settings
        self.inputs = {
            name: sha256_of(value) if isinstance(value, Path) else value
            for name, value in (inputs or {}).items()
        }
        self.folder, self.record = media or out.parent, record or out.parent
        self._started, self._lasting = time.time(), lasting
        self._shaping = _digest([VERSION, shaping])
        self._hashes: dict[Path, str] = {}
        self._keys: set[str] = set()  # of this run's items
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self._notes = Notes(out.with_name(f".{out.stem}.done.jsonl"))
        if begin:
            self.begin()

    def begin(self) -> None:
        """Remove the old table: a kill must not leave it beside files that are not its
        own.
        """
        self.out.unlink(missing_ok=True)

    def key(self, item: object, *files: Path) -> str:
        """Name of an item's result: its facts (anything JSON can hold), what shapes it,
        and the content of the files that go in.

        Raises:
            FatalError: If one of the files is gone or was changed since an earlier job
                made it.
        """
        key = _digest([self._shaping, item, [self._hash(path) for path in files]])
        self._keys.add(key)
        return key

    def done(self, key: str) -> dict[str, Any] | None:
        """What an interrupted run kept under a key, if all its files are still what
        they were.
        """
        entry = self._notes.entries.get(key)
        if entry is None:
            return None
        for name, checksum in entry["sums"].items():
            path = self.folder / name
            if not path.is_file() or sha256_of(path) != checksum:
                return None
        return entry["value"]

    def keep(self, key: str, value: dict[str, Any], files: Iterable[Path] = ()) -> None:
        """Record a result before the next item is begun; what failed is left out, so that
        a rerun tries it again.

        Args:
            key: Of :meth:`key`.
            value: The row, or whatever the stage makes its rows of; with a ``status``
                if it can fail.
            files: Files of the result, in the job's folder.
        """
        if value.get("status") == FAILED:
            return
        self._notes.add(key, {"value": value, "sums": seals.sums_of(self.folder, files)})

    def write(
        self,
        rows: pd.DataFrame | list[dict[str, Any]],
        table: Table,
        sort_by: str | list[str],
        what: str | None,
        files: Iterable[Path] | None = None,
        where: object = None,
        **facts: object,
    ) -> None:
        """Write the table, the checksums of what lies beside it and the record of
        provenance; remove the records for a rerun.

        Args:
            rows: The rows.
            table: Their contract.
            sort_by: Column or columns that order them.
            what: The items, for the message if all failed; ``None`` if the stage has
                checked that itself.
            files: Files to seal; ``None`` if the job leaves none beside the table.
            where: Place for that message; the table by default.
            facts: For the record.

        Raises:
            EadbenchError: If every item failed (apart from those that were dropped), or
                a row breaks the contract.
        """
        if what:
            records = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows
            attempted = (row for row in records if row["status"] != DROPPED)
            check_not_all_failed(attempted, what, where or self.out)
        if files is not None:
            checksums: dict[str, str] = {}
            for key in self._keys & self._notes.entries.keys():
                checksums |= self._notes.entries[key]["sums"]
            paths = {path.relative_to(self.folder).as_posix(): path for path in files}
            sums = {name: checksums.get(name) or sha256_of(path) for name, path in paths.items()}
            seals.seal(self.folder, sums, self.out)
        write_table(self.out, rows, table, sort_by)
        provenance.write(self.record, self.settings, self.inputs, self._started, **facts)
        self._notes.keep_only(self._keys if self._lasting else set())
        remove_partial(self.out.parent)

    def _hash(self, path: Path) -> str:
        """sha256 of a file, compared with the list that names it; empty for a user's
        file that is not there.
        """
        if path not in self._hashes:
            self._hashes[path] = seals.check(path) or (sha256_of(path) if path.is_file() else "")
        return self._hashes[path]


class Notes:
    """What is finished, a line of JSON each, behind the hash of its text: a line that was
    changed, or cut by a kill, does not count.

    Args:
        path: The file; reading removes such lines.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        content = path.read_bytes() if path.exists() else b""
        for line in content.split(b"\n"):
            digest, _, text = line.partition(b" ")
            if hashlib.sha256(text).hexdigest().encode() == digest:
                key, entry = json.loads(text)
                self.entries[key] = entry
        self.keep_only(self.entries.keys())

    def add(self, key: str, entry: dict[str, Any]) -> None:
        """Append one; it reaches the disk before the next item is begun.

        Raises:
            FatalError: If the disk is full.
        """
        self.entries[key] = entry
        try:
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(_line(key, entry))
        except OSError as error:
            if disk_is_full(error, self.path.parent):
                raise full_disk(self.path) from error
            raise

    def keep_only(self, keys: Iterable[str]) -> None:
        """Write the file anew with some entries; without any it is removed."""
        to_keep = set(keys)
        self.entries = {key: entry for key, entry in self.entries.items() if key in to_keep}
        if self.entries:
            write_text(self.path, "".join(_line(*item) for item in self.entries.items()))
        else:
            self.path.unlink(missing_ok=True)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _line(key: str, entry: dict[str, Any]) -> str:
    text = json.dumps([key, entry])
    return f"{hashlib.sha256(text.encode()).hexdigest()} {text}\n"

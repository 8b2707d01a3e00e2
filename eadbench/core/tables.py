"""Parquet tables with declared columns, written atomically with a checksum, and checked
when read.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, make_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eadbench.core.errors import EadbenchError, FatalError, workflow_command
from eadbench.core.files import atomic_path, explained
from eadbench.core.status import DROPPED, FAILED, KEPT  # noqa: F401 (readers of tables import them from here)

# Key in a table's footer; its value is the sha256 of the file with zeros in the place
# of the value.
DIGEST = b"sha256 of this file with 64 zeros here"
ZEROS = b"0" * 64
ANEW = "delete the file and run the workflow again"
PYTHON = {pa.string(): str, pa.int64(): int, pa.float64(): float, pa.bool_(): bool, pa.binary(): bytes}
BATCH = 4096  # rows that are made at a time; equal values among them are one object


@dataclass(frozen=True)
class Column:
    """One column: its name, Arrow type, meaning (with unit and range), whether it may
    be null, and whether it is a path, relative to the table's folder.
    """

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = True
    path: bool = False

    @property
    def python(self) -> Any:
        """Type of its values in a typed row."""
        kind = Path if self.path else PYTHON[self.type]
        return kind | None if self.nullable else kind


class Row:
    """Base of typed rows: frozen dataclasses with the columns of a table as fields, see
    :func:`read_rows`.
    """

    __slots__ = ()

    def written(self, folder: str | Path) -> dict[str, Any]:
        """The row as a table in ``folder`` holds it: paths are relative to it."""
        home = Path(folder).resolve()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: os.path.relpath(v, home) if isinstance(v, Path) else v for k, v in values.items()}


@dataclass(frozen=True)
class Table:
    """A table's contract: name, what one row is, columns, key (columns that tell the
    rows apart) and version (raised when columns change their meaning).
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    version: int = 1
    key: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        fields = [pa.field(c.name, c.type, c.nullable, {"meaning": c.meaning}) for c in self.columns]
        return pa.schema(fields, metadata={"table": self.name, "version": str(self.version)})

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    @cached_property
    def row_type(self) -> type[Row]:
        """Class of its typed rows, e.g. ``ClipListRow`` of the table ``clip_list``."""
        name = "".join(part.capitalize() for part in self.name.split("_")) + "Row"
        return make_dataclass(
            name,
            [(column.name, column.python) for column in self.columns],
            bases=(Row,),
            namespace={"__module__": "eadbench.core.schemas", "__doc__": f"{self.row}, typed."},
            frozen=True,
            slots=True,
        )


def write_table(
    path: str | Path,
    rows: pd.DataFrame | Iterable[Mapping],
    table: Table,
    sort_by: str | list[str] | None = None,
) -> None:
    """Write rows under a table's contract. Columns that a row does not have are null;
    unknown ones are refused.

    Raises:
        EadbenchError: If there is a column too many, a wrong type, a null where none
            may be or a row twice.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    extra = [name for name in frame.columns if name not in table.names]
    if extra:
        raise EadbenchError(
            f"columns that table {table.name!r} does not have: {', '.join(extra)}",
            path,
            "declare them in eadbench/core/schemas.py",
        )
    frame = frame.reindex(columns=table.names)
    if sort_by:
        frame = frame.sort_values(sort_by, kind="stable")
    for column in table.columns:
        if not column.nullable and frame[column.name].isna().any():
            raise EadbenchError(f"table {table.name!r} has nulls in column {column.name!r}", path)
    try:
        arrow = pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False)
        arrow = arrow.replace_schema_metadata(table.schema.metadata)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeEncodeError) as error:
        raise EadbenchError(f"rows do not fit table {table.name!r}: {error}", path) from error
    if duplicate := _duplicate_row(frame, table):
        raise EadbenchError(duplicate, path)
    with atomic_path(path) as part:
        with pq.ParquetWriter(part, arrow.schema, compression="zstd") as writer:
            writer.write_table(arrow)
            writer.add_key_value_metadata({DIGEST: ZEROS})
        data = part.read_bytes()
        with part.open("r+b") as handle:
            handle.seek(_place(data))
            handle.write(hashlib.sha256(data).hexdigest().encode())


def _place(data: bytes) -> int | None:
    """Where the digest stands in a table's bytes: behind its key and two bytes of
    Thrift (type, length); ``None`` in a file of another program.
    """
    start = data.rfind(DIGEST)
    return None if start < 0 else start + len(DIGEST) + 2


def _read_whole(path: str | Path) -> bytes:
    """The bytes of a table, compared with their digest."""
    data = Path(path).read_bytes()
    place = _place(data)
    if place is not None:
        digest = hashlib.sha256(data[:place])
        digest.update(ZEROS)
        digest.update(data[place + len(ZEROS) :])
        if digest.hexdigest().encode() != data[place : place + len(ZEROS)]:
            raise ValueError("its checksum differs")
    return data


def read_table(path: str | Path, table: Table, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table and check that it keeps its contract: its name and version, the
    columns' types, nulls, and no row twice.

    An absent file, a damaged one, another table, one of another version and one with
    wrong contents are told apart.

    Raises:
        EadbenchError: If it is absent or breaks the contract; with the file's name, the
            column or row, and the remedy.
        FatalError: If it is damaged.
    """
    return _read(path, table, columns).to_pandas()


def read_rows(path: str | Path, table: Table) -> Iterator[Any]:
    """The rows of a table, one by one, as its :attr:`Table.row_type`: null is ``None``,
    integers and booleans are that although others are null, paths are absolute.

    Whether the file that a path names is still what it was is not checked; see
    :func:`eadbench.core.seals.checked`.

    Raises:
        EadbenchError: As :func:`read_table`, before the first row.
        FatalError: Likewise.
    """
    return _rows(_read(path, table, None), table, Path(path).resolve().parent)


def _rows(arrow: pa.Table, table: Table, folder: Path) -> Iterator[Any]:
    for batch in arrow.select(table.names).to_batches(BATCH):
        columns = []
        for column, values in zip(table.columns, batch.columns, strict=True):
            shared: dict[Any, Any] = {}  # equal values are one object
            cells = [shared.setdefault(value, value) for value in values.to_pylist()]
            if column.path:
                paths = {value: value and Path(os.path.normpath(folder / value)) for value in shared}
                cells = [paths[value] for value in cells]
            columns.append(cells)
        yield from map(table.row_type, *columns)


def _read(path: str | Path, table: Table, columns: list[str] | None) -> pa.Table:
    try:
        data = pa.BufferReader(_read_whole(path))
        _check_footer(pq.read_schema(data), path, table)
        data.seek(0)
        arrow = pq.read_table(data, columns=columns)
    except FileNotFoundError as error:
        hint = f"check the path; the workflow makes its tables: {workflow_command(path)}"
        raise EadbenchError(f"table {table.name!r} is missing", path, hint) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and (explanation := explained(error)):
            raise explanation from error
        raise FatalError(f"table {table.name!r} is damaged: {error}", path, ANEW) from error
    for column in table.columns:
        if not column.nullable and column.name in arrow.column_names and arrow[column.name].null_count:
            row = arrow[column.name].is_null().index(True).as_py()
            raise EadbenchError(
                f"column {column.name!r} of table {table.name!r} is empty in row {row + 1}", path, ANEW
            )
    key = [name for name in table.key if name in arrow.column_names]
    if duplicate := _duplicate_row(arrow.select(key).to_pandas(), table):
        raise EadbenchError(duplicate, path, ANEW)
    return arrow


def _check_footer(schema: pa.Schema, path: str | Path, table: Table) -> None:
    facts = schema.metadata or {}
    if (name := facts.get(b"table", b"?").decode(errors="replace")) != table.name:
        what = "was not written by eadbench" if name == "?" else f"is table {name!r}"
        raise EadbenchError(f"expected table {table.name!r}, the file {what}", path, "name the right file")
    version = facts.get(b"version", b"?").decode(errors="replace")
    missing = [name for name in table.names if name not in schema.names]
    if version != str(table.version) or missing:
        detail = f"version {version}, expected {table.version}"
        if missing:
            detail += f"; lacks {', '.join(missing)}"
        raise EadbenchError(f"table {table.name!r} is of another version ({detail})", path, ANEW)
    for column in table.columns:
        actual = schema.field(column.name).type
        if actual != column.type:
            raise EadbenchError(
                f"column {column.name!r} of table {table.name!r} holds {actual}, expected {column.type}",
                path,
                ANEW,
            )


def _duplicate_row(frame: pd.DataFrame, table: Table) -> str:
    """Which row of a frame that holds the key is there twice, in words; empty if none
    is.
    """
    key = list(table.key)
    if not key or not set(key) <= set(frame.columns):
        return ""
    duplicates = frame.duplicated(key, keep=False).to_numpy().nonzero()[0]
    if not len(duplicates):
        return ""
    keys = frame[key]
    values = keys.iloc[duplicates[0]]
    same_nulls = (keys.isna() == values.isna()).all(axis=1)
    same_values = ((keys == values) | values.isna()).all(axis=1)
    first, second, *_ = (same_nulls & same_values).to_numpy().nonzero()[0]
    texts = {name: "(none)" if pd.isna(value) else repr(value) for name, value in values.items()}
    key_text = ", ".join(f"{name} {text}" for name, text in texts.items())
    return f"rows {first + 1} and {second + 1} of table {table.name!r} are both that of {key_text}"


def concat_tables(
    paths: Iterable[str | Path],
    table: Table,
    target: str | Path,
    sort_by: str | list[str],
) -> pd.DataFrame:
    """Merge shard tables into one, sorted, so that the number of shards leaves no
    trace.

    Args:
        paths: The shard tables.
        table: Their common contract.
        target: The merged table.
        sort_by: Column or columns that order the rows.
    """
    target = Path(target)
    frames = []
    for path in map(Path, paths):
        frame = read_table(path, table)
        folder = path.parent.resolve()
        for column in table.columns:
            if column.path:
                frame[column.name] = [
                    relative_to(folder / value, target.parent) if isinstance(value, str) and value else value
                    for value in frame[column.name]
                ]
        frames.append(frame)
    with_rows = [frame for frame in frames if len(frame)]
    merged = pd.concat(with_rows, ignore_index=True) if with_rows else frames[0]
    write_table(target, merged, table, sort_by)
    return merged


def relative_to(path: str | Path, folder: str | Path) -> str:
    """Path of a file as a table in ``folder`` writes it: always relative; may start
    with ``..``.
    """
    return os.path.relpath(Path(path).resolve(), Path(folder).resolve())


def check_not_all_failed(rows: Iterable[Mapping[str, Any]], what: str, where: object) -> None:
    """A shard in which everything failed is a failed job.

    Args:
        rows: One per item, with ``status`` and, where it failed, ``reason``; the message
            has the first reason.
        what: The items, for the message.
        where: Their place, for the message.

    Raises:
        EadbenchError: If there is at least one row and all are ``failed``.
    """
    rows = list(rows)
    if rows and all(row["status"] == FAILED for row in rows):
        message = f"all {len(rows)} {what} failed"
        first_reason = next((row["reason"] for row in rows if row.get("reason")), "")
        if first_reason:
            message += f"; the first: {first_reason}"
        raise EadbenchError(message, where, "fix what the reason names; the log has those of all")

"""What a table breaks of its contract is told at the door, with the column or the row."""

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.tables import (
    BATCH,
    PYTHON,
    Column,
    Table,
    concat_tables,
    read_rows,
    read_table,
    write_table,
)

TOY = Table(
    "toy",
    "one thing",
    (
        Column("name", pa.string(), "its name", nullable=False),
        Column("kind", pa.string(), "its kind"),
        Column("count", pa.int64(), "how many"),
        Column("x", pa.float64(), "a number"),
    ),
    key=("name", "kind"),
)
ROWS = [
    {"name": "a", "kind": "p", "count": 1, "x": 0.5},
    {"name": "a", "count": 2},
    {"name": "b", "kind": "p", "x": 1.5},
]


def another(**columns: pa.Array) -> pa.Table:
    """The toy table as some other program writes it, with some columns changed and the
    footer kept.
    """
    good = pa.Table.from_pylist(ROWS, TOY.schema)
    loose = pa.schema([field.with_nullable(True) for field in TOY.schema], metadata=TOY.schema.metadata)
    table = good.cast(loose)
    for name, values in columns.items():
        column = table.column_names.index(name)
        table = table.set_column(column, name, values)
    return table.replace_schema_metadata(TOY.schema.metadata)


HARMS = {
    "text in a number column": (
        another(x=pa.array(["1", "two", "3"])),
        "column 'x' of table 'toy' holds string, expected double",
    ),
    "numbers as ids": (
        another(name=pa.array([1, 2, 3])),
        "column 'name' of table 'toy' holds int64, expected string",
    ),
    "a null id": (another(name=pa.array(["a", None, "b"])), "column 'name' of table 'toy' is empty in row 2"),
    "a row twice": (
        another(kind=pa.array(["p", "q", "p"]), name=pa.array(["a", "b", "a"])),
        "rows 1 and 3 of table 'toy' .* name 'a', kind 'p'",
    ),
    "a row with a null twice": (
        another(kind=pa.array([None, None, "p"])),
        "rows 1 and 2 of table 'toy' .* name 'a', kind .none.",
    ),
    "another table": (
        pa.Table.from_pylist([], schemas.TEXTS.schema),
        "expected table 'toy', the file is table 'texts'",
    ),
    "another table's footer": (
        another().replace_schema_metadata(schemas.TEXTS.schema.metadata),
        "expected table 'toy', the file is table 'texts'",
    ),
    "no footer": (
        another().replace_schema_metadata(None),
        "expected table 'toy', the file was not written by eadbench",
    ),
    "a column too few": (another().drop_columns(["x"]), "lacks x"),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("columns", [None, ["name", "kind", "x"]])
def test_a_table_that_breaks_its_contract_is_refused(
    tmp_path: Path, harm: str, columns: list[str] | None
) -> None:
    table, words = HARMS[harm]
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(EadbenchError, match=words) as caught:
        read_table(tmp_path / "t.parquet", TOY, columns)
    assert caught.value.where == str(tmp_path / "t.parquet") and caught.value.hint


def test_a_folder_and_a_file_below_a_file_are_no_damaged_tables(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="a folder is there, expected a file"):
        read_table(tmp_path, TOY)
    (tmp_path / "file").touch()
    with pytest.raises(FatalError, match="a part of the path is a file"):
        read_table(tmp_path / "file" / "t.parquet", TOY)


def test_the_same_table_unharmed_is_read(tmp_path: Path) -> None:
    pq.write_table(another(), tmp_path / "t.parquet")
    write_table(tmp_path / "own.parquet", ROWS, TOY)
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "t.parquet", TOY), read_table(tmp_path / "own.parquet", TOY)
    )


def test_columns_without_the_key_are_read_as_they_are(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", ROWS, TOY)
    assert read_table(tmp_path / "t.parquet", TOY, ["name"])["name"].tolist() == ["a", "a", "b"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_table(path, [*ROWS, ROWS[2]], TOY),
        lambda path: concat_tables([shard(path)] * 2, TOY, path, "name"),
    ],
)
def test_a_row_is_not_written_twice(tmp_path: Path, write: Callable[[Path], object]) -> None:
    with pytest.raises(EadbenchError, match="both that of name"):
        write(tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


def shard(path: Path) -> Path:
    write_table(path.with_name("shard.parquet"), ROWS, TOY)
    return path.with_name("shard.parquet")


def test_every_table_between_stages_has_a_key_of_its_columns() -> None:
    for table in schemas.ALL:
        assert table.key and set(table.key) <= set(table.names), table.name


def some_value(column: Column) -> object:
    """A value that a column may hold."""
    return {str: "files/a", int: 7, float: 0.5, bool: True, bytes: b"x"}[PYTHON[column.type]]


@pytest.mark.parametrize("table", schemas.ALL, ids=lambda table: table.name)
def test_typed_rows_are_what_the_table_declares(table: Table, tmp_path: Path) -> None:
    full = {column.name: some_value(column) for column in table.columns}
    null = full | {column.name: None for column in table.columns if column.nullable}
    loose = replace(table, key=())
    write_table(tmp_path / "t.parquet", [full, null], loose)
    first, second = read_rows(tmp_path / "t.parquet", loose)
    assert [field.name for field in fields(table.row_type)] == table.names
    for column, field in zip(table.columns, fields(table.row_type), strict=True):
        expected = tmp_path.resolve() / "files/a" if column.path else full[column.name]
        assert getattr(first, column.name) == expected
        assert type(getattr(first, column.name)) is (type(expected) if column.path else PYTHON[column.type])
        assert getattr(second, column.name) == (None if column.nullable else expected)
        assert isinstance(getattr(second, column.name), field.type)
    assert [first.written(tmp_path), second.written(tmp_path)] == [full, null]


def test_typed_rows_are_frozen_and_go_to_other_processes(tmp_path: Path) -> None:
    row = {"clip_id": "a", "corpus": "c", "frames": 3, "status": "kept", "reason": ""}
    write_table(tmp_path / "t.parquet", [row], schemas.FEATURES)
    (row,) = read_rows(tmp_path / "t.parquet", schemas.FEATURES)
    assert isinstance(row, schemas.FeaturesRow) and pickle.loads(pickle.dumps(row)) == row
    with pytest.raises(FrozenInstanceError):
        row.frames = 4


def test_typed_rows_come_in_the_table_s_order_whatever_their_number(tmp_path: Path) -> None:
    names = [f"n{k}" for k in range(2 * BATCH + 1)]
    write_table(tmp_path / "t.parquet", [{"name": name, "kind": "p"} for name in names], TOY)
    rows = list(read_rows(tmp_path / "t.parquet", TOY))
    assert [row.name for row in rows] == names
    assert rows[0].kind is rows[1].kind and rows[0].count is None


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_broken_contract_is_told_before_the_first_row(tmp_path: Path, harm: tuple[pa.Table, str]) -> None:
    table, message = harm
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(EadbenchError, match=message):
        read_rows(tmp_path / "t.parquet", TOY)

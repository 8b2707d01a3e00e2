"""Checksums beside the tables, and those inside Parquet: a changed byte never passes
unseen.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eadbench.core import seals
from eadbench.core.errors import FatalError
from eadbench.core.tables import Column, Table, read_table, write_table

TOY = Table(
    "toy",
    "one thing",
    (
        Column("name", pa.string(), "its name", nullable=False),
        Column("n", pa.int64(), "a count"),
        Column("x", pa.float64(), "a number"),
    ),
)
ROWS = [{"name": f"row {k}", "n": None if k % 5 == 0 else k, "x": float(np.sqrt(k))} for k in range(200)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("videos/a.mp4", "videos/b c.mp4", "model.bin"):
        path = tmp_path / "shard" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    files = [path for path in (tmp_path / "shard").rglob("*") if path.is_file()]
    seals.seal_files(tmp_path / "shard", files, tmp_path / "shard" / "table.parquet")
    return tmp_path / "shard"


def flip(path: Path, offset: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[offset % len(data)] ^= 1 << bit
    path.write_bytes(data)


def test_whole_files_pass_and_strangers_too(folder: Path) -> None:
    seals.check_all(folder)
    assert seals.check(folder / "videos/a.mp4") == seals.sha256_of(folder / "videos/a.mp4")
    (folder / "videos/mine.mp4").write_bytes(b"a user's")
    assert seals.check(folder / "videos/mine.mp4") is None


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "empty"])
def test_a_changed_file_is_named_with_the_remedy(folder: Path, harm: str) -> None:
    path = folder / "videos/b c.mp4"
    seals.check(path)  # what was checked once is checked again after a change
    if harm == "flip":
        flip(path, 40)
    elif harm == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50] if harm == "truncate" else b"")
    with pytest.raises(FatalError, match=r"videos/b c\.mp4(.|\n)*delete .*table\.parquet"):
        seals.check(path)
    with pytest.raises(FatalError, match=r"b c\.mp4"):
        seals.check_all(folder)
    seals.check(folder / "model.bin")


@hypothesis_settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.integers(0, 400), st.integers(0, 7))
def test_a_changed_list_is_named(tmp_path: Path, offset: int, bit: int) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"content")
    seals.seal_files(tmp_path, [path], tmp_path / "t.parquet")
    flip(tmp_path / seals.NAME, offset, bit)
    seals._parse.cache_clear()  # the test is faster than the clock of the file system
    with pytest.raises(FatalError, match="sums"):
        seals.check(path)


def test_the_nearest_list_that_names_a_file_decides(folder: Path) -> None:
    inner = folder / "corrected"
    inner.mkdir()
    (inner / "x.wav").write_bytes(b"sound")
    seals.seal_files(inner, [inner / "x.wav"], folder / "checked.parquet")
    seals.check(inner / "x.wav")
    flip(inner / "x.wav", 1)
    with pytest.raises(FatalError, match=r"checked\.parquet"):
        seals.check(inner / "x.wav")


def test_all_of_a_list_is_compared_however_deep(folder: Path) -> None:
    deep = folder.joinpath(*"abcdefghij", "x.bin")
    deep.parent.mkdir(parents=True)
    deep.write_bytes(b"content")
    seals.seal_files(folder, [deep], folder / "table.parquet")
    seals.check_all(folder)
    flip(deep, 1)
    with pytest.raises(FatalError, match=r"x\.bin"):
        seals.check_all(folder)


def test_a_moved_folder_still_passes(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    seals.check_all(tmp_path / "elsewhere")


def test_sha256sum_reads_the_list(folder: Path) -> None:
    assert (
        subprocess.run(
            ["sha256sum", "--check", "--strict", seals.NAME], cwd=folder, capture_output=True
        ).returncode
        == 0
    )


def test_a_users_own_list_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"content")
    (tmp_path / seals.NAME).write_text(f"{'0' * 64}  x.bin\n")
    assert seals.check(tmp_path / "x.bin") is None
    seals.check_all(tmp_path)


def test_another_process_of_the_job_can_be_trusted(folder: Path) -> None:
    flip(folder / "model.bin", 3)
    seals.trust([folder / "model.bin"])
    seals.check(folder / "model.bin")


def test_a_path_is_handed_on_once_it_is_checked(folder: Path) -> None:
    assert seals.checked(folder / "videos/a.mp4") == folder / "videos/a.mp4"
    flip(folder / "videos/a.mp4", 7)
    with pytest.raises(FatalError, match=r"a\.mp4"):
        seals.checked(folder / "videos/a.mp4")


def test_no_flipped_byte_of_a_table_changes_a_value_unseen(tmp_path: Path) -> None:
    """Every byte of a small table, one bit each: an error that names the file, or the
    very same values.
    """
    path = tmp_path / "t.parquet"
    write_table(path, ROWS, TOY)
    right, whole = read_table(path, TOY), path.read_bytes()
    caught = 0
    for offset in range(len(whole)):
        data = bytearray(whole)
        data[offset] ^= 1 << (offset * 5 % 8)
        path.write_bytes(data)
        try:
            table = read_table(path, TOY)
        except FatalError as error:
            assert str(path) in str(error)
            caught += 1
        else:
            pd.testing.assert_frame_equal(table, right, obj=f"byte {offset}")
    assert caught > len(whole) // 2


@pytest.mark.parametrize("size", [0, 1, 8, 100, -1])
def test_a_truncated_table_is_named(tmp_path: Path, size: int) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, ROWS, TOY)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FatalError, match=r"t\.parquet"):
        read_table(path, TOY)


def test_damaged_files_can_be_dropped_for_a_job_that_keeps_what_is_there(folder: Path) -> None:
    flip(folder / "model.bin", 5)
    (folder / "videos/a.mp4").unlink()
    assert seals.drop_damaged(folder) == ["model.bin"]
    assert not (folder / "model.bin").exists() and (folder / "videos/b c.mp4").exists()
    assert seals.drop_damaged(folder.parent) == []


def test_sealing_clears_away_what_a_kill_left(folder: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    leftover, own = folder / f"videos/.part-{gone.pid}-a.mp4", folder / f"videos/.part-{os.getpid()}-b.mp4"
    leftover.touch(), own.touch()
    seals.seal_files(folder, [folder / "videos/a.mp4"], folder / "table.parquet")
    assert not leftover.exists() and own.exists()

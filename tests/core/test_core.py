"""Files, seeds, shards, tables, settings: the properties that every stage relies on."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eadbench.core import emotions, schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.files import atomic_path, sha256_of
from eadbench.core.seeds import rng_for, seed_for
from eadbench.core.settings import load, merge
from eadbench.core.shards import parse_shard, shard_of
from eadbench.core.tables import Column, Table, check_not_all_failed, concat_tables, read_table, write_table

TOY = Table(
    "toy",
    "one thing",
    (
        Column("name", pa.string(), "its name", nullable=False),
        Column("path", pa.string(), "a file", path=True),
        Column("x", pa.float64(), "a number"),
    ),
)


def test_atomic_path_leaves_nothing_half_written(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_atomic_path_replaces_a_folder(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    with atomic_path(tmp_path / "d") as part:
        part.mkdir()
        (part / "new").touch()
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["new"]


@given(st.integers(0, 2**31), st.text(min_size=1), st.text(min_size=1))
def test_seeds_depend_on_every_name(seed, a, b):
    assert seed_for(seed, a, b) == seed_for(seed, a, b)
    assert 0 <= seed_for(seed, a, b) < 2**63
    if a != b:
        assert seed_for(seed, a, b) != seed_for(seed, b, a)


def test_seed_names_are_separated():
    assert seed_for(1, "ab", "c") != seed_for(1, "a", "bc")
    assert rng_for(1, "x").random() == rng_for(1, "x").random()


@given(st.text(min_size=1), st.integers(1, 50))
def test_shard_is_in_range(key, count):
    assert 0 <= shard_of(key, count) < count


def test_shards_are_balanced():
    counts = np.bincount([shard_of(f"rec{i}", 8) for i in range(4000)], minlength=8)
    assert counts.min() > 400


@pytest.mark.parametrize("text", ["4-of-4", "a-of-4", "1", "-1-of-3", "1-of-"])
def test_bad_shard_is_refused(text):
    with pytest.raises(ValueError, match="0-of-4"):
        parse_shard(text)


def test_table_round_trip_and_order(tmp_path):
    write_table(tmp_path / "t.parquet", [{"name": "b", "x": 1}, {"name": "a"}], TOY, sort_by="name")
    frame = read_table(tmp_path / "t.parquet", TOY)
    assert frame["name"].tolist() == ["a", "b"]
    assert np.isnan(frame["x"][0])


def test_empty_table_keeps_its_types(tmp_path):
    write_table(tmp_path / "t.parquet", [], TOY)
    assert read_table(tmp_path / "t.parquet", TOY).empty


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"name": "a", "extra": 1}], "extra"),
        ([{"name": None}], "nulls"),
        ([{"name": "a", "x": "text"}], "do not fit"),
    ],
)
def test_rows_that_break_the_contract_are_refused(tmp_path, rows, message):
    with pytest.raises(EadbenchError, match=message):
        write_table(tmp_path / "t.parquet", rows, TOY)
    assert not (tmp_path / "t.parquet").exists()


def test_damaged_missing_and_outdated_tables_are_told_apart(tmp_path):
    with pytest.raises(EadbenchError, match="missing"):
        read_table(tmp_path / "none.parquet", TOY)
    write_table(tmp_path / "t.parquet", [{"name": "a"}], TOY)
    newer = Table("toy", TOY.row, TOY.columns, version=2)
    with pytest.raises(EadbenchError, match="another version"):
        read_table(tmp_path / "t.parquet", newer)
    data = bytearray((tmp_path / "t.parquet").read_bytes())
    (tmp_path / "t.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(FatalError, match="damaged"):
        read_table(tmp_path / "t.parquet", TOY)


def test_number_of_shards_leaves_no_trace(tmp_path):
    rows = [{"name": f"n{i}", "path": f"videos/{i}.mp4", "x": float(i)} for i in range(10)]
    hashes = []
    for count in (1, 3):
        paths = []
        for k in range(count):
            path = tmp_path / "shards" / f"{k}-of-{count}" / "t.parquet"
            write_table(
                path,
                [
                    {**r, "path": f"../../v/{r['name']}" if r["x"] else None}
                    for r in rows
                    if shard_of(r["name"], count) == k
                ],
                TOY,
            )
            paths.append(path)
        merged = concat_tables(paths, TOY, tmp_path / f"merged{count}.parquet", "name")
        assert merged["path"].isna().tolist() == [not r["x"] for r in rows]
        assert merged["path"].dropna().str.startswith("v/").all()
        hashes.append(sha256_of(tmp_path / f"merged{count}.parquet"))
    assert hashes[0] == hashes[1]


def test_a_shard_in_which_all_failed_is_an_error():
    failed = {"status": "failed", "reason": "no video of it"}
    check_not_all_failed([failed, {"status": "kept"}], "clips", "x")
    check_not_all_failed([], "clips", "x")
    with pytest.raises(EadbenchError, match="all 2 clips failed; the first: no video of it"):
        check_not_all_failed([failed | {"reason": None}, failed], "clips", "x")


def test_settings_hold_only_what_was_given():
    settings = load(json.dumps({"seed": 3}), None)
    assert settings.seed == 3
    with pytest.raises(EadbenchError, match="lack section 'zoo'"):
        _ = settings.zoo
    with pytest.raises(EadbenchError, match="unknown key 'sede'"):
        load(json.dumps({"sede": 3}), None)


def test_mistakes_in_a_section_name_the_key():
    raw = {"zoo": {"artefacts": {"vae": {"kind": "vae", "how": "guessed"}}, "colour": "red"}}
    with pytest.raises(EadbenchError) as caught:
        _ = load(json.dumps(raw), None).zoo
    assert "artefacts.vae.how" in str(caught.value)
    assert "colour" in str(caught.value)


def test_merge_overlays_mappings_and_replaces_lists():
    assert merge({"a": {"x": 1, "y": [1, 2]}, "b": 1}, {"a": {"y": [3]}}) == {"a": {"x": 1, "y": [3]}, "b": 1}


def test_emotion_names():
    assert emotions.common_name(" Surprised ") == "surprise"
    with pytest.raises(KeyError, match="unknown emotion"):
        emotions.common_name("hangry")
    assert emotions.valence_arousal_intensity("neutral") == (0.0, 0.0, 0.0)
    assert set(emotions.VALENCE_AROUSAL) == set(emotions.EMOTIONS)


def test_every_column_has_a_meaning():
    for table in schemas.ALL:
        assert isinstance(pd.DataFrame(columns=table.names), pd.DataFrame)
        assert len(set(table.names)) == len(table.names), table.name
        assert all(c.meaning for c in table.columns), table.name

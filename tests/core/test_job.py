"""The frame of every job: what was finished is taken up if it is unchanged, and nothing
else is.
"""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest

from eadbench.core import seals
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.job import Job
from eadbench.core.tables import Column, Table, read_table

STATUS = (
    Column("status", pa.string(), "", nullable=False),
    Column("reason", pa.string(), "", nullable=False),
)
TOY = Table(
    "toy",
    "one",
    (Column("name", pa.string(), "", nullable=False), Column("file", pa.string(), ""), *STATUS),
    key=("name",),
)


class Killed(BaseException):
    pass


def work(
    folder: Path, names: list[str], shaping: object = 1, dies_after: int = 99, fails: tuple[str, ...] = ()
) -> list[str]:
    """A stage that copies `in/NAME` to `out/files/NAME`; the names that it really
    worked on.
    """
    job, rows, worked = (
        Job(folder / "out/table.parquet", {"a": 1}, shaping, {"first": folder / "in" / names[0]}),
        [],
        [],
    )
    for name in names:
        source = folder / "in" / name
        key = job.key(name, source)
        row = job.done(key)
        if row is None:
            if len(worked) == dies_after:
                raise Killed
            worked.append(name)
            (folder / "out/files").mkdir(exist_ok=True)
            (folder / "out/files" / name).write_bytes(source.read_bytes())
            row = {"name": name, "file": f"files/{name}", "status": "kept", "reason": ""}
            if name in fails:
                row = {"name": name, "status": "failed", "reason": "no luck"}
            job.keep(key, row, [folder / "out/files" / name])
        rows.append(row)
    job.write(
        rows, TOY, "name", "names", files=[folder / "out" / row["file"] for row in rows if row.get("file")]
    )
    return worked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in "abcd":
        (tmp_path / "in" / name).write_text(f"content of {name}")
    return tmp_path


def interrupted(folder: Path, after: int = 3, **options: object) -> None:
    with pytest.raises(Killed):
        work(folder, list("abcd"), dies_after=after, **options)


def test_a_whole_run_leaves_table_checksums_and_record_and_nothing_else(folder: Path) -> None:
    assert work(folder, list("abcd")) == list("abcd")
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "files",
        "provenance.json",
        "sums.sha256",
        "table.parquet",
    ]
    assert read_table(folder / "out/table.parquet", TOY)["name"].tolist() == list("abcd")
    seals.check_all(folder / "out")
    record = json.loads((folder / "out/provenance.json").read_text())
    assert record["inputs"] == {"first": hashlib.sha256(b"content of a").hexdigest()} and record[
        "settings"
    ] == {"a": 1}
    assert record["peak_mb"] > 0 and record["seconds"] >= 0
    (folder / "out/files/b").write_text("changed")
    with pytest.raises(FatalError):
        seals.check(folder / "out/files/b")


def test_a_killed_run_goes_on_and_gives_the_same_bytes(folder: Path) -> None:
    work(folder, list("abcd"))
    whole = {
        path: path.read_bytes()
        for path in (folder / "out").rglob("*")
        if path.is_file() and path.name != "provenance.json"
    }
    interrupted(folder)
    assert not (folder / "out/table.parquet").exists()
    assert work(folder, list("abcd")) == ["d"]
    assert whole == {
        path: path.read_bytes()
        for path in (folder / "out").rglob("*")
        if path.is_file() and path.name != "provenance.json"
    }


@pytest.mark.parametrize(
    ("harm", "again"),
    [
        (lambda folder: (folder / "in/b").write_text("content of B"), ["b", "d"]),
        (lambda folder: (folder / "out/files/b").write_text("content of B"), ["b", "d"]),
        (lambda folder: (folder / "out/files/b").unlink(), ["b", "d"]),
        (
            lambda folder: side(folder).write_text(
                side(folder).read_text().replace('"name": "b"', '"name": "B"')
            ),
            ["b", "d"],
        ),
        (lambda folder: side(folder).write_bytes(side(folder).read_bytes()[:-30]), ["c", "d"]),
        (lambda folder: side(folder).write_bytes(b"\xff\x00garbage\n{}\n"), list("abcd")),
        (lambda folder: None, ["d"]),
    ],
    ids=["input", "output", "lost output", "letter", "torn line", "garbage", "nothing"],
)
def test_only_what_is_unchanged_is_taken_up(folder: Path, harm, again: list[str]) -> None:
    interrupted(folder)
    harm(folder)
    assert work(folder, list("abcd")) == again
    assert read_table(folder / "out/table.parquet", TOY)["name"].tolist() == list("abcd")


def side(folder: Path) -> Path:
    return next((folder / "out").glob(".*.jsonl"))


def test_other_settings_take_up_nothing_and_the_time_of_a_file_does_not_count(folder: Path) -> None:
    interrupted(folder, shaping={"quality": 1})
    for path in (folder / "in").iterdir():
        path.touch()
    assert work(folder, list("abcd"), shaping={"quality": 1}) == ["d"]
    interrupted(folder, shaping={"quality": 1})
    assert work(folder, list("abcd"), shaping={"quality": 2}) == list("abcd")


def test_going_back_to_earlier_settings_seals_what_really_lies_there(folder: Path) -> None:
    """Both left notes of a file of one name, of which the later ones are not the right
    ones.
    """
    interrupted(folder, after=3, shaping=1)
    old = {name: (folder / "in" / name).read_text() for name in "abcd"}
    for name in "abcd":
        (folder / "in" / name).write_text(f"other content of {name}")
    interrupted(folder, after=3, shaping=2)
    for name, text in old.items():
        (folder / "in" / name).write_text(text)
    assert work(folder, list("abcd"), shaping=1) == list("abcd")
    seals.check_all(folder / "out")


def test_what_failed_is_tried_again_and_if_all_failed_so_does_the_job(folder: Path) -> None:
    interrupted(folder, fails=("b",))
    assert work(folder, list("abcd")) == ["b", "d"]
    with pytest.raises(EadbenchError, match="all 4 names failed"):
        work(folder, list("abcd"), shaping=2, fails=tuple("abcd"))
    assert not (folder / "out/table.parquet").exists()


def test_an_input_that_was_changed_since_an_earlier_job_made_it_is_refused_at_the_door(folder: Path) -> None:
    seals.seal_files(folder / "in", (folder / "in").glob("?"), folder / "in/table")
    (folder / "in/c").write_text("changed content")
    with pytest.raises(FatalError, match="was changed"):
        work(folder, list("abcd"))

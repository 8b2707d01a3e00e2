"""The list of test clips: what it holds, and what a run covers of another."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from eadbench.cli import app
from eadbench.clips.listing import compare, read_list, shipped, write_list
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.settings import load
from eadbench.core.tables import read_table, write_table
from eadbench.corpora.ravdess import EMOTIONS, STATEMENTS
from eadbench.media.video import hash_of_frames, read_frames, write_video

ROOT = Path(__file__).parents[2]


@pytest.fixture
def corpus(tiny_clips: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Index and clips: the tiny clips, the first of the test split dropped, and one
    recording that could not be fetched.
    """
    shutil.copytree(tiny_clips.parent, tmp_path / "clips")
    clips = read_table(tiny_clips, schemas.CLIPS)
    clips["source_start"], clips["source_end"] = 0.0, 2.0
    first = clips.index[clips["split"] == "test"][0]
    clips.loc[first, ["status", "reason"]] = "dropped", "too dark"
    write_table(tmp_path / "clips/clips.parquet", clips, schemas.CLIPS, "clip_id")
    rows = [
        {"recording_id": r.recording_id, "corpus": "tiny", "split": r.split, "status": "kept", "reason": ""}
        for r in clips.itertuples()
    ]
    rows.append(
        {
            "recording_id": "GONE",
            "corpus": "tiny",
            "split": "test",
            "start": 3.0,
            "end": 5.0,
            "status": "failed",
            "reason": "private video",
        }
    )
    write_table(tmp_path / "index.parquet", rows, schemas.INDEX, "recording_id")
    return tmp_path / "index.parquet", tmp_path / "clips/clips.parquet"


def test_a_list_holds_every_test_recording_with_the_hash_of_its_clip_or_the_reason(
    corpus: tuple[Path, Path], tmp_path: Path
) -> None:
    assert write_list("tiny", *corpus, tmp_path / "out") is None
    listed = pd.read_csv(tmp_path / "out/list.csv").set_index("recording_id")
    index = read_table(corpus[0], schemas.INDEX)
    assert set(listed.index) == set(index.recording_id[index.split == "test"]) and set(listed["split"]) == {
        "test"
    }
    kept = listed[listed["status"] == "kept"]
    assert len(kept) == 1 and (kept["frames"] == 50).all() and (kept["end"] == 2.0).all()
    video = corpus[1].parent / f"videos/{kept['clip_id'].iloc[0]}.mp4"
    assert (50, kept["frames_sha256"].iloc[0]) == hash_of_frames(video)
    assert listed.loc["GONE", ["start", "end", "reason"]].tolist() == [3.0, 5.0, "private video"]
    assert set(listed["reason"].dropna()) == {"private video", "too dark"}
    assert json.loads((tmp_path / "out/coverage.json").read_text()) is None, "nothing to compare with"


def test_the_hash_is_that_of_the_frames_and_not_of_the_file(tmp_path: Path, tiny_clips: Path) -> None:
    video = next((tiny_clips.parent / "videos").glob("*.mp4"))
    frames = read_frames(video)
    write_video(tmp_path / "other.mp4", frames[::-1].copy(), 25)
    write_video(tmp_path / "silent.mp4", frames, 25)
    write_video(tmp_path / "again.mp4", frames, 25)
    assert (
        hash_of_frames(tmp_path / "silent.mp4")
        == hash_of_frames(tmp_path / "again.mp4")
        != hash_of_frames(tmp_path / "other.mp4")
    )
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(EadbenchError, match="cannot be opened"):
        hash_of_frames(tmp_path / "text.mp4")


def test_a_run_covers_its_own_list_and_says_what_another_had(
    corpus: tuple[Path, Path], tmp_path: Path
) -> None:
    write_list("tiny", *corpus, tmp_path / "out")
    mine = read_list(str(tmp_path / "out/list.csv"))
    kept = mine[mine["status"] == "kept"].iloc[0]
    same = compare(mine[mine["status"] == "kept"], mine, "mine")
    assert (same.listed, same.covered, same.gone, same.other, same.beyond) == (1, 1, {}, {}, 0)
    theirs = pd.DataFrame(
        [
            kept.to_dict() | {"frames_sha256": "0" * 64},
            {"recording_id": "GONE", "split": "test"},
            {"recording_id": "NOWHERE", "split": "test"},
            {"recording_id": kept["recording_id"], "split": "test", "clip_id": "another-000"},
            {"recording_id": kept["recording_id"], "split": "val"},
        ]
    ).reindex(columns=schemas.CLIP_LIST.names)
    coverage = compare(theirs, mine, "theirs")
    assert coverage.covered == 0 and coverage.other == {kept["clip_id"]: "the same stretch with other frames"}
    assert coverage.gone == {
        "GONE": "private video",
        "NOWHERE": "no such recording in test",
        "another-000": "no such clip in test",
        kept["recording_id"]: "no such recording in val",
    }
    moved = pd.DataFrame([kept.to_dict() | {"start": 1.0}])
    assert (
        "another stretch: 0.00 to 2.00 s, listed 1.00 to 2.00 s" in compare(moved, mine, "moved").sentence()
    )


def test_entries_that_share_a_name_are_counted_one_by_one(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    write_list("tiny", *corpus, tmp_path / "out")
    theirs = pd.DataFrame({"recording_id": ["GONE"] * 2, "split": ["test", "val"]})
    mine = read_list(str(tmp_path / "out/list.csv"))
    coverage = compare(theirs.reindex(columns=schemas.CLIP_LIST.names), mine, "theirs")
    assert (coverage.listed, coverage.covered) == (2, 0)


def test_the_list_of_a_corpus_that_the_configuration_lacks_is_refused(
    corpus: tuple[Path, Path], tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    (tmp_path / "config.yaml").write_text("{seed: 1, device: cpu, corpora: {sets: {tiny: {kind: ravdess}}}}")
    options = {
        "corpus": "tinny",
        "index": corpus[0],
        "clips": corpus[1],
        "out": tmp_path / "report.html",
        "config": tmp_path / "config.yaml",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    result = CliRunner().invoke(app, ["clips", "report", *arguments])
    assert isinstance(result.exception, EadbenchError), result.output
    assert "the configuration has no 'tinny' (did you mean 'tiny'?)" in str(result.exception)


def test_a_pattern_wants_one_clip_of_those_that_it_fits(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    pd.DataFrame({"recording_id": ["S02_*", "M003_*"], "split": ["test", "test"]}).to_csv(
        tmp_path / "theirs.csv", index=False
    )
    coverage = write_list("tiny", *corpus, tmp_path / "out", str(tmp_path / "theirs.csv"))
    assert (
        coverage.covered == 1
        and coverage.gone == {"M003_*": "no such recording in test"}
        and coverage.beyond == 0
    )
    sentence = "Test list theirs: 1 of 2 entries are covered; gone: M003_* (no such recording in test)."
    assert (
        coverage.sentence() == sentence
        and json.loads((tmp_path / "out/coverage.json").read_text())["listed"] == 2
    )


def test_two_lists_compare_by_command_and_the_status_tells(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    write_list("tiny", *corpus, tmp_path / "out")
    full = tmp_path / "out/list.csv"
    kept = read_list(str(full))
    kept[kept["status"] == "kept"].to_csv(tmp_path / "kept.csv", index=False)
    good = CliRunner().invoke(app, ["clips", "compare", str(tmp_path / "kept.csv"), str(full)])
    assert good.exit_code == 0 and "1 of 1 entries are covered" in good.output
    bad = CliRunner().invoke(app, ["clips", "compare", str(full), str(full)])
    assert bad.exit_code == 1 and "GONE (private video)" in bad.output, (
        "what was gone there is gone here, and not covered"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording_id\nA\n", "it lacks split"),
        ("recording_id,split\nA,tset\n", "its splits are test and val, not tset"),
        ("recording_id,split\nA,\n", r"\(empty\)"),
        ("recording_id,split,start\nA,test,soon\n", "could not convert string to float: 'soon'"),
        ("", "not a test list"),
        (None, "no test list"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(EadbenchError, match=message):
        read_list(str(tmp_path / "bad.csv"))


def test_a_list_that_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    """Of a country that writes 1,5: semicolons between the values."""
    text = "\ufeffRecording_ID;split;start;clip_id\r\nA;test;1,5;A-000\r\n;;;\r\nB_*;val;;\r\n"
    (tmp_path / "list.csv").write_bytes(text.encode())
    first, second = read_list(str(tmp_path / "list.csv")).itertuples()
    assert (first.recording_id, first.split, first.start, first.clip_id) == ("A", "test", 1.5, "A-000")
    assert (second.recording_id, second.split) == ("B_*", "val") and pd.isna(second.clip_id)


def test_the_shipped_lists_are_the_rules_that_they_are_said_to_be() -> None:
    assert shipped() == ["hdtf", "mead", "ravdess"]
    names = [
        f"01-01-{emotion}-{intensity}-{statement}-{repetition}-{actor:02d}"
        for actor in range(1, 25)
        for emotion, word in EMOTIONS.items()
        for intensity in ("01", "02")
        if (word, intensity) != ("neutral", "02")
        for statement in STATEMENTS
        for repetition in ("01", "02")
    ]
    ravdess = read_list("ravdess")
    assert (
        ravdess["recording_id"].tolist() == names
        and len(names) == 24 * 60
        and set(ravdess["split"]) == {"test"}
    )
    paper = load(None, [ROOT / "config/paper.yaml"], whole=True).corpora.sets
    for name in ("hdtf", "mead"):
        pattern = {"hdtf": "*_{}*", "mead": "{}_front_*"}[name]
        listed = read_list(name)
        for split in ("test", "val"):
            speakers = [pattern.format(speaker) for speaker in getattr(paper[name].split, split)]
            assert listed["recording_id"][listed["split"] == split].tolist() == speakers, (
                "the paper run's split"
            )
    assert all(corpus.test_list == name for name, corpus in paper.items())

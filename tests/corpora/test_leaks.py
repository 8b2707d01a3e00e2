"""What may train in one corpus and is tested in another is refused, with the entry of
the config that mends it.
"""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from material import face_video

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import write_table
from eadbench.corpora.config import CorporaConfig
from eadbench.corpora.fetch import fetch
from eadbench.corpora.index import index
from eadbench.corpora.leaks import check_leaks
from eadbench.corpora.splits import look_of
from eadbench.media.video import read_frames, write_video

MEAD = {"kind": "mead", "root": "x"}


def row(corpus: str, name: str, split: str, seed: int, **more: object) -> dict[str, object]:
    grey = cv2.resize(
        np.random.default_rng(seed).integers(0, 255, (6, 8)).astype(np.uint8),
        (160, 120),
        interpolation=cv2.INTER_CUBIC,
    )
    columns = {
        "recording_id": name,
        "corpus": corpus,
        "speaker": f"S{seed}",
        "split": split,
        "duration": 5.0,
        "look": look_of(grey),
    }
    return {**columns, "status": "kept", "reason": "", **more}


def table(folder: Path, corpus: str, rows: list[dict[str, object]]) -> Path:
    write_table(folder / corpus / "index.parquet", rows, schemas.INDEX, "recording_id")
    return folder / corpus / "index.parquet"


def corpora(**sets: dict) -> CorporaConfig:
    return CorporaConfig(sets=sets)


def test_corpora_that_share_nothing_pass_and_leave_the_same_note(tmp_path: Path) -> None:
    a = table(tmp_path, "a", [row("a", "r1", "train", 1), row("a", "r2", "test", 2)])
    b = table(tmp_path, "b", [row("b", "q1", "test", 3), row("b", "q2", "train", 4)])
    check_leaks([a], [a, b], tmp_path / "one.json", corpora())
    check_leaks([a, b], [a, b], tmp_path / "two.json", corpora())
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_recording_that_another_corpus_tests_is_refused(tmp_path: Path, split: str) -> None:
    a = table(tmp_path, "a", [row("a", "r1", split, 1), row("a", "r5", "train", 5)])
    b = table(tmp_path, "b", [row("b", "q1", "test", 1, speaker="other name"), row("b", "q2", "test", 2)])
    with pytest.raises(EadbenchError) as caught:
        check_leaks([a], [b], tmp_path / "leaks.json", corpora())
    assert (
        "1 speakers who may train" in caught.value.what
        and "r1 is the same recording as q1 of b" in caught.value.what
    )
    assert "corpora: sets: a: split: test: [S1]" in caught.value.hint
    assert not (tmp_path / "leaks.json").exists()
    check_leaks([b], [a], tmp_path / "leaks.json", corpora())


def test_equal_files_are_found_by_their_hash_and_lost_rows_count_for_nothing(tmp_path: Path) -> None:
    a = table(tmp_path, "a", [row("a", "r1", "train", 1, sha256="f00", look=None)])
    same = row("b", "q1", "test", 2, sha256="f00", look=None)
    with pytest.raises(EadbenchError, match="r1 is the same recording as q1 of b"):
        check_leaks([a], [table(tmp_path, "b", [same])], tmp_path / "leaks.json", corpora())
    check_leaks(
        [a],
        [table(tmp_path, "b", [same | {"status": "failed", "reason": "x"}])],
        tmp_path / "leaks.json",
        corpora(),
    )


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        (MEAD, MEAD | {"views": ["top"]}, True),
        (MEAD, {"kind": "ravdess"}, False),
        ({"kind": "folder", "root": "x"}, {"kind": "folder", "root": "./x", "labels": "other.csv"}, True),
        ({"kind": "folder", "root": "x"}, {"kind": "folder", "root": "y"}, False),
    ],
)
def test_a_speaker_is_one_person_only_where_the_corpora_share_their_names(
    tmp_path: Path, first: dict, second: dict, alike: bool
) -> None:
    a = table(tmp_path, "a", [row("a", "r1", "train", 1, speaker="M003")])
    b = table(tmp_path, "b", [row("b", "q1", "test", 2, speaker="M003")])
    if not alike:
        check_leaks([a], [b], tmp_path / "leaks.json", corpora(a=first, b=second))
        return
    with pytest.raises(EadbenchError, match="speaker M003 is tested in b"):
        check_leaks([a], [b], tmp_path / "leaks.json", corpora(a=first, b=second))


def test_a_re_encoded_copy_in_another_folder_is_found(tmp_path: Path) -> None:
    """From the files on: two folders of videos, one of which holds the other's video in
    another coding.
    """
    face_video(tmp_path / "mine/a.mp4", 1.0, width=96, height=96, scale=0.375)
    face_video(tmp_path / "theirs/c.mp4", 1.0, mirror=True, width=96, height=96, scale=0.375)
    write_video(tmp_path / "theirs/b.mp4", read_frames(tmp_path / "mine/a.mp4"), 25, crf=30)
    sets = {name: {"kind": "folder", "root": str(tmp_path / name)} for name in ("mine", "theirs")}
    sets["theirs"]["split"] = {"rest": "test"}
    config, indices = corpora(**sets), []
    for name in sets:
        fetch(name, None, tmp_path / "out" / name / "fetch.json", config)
        indices.append(tmp_path / "out" / name / "index.parquet")
        index(name, tmp_path / "out" / name / "fetch.json", indices[-1], config)
    with pytest.raises(EadbenchError, match="a is the same recording as b of theirs"):
        check_leaks(indices[:1], indices[1:], tmp_path / "leaks.json", config)
    (tmp_path / "theirs/b.mp4").unlink()
    shutil.rmtree(tmp_path / "out" / "theirs")
    fetch("theirs", None, tmp_path / "out/theirs/fetch.json", config)
    index("theirs", tmp_path / "out/theirs/fetch.json", indices[1], config)
    check_leaks(indices[:1], indices[1:], tmp_path / "leaks.json", config)

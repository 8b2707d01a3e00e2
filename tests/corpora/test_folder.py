"""A folder of anyone's videos; the two videos outside the repository."""

import errno
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from material import face_video

from eadbench.clips.config import ClipsConfig
from eadbench.clips.cut import cut_shard
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.tables import read_table
from eadbench.corpora import index as index_module
from eadbench.corpora.config import CorporaConfig, FolderCorpus
from eadbench.corpora.fetch import fetch
from eadbench.corpora.folder import recordings
from eadbench.corpora.index import index

LOOK = {"width": 96, "height": 96, "scale": 0.375}


def run(folder, root, **more):
    settings = CorporaConfig(sets={"f": {"kind": "folder", "root": str(root), **more}})
    fetch("f", None, folder / "fetch.json", settings)
    index("f", folder / "fetch.json", folder / "index.parquet", settings)
    return read_table(folder / "index.parquet", schemas.INDEX).set_index("recording_id")


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "mine"
    for name in ("a.mp4", "sub/b c.mp4", "sub/d.mp4"):
        face_video(root / name, 1.0, mirror=name == "sub/b c.mp4", **LOOK)
    (root / "notes.txt").write_text("not a video")
    return root


def test_a_changed_file_lists_the_folder_again_also_behind_a_link_but_not_a_hidden_one(root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/e.mp4").write_bytes(b"0")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "broken.mp4").symlink_to(tmp_path / "nowhere")
    reads = FolderCorpus(kind="folder", root=str(root)).reads
    before = reads()
    (root / ".DS_Store").write_bytes(b"0")
    assert reads() == before
    (tmp_path / "elsewhere/e.mp4").write_bytes(b"longer")
    assert reads() != before
    assert FolderCorpus(kind="folder", root=str(tmp_path / "gone")).reads() != before


def test_labels(root, tmp_path):
    (root / "labels.csv").write_text(
        "file,speaker,emotion,level,intensity,start\na.mp4,Ann,Happiness,2,0.5,0.2\nsub/d.mp4,Ann,bored,x,,\ngone.mp4,Cid,sad,1,1,\n"
    )
    table = run(tmp_path / "out", root, split={"test": ["Ann"]}, hash_files=True)
    assert (table.loc["a", ["emotion", "emotion_raw"]] == ["happy", "Happiness"]).all() and table.loc[
        "a", "intensity"
    ] == 0.5
    assert table["speaker"].to_dict() == {"a": "Ann", "gone": "Cid", "sub_b_c": "sub_b_c", "sub_d": "Ann"}
    assert "bored" in table["reason"]["sub_d"] and "'x' is not a number" in table["reason"]["sub_d"]
    assert table["reason"]["gone"].startswith("unreadable")
    assert table["split"].to_dict() == {"a": "test", "gone": "train", "sub_b_c": "train", "sub_d": "test"}
    assert table["sha256"]["a"] == table["sha256"]["sub_d"]


def test_what_people_copy_along_is_passed_over_and_strange_names_cost_themselves(root, tmp_path, caplog):
    for name in ("._a.mp4", ".ipynb_checkpoints/a-checkpoint.mp4", ".DS_Store", "a.docx"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\0" * 100)
    (root / "sub/b c.mp4").rename(root / unicodedata.normalize("NFD", "ü.mp4"))
    (root / "a.mp4").rename(root / os.fsdecode(b"caf\xe9.mp4"))
    (tmp_path / "elsewhere").mkdir()
    (root / "sub/d.mp4").rename(tmp_path / "elsewhere/e.mp4")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    rows = "linked\\e.mp4,Ann\n" + unicodedata.normalize("NFC", "./ü.mp4,Bob\n")
    (root / "labels.csv").write_text("file,speaker\n" + rows, encoding="utf-8-sig")
    table = run(tmp_path / "out", root)
    assert table["speaker"].to_dict() == {"caf_E9": "caf_E9", "linked_e": "Ann", "u": "Bob"}
    assert table["status"].to_dict() == {"caf_E9": "failed", "linked_e": "kept", "u": "kept"}
    assert "caf%E9.mp4" in table["reason"]["caf_E9"] and "not UTF-8" in table["reason"]["caf_E9"]
    assert "1 .docx" in caplog.text and ".csv" not in caplog.text


def test_an_error_nobody_thought_of_costs_its_recording_and_no_memory_ends_the_job(
    root, tmp_path, monkeypatch
):
    real, error = index_module.probe_with_frame, ValueError("odd header")

    def probe(source, *arguments):
        if Path(source).name == "a.mp4":
            raise error
        return real(source, *arguments)

    monkeypatch.setattr(index_module, "probe_with_frame", probe)
    table = run(tmp_path / "out", root)
    assert table["status"].to_dict() == {"a": "failed", "sub_b_c": "kept", "sub_d": "kept"}
    assert table["reason"]["a"] == "unreadable: unexpected ValueError: odd header"
    error = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(FatalError, match="too many open files"):
        run(tmp_path / "out", root)


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffile;speaker;emotion;start\r\na.mp4;Ann;happy;0,2\r\nsub\\d.mp4;Jörg;sad;\r\n",
        "File, Speaker, emotion, start\n./a.mp4, Ann, happy, 0.2\nsub/d.mp4, Jörg, sad,\n\n",
        "sep=\t\nfile\tspeaker\temotion\tstart\na.mp4\tAnn\thappy\t0.2\nsub//d.mp4\tJörg\tsad\n",
    ],
    ids=["Excel: mark, semicolons, decimal commas", "blanks after commas", "tabs, short lines"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_labels_are_read_as_spreadsheets_write_them(root, tmp_path, text, encoding):
    (root / "labels.csv").write_text(text.removeprefix("\ufeff" if encoding == "utf-16" else ""), encoding)
    rows = {row["recording_id"]: row for row in recordings(root, FolderCorpus(kind="folder", root=str(root)))}
    assert [(row["speaker"], row.get("emotion"), row.get("start")) for row in rows.values()] == [
        ("Ann", "happy", 0.2),
        ("sub_b_c", None, None),
        ("Jörg", "sad", None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,speaker\na.mp4,Ann\nsub/d.mp4,B\n./a.mp4,Bea\n",
            "different things of 'a.mp4': line 2 and line 4",
        ),
        ("file,speaker\n,Ann\n", "without a file\n.*line 2"),
        ("file,speaker\na.mp4,J\xf6rg\n", "not UTF-8"),
        ("file,speaker\na.mp4,Ann,Bea\n", "3 values below 2 headings"),
    ],
)
def test_mistakes_in_labels_are_named(root, text, message):
    (root / "labels.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(EadbenchError, match=message):
        recordings(root, FolderCorpus(kind="folder", root=str(root)))


def test_unknown_columns_and_empty_folders_are_refused(root, tmp_path):
    (root / "labels.csv").write_text("file,mood\na.mp4,happy\n")
    with pytest.raises(EadbenchError, match="mood"):
        run(tmp_path / "out", root)
    (tmp_path / "none").mkdir()
    with pytest.raises(EadbenchError, match="has no recording"):
        run(tmp_path / "out", tmp_path / "none")


def test_an_unknown_corpus_names_the_known(tmp_path):
    settings = CorporaConfig(sets={"f": {"kind": "folder", "root": "x"}})
    with pytest.raises(EadbenchError, match="the configuration has no 'g'") as caught:
        fetch("g", None, tmp_path / "fetch.json", settings)
    assert "known: f" in str(caught.value)


def extra_videos() -> Path:
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("EADBENCH_EXTRA_VIDEOS", beside))
    if not (folder / "real_speaker.mp4").exists():
        pytest.skip(f"no real_speaker.mp4 in {folder}; set EADBENCH_EXTRA_VIDEOS")
    return folder


def test_videos_from_outside(tmp_path):
    """A filmed speaker, small in a portrait video, gives well-aligned clips; a drawn
    one without audio a row with a reason.
    """
    table = run(tmp_path / "corpora", extra_videos())
    assert {"real_speaker", "drawn_speaker"} <= set(table.index)
    config = ClipsConfig(size=128, margin=0.5, min_seconds=1.0, max_seconds=5)
    cut_shard(
        "f", "0-of-1", tmp_path / "corpora" / "index.parquet", tmp_path / "clips" / "cut.parquet", config
    )
    rows = read_table(tmp_path / "clips" / "cut.parquet", schemas.CLIPS)
    real, drawn = (rows[rows["recording_id"] == name] for name in ("real_speaker", "drawn_speaker"))
    assert (real["status"] == "kept").all() and real["frames"].sum() == 250
    assert (
        (real["detection_rate"] > 0.98).all()
        and (real["jitter"] < 2).all()
        and real["face_size"].between(180, 280).all()
    )
    for name in real["track"]:
        with np.load(tmp_path / "clips" / name) as track:
            landmarks = track["landmarks"]
        assert (landmarks > 0).all() and (landmarks < config.size).all()  # the whole face is inside, always
        eyes = landmarks[:, [33, 263]].mean(1)
        assert np.abs(eyes - eyes.mean(0)).max() < 0.12 * config.size
    assert drawn["status"].tolist() == ["dropped"] and drawn["reason"].iloc[0].startswith("no audio")

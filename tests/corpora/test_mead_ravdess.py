"""MEAD as folders and tars; RAVDESS from a record with md5 through its zips."""

import hashlib
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from material import face_video, hum

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.corpora.config import CorporaConfig
from eadbench.corpora.fetch import fetch
from eadbench.corpora.index import index
from eadbench.media.audio import write_wav

LOOK = {"width": 96, "height": 96, "scale": 0.375}


def run(folder, name, settings, studio=None):
    fetch(name, studio, folder / "fetch.json", settings)
    index(name, folder / "fetch.json", folder / "index.parquet", settings)
    return read_table(folder / "index.parquet", schemas.INDEX).set_index("recording_id")


@pytest.fixture
def mead(tmp_path):
    """Two actors with sparse numbers, a side view, a missing audio file, one too long, one
    without a video.
    """
    root = tmp_path / "MEAD"
    first = face_video(root / "M003/video/front/disgusted/level_2/007.mp4", 1.0, fps=30, sound=None, **LOOK)
    for name in (
        "M003/video/front/disgusted/level_2/033.mp4",
        "M003/video/left_30/happy/level_1/001.mp4",
        "W009/video/front/neutral/level_1/012.mp4",
        "W009/video/front/angry/level_3/002.mp4",
        "W009/video/front/confused/level_3/003.mp4",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, root / name)
    (root / "M003/video/front/disgusted/level_2/._007.mp4").write_bytes(b"written by a Macintosh")
    for name, seconds in (
        ("M003/audio/disgusted/level_2/007.wav", 1.0),
        ("W009/audio/neutral/level_1/012.wav", 1.1),
        ("W009/audio/angry/level_3/002.wav", 2.5),
        ("W009/audio/sad/level_3/001.wav", 1.0),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_wav(root / name, hum(seconds))
    return root


def packed(root: Path) -> Path:
    """The same as per-actor tars, with a link among the members."""
    target = root.parent / "packed"
    for actor in root.iterdir():
        (target / actor.name).mkdir(parents=True)
        for part in ("video", "audio"):
            with tarfile.open(target / actor.name / f"{part}.tar", "w") as archive:
                archive.add(actor / part, part)
                if part == "video":
                    link = tarfile.TarInfo("video/front/sad/level_1/001.mp4")
                    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                    archive.addfile(link)
    return target


def mead_config(root, **more):
    return CorporaConfig(sets={"m": {"kind": "mead", "root": str(root), **more}})


def test_mead_lists_what_is_there(mead, tmp_path):
    table = run(tmp_path / "out", "m", mead_config(mead, split={"test": ["M003"]}))
    assert sorted(table.index) == [
        "M003_front_disgusted_2_007",
        "M003_front_disgusted_2_033",
        "W009_front_angry_3_002",
        "W009_front_confused_3_003",
        "W009_front_neutral_1_012",
        "W009_none_sad_3_001",
    ]
    row = table.loc["M003_front_disgusted_2_007"]
    assert (row["emotion"], row["emotion_raw"], row["level"], row["sex"], row["sentence"]) == (
        "disgust",
        "disgusted",
        2,
        "male",
        "disgusted/007",
    )
    assert row["fps"] == 30 and row["sample_rate"] == 16000 and row["split"] == "test"
    assert (tmp_path / "out" / row["audio_source"]).samefile(mead / "M003/audio/disgusted/level_2/007.wav")
    assert table["sample_rate"].isna()["M003_front_disgusted_2_033"]  # no audio: `clips` drops it
    reasons = table["reason"].to_dict()
    assert (
        "audio lasts 2.50 s" in reasons["W009_front_angry_3_002"]
        and "confused" in reasons["W009_front_confused_3_003"]
    )
    assert reasons["W009_none_sad_3_001"].startswith("no video")


def test_mead_tars_say_the_same_as_folders(mead, tmp_path):
    columns = ["speaker", "emotion", "level", "view", "duration", "fps", "width", "sample_rate", "status"]
    folders = run(tmp_path / "a", "m", mead_config(mead, views=["front", "left_30"]))
    tars = run(tmp_path / "b", "m", mead_config(packed(mead), views=["front", "left_30"]))
    links = tars[tars["reason"].str.contains("link")]
    assert len(links) == 2 and set(links["status"]) == {"failed"}
    tars = tars.drop(links.index)
    assert folders[columns].equals(tars[columns])
    assert tars["member"].dropna().str.startswith("video/").all()
    assert len(folders) == 7


def test_mead_needs_a_folder(tmp_path):
    with pytest.raises(ValueError, match="cannot be downloaded"):
        CorporaConfig(sets={"m": {"kind": "mead"}})
    with pytest.raises(EadbenchError, match="does not exist"):
        fetch("m", None, tmp_path / "fetch.json", mead_config(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EadbenchError, match="no actor's folder"):
        run(tmp_path / "out", "m", mead_config(tmp_path / "empty"))


@pytest.fixture
def ravdess(tmp_path):
    folder = tmp_path / "studio"
    video = face_video(folder / "x.mp4", 1.2, fps=30, **LOOK)
    names = {
        "Video_Speech_Actor_01.zip": [
            "Actor_01/01-01-06-02-01-02-01.mp4",
            "Actor_01/02-01-06-02-01-02-01.mp4",
            "Actor_01/notes-1.mp4",
            "../01-01-03-01-01-01-01.mp4",
        ],
        "Video_Speech_Actor_02.zip": ["Actor_02/01-01-01-01-02-01-02.mp4"],
        "Audio_Speech_Actors_01-24.zip": [],
    }
    files = []
    for name, inside in names.items():
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member in inside:
                archive.write(video, member)
        data = (folder / name).read_bytes()
        files.append({"key": name, "size": len(data), "checksum": "md5:" + hashlib.md5(data).hexdigest()})
    video.unlink()
    (folder / "record.json").write_text(json.dumps({"files": files}))
    (folder / "studio.json").write_text("{}")
    return folder


def rav_config(**more):
    return CorporaConfig(
        sets={
            "r": {
                "kind": "ravdess",
                "tries": 1,
                "studio": {"layout": "ravdess", "actors": ["Actor_01"]},
                "split": {"rest": "test"},
                **more,
            }
        }
    )


def test_ravdess_from_record_to_rows(ravdess, tmp_path):
    out = tmp_path / "out"
    table = run(out, "r", rav_config(), ravdess / "studio.json")
    record = json.loads((out / "fetch.json").read_text())
    assert [file["name"] for file in record["files"]] == [
        "Video_Speech_Actor_01.zip",
        "Video_Speech_Actor_02.zip",
    ]
    assert all(file["status"] == "kept" and file["checksum"].startswith("md5:") for file in record["files"])
    fear, neutral = table.loc["01-01-06-02-01-02-01"], table.loc["01-01-01-01-02-01-02"]
    assert (
        fear["speaker"],
        fear["sex"],
        fear["emotion"],
        fear["emotion_raw"],
        fear["level"],
        fear["intensity"],
    ) == (
        "Actor_01",
        "male",
        "fear",
        "fearful",
        2,
        1.0,
    )
    assert (neutral["sex"], neutral["emotion"], neutral["sentence"]) == (
        "female",
        "neutral",
        "Dogs are sitting by the door",
    )
    assert (table["split"] == "test").all() and fear["member"] == "Actor_01/01-01-06-02-01-02-01.mp4"
    assert table["reason"]["notes-1"].startswith("name") and table["reason"][
        "01-01-03-01-01-01-01"
    ].startswith("refused")
    assert len(table) == 4
    assert not list(out.rglob("*.mp4"))  # nothing was unpacked


def test_ravdess_with_a_wrong_md5(ravdess, tmp_path):
    record = json.loads((ravdess / "record.json").read_text())
    record["files"][0]["checksum"] = "md5:" + "0" * 32
    (ravdess / "record.json").write_text(json.dumps(record))
    table = run(tmp_path / "out", "r", rav_config(), ravdess / "studio.json")
    files = json.loads((tmp_path / "out" / "fetch.json").read_text())["files"]
    assert [file["status"] for file in files] == ["failed", "kept"] and "md5" in files[0]["reason"]
    assert (tmp_path / "out" / "raw" / "Video_Speech_Actor_01.zip.wrong").exists()
    assert table.index.tolist() == ["01-01-01-01-02-01-02"]


def test_ravdess_record_that_makes_no_sense(ravdess, tmp_path):
    (ravdess / "record.json").write_text('{"files": [{"key": 1}]}')
    with pytest.raises(EadbenchError, match="not as expected"):
        fetch("r", ravdess / "studio.json", tmp_path / "fetch.json", rav_config())

"""From plan to folder: layouts, resume, workers, the real readers."""

import hashlib
import json
import shutil
import zipfile

import numpy as np
import pytest
from command_line import parsing_only
from workflow.running import ROOT

from eadbench.core import seals
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.corpora.config import CorporaConfig
from eadbench.corpora.fetch import fetch
from eadbench.corpora.hdtf_lists import read_lists
from eadbench.corpora.index import index
from eadbench.media.audio import read_audio
from eadbench.media.video import probe, read_frames
from eadbench.synthetic import production
from eadbench.synthetic.cli import film_command
from eadbench.synthetic.config import StudioConfig
from eadbench.synthetic.production import produce

MEAD = StudioConfig(
    layout="mead",
    actors=["M003", "W009"],
    test_actors=["W009"],
    emotions=["happy", "neutral"],
    levels=[3],
    size=(96, 96),
    fps="30",
)
RAVDESS = StudioConfig(
    layout="ravdess",
    actors=["Actor_01"],
    emotions=["neutral", "fearful"],
    levels=[2],
    size=(96, 96),
    fps="30000/1001",
)
HDTF = StudioConfig(
    layout="hdtf",
    actors=["WDA/OliveMarsh0", "WRA/SamHill0"],
    seconds=6,
    size=(160, 96),
    faults=["silent", "faceless", "broken", "untimed"],
)


def digests(folder):
    return {
        f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in folder.rglob("*")
        if f.is_file()
    }


@pytest.fixture(scope="module")
def mead(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mead")
    produce(MEAD, 7, folder / "studio.json", workers=1)
    return folder


@pytest.fixture(scope="module")
def hdtf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hdtf")
    produce(HDTF, 7, folder / "studio.json", workers=1)
    return folder


def test_mead_has_video_and_audio_apart_and_of_one_length(mead):
    video, audio = mead / "M003/video/front/happy/level_3/001.mp4", mead / "M003/audio/happy/level_3/001.m4a"
    info, audio_info = probe(video), probe(audio)
    assert (info.width, info.height, info.fps, info.codec, info.sample_rate) == (96, 96, 30.0, "h264", None)
    assert audio_info.width is None and audio_info.sample_rate == 48000
    assert abs(audio_info.audio_duration - info.duration) < 0.1 and info.duration > 1.5
    assert np.abs(read_audio(audio)).max() > 0.1


def test_summary_lists_every_file_with_its_hash(mead):
    summary = json.loads((mead / "studio.json").read_text())
    assert {item["path"] for item in summary["files"]} == {
        name
        for name in digests(mead)
        if not name.startswith(".") and name not in ("studio.json", "sums.sha256")
    }
    for item in summary["files"]:
        assert hashlib.sha256((mead / item["path"]).read_bytes()).hexdigest() == item["sha256"]
    assert summary["studio"] == MEAD.model_dump(mode="json") and set(summary["cast"]) == {"M003", "W009"}


@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_a_harmed_take_is_named_by_whoever_reads_it(mead, tmp_path, harm):
    """MEAD is not copied: the index and the clips read it from the studio's folder."""
    folder = tmp_path / "studio"
    shutil.copytree(mead, folder)
    settings = CorporaConfig(sets={"m": {"kind": "mead", "studio": MEAD.model_dump()}})
    fetch("m", folder / "studio.json", tmp_path / "m" / "fetch.json", settings)
    path = folder / "M003/video/front/happy/level_3/001.mp4"
    data = path.read_bytes()
    path.unlink() if harm == "removed" else path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(FatalError, match=r"001\.mp4(.|\n)*delete .*studio\.json"):
        index("m", tmp_path / "m" / "fetch.json", tmp_path / "m" / "index.parquet", settings)
    with pytest.raises(FatalError, match=r"001\.mp4(.|\n)*delete .*studio\.json"):
        seals.check(path)


def test_two_processes_write_the_same_bytes(mead, tmp_path):
    produce(MEAD, 7, tmp_path / "studio.json", workers=2)
    one_process, two_processes = digests(mead), digests(tmp_path)
    one_process.pop(".filmed.jsonl"), two_processes.pop(".filmed.jsonl")  # in the order of finishing
    assert one_process == two_processes


def test_resume_films_only_what_is_missing(mead, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(mead, folder)
    before = digests(folder)
    (folder / "M003/audio/happy/level_3/001.m4a").unlink()
    (folder / "W009/video/front/neutral/level_1/001.mp4").write_bytes(b"damaged")
    with (folder / ".filmed.jsonl").open("a") as diary:
        diary.write('{"key": "torn by a ki')
    torn = folder / "M003/video/front/happy/level_3/.part-1-002.mp4"
    torn.write_bytes(b"half")
    filmed = []
    original = production.film
    monkeypatch.setattr(
        production, "film", lambda folder, job: filmed.append(job.key) or original(folder, job)
    )
    produce(MEAD, 7, folder / "studio.json", workers=1)
    assert sorted(filmed) == [
        "M003/video/front/happy/level_3/001.mp4",
        "W009/video/front/neutral/level_1/001.mp4",
    ]
    assert not torn.exists()
    after = digests(folder)
    assert {k: v for k, v in before.items() if k[0] != "."} == {k: v for k, v in after.items() if k[0] != "."}
    produce(
        MEAD.model_copy(update={"actors": ["M003"], "test_actors": []}), 7, folder / "studio.json", workers=1
    )
    assert not list(folder.glob("W009/**/*.mp4")) and len(filmed) == 2


def test_a_failing_take_names_itself(tmp_path, monkeypatch):
    def broken(folder, job):
        raise RuntimeError("no light")

    monkeypatch.setattr(production, "film", broken)
    with pytest.raises(EadbenchError, match=r"(?s)no light.*M003/video"):
        produce(MEAD, 7, tmp_path / "studio.json", workers=1)
    assert not (tmp_path / "studio.json").exists()


def test_ravdess_archives_and_record_agree(tmp_path):
    produce(RAVDESS, 7, tmp_path / "studio.json", workers=1)
    record = json.loads((tmp_path / "record.json").read_text())
    (entry,) = record["files"]
    data = (tmp_path / entry["key"]).read_bytes()
    assert entry["key"] == "Video_Speech_Actor_01.zip" and entry["size"] == len(data)
    assert entry["checksum"] == "md5:" + hashlib.md5(data).hexdigest()
    with zipfile.ZipFile(tmp_path / entry["key"]) as archive:
        names = archive.namelist()
        assert names == [
            f"Actor_01/{n}-01.mp4" for n in ("01-01-01-01-01-01", "01-01-06-02-01-01", "02-01-01-01-01-01")
        ]
        archive.extractall(tmp_path / "x")
    full, silent = probe(tmp_path / "x" / names[0]), probe(tmp_path / "x" / names[2])
    assert (
        full.fps == pytest.approx(30000 / 1001) and full.sample_rate == 48000 and silent.sample_rate is None
    )
    assert np.array_equal(
        read_frames(tmp_path / "x" / names[0], limit=5), read_frames(tmp_path / "x" / names[2], limit=5)
    )
    produce(RAVDESS, 7, tmp_path / "studio.json", workers=1)
    assert (tmp_path / entry["key"]).read_bytes() == data


def test_hdtf_lists_read_back_with_their_quirks(hdtf):
    assert (hdtf / "WDA_video_url.txt").read_bytes().startswith(b"\xef\xbb\xbfOliveMarsh0 http")
    assert not (hdtf / "RD_video_url.txt").read_bytes().endswith(b"\n")
    assert "&t=" in (hdtf / "WRA_video_url.txt").read_text()
    videos = {v.name: v for group in ("RD", "WDA", "WRA") for v in read_lists(hdtf, group)}
    assert set(videos) == {"OliveMarsh0", "SamHill0", "Radio61", "CharlesSlides", "BrookTorn", "Radio24"}
    assert (
        not videos["Radio24"].stretches
        and videos["OliveMarsh0"].stretches
        and len(videos["SamHill0"].key) == 11
    )
    assert videos["SamHill0"].height == 48 and videos["OliveMarsh0"].height == 96
    x, y, w, h = videos["OliveMarsh0"].crops[0]
    assert w == h <= 96 and 0 <= x <= 160 - w and 0 <= y <= 96 - h


def test_hdtf_faults_are_real(hdtf):
    def path(name):
        videos = {v.name: v for group in ("RD", "WDA", "WRA") for v in read_lists(hdtf, group)}
        return hdtf / "videos" / f"{videos[name].key}.mp4"

    good = probe(path("OliveMarsh0"))
    assert (
        good.sample_rate
        and good.duration == pytest.approx(6, abs=0.05)
        and (good.width, good.height) == (160, 96)
    )
    assert probe(path("Radio61")).sample_rate is None
    with pytest.raises(EadbenchError):
        probe(path("BrookTorn"))
    frames = read_frames(path("OliveMarsh0"))
    cuts = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
    assert 2 <= np.sum(cuts > 12) <= 5


def test_the_command_films_a_mead_like_corpus_of_a_given_size(tmp_path, monkeypatch):
    with pytest.raises(EadbenchError, match="nothing to film"):
        film_command(out=tmp_path, seed=1)
    calls = []
    monkeypatch.setattr(production, "produce", lambda *what: calls.append(what))
    film_command(out=tmp_path / "mine", actors=40, minutes=60, seed=1, workers=3)
    ((studio, seed, target, workers),) = calls
    assert len(studio.actors) == 40 and (seed, target, workers) == (1, tmp_path / "mine" / "studio.json", 3)


def test_the_command_has_its_older_name_too_which_the_rule_calls():
    with parsing_only() as parse:
        for stage in ("synthetic", "corpora"):
            parse([stage, "film", "--corpus", "demo_mead", "--out", "studio.json"])
    assert "corpora film" in (ROOT / "workflow/rules/synthetic.smk").read_text()

"""Cutting: what comes of sound and of faulty videos, the way back, resume, shards."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips.faulty_corpus import CONFIG, SMALL, make_index
from material import face_frames, face_video, hum
from small_disk import PAGE, small_disk

from eadbench.clips import align
from eadbench.clips import cut as module
from eadbench.clips.cut import cut_shard
from eadbench.clips.recording import Recording
from eadbench.core import schemas, seals
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.files import sha256_of
from eadbench.core.tables import concat_tables, read_table, write_table
from eadbench.media.audio import AudioTrack, read_audio
from eadbench.media.video import read_frames

GOOD = (
    "plain",
    "ein_Gesicht_groer",
    "sound_long",
    "fps30",
    "wrong_extension",
    "turned",
    "ten_bit",
    "odd",
    "uneven",
    "two_faces",
)
BAD = {
    "silent": ("dropped", "no audio"),
    "empty": ("failed", "unreadable"),
    "text": ("failed", "unreadable"),
    "headless": ("failed", "unreadable"),
    "truncated": ("dropped", "short"),
    "no_face": ("dropped", "no face"),
}


def of(table, name):
    rows = table[table["recording_id"] == name]
    assert len(rows), sorted(table["recording_id"])
    return rows


@pytest.mark.parametrize("name", GOOD)
def test_sound_videos_give_one_good_clip(faults, name):
    folder, table = faults
    (row,) = of(table, name).to_dict("records")
    assert (row["status"], row["reason"]) == ("kept", "")
    assert row["frames"] == pytest.approx(40, abs=1)
    assert row["detection_rate"] > 0.95 and row["jitter"] < 1.0
    frames, samples = (
        read_frames(folder / "clips" / row["video"]),
        read_audio(folder / "clips" / row["audio"]),
    )
    assert frames.shape == (row["frames"], CONFIG.size, CONFIG.size, 3)
    assert len(samples) == row["frames"] * 640 and samples.std() > 0.05
    with np.load(folder / "clips" / row["track"]) as track:
        eyes = track["landmarks"][:, [33, 263]]
        assert (track["box"][:, 2] > track["box"][:, 0]).all()
        assert (np.diff(track["source_frame"]) >= 0).all() and (np.diff(track["source_time"]) >= 0).all()
    # The eyes are where the template has them, whatever the video was like.
    assert np.abs(eyes.mean((0, 1)) - [CONFIG.size / 2, 0.40 * CONFIG.size]).max() < 0.06 * CONFIG.size
    assert np.abs(eyes[:, 1] - eyes[:, 0])[:, 1].max() < 0.05 * CONFIG.size


def test_names_without_latin_letters_get_an_id(faults):
    _, table = faults
    (row,) = table[table["source"].str.endswith("顔.mp4")].to_dict("records")
    assert row["recording_id"].isascii() and row["status"] == "kept"


@pytest.mark.parametrize("name", BAD)
def test_faulty_videos_leave_a_row_with_a_reason(faults, name):
    _, table = faults
    status, reason = BAD[name]
    rows = of(table, name)
    assert status in set(rows["status"])
    assert rows.iloc[-1]["reason"].startswith(reason) and rows.iloc[-1]["reason"]


def test_nothing_vanishes(faults):
    folder, table = faults
    index = read_table(folder / "corpora" / "index.parquet", schemas.INDEX)
    assert set(index["recording_id"]) == set(table["recording_id"])
    assert table["clip_id"].is_unique
    for column in ("video", "audio", "track"):
        for value in table[column].dropna():
            assert (folder / "clips" / value).is_file()
    assert len(list((folder / "clips" / "videos").iterdir())) == table["video"].notna().sum()


def test_audio_shorter_than_the_video_bounds_the_clip(faults):
    _, table = faults
    (row,) = of(table, "sound_short").to_dict("records")
    assert row["status"] == "kept" and row["frames"] == pytest.approx(1.4 * 25, abs=3)


def test_a_face_that_leaves_ends_its_clip(faults):
    _, table = faults
    first, rest = of(table, "leaves").to_dict("records")
    assert first["status"] == "kept" and first["frames"] == pytest.approx(40, abs=2)
    assert rest["reason"].startswith("no face") and rest["source_start"] == pytest.approx(1.6, abs=0.1)
    walker = of(table, "walks_out").iloc[0]
    assert walker["status"] == "kept" and walker["frames"] < 60


def test_a_clip_never_spans_a_cut(faults):
    _, table = faults
    first, second = of(table, "cut").to_dict("records")
    assert first["frames"] == second["frames"] == 40
    assert second["source_start"] == pytest.approx(1.6)
    pieces = of(table, "cut_each_second")
    assert len(pieces) == 4 and set(pieces["reason"].str.split(":").str[0]) == {"short"}


def test_the_larger_of_two_faces_is_followed(faults):
    folder, table = faults
    (row,) = of(table, "two_faces").to_dict("records")
    assert row["faces"] == 2
    with np.load(folder / "clips" / row["track"]) as track:
        assert track["box"][:, 0].min() > 160


def test_the_way_back(faults):
    """Source frames, warped by the stored matrix, are the aligned frames; landmarks lie
    where the matrix puts the source's.
    """
    folder, table = faults
    (row,) = of(table, "fps30").to_dict("records")
    source = read_frames(folder / "source" / "fps30.mp4")
    aligned = read_frames(folder / "clips" / row["video"])
    with np.load(folder / "clips" / row["track"]) as track:
        for k in (0, 11, 30):
            again = cv2.warpAffine(
                source[track["source_frame"][k]],
                track["matrix"][k],
                (CONFIG.size, CONFIG.size),
                borderMode=cv2.BORDER_REPLICATE,
            )
            assert cv2.PSNR(again, aligned[k]) > 30
        numbers = track["source_frame"]
    # the moment at which ffmpeg's filter fps shows each source frame
    nearest = np.floor(np.arange(60) / 30 * 25 + 0.5)
    assert np.array_equal(numbers, np.searchsorted(nearest, np.arange(len(numbers)), "right") - 1)


def test_uneven_frame_rates_go_by_time_stamps(faults):
    folder, table = faults
    (row,) = of(table, "uneven").to_dict("records")
    with np.load(folder / "clips" / row["track"]) as track:
        late = np.arange(row["frames"]) / 25 - track["source_time"]
    assert (late > -1e-3).all() and (late < 0.061).all()


def test_long_shots_are_split_without_loss(tmp_path):
    face_video(tmp_path / "source" / "long.mp4", 5.0, **SMALL)
    table = make_index(tmp_path / "corpora", tmp_path / "source")
    cut_shard("mine", "0-of-1", table, tmp_path / "clips" / "cut.parquet", CONFIG)
    rows = read_table(tmp_path / "clips" / "cut.parquet", schemas.CLIPS)
    assert rows["source_start"].iloc[0] == 0 and rows["source_end"].iloc[-1] == pytest.approx(5.0, abs=0.05)
    assert np.allclose(rows["source_end"].iloc[:-1], rows["source_start"].iloc[1:])
    assert (rows["frames"].dropna() <= 60).all()


def make_many(folder: Path, count: int) -> Path:
    face_video(folder / "source" / "r0.mp4", 1.2, **SMALL)
    for k in range(1, count):
        shutil.copy(folder / "source" / "r0.mp4", folder / "source" / f"r{k}.mp4")
    return make_index(folder / "corpora", folder / "source")


def test_the_number_of_shards_leaves_no_trace(tmp_path):
    table = make_many(tmp_path, 4)
    whole = []
    for count in (1, 3):
        base = tmp_path / str(count)
        parts = [base / "shards" / f"{k}-of-{count}" / "cut.parquet" for k in range(count)]
        for k, part in enumerate(parts):
            cut_shard("mine", f"{k}-of-{count}", table, part, CONFIG)
        concat_tables(parts, schemas.CLIPS, base / "cut.parquet", "clip_id")
        merged = read_table(base / "cut.parquet", schemas.CLIPS)
        files = [
            (base / path).read_bytes() for column in ("video", "audio", "track") for path in merged[column]
        ]
        whole.append((merged.drop(columns=["video", "audio", "track", "source"]), files))
        assert all((base / path).exists() for path in merged["source"])
    assert whole[0][0].equals(whole[1][0])
    assert whole[0][1] == whole[1][1]


def start_cutting(table: Path, out: Path) -> subprocess.Popen:
    """Cut all recordings in a process of its own."""
    code = (
        "import sys; from pathlib import Path; from eadbench.clips.cut import cut_shard; from "
        "eadbench.clips.config import ClipsConfig;"
        "cut_shard('mine', '0-of-1', Path(sys.argv[1]), Path(sys.argv[2]), "
        f"ClipsConfig.model_validate_json({CONFIG.model_dump_json()!r}))"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(table), str(out)], stderr=subprocess.DEVNULL)


def test_killed_in_the_middle_and_started_again(tmp_path):
    """SIGKILL after the first recording: what was done is kept, the end is the same as
    without the kill.
    """
    table = make_many(tmp_path, 5)
    out = tmp_path / "clips" / "cut.parquet"
    process = start_cutting(table, out)
    side = out.parent / ".cut.done.jsonl"
    deadline = time.monotonic() + 60
    while not (side.exists() and side.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    done = {
        path: path.stat().st_mtime_ns for path in media_and_table(out.parent) if path.name in kept_names(side)
    }
    assert done
    cut_shard("mine", "0-of-1", table, out, CONFIG)
    assert all(path.stat().st_mtime_ns == then for path, then in done.items())
    again = tmp_path / "again" / "cut.parquet"
    cut_shard("mine", "0-of-1", table, again, CONFIG)
    assert out.read_bytes() == again.read_bytes()
    assert not list(out.parent.rglob(".part-*")) or len(list(out.parent.rglob(".part-*"))) <= 1


def kept_names(side: Path) -> set[str]:
    """Names of the media that stand in a job's notes."""
    return {
        Path(name).name
        for line in side.read_text().splitlines()
        for name in json.loads(line.partition(" ")[2])[1]["sums"]
    }


def test_other_settings_are_not_resumed_and_leave_nothing_behind(tmp_path):
    table = make_many(tmp_path, 1)
    out = tmp_path / "clips" / "cut.parquet"
    cut_shard("mine", "0-of-1", table, out, CONFIG)
    cut_shard("mine", "0-of-1", table, out, CONFIG.model_copy(update={"size": 64}))
    assert read_table(out, schemas.CLIPS)["size"].tolist() == [64]
    cut_shard(
        "mine", "0-of-1", table, out, CONFIG.model_copy(update={"min_seconds": 1.5, "max_seconds": 4.0})
    )
    assert read_table(out, schemas.CLIPS)["reason"].str.startswith("short").all()
    assert not list((out.parent / "videos").iterdir())


def test_a_shard_in_which_all_failed_is_a_failed_job(tmp_path):
    table = make_many(tmp_path, 3)
    for path in (tmp_path / "source").iterdir():
        path.write_bytes(b"no video any more")
    rows = read_table(table, schemas.INDEX)  # as if they had been so when they were indexed
    rows["sha256"] = [sha256_of(tmp_path / "source" / f"{name}.mp4") for name in rows["recording_id"]]
    write_table(table, rows, schemas.INDEX)
    with pytest.raises(EadbenchError, match=r"all 3 recordings failed; the first: .*cannot be opened"):
        cut_shard("mine", "0-of-1", table, tmp_path / "clips" / "cut.parquet", CONFIG)


def test_a_source_that_went_or_changed_after_indexing_ends_the_job(tmp_path):
    """It would else be counted as a broken recording, and all tables after it would be
    others.
    """
    table = make_many(tmp_path, 2)
    rows = read_table(table, schemas.INDEX)
    rows["sha256"] = [sha256_of(table.parent / name) for name in rows["source"]]
    write_table(table, rows, schemas.INDEX)
    source = tmp_path / "source" / "r1.mp4"
    whole = source.read_bytes()
    source.write_bytes(whole[:-1] + b"x")
    with pytest.raises(FatalError, match=r"changed since it was indexed(.|\n)*r1\.mp4"):
        cut_shard("mine", "0-of-1", table, tmp_path / "clips" / "cut.parquet", CONFIG)
    source.unlink()
    with pytest.raises(FatalError, match=r"gone since it was indexed(.|\n)*r1\.mp4"):
        cut_shard("mine", "0-of-1", table, tmp_path / "clips" / "cut.parquet", CONFIG)
    source.write_bytes(whole)
    cut_shard("mine", "0-of-1", table, tmp_path / "clips" / "cut.parquet", CONFIG)


@pytest.mark.parametrize(
    "harmed", [".cut.done.jsonl", "videos/r0-000.mp4", "audio/r0-000.wav", "tracks/r0-000.npz"]
)
def test_a_flipped_byte_of_what_was_kept_is_made_anew(tmp_path, harmed):
    table = make_many(tmp_path, 1)
    out = tmp_path / "clips" / "cut.parquet"
    cut_shard("mine", "0-of-1", table, out, CONFIG)
    right = {path: path.read_bytes() for path in media_and_table(out.parent)}
    path = out.parent / harmed
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    cut_shard("mine", "0-of-1", table, out, CONFIG)
    assert {path: path.read_bytes() for path in media_and_table(out.parent)} == right


@pytest.mark.parametrize("sealed", [False, True])
def test_only_recordings_whose_source_changed_are_cut_again(tmp_path, sealed, monkeypatch):
    """A user's file counts by its time, so that archives of many GB are not read for
    nothing; one that we fetched by its content.
    """
    table = make_many(tmp_path, 2)
    out = tmp_path / "clips" / "cut.parquet"
    if sealed:
        seals.seal_files(tmp_path / "source", (tmp_path / "source").glob("*.mp4"), table)
    cut_shard("mine", "0-of-1", table, out, CONFIG)
    done = []
    work = module.cut_recording
    monkeypatch.setattr(
        module, "cut_recording", lambda recording, *more: done.append(recording.id) or work(recording, *more)
    )
    cut_shard("mine", "0-of-1", table, out, CONFIG)
    assert done == []
    (tmp_path / "source" / "r1.mp4").touch()
    cut_shard("mine", "0-of-1", table, out, CONFIG)
    assert done == ([] if sealed else ["r1"])


def test_an_empty_shard_is_an_empty_table(tmp_path):
    table = make_many(tmp_path, 1)
    for k in range(2):
        cut_shard("mine", f"{k}-of-2", table, tmp_path / str(k) / "cut.parquet", CONFIG)
    assert sorted(len(read_table(tmp_path / str(k) / "cut.parquet", schemas.CLIPS)) for k in range(2)) == [
        0,
        1,
    ]


def test_disk_full_ends_the_job_and_more_room_goes_on(tmp_path):
    """No half file under a final name, no clip blamed; what was finished is not done
    again once there is room.
    """
    table = make_many(tmp_path, 3)
    cut_shard("mine", "0-of-1", table, tmp_path / "roomy" / "cut.parquet", CONFIG)
    whole = {
        path.relative_to(tmp_path / "roomy"): path.read_bytes()
        for path in (tmp_path / "roomy").rglob("*")
        if path.is_file()
    }
    pages = sum(-(-len(data) // PAGE) for path, data in whole.items() if path.stem.startswith("r0"))
    with small_disk(tmp_path / "tight", pages + 8) as disk:
        with pytest.raises(FatalError, match="disk is full"):
            cut_shard("mine", "0-of-1", table, disk / "cut.parquet", CONFIG)
        files = {path.relative_to(disk): path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        kept = kept_names(disk / ".cut.done.jsonl")
        assert any(name.startswith("r0") for name in kept) and not (disk / "cut.parquet").exists()
        # An index at another depth is named by another relative path, and that is all
        # that may differ.
        assert all(whole[path] == data for path, data in files.items() if path.suffix != ".jsonl")
        subprocess.run(["mount", "-o", f"remount,size={4 << 20}", str(disk)], check=True)
        then = {path: path.stat().st_mtime_ns for path in disk.rglob("*") if path.name in kept}
        assert then
        cut_shard("mine", "0-of-1", table, disk / "cut.parquet", CONFIG)
        assert {path: path.stat().st_mtime_ns for path in then} == then
        assert (disk / "cut.parquet").read_bytes() == whole[Path("cut.parquet")]
        assert not list(disk.rglob(".part-*"))


def test_disk_full_is_not_the_clips_fault(tmp_path, monkeypatch):
    table = make_many(tmp_path, 1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(FatalError, match="disk is full"):
        cut_shard("mine", "0-of-1", table, tmp_path / "clips" / "cut.parquet", CONFIG)
    assert not (tmp_path / "clips" / "cut.parquet").exists()
    assert not list((tmp_path / "clips" / "tracks").iterdir())


def test_two_runs_at_once_do_no_harm(tmp_path):
    """Two processes cut the same shard into the same folder: both end well, and the
    results are those of one run alone.
    """
    table = make_many(tmp_path, 4)
    out = tmp_path / "clips" / "cut.parquet"
    processes = [start_cutting(table, out) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    cut_shard("mine", "0-of-1", table, tmp_path / "alone" / "cut.parquet", CONFIG)
    alone = {
        path.relative_to(tmp_path / "alone"): path.read_bytes()
        for path in media_and_table(tmp_path / "alone")
    }
    assert {path.relative_to(out.parent): path.read_bytes() for path in media_and_table(out.parent)} == alone
    assert not list(out.parent.rglob(".part-*"))


def media_and_table(folder: Path) -> list[Path]:
    return [
        folder / "cut.parquet",
        *(path for sub in ("videos", "audio", "tracks") for path in (folder / sub).iterdir()),
    ]


def raising(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize("where", ["frames", "audio", "align"])
def test_an_error_nobody_thought_of_costs_its_recording_alone(tmp_path, monkeypatch, where):
    for name in "ab":
        face_video(tmp_path / "source" / f"{name}.mp4", 1.4, mirror=name == "b", **SMALL)
    table = make_index(tmp_path / "corpora", tmp_path / "source")
    fault = raising(ValueError("bad layout"))
    if where == "align":
        real, calls = align.similarities, []
        monkeypatch.setattr(
            align,
            "similarities",
            lambda *args: calls.append(1) or (fault() if len(calls) == 1 else real(*args)),
        )
    else:
        real = getattr(Recording, where)
        monkeypatch.setattr(
            Recording, where, lambda self, *args: fault() if self.id == "a" else real(self, *args)
        )
    cut_shard("mine", "0-of-1", table, tmp_path / "clips/cut.parquet", CONFIG)
    rows = read_table(tmp_path / "clips/cut.parquet", schemas.CLIPS).set_index("recording_id")
    assert rows["status"].to_dict() == {"a": "failed", "b": "kept"}
    assert rows["reason"]["a"] == "broken: unexpected ValueError: bad layout"


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.EMFILE, "Too many open files"), RuntimeError("CUDA error: unspecified")],
    ids=repr,
)
@pytest.mark.parametrize("where", ["frames", "audio"])
def test_what_no_recording_is_to_blame_for_ends_the_job(tmp_path, monkeypatch, error, where):
    face_video(tmp_path / "source/a.mp4", 1.4, **SMALL)
    table = make_index(tmp_path / "corpora", tmp_path / "source")
    monkeypatch.setattr(Recording, where, raising(error))
    with pytest.raises(FatalError, match=r"out of memory|too many open files|GPU failed"):
        cut_shard("mine", "0-of-1", table, tmp_path / "clips/cut.parquet", CONFIG)
    assert not (tmp_path / "clips/cut.parquet").exists()


def test_what_was_done_to_a_recording_stands_in_its_rows(tmp_path):
    face, times = face_frames(40, 160, 160, 0.625), [k / 25 + 0.4 * (k > 20) for k in range(40)]
    (tmp_path / "source").mkdir()
    with av.open(str(tmp_path / "source" / "holes.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 160, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        voice = AudioTrack(container, hum(2.0), 16000)
        for time, image in zip(times, face, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        voice.until(1.0)
        voice.at += 8 * voice.BLOCK
        voice.finish()
    face_video(tmp_path / "source" / "whole.mp4", width=160, height=160, scale=0.625)
    table = make_index(tmp_path / "corpora", tmp_path / "source")
    cut_shard("mine", "0-of-1", table, tmp_path / "clips" / "cut.parquet", CONFIG)
    rows = read_table(tmp_path / "clips" / "cut.parquet", schemas.CLIPS).set_index("recording_id")
    assert rows.loc["holes", "status"] == "kept" and not isinstance(rows.loc["whole", "note"], str)
    video_note, audio_note = rows.loc["holes", "note"].split("; ")
    assert video_note == "no video from 0.84 to 1.24 s: the frame before it stands there"
    assert audio_note.startswith("the audio: no audio from 1.0") and audio_note.endswith(
        "silence stands there"
    )

"""Check, merge, report, paste back."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_clips import make_clips
from typer.testing import CliRunner

from eadbench.clips.check import check_shard, moved_audio
from eadbench.clips.cli import app
from eadbench.clips.config import ClipsConfig, KeepConfig
from eadbench.clips.paste import paste_back, soft_mask
from eadbench.clips.report import write_report
from eadbench.clips.thresholds import keep_or_drop
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.tables import read_table, write_table
from eadbench.media.audio import read_audio
from eadbench.media.video import read_frames

AROUND = 10 * 640


class Evaluator:
    """Gives the verdicts it was told to, in order."""

    def __init__(self, *verdicts):
        self.verdicts = list(verdicts)

    def score(self, frames, audio):
        assert frames.dtype == np.uint8 and frames.ndim == 4 and audio.dtype == np.float32
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, BaseException):
            raise verdict
        return dict(zip(("offset", "confidence", "min_distance"), (*verdict, 7.0), strict=True))


@pytest.fixture
def cut(tmp_path):
    """Six clips whose tracks hold the audio around them, one of them lost already."""
    path = make_clips(tmp_path / "shard", frames=30, size=48)
    rows = read_table(path, schemas.CLIPS)
    rows.loc[5, ["status", "reason"]] = ["dropped", "turned away: yaw 50 > 40"]
    write_table(path.parent / "cut.parquet", rows, schemas.CLIPS)
    for track in (path.parent / "tracks").glob("*.npz"):
        arrays = dict(np.load(track))
        np.savez(
            track,
            **arrays,
            sound_before=np.full(AROUND, 1000, np.int16),
            sound_after=np.full(AROUND, -1000, np.int16),
        )
    return path.parent / "cut.parquet"


def run_check(cut, monkeypatch, *verdicts, keep=None, **config):
    monkeypatch.setattr("eadbench.zoo.load", lambda folder, device="cpu": Evaluator(*verdicts))
    monkeypatch.setattr("eadbench.clips.check.read_card", lambda folder: SimpleNamespace(sha256="0" * 64))
    out = cut.with_name("checked.parquet")
    check_shard("tiny", "0-of-1", cut, cut.parent, out, ClipsConfig(keep=keep or {}, sync=config))
    return read_table(out, schemas.CLIPS)


def test_thresholds_on_the_measures_are_applied_here_and_spare_the_evaluator_the_clip(cut, monkeypatch):
    rows = read_table(cut, schemas.CLIPS)
    rows["brightness"] = [10.0, 50.0, 50.0, 50.0, None, 10.0]
    write_table(cut, rows, schemas.CLIPS)
    table = run_check(cut, monkeypatch, *[(0, 5.0)] * 4, keep={"min_brightness": 20})
    assert table["status"].tolist() == ["dropped", *["kept"] * 4, "dropped"]
    assert table["reason"][0] == "dark: brightness 10 < 20" and table["reason"][5].startswith("turned away")
    assert table["sync_confidence"].isna().tolist() == [True, *[False] * 4, True]
    table = run_check(cut, monkeypatch, *[(0, 5.0)] * 5, keep={"min_brightness": 5})
    assert table["status"].tolist() == [*["kept"] * 5, "dropped"]


def test_offsets_are_corrected_within_limits(cut, monkeypatch):
    verdicts = [(0, 5.0), (2, 5.0), (-3, 5.0), (9, 5.0), (4, 1.0)]
    table = run_check(
        cut, monkeypatch, *verdicts, trust_from=2.0, tolerance=0, correct_up_to=6, drop_beyond=6
    )
    assert table["status"].tolist() == ["kept", "kept", "kept", "dropped", "kept", "dropped"]
    assert table["reason"][3].startswith("out of sync") and table["reason"][5].startswith("turned away")
    assert table["offset_corrected"][:5].tolist() == [0, 2, -3, 0, 0]
    assert table["av_offset"].isna().tolist() == [False] * 5 + [True]
    assert table["video"].str.startswith("corrected/").tolist() == [False, True, True, False, False, False]
    before = read_table(cut, schemas.CLIPS)
    for k, offset in ((1, 2), (2, -3)):
        old, new = (read_audio(cut.parent / rows["audio"][k]) for rows in (before, table))
        shift = offset * 640
        assert len(old) == len(new)
        kept, fresh = (
            (slice(shift, None), slice(0, shift)) if shift > 0 else (slice(0, shift), slice(shift, None))
        )
        assert np.abs(new[kept] - (old[:-shift] if shift > 0 else old[-shift:])).max() < 1e-4
        assert np.abs(new[fresh] - np.sign(shift) * 1000 / 32767).max() < 1e-3
        assert np.array_equal(
            read_frames(cut.parent / before["video"][k]), read_frames(cut.parent / table["video"][k])
        )
        assert np.corrcoef(read_audio(cut.parent / table["video"][k])[: len(new)], new)[0, 1] > 0.9


@pytest.mark.parametrize("harmed", [False, True])
def test_a_killed_run_goes_on_and_gives_the_same_bytes(cut, monkeypatch, harmed):
    verdicts = [(0, 5.0), (2, 5.0), (-3, 5.0), (1, 5.0), (0, 5.0)]
    options = {"trust_from": 2.0, "tolerance": 0, "correct_up_to": 6, "drop_beyond": 6}
    run_check(cut, monkeypatch, *verdicts, **options)

    def left():
        return {
            path: path.read_bytes()
            for path in cut.parent.rglob("*")
            if path.is_file() and path.name != "provenance.json"
        }

    whole = left()
    with pytest.raises(KeyboardInterrupt):
        run_check(cut, monkeypatch, *verdicts[:3], KeyboardInterrupt(), **options)
    assert not cut.with_name("checked.parquet").exists()
    if harmed:
        audio = sorted((cut.parent / "corrected/audio").iterdir())[0]
        audio.write_bytes(audio.read_bytes()[:-4])
    run_check(cut, monkeypatch, *(verdicts[1:2] if harmed else []), *verdicts[3:], **options)
    assert left() == whole


def test_weak_and_unjudgeable_clips_leave_a_reason(cut, monkeypatch):
    verdicts = [(0, 5.0), (0, 2.0), EadbenchError("too few frames"), (1, 9.0), (7, 9.0)]
    table = run_check(cut, monkeypatch, *verdicts, min_confidence=3.0, correct_up_to=0, drop_beyond=None)
    assert table["status"].tolist() == ["kept", "dropped", "failed", "kept", "kept", "dropped"]
    assert table["reason"][1].startswith("weak sync") and table["reason"][2] == "not judged: too few frames"
    assert (table["offset_corrected"].fillna(0) == 0).all()


def test_an_error_nobody_thought_of_costs_its_clip_and_no_memory_ends_the_job(cut, monkeypatch):
    table = run_check(cut, monkeypatch, (0, 9.0), ValueError("bad shape"), *[(0, 9.0)] * 3)
    assert table["status"].tolist() == ["kept", "failed", "kept", "kept", "kept", "dropped"]
    assert table["reason"][1] == "not judged: unexpected ValueError: bad shape"
    with pytest.raises(FatalError, match="out of memory"):
        run_check(cut, monkeypatch, (0, 9.0), torch.OutOfMemoryError("CUDA out of memory"), *[(0, 9.0)] * 3)


def test_all_failed_is_a_failed_job(cut, monkeypatch):
    with pytest.raises(EadbenchError, match="all 5 clips failed"):
        run_check(cut, monkeypatch, *[EadbenchError("broken")] * 5)
    assert not cut.with_name("checked.parquet").exists()


def test_moving_there_and_back_is_the_identity():
    before, samples, after = np.arange(-6400, 0.0), np.arange(0.0, 12800), np.arange(12800, 19200.0)
    assert np.array_equal(moved_audio(before, samples, after, 0), samples)
    assert np.array_equal(moved_audio(before, samples, after, 3), np.arange(-1920, 12800 - 1920.0))
    assert np.array_equal(moved_audio(before, samples, after, -3), np.arange(1920, 12800 + 1920.0))


def test_reasons_name_every_threshold_missed():
    keep = KeepConfig(min_face_size=100, max_yaw=30, min_brightness=10)
    nothing = schemas.ClipsRow(**dict.fromkeys(schemas.CLIPS.names))
    assert keep_or_drop(replace(nothing, face_size=120.0, yaw=12.0), keep) == ("kept", "")
    assert keep_or_drop(replace(nothing, face_size=80.0, yaw=45.0, brightness=50.0), keep) == (
        "dropped",
        "small face: face_size 80 < 100; turned away: yaw 45 > 30",
    )


def test_config_refuses_contradictions():
    with pytest.raises(ValueError, match="even"):
        ClipsConfig(size=97)
    with pytest.raises(ValueError, match="twice"):
        ClipsConfig(min_seconds=2, max_seconds=3)


def test_merge_rewrites_paths(cut, tmp_path):
    out = tmp_path / "merged" / "clips.parquet"
    result = CliRunner().invoke(app, ["merge", "--out", str(out), str(cut)])
    assert result.exit_code == 0, result.output
    merged = read_table(out, schemas.CLIPS)
    for column in ("video", "audio", "track"):
        assert all((out.parent / path).exists() for path in merged[column])


def test_report_is_one_file_and_names_the_losses(cut, tmp_path):
    out = tmp_path / "report.html"
    write_report("tiny", cut, out)
    page = out.read_text()
    assert "turned away" in page and page.count("data:image/jpeg") == 6 and "<svg" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    first = out.read_bytes()
    write_report("tiny", cut, out)
    assert out.read_bytes() == first


def test_report_of_a_drawn_corpus_says_so_on_page_and_figures(cut, tmp_path):
    config = {
        "seed": 1,
        "device": "cpu",
        "corpora": {
            "sets": {
                "tiny": {"kind": "hdtf", "studio": {"layout": "hdtf", "actors": ["WDA/OliveMarsh0"]}},
                "real": {"kind": "folder", "root": "."},
            }
        },
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    for corpus, drawn in (("tiny", True), ("real", False)):
        out = tmp_path / f"{corpus}.html"
        result = CliRunner().invoke(
            app,
            [
                "report",
                "--corpus",
                corpus,
                "--clips",
                str(cut),
                "--out",
                str(out),
                "--config",
                str(tmp_path / "config.yaml"),
            ],
        )
        assert result.exit_code == 0, result.output
        assert ("nobody real is seen or heard" in out.read_text()) == drawn
    write_report("tiny", cut, tmp_path / "plain.html")
    assert len((tmp_path / "tiny.html").read_text()) > len((tmp_path / "plain.html").read_text()) + 500, (
        "the figure bears the mark as well"
    )


def test_report_of_an_empty_table(tmp_path):
    write_table(tmp_path / "clips.parquet", pd.DataFrame(), schemas.CLIPS)
    write_report("none", tmp_path / "clips.parquet", tmp_path / "report.html")
    assert "0 kept" in (tmp_path / "report.html").read_text()


def test_paste_back_touches_only_the_mask_and_is_seamless():
    rng = np.random.default_rng(0)
    source = np.clip(rng.normal(120, 20, (200, 300, 3)), 0, 255).astype(np.uint8)
    matrix = np.array([[0.5, 0.1, -30.0], [-0.1, 0.5, 10.0]])
    mask = np.zeros((96, 96))
    mask[40:90, 20:76] = 1
    import cv2

    aligned = cv2.warpAffine(source, matrix, (96, 96))
    back = paste_back(source, aligned, matrix, mask)
    touched = cv2.warpAffine(mask, cv2.invertAffineTransform(matrix), (300, 200)) > 0
    assert np.array_equal(back[~touched], source[~touched])
    assert (back[touched] != source[touched]).any()
    # A face that is brighter all over is brought back to the source's colours at the
    # seam.
    flat, bright = np.full_like(source, 100), np.full_like(aligned, 140)
    assert np.abs(paste_back(flat, bright, matrix, mask).astype(int) - 100).max() <= 2
    assert paste_back(flat, bright, matrix, mask, match_colour=False).max() == 140


def test_paste_back_into_a_small_face_averages():
    """A fine grating averages to grey in a face a fifth of its size."""
    aligned = np.zeros((250, 250, 3), np.uint8)
    aligned[:, ::2] = 255
    matrix = np.array([[5.07, 0.3, -300.0], [-0.3, 5.07, -200.0]])
    back = paste_back(
        np.full((160, 200, 3), 127, np.uint8), aligned, matrix, np.ones((250, 250)), match_colour=False
    )
    assert np.abs(back.astype(int) - 127).max() < 30


def test_paste_back_outside_the_frame_changes_nothing():
    source, aligned = np.zeros((50, 50, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    assert np.array_equal(
        paste_back(source, aligned, np.array([[1, 0, -500.0], [0, 1, 0]]), np.ones((32, 32))), source
    )


def test_soft_mask_lies_inside():
    mask = np.zeros((64, 64))
    mask[16:, 16:48] = 1
    soft = soft_mask(mask, 0.1)
    assert (soft[mask == 0] == 0).all() and soft.max() == 1
    assert soft[-1, 32] < 0.5  # the border of the square is an edge, too

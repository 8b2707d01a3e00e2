"""``eadbench score`` on folders, with everything that people put into folders."""

import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from material import turn
from scores.conftest import astronaut, settings_text
from typer.testing import CliRunner

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.media.files import VIDEO
from eadbench.media.video import read_frames, write_video
from eadbench.score.cli import app
from eadbench.score.folders import Folders, files_by_name, folders_by_method, pairs_of
from eadbench.score.labels import Labels, read_labels
from eadbench.score.run import columns, score_folders
from eadbench.scores.evaluators import load_evaluators
from eadbench.scores.names import default_names
from eadbench.scores.stream import as_shares, cut_square, face_square

FEW = ("ssim", "psnr", "fid", "sync", "acc_emo")


def no_frames(path: Path) -> None:
    """An mp4 that is whole but holds no frame."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode()]:
            out.mux(packet)


def ten_bit(path: Path, frames: np.ndarray) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.pix_fmt, stream.width, stream.height = "yuv420p10le", frames.shape[2], frames.shape[1]
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Folders:
    """Real videos, and one generated one for each kind of problem."""
    root = tmp_path_factory.mktemp("folders of videos ü")
    real, fake = root / "real", root / "mine ü"
    frames, audio = astronaut(30, 64)
    half = np.stack([cv2.resize(f, (48, 48)) for f in frames])
    names = [
        "as it is",
        "fünf",
        "text",
        "empty",
        "one",
        "short",
        "small",
        "fast",
        "ten",
        "silent",
        "turned",
        "missing",
    ]
    for name in names:
        write_video(real / f"{name}.mp4", frames, audio=audio)
    fake.mkdir()
    for name in ("as it is", "fünf"):
        shutil.copy(real / f"{name}.mp4", fake)
    (fake / "text.mp4").write_text("this is no video")
    no_frames(fake / "empty.mp4")
    write_video(fake / "one.mp4", frames[:1], audio=audio[:640])
    write_video(fake / "short.mp4", frames[:20], audio=audio)
    write_video(fake / "small.mp4", half, audio=audio)
    write_video(fake / "fast.mp4", np.repeat(frames, 2, 0), fps=50, audio=audio)
    ten_bit(fake / "ten.mp4", frames)
    write_video(fake / "turned.mp4", np.rot90(frames, 1, (1, 2)), audio=audio)
    turn(fake / "turned.mp4", 90)
    write_video(fake / "silent.mp4", frames)
    write_video(fake / "extra.mp4", frames, audio=audio)
    (fake / "notes.txt").write_text("not a video")
    labels = root / "labels.csv"
    labels.write_text(
        "name,emotion,speaker\n"
        + "".join(f"{name}.mp4,{'happiness' if k % 2 else 'sad'},s{k % 3}\n" for k, name in enumerate(names))
    )
    return Folders(real, (fake,))


@pytest.fixture(scope="module")
def few(scores_config):
    return scores_config.model_copy(update={"metrics": FEW})


@pytest.fixture(scope="module")
def scored(folders, few, zoo, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "scores.parquet"
    score(folders, out, few, zoo)
    return out


def score(folders: Folders, out: Path, config, zoo: dict[str, Path], **more):
    labels = folders.real.parent / "labels.csv"
    pairs = pairs_of(folders, read_labels(labels if labels.exists() else None, VIDEO))
    return score_folders(pairs, out, config, load_evaluators(config, zoo, "cpu"), 1, **more)


def rows_of(out: Path, metric: str):
    cell = next(p for p in (out.parent / f"{out.name}.cells").iterdir() if p.name != "real")
    rows = read_table(cell / "per_clip.parquet", schemas.PER_CLIP)
    return rows[rows.metric == metric].set_index("clip_id")


def test_a_folder_that_is_image_driven_is_not_compared_place_by_place(folders, few, zoo, tmp_path):
    image_driven = Folders(folders.real, folders.fakes, image_driven=folders.fakes)
    score(image_driven, tmp_path / "scores.parquet", few.model_copy(update={"metrics": ("ssim",)}), zoo)
    rows = rows_of(tmp_path / "scores.parquet", "ssim")
    assert rows.value.isna().all() and "animates one image" in rows.reason["as it is"]
    with pytest.raises(EadbenchError, match="not scored"):
        pairs_of(Folders(folders.real, folders.fakes, image_driven=(tmp_path,)), Labels())


def test_each_problem_is_a_row_with_its_reason(scored):
    rows = rows_of(scored, "ssim")
    assert set(rows.index) == {
        "as it is",
        "fünf",
        "text",
        "empty",
        "one",
        "short",
        "small",
        "fast",
        "ten",
        "silent",
        "turned",
        "missing",
        "extra",
    }
    reasons = {
        "text": "cannot be opened",
        "empty": "no video stream",
        "missing": "made no video",
        "extra": "no real video",
    }
    for name, reason in reasons.items():
        assert rows.loc[name, "status"] == "failed" and reason in rows.loc[name, "reason"], name
    notes = {
        "one": "1 frames beside 30 of the real video: 1 compared",
        "short": "20 frames beside 30",
        "small": "resized from 48x48 to 64x64",
        "fast": "resampled from 50 to 25 fps",
    }
    for name, note in notes.items():
        assert rows.loc[name, "status"] == "kept" and note in rows.loc[name, "note"], name
    assert rows.loc["as it is", "value"] == rows.loc["fünf", "value"] == pytest.approx(1)
    assert rows.loc[["short", "fast", "ten", "silent", "turned"], "value"].min() > 0.9
    assert rows.loc["small", "value"] < rows.loc["fast", "value"]


def test_audio_and_length_matter_to_sync_alone(scored):
    rows = rows_of(scored, "sync")
    assert (
        "no audio stream" in rows.loc["silent", "reason"] and "no audio stream" in rows.loc["ten", "reason"]
    )
    assert "too short" in rows.loc["one", "reason"] and rows.loc["as it is", "status"] == "kept"
    assert rows.loc["fast", "value"] == pytest.approx(rows.loc["as it is", "value"], rel=0.2)


def test_nothing_vanishes_from_the_summary(scored):
    table = read_table(scored, schemas.SCORES)
    mine = table[table.method == "mine ü"].set_index("metric")
    assert mine.loc["ssim", ["n", "n_missing"]].tolist() == [9, 4]
    assert mine.loc["fid", "n"] == 9 and "4 of 13 clips are missing" in mine.loc["fid", "warning"]
    real = table[table.method == "real"].set_index("metric")
    assert real.loc["fid", "value"] == pytest.approx(0, abs=1e-6) and real.loc[
        "ssim", "value"
    ] == pytest.approx(1)
    assert set(table.direction) == {"up", "down"}
    for suffix in (".md", ".tex"):
        assert "SSIM" in scored.with_suffix(suffix).read_text(encoding="utf-8")


def test_a_second_run_measures_nothing_again_but_what_failed(scored, folders, few, zoo, monkeypatch):
    from eadbench.scores.clip import Measurer

    before, real, again = scored.read_bytes(), Measurer.measure, []
    monkeypatch.setattr(
        Measurer, "measure", lambda self, task: again.append(task.clip_id) or real(self, task)
    )
    score(folders, scored, few, zoo)
    assert set(again) == {"text", "empty"}
    assert scored.read_bytes() == before


def test_methods_are_compared_in_pairs(folders, few, zoo, tmp_path):
    frames, audio = astronaut(30, 64)
    for method, sigma in (("sharp", 0.6), ("soft", 2.0)):
        for k in range(6):
            write_video(
                tmp_path / method / f"{k}.mp4",
                [cv2.GaussianBlur(f, (0, 0), sigma + 0.01 * k) for f in frames],
                audio=audio,
            )
    for k in range(6):
        write_video(tmp_path / "real" / f"{k}.mp4", frames, audio=audio)
    config = few.model_copy(update={"metrics": ("ssim", "fid")})
    method_folders = Folders(tmp_path / "real", (tmp_path / "sharp", tmp_path / "soft"))
    table = score(method_folders, tmp_path / "s.parquet", config, zoo).scores.set_index(["method", "metric"])
    assert table.loc[("soft", "ssim"), "value"] < table.loc[("sharp", "ssim"), "value"]
    assert (
        table.loc[("soft", "ssim"), "p_value"] == pytest.approx(2 / 2**6)
        and table.loc[("soft", "ssim"), "n_common"] == 6
    )
    assert (
        np.isnan(table.loc[("sharp", "ssim"), "p_value"])
        and table.loc[("soft", "ssim"), "reference_method"] == "sharp"
    )


def test_a_folder_that_lacks_a_network_leaves_its_metrics_empty_and_says_how_to_get_it(
    folders, few, zoo, tmp_path
):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "syncnet_evaluator").symlink_to(zoo["syncnet_evaluator"])
    args = [
        "--real",
        str(folders.real),
        "--fake",
        str(folders.fakes[0]),
        "--out",
        str(tmp_path / "s.parquet"),
        "--zoo",
        str(tmp_path / "nets"),
    ]
    done = CliRunner().invoke(
        app, [*args, "--metrics", "ssim,fid,sync", "--settings", settings_text(few)], catch_exceptions=False
    )
    assert (
        done.exit_code == 0
        and "SSIM" in done.output
        and "--evaluators official fetches inception-fid" in done.output
    )
    rows = read_table(tmp_path / "s.parquet", schemas.SCORES)
    fid = rows[(rows.metric == "fid") & (rows.method == "mine ü")].iloc[0]
    assert fid.n == 0 and np.isnan(fid.value) and "holds no inception" in fid.warning


def test_the_table_of_an_image_driven_folder_shows_the_metrics_of_sequences():
    assert set(columns(image_driven=True)) - set(columns(image_driven=False)) == {
        "lips_seq",
        "expression_seq",
    }
    assert set(columns(image_driven=True)) <= set(default_names())


def test_empty_or_absent_folders(tmp_path):
    with pytest.raises(EadbenchError, match="no such folder"):
        files_by_name(tmp_path / "nothing", (".mp4",))
    with pytest.raises(EadbenchError, match="holds no media"):
        files_by_name(tmp_path, (".mp4",))
    for suffix in ("mp4", "mov"):
        (tmp_path / f"a.{suffix}").touch()
    with pytest.raises(EadbenchError, match="two files are named 'a'"):
        files_by_name(tmp_path, (".mp4", ".mov"))


def test_hidden_files_do_not_count_and_a_file_that_cannot_be_used_is_a_row_with_the_reason(tmp_path):
    real, fake = tmp_path / "real", tmp_path / "fake"
    for folder in (real, fake):
        folder.mkdir()
        for name in ("a.mp4", "._a.mp4", ".DS_Store"):
            (folder / name).touch()
    for name in ("b", "c", "d"):
        (real / f"{name}.mp4").touch()
    (fake / "b.mp4").symlink_to(tmp_path / "nothing.mp4")
    (fake / "c.docx").touch()
    (fake / "d.GIF").touch()
    pairs = pairs_of(Folders(real, (fake,)), Labels())
    problems = {task.clip_id: task.problem for task in pairs.tasks["fake"]}
    assert problems == {
        "a": "",
        "b": "the link leads nowhere",
        "c": "the method made no video of this name",
        "d": "",
    }
    assert any("1 .docx" in remark for remark in pairs.remarks)


def test_missing_audio_of_one_clip_costs_only_the_metrics_that_need_it(folders, tmp_path):
    audio = tmp_path / "audio"
    audio.mkdir()
    for name in ("as it is", "other"):
        shutil.copy(folders.real / "as it is.mp4", audio / f"{name}.mp4")
    pairs = pairs_of(Folders(folders.real, folders.fakes, audio), Labels())
    tasks = {t.clip_id: t for t in pairs.tasks["mine ü"]}
    assert tasks["as it is"].audio == audio / "as it is.mp4" and not tasks["as it is"].problem
    assert not tasks["fünf"].audio.exists() and not tasks["fünf"].problem
    assert (
        "12 of 13 videos have no audio in" in pairs.remarks[0]
        and "1 of 2 files in" in pairs.remarks[1]
        and "other" in pairs.remarks[1]
    )


def test_face_is_cut_out():
    frames = np.zeros((2, 100, 200, 3), np.uint8)
    frames[:, 40:70, 120:150] = 255
    marks = np.random.default_rng(0).uniform([120, 40], [150, 70], (2, 478, 2))
    cut = np.stack([cut_square(frame, as_shares(face_square(marks), 200, 100)) for frame in frames])
    assert cut.shape == (2, 256, 256, 3)
    bright = (cut[0, ..., 0] > 127).mean()
    assert bright == pytest.approx((3 / 4) ** 2, abs=0.05)


def test_read_frames_of_the_fixture_are_real(folders):
    assert read_frames(folders.real / "one.mp4").shape == (30, 64, 64, 3)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["out/mine", "out/theirs"], ["mine", "theirs"]),
        (["mine/videos", "theirs/videos"], ["mine_videos", "theirs_videos"]),
        # as the workflow writes them
        (["full/mead/self/videos", "wav2lip/mead/self/videos"], ["full_videos", "wav2lip_videos"]),
        (["full/mead/videos", "full/hdtf/videos", "theirs"], ["mead_videos", "hdtf_videos", "theirs"]),
        (["real"], ["work_real"]),
    ],
)
def test_methods_are_called_by_what_tells_their_folders_apart(
    given: list[str], names: list[str], tmp_path: Path
) -> None:
    root = tmp_path / "work"
    folders = Folders(root / "truth", tuple(root / name for name in given))
    assert folders_by_method(folders) == dict(zip(names, folders.fakes, strict=True))


def test_folders_that_no_single_level_tells_apart_are_called_by_the_levels_that_differ() -> None:
    places = ("A/seed1", "A/seed2", "B/seed1")
    given = tuple(Path(f"/home/me/runs/{place}/out/videos") for place in places)
    assert list(folders_by_method(Folders(Path("/r/truth"), given))) == [
        "A_seed1_videos", "A_seed2_videos", "B_seed1_videos",
    ]  # fmt: skip


def test_the_name_after_dots_is_that_of_the_folder_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "seed1" / "videos").mkdir(parents=True)
    (tmp_path / "cur").symlink_to(tmp_path / "runs" / "seed1" / "videos")
    monkeypatch.chdir(tmp_path)
    assert list(folders_by_method(Folders(Path("truth"), (Path("cur/.."),)))) == ["seed1"]
    monkeypatch.chdir(tmp_path / "runs" / "seed1")
    assert list(folders_by_method(Folders(Path("truth"), (Path(), Path("videos/."))))) == [
        "seed1", "videos",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["/", "/real"])
def test_a_folder_that_would_have_no_name_or_that_of_the_real_videos_is_refused(name: str) -> None:
    with pytest.raises(EadbenchError, match="cannot be the name of a method"):
        folders_by_method(Folders(Path("truth"), (Path(name),)))


def test_a_folder_given_through_a_link_too_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "linked").symlink_to("mine")
    with pytest.raises(EadbenchError, match="the folder is given twice"):
        folders_by_method(Folders(tmp_path / "truth", (tmp_path / "mine", tmp_path / "linked")))


def test_a_link_keeps_its_own_name(tmp_path: Path) -> None:
    for method in ("mine", "theirs"):
        (tmp_path / "runs" / method / "videos").mkdir(parents=True)
        (tmp_path / method).symlink_to(tmp_path / "runs" / method / "videos")
    given = (tmp_path / "mine", tmp_path / "theirs")
    assert list(folders_by_method(Folders(tmp_path / "truth", given))) == ["mine", "theirs"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["mine", "mine"], "the folder is given twice"),
        (["a_videos", "a/videos", "b/videos"], "two folders are both called 'a_videos'"),
    ],
)
def test_folders_that_cannot_be_told_apart_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(EadbenchError, match=message):
        folders_by_method(Folders(Path("truth"), tuple(map(Path, given))))

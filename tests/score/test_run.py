"""``eadbench score`` from the command to print: one road with the benchmark's tables."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from latex import compile_both_ways, needs_pdflatex
from scores.conftest import ARTEFACTS, astronaut
from typer.testing import CliRunner

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table, write_table
from eadbench.media.video import probe, write_video
from eadbench.score.cli import app
from eadbench.score.options import config_of, names_of
from eadbench.score.output import reserve_output
from eadbench.scores.names import evaluator_roles
from eadbench.tables.cli import app as tables_app
from eadbench.tables.compare import compare_values
from eadbench.tables.notes import av_offsets
from eadbench.tables.wide import decimals_for
from eadbench.zoo.config import ZooConfig
from eadbench.zoo.make import ArtefactInputs, make


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    """Seven real videos, two methods with names that markup would take for its own; one
    lacks three videos, the other the audio of one.
    """
    root = tmp_path_factory.mktemp("media")
    for k in range(7):
        frames, audio = astronaut(20, 48, k)
        write_video(root / f"real/c{k}.mp4", frames, audio=audio)
        if k > 2:
            write_video(
                root / f"mine[v1]/c{k}.mp4", [cv2.GaussianBlur(f, (0, 0), 1) for f in frames], audio=audio
            )
        write_video(
            root / f"<b>mine_v2/c{k}.mp4",
            [cv2.GaussianBlur(f, (0, 0), 2) for f in frames],
            audio=None if k == 4 else audio,
        )
    return root


def run(media: Path, out: Path, *more: str, fakes: tuple[str, ...] = ("mine[v1]", "<b>mine_v2")):
    args = ["--real", str(media / "real"), "--out", str(out)]
    for fake in fakes:
        args += ["--fake", str(media / fake)]
    return CliRunner().invoke(app, [*args, *more], catch_exceptions=False)


@pytest.fixture(scope="module")
def done(media, zoo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    parts = [
        text for name in ("syncnet_evaluator", "inception") for text in ("--part", f"{name}={zoo[name]}")
    ]
    result = run(
        media,
        folder / "s.parquet",
        "--metrics",
        "ssim,fid,sync,sync_offset,jitter_ratio",
        "--page",
        str(folder / "page"),
        *parts,
    )
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_the_printed_table_fits_80_columns_and_names_every_folder(done):
    lines = done[1].splitlines()
    table = [line for line in lines if line.startswith(("│", "┃", "┏", "└"))]
    assert table and max(map(len, table)) <= 80
    head = "".join(line for line in table if "metric" in line)
    assert "mine[v1]" in head and "<b>mine_v2" in head and "real" in head
    assert [re.split(r"[ │]+", line)[1] for line in table if line.startswith("│") and line[1] != " "][:2] == [
        "SSIM",
        "FID",
    ]


def test_what_is_missing_is_named_with_its_reason(done):
    output = done[1]
    assert "mine[v1]: 3 of 7 clips are missing: c0 (the method made no video of this name); c1 (" in output
    assert re.search(
        r"<b>mine_v2: 1 of 7 clips is missing from Sync \(LSE-C\), AV offset: c4 \(no audio stream", output
    )
    assert "s.clips.csv" in output
    clips = pd.read_csv(done[0] / "s.clips.csv")
    assert set(clips.method) == {"mine[v1]", "<b>mine_v2", "real"}
    assert (
        clips[(clips.method == "mine[v1]") & (clips.clip_id == "c0")].reason
        == "the method made no video of this name"
    ).all()


def test_warnings_name_their_metrics(done):
    assert not re.search(r"\d+ values\)|of \d+ columns", done[1])
    assert re.search(r"Only 4 clips \(.*SSIM.*FID.*; mine\[v1\]\)", done[1])


def test_markdown_and_latex_hold_no_markup_of_names_and_no_bare_signs(done):
    text = (done[0] / "s.md").read_text(encoding="utf-8")
    assert "<b>" not in text and "&lt;b&gt;mine\\_v2" in text and "mine\\[v1\\]" in text
    latex = (done[0] / "s.tex").read_text(encoding="utf-8")
    assert latex.isascii() and r"\textless{}b\textgreater{}mine\_v2" in latex and r"$\uparrow$" in latex


@needs_pdflatex
def test_latex_compiles_alone_and_in_a_paper(done, tmp_path):
    compile_both_ways(done[0] / "s.tex", tmp_path)


def test_fid_of_a_set_with_itself_prints_zero(done):
    line = next(
        line
        for line in (done[0] / "s.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| real")
    )
    fid = line.split("|")[3]
    assert re.fullmatch(r" 0\.0+ \\\[0\.0+, 0\.0+\\\] ", fid), fid
    assert decimals_for([6.9e-18]) == 2 and decimals_for([6.9e-18, 12.0]) == 2 and decimals_for([2e-6]) == 5


def test_the_long_table_keeps_the_benchmarks_contract_and_tests(done):
    scores = read_table(done[0] / "s.parquet", schemas.SCORES)
    other = scores[(scores.method == "<b>mine_v2") & (scores.metric == "ssim")].iloc[0]
    assert other.reference_method == "mine[v1]" and other.n_common == 4
    assert "motion_energy_ratio" in set(scores.metric), "the jitter is read beside the motion energy"


def test_the_page_holds_a_player_for_every_clip(done):
    page = done[0] / "page"
    assert "mine[v1]" in (page / "index.html").read_text(encoding="utf-8")
    assert len(list((page / "report_assets" / "videos").rglob("*.mp4"))) == 7 + 4 + 7


def test_the_page_plays_what_browsers_cannot_and_lives_with_silent_and_broken_videos(tmp_path):
    frames, _ = astronaut(25, 64)
    wide = np.concatenate([frames, frames], 2)
    for k in range(2):
        write_video(tmp_path / f"real/{k}.mp4", wide)
        write_video(tmp_path / f"mine/{k}.mp4", np.repeat(wide, 2, 0), fps=50)
    (tmp_path / "mine/0.mp4").rename(tmp_path / "mine/0.mkv")
    write_video(tmp_path / "real/2.mp4", wide)
    (tmp_path / "mine/2.mp4").write_text("no video")
    found = run(
        tmp_path,
        tmp_path / "s.parquet",
        "--metrics",
        "ssim",
        "--page",
        str(tmp_path / "page"),
        fakes=("mine",),
    )
    assert found.exit_code == 0, found.output
    shown = sorted((tmp_path / "page" / "report_assets" / "videos").rglob("*.mp4"))
    assert [path.parent.parent.parent.name for path in shown] == ["mine", "mine", "real", "real", "real"]
    assert {(probe(path).codec, probe(path).fps, probe(path).width) for path in shown} == {
        ("h264", 25.0, 128)
    }
    assert list((tmp_path / "page" / "report_assets" / "figures").glob("strip_main_*.png"))


def test_means_by_columns_of_the_labels(media, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "name,speaker,Light,take\n"
        + "".join(f"c{k},s{k % 4},{'dim' if k % 2 else 'bright'},{k}\n" for k in range(7))
    )
    out = tmp_path / "s.parquet"
    more = ("--metrics", "ssim,psnr", "--labels", str(labels), "--by", "Light", "--by", "speaker")
    text = run(media, out, *more).output
    assert "SSIM ↑ by light on real" in text and "column 'take' of the labels is not used" in text
    assert "marks a group of few clips" in text and "column 'light'" not in text
    frame = pd.read_csv(out.with_suffix(".by.csv")).set_index(["method", "metric", "by", "level"])
    clips = pd.read_csv(out.with_suffix(".clips.csv"))
    dim = clips[
        (clips.method == "<b>mine_v2") & (clips.metric == "ssim") & clips.clip_id.isin(["c1", "c3", "c5"])
    ]
    row = frame.loc["<b>mine_v2", "ssim", "light", "dim"]
    assert row.value == pytest.approx(dim.value.mean()) and (row.n, row.speakers) == (3, 2)
    assert row.warning == "only 3 clips, 2 speakers" and row.low < row.value < row.high
    with pytest.raises(EadbenchError, match=r"lack the column 'ligth' .did you mean 'light'"):
        run(media, out, "--labels", str(labels), "--by", "ligth")
    with pytest.raises(EadbenchError, match="without labels there are no groups"):
        run(media, out, "--by", "light")


def test_corrected_labels_take_effect_at_the_same_place(media, tmp_path):
    def speakers(labels: str) -> set:
        (tmp_path / "labels.csv").write_text(labels)
        result = run(
            media,
            tmp_path / "s.parquet",
            "--metrics",
            "ssim",
            "--labels",
            str(tmp_path / "labels.csv"),
            fakes=("<b>mine_v2",),
        )
        assert result.exit_code == 0
        cell = tmp_path / "s.parquet.cells" / "<b>mine_v2" / "per_clip.parquet"
        return set(read_table(cell, schemas.PER_CLIP).speaker.dropna())

    assert speakers("name,speaker\n" + "".join(f"c{k},anna\n" for k in range(7))) == {"anna"}
    assert speakers("name,speaker\n" + "".join(f"c{k},s{k}\n" for k in range(7))) == {
        f"s{k}" for k in range(7)
    }


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("o.md", "Parquet"),
        ("o.tex", "Parquet"),
        ("o.csv", "Parquet"),
        ("o", "Parquet"),
        ("d.parquet", "a folder"),
    ],
)
def test_out_must_name_a_parquet_file(media, tmp_path, name, what, monkeypatch):
    (tmp_path / "d.parquet").mkdir()
    monkeypatch.setattr(
        "eadbench.score.run.measure_cell", lambda *_, **__: pytest.fail("measured before it was refused")
    )
    with pytest.raises(EadbenchError, match=what):
        run(media, tmp_path / name, "--metrics", "ssim")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.parquet"]


def test_out_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(EadbenchError, match="cannot be written"),
        reserve_output(tmp_path / "file" / "s.parquet"),
    ):
        pass


def test_out_on_a_read_only_place_is_refused():
    with pytest.raises(EadbenchError, match="cannot be written"), reserve_output(Path("/proc/s.parquet")):
        pass


@pytest.mark.parametrize(
    ("kind", "name"),
    [("folder", f"s.{end}") for end in ("md", "tex", "csv", "clips.csv", "by.csv")]
    + [("file", f"s.parquet.{end}") for end in ("cells", "tables")],
)
def test_what_has_a_name_that_out_needs_is_refused(tmp_path, kind, name):
    (Path.mkdir if kind == "folder" else Path.touch)(tmp_path / name)
    with (
        pytest.raises(EadbenchError, match=f"a {kind} has a name.*\n.*{name}"),
        reserve_output(tmp_path / "s.parquet"),
    ):
        pass


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_measured(media, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "eadbench.score.run.measure_cell", lambda *_, **__: pytest.fail("measured before it was refused")
    )
    file = tmp_path / "file"
    file.touch()
    for page in (file, file / "page", Path("/proc/page")):
        with (
            pytest.raises(EadbenchError, match="--page cannot be written"),
            reserve_output(tmp_path / "s.parquet", page),
        ):
            pass
    with pytest.raises(EadbenchError, match="--page cannot be written"):
        run(media, tmp_path / "s.parquet", "--metrics", "ssim", "--page", str(file))


@pytest.mark.parametrize("name", ["features.safetensors", "measure.json", "sums.sha256"])
def test_a_damaged_file_of_a_cell_costs_a_measurement_and_no_run(media, tmp_path, name, caplog):
    def values() -> bytes:
        done = run(media, tmp_path / "s.parquet", "--metrics", "ssim", fakes=("<b>mine_v2",))
        assert done.exit_code == 0, done.output
        return (tmp_path / "s.clips.csv").read_bytes()

    first = values()
    for method in ("real", "<b>mine_v2"):
        path = tmp_path / "s.parquet.cells" / method / name
        path.write_bytes(path.read_bytes().replace(b"7", b"8") + b"x")
    assert values() == first and "are not used" in caplog.text


def test_numbers_of_frames_are_whole_where_clips_lack_one(done):
    frames = pd.read_csv(done[0] / "s.clips.csv", dtype=str).frames
    assert frames.isna().any() and frames.dropna().str.fullmatch(r"\d+").all()


def test_a_second_run_at_the_same_out_is_refused_and_the_next_is_not(tmp_path):
    out = tmp_path / "s.parquet"
    with (
        reserve_output(out),
        pytest.raises(EadbenchError, match="another run writes here"),
        reserve_output(out),
    ):
        pass
    with reserve_output(out):
        pass
    with (tmp_path / ".s.parquet.lock").open(
        "w"
    ) as lock_file:  # a lock file that a kill left behind holds nobody up
        fcntl.flock(lock_file, fcntl.LOCK_UN)
    with reserve_output(out):
        pass


def test_an_unknown_metric_is_one_line_with_the_nearest_name():
    with pytest.raises(EadbenchError, match="no metric is named 'nonsense'"):
        names_of("nonsense", evaluator_roles(), "metric")
    with pytest.raises(EadbenchError, match="did you mean 'ssim'"):
        names_of("fid,sism", evaluator_roles(), "metric")
    with pytest.raises(EadbenchError, match="no metric is named"):
        names_of(" , ", evaluator_roles(), "metric")
    assert names_of("SSIM, sync-offset,ssim", evaluator_roles(), "metric") == ("ssim", "sync_offset")


def test_defaults_are_its_own_whatever_lies_in_the_folder(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("scores: {fid_frames: 3}")
    monkeypatch.chdir(tmp_path)
    config = config_of(None, None)
    assert config.fid_frames is None and config.lpips_frames == 25
    assert config_of(None, None, "all").lpips_frames is None and config_of(None, None, "4").lpips_frames == 4
    for wrong in ("0", "-1", "some", "2.5"):
        with pytest.raises(EadbenchError, match="no number of frames"):
            config_of(None, None, wrong)
    assert config_of(None, "jitter").metrics == ("jitter", "motion_energy_ratio")


def test_folders_that_share_no_name_are_refused(media, tmp_path):
    shutil.copytree(media / "mine[v1]", tmp_path / "other")
    for k, path in enumerate(sorted((tmp_path / "other").iterdir())):
        path.rename(path.with_name(f"x{k}.mp4"))
    with pytest.raises(
        EadbenchError, match="no video of the folder has the name of a real one: 'x0' and 'c0'"
    ):
        run(media, tmp_path / "s.parquet", "--metrics", "ssim", fakes=(str(tmp_path / "other"),))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([-5, -5, 0, -5], "mine: audio late by 5 frames in 3 of 4 clips, c0, c1, c3"),
        ([5, 6], "mine: audio early by 5 to 6 frames in 2 of 2 clips, c0, c1"),
        (
            [-3, 4, 0],
            "No steady offset: mine. SyncNet finds the audio early in some clips and late in others, as "
            "where lips and audio do not belong together; their mean AV offset says nothing.",
        ),
        ([1, 0, -1], None),
    ],
)
def test_an_offset_beyond_one_frame_is_put_into_words(values, words):
    from eadbench.tables.metrics import metric
    from eadbench.tables.wide import WideColumn, WideRow, WideTable

    column = WideColumn(metric("sync"), "real", "real", 2, {}, None)
    row = WideRow("mine", "mine", "ours", {}, None, None)
    table = WideTable("main", "t", "self", "mine", (), (row,), (column,), {}, {})
    offsets = pd.DataFrame(
        {"method": ["mine"], "corpus": ["real"], "protocol": ["self"], "values": [np.array(values, float)]}
        | {"clips": [[f"c{k}" for k in range(len(values))]]}
    )
    notes = [n.text for n in av_offsets(table, offsets)]
    assert [n.split(" (AV")[0] for n in notes] == ([words] if words else [])


def test_help_says_what_the_sign_of_the_offset_means():
    text = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    assert "positive where the audio is early" in text


def test_several_processes_give_the_same_bytes(media, zoo, tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)  # a thread each, as here
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    parts = [
        text for name in ("syncnet_evaluator", "inception") for text in ("--part", f"{name}={zoo[name]}")
    ]
    made = []
    for jobs in ("1", "2"):
        out = tmp_path / jobs / "s.parquet"
        result = run(media, out, "--metrics", "ssim,fid,sync,face_rate", "--jobs", jobs, *parts)
        assert result.exit_code == 0, result.output
        made.append(
            {
                path.name: path.read_bytes()
                for path in (out, out.with_suffix(".clips.csv"), out.with_suffix(".md"))
            }
        )
    torch.set_num_threads(threads)
    assert made[0] == made[1]


REFUSED = """
import json, sys
from typer.testing import CliRunner
from eadbench.score.cli import app
messages = [str(CliRunner().invoke(app, args).exception) for args in json.loads(sys.argv[1])]
heavy = ["torch", "pandas", "pyarrow", "mediapipe", "av", "scipy", "matplotlib", "duckdb"]
print(json.dumps([messages, [name for name in heavy if name in sys.modules]]))
"""


def test_refusals_come_before_anything_large_is_imported(media, tmp_path):
    (tmp_path / "labels.csv").write_text("name,emotion\nc0,hungry\n")
    folders = ["--real", str(media / "real"), "--fake", str(media / "<b>mine_v2")]
    out = ["--out", str(tmp_path / "s.parquet")]
    cases = {
        "names a Parquet table": [*folders, "--out", str(tmp_path / "s.md")],
        "'hungry'": [*folders, *out, "--labels", str(tmp_path / "labels.csv")],
        "no metric is named 'sism'": [*folders, *out, "--metrics", "sism"],
        "given twice": [*folders, *folders[2:], *out],
        "--evaluators official": [*folders, *out],
        "no such folder": [*folders, *out, "--evaluators", str(tmp_path / "nothing")],
    }
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "EADBENCH_CACHE": str(tmp_path)}
    program = [sys.executable, "-c", REFUSED, json.dumps(list(cases.values()))]
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=True)
    messages, loaded = json.loads(done.stdout)
    assert not loaded
    for message, printed in zip(cases, messages, strict=True):
        assert message in printed


def test_formulas_need_no_torch(media, tmp_path):
    args = [
        "--real",
        str(media / "real"),
        "--fake",
        str(media / "<b>mine_v2"),
        "--out",
        str(tmp_path / "s.parquet"),
        "--metrics",
        "ssim",
    ]
    program = [sys.executable, "-c", REFUSED, json.dumps([args])]
    messages, loaded = json.loads(
        subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )
    assert messages == ["None"] and (tmp_path / "s.parquet").exists()
    assert "pandas" in loaded and "torch" not in loaded


@pytest.fixture(scope="module")
def shared(media, zoo, tmp_path_factory) -> Path:
    """Scores of two people: the same real videos in folders of other names, each with a
    method of their own.
    """
    root = tmp_path_factory.mktemp("shared")
    for name, fake in (("anna", "<b>mine_v2"), ("ben", "mine[v1]")):
        shutil.copytree(media / "real", root / name / f"clips_of_{name}")
        shutil.copytree(media / fake, root / name / "ours")
        result = scored(root / name, zoo["inception"], root / name / "scores.parquet")
        assert result.exit_code == 0, result.exception
    return root


def scored(folder: Path, inception: Path, out: Path, *more: str):
    args = ["--real", str(next(folder.glob("clips*"))), "--fake", str(folder / "ours"), *more]
    options = ["--out", str(out), "--metrics", "ssim,fid", "--part", f"inception={inception}"]
    return CliRunner().invoke(app, [*args, *options])


def merged(*args: object):
    return CliRunner().invoke(tables_app, ["merge", *map(str, args)])


def test_scores_of_two_people_are_merged_where_the_real_videos_are_the_same(shared, tmp_path):
    tables = [shared / name / "scores.parquet" for name in ("anna", "ben")]
    result = merged(*tables, "--out", tmp_path / "merged/scores.parquet")
    assert result.exit_code == 0, result.exception
    scores = read_table(tmp_path / "merged/scores.parquet", schemas.SCORES)
    assert set(scores.method) == {"ours", "ours.ben", "real"} and set(scores.corpus) == {"clips_of_anna"}
    theirs = read_table(tables[1], schemas.SCORES).set_index(["method", "metric"]).value
    own = scores.set_index(["method", "metric"]).value
    assert own["ours.ben", "fid"] == theirs["ours", "fid"] != own["ours", "fid"]
    assert "ours (ben)" in (tmp_path / "merged/main.md").read_text(encoding="utf-8")


def test_two_scores_are_compared_clip_by_clip_without_speakers_too(shared, recwarn):
    comparison = compare_values(*(shared / name / "scores.parquet" for name in ("anna", "ben")))
    assert comparison.corpus.nunique() == 2, "other folders of real videos"
    again = shared / "again.parquet"
    shutil.copytree(shared / "anna/scores.parquet.tables", again.with_name("again.parquet.tables"))
    cells = again.with_name("again.parquet.cells")
    shutil.copytree(shared / "anna/scores.parquet.cells", cells)
    shutil.copytree(shared / "anna/scores.parquet.cells/real", cells / "ours", dirs_exist_ok=True)
    scores = again.with_name("again.parquet.tables") / "scores.parquet"
    frame = read_table(scores, schemas.SCORES)
    frame.loc[(frame.method == "ours") & (frame.metric == "ssim"), "value"] = 1.0
    write_table(scores, frame, schemas.SCORES)
    comparison = compare_values(shared / "anna/scores.parquet", again).set_index(["method", "metric"])
    row = comparison.loc[("ours", "ssim")]
    assert row.detail == "7 clips in common" and row.low <= row.difference <= row.high
    assert not [w for w in recwarn if "divide" in str(w.message)]


def test_scores_are_shown_cited_exported_and_compared_from_the_table_that_was_written(shared, tmp_path):
    anna = str(shared / "anna" / "scores.parquet")
    for args, word in (
        (["show", "--tables", anna], "ours"),
        (["cite", "--tables", anna], "heusel2017fid"),
        (["export", "--to", "csv", "--out", str(tmp_path / "all.csv"), "--tables", anna], "4 values"),
        (["compare", anna, anna, "--all"], "4 same"),
    ):
        result = CliRunner().invoke(tables_app, args)
        assert result.exit_code == 0 and word in result.output, (args, result.output, result.exception)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--crop",), ("different settings: crop", "a: False; b: True")),
        (("other network",), ("fid of the results differs in hash of the weights", "--without fid")),
        (("other clips",), ("show other clips of clips/self",)),
        (("no folder",), ("tables of this file are not beside it", "b.parquet.tables")),
    ],
    ids=lambda value: value[0],
)
def test_scores_measured_otherwise_are_not_merged_and_the_difference_is_named(
    shared, zoo, tmp_path, more, words
):
    network, options = zoo["inception"], [word for word in more if word.startswith("--")]
    for name in ("a", "b"):
        shutil.copytree(shared / "anna/clips_of_anna", tmp_path / name / "clips")
        shutil.copytree(shared / "anna/ours", tmp_path / name / "ours")
    if more == ("other clips",):
        (tmp_path / "b/clips/c6.mp4").unlink()
    if more == ("other network",):
        network = tmp_path / "inception"
        config = ZooConfig.model_validate({"artefacts": {"inception": ARTEFACTS["inception"]}})
        make("inception", config, 2, ArtefactInputs([], {}), network)
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    assert scored(tmp_path / "a", zoo["inception"], first).exit_code == 0
    assert scored(tmp_path / "b", network, second, *options).exit_code == 0
    if more == ("no folder",):
        shutil.rmtree(tmp_path / "b.parquet.tables")
    result = merged(first, second, "--out", tmp_path / "m/scores.parquet")
    assert result.exit_code and all(word in str(result.exception) for word in words), result.exception
    assert not (tmp_path / "m").exists()

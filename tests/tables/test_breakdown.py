"""Means by any column of the clips table or of the user's labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic
from typer.testing import CliRunner

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table, write_table
from eadbench.tables.breakdown import breakdown, clustered_mean, groups_of, levels, printed
from eadbench.tables.build import TableInputs, build
from eadbench.tables.cli import app
from eadbench.tables.config import BY, BreakdownConfig, TablesConfig, with_automatic_tables
from eadbench.tables.gather import open_per_clip

# Columns of the clips table that form no groups: names, files, places, states.
GROUPLESS = {
    "clip_id", "recording_id", "corpus", "video", "audio", "track", "source", "status", "reason", "note",
    "source_start", "source_end",
}  # fmt: skip


def clips_table(results: Path, corpus: str) -> Path:
    """The clips that a synthetic corpus's scores are of, with sex, level and yaw."""
    rows = read_table(results / f"scores/full/{corpus}/self/per_clip.parquet", schemas.PER_CLIP)
    clips = rows.drop_duplicates("clip_id")[["clip_id", "speaker", "emotion", "corpus"]].copy()
    number = np.arange(len(clips))
    clips["recording_id"], clips["status"], clips["reason"] = clips.clip_id, "kept", ""
    clips["sex"] = np.where(clips.speaker == clips.speaker.iloc[0], "female", "male")
    clips["level"], clips["yaw"] = number % 2 + 1, number * 1.5
    path = results / f"clips/{corpus}/clips.parquet"
    write_table(path, clips, schemas.CLIPS)
    return path


@pytest.fixture(scope="module")
def grouped_results(tmp_path_factory) -> Path:
    """Results with tables of clips, built with sex and level."""
    folder = synthetic.make_results(tmp_path_factory.mktemp("grouped"))
    clips = [clips_table(folder, corpus) for corpus in ("demo_hdtf", "demo_mead", "demo_ravdess")]
    config = TablesConfig.model_validate(synthetic.CONFIG | {"breakdown": {"by": ["sex", "level"]}})
    inputs = TableInputs(**synthetic.inputs_of(folder), clip_tables=clips)
    build(inputs, config, 1, folder / "tables/scores.parquet", 30)
    return folder


def test_all_columns_of_the_clips_table_are_known():
    assert set(BY) == set(schemas.CLIPS.names) - GROUPLESS
    with pytest.raises(ValueError, match=r"no column .sexx. .did you mean 'sex'"):
        BreakdownConfig(by=["sexx"])


def test_built_tables_hold_the_groups_with_n_and_small_ones_marked(grouped_results):
    frame = read_table(grouped_results / "tables/breakdown.parquet", schemas.BREAKDOWN)
    assert set(frame.by) == {"emotion", "speaker", "sex", "level"}
    rows = read_table(grouped_results / "scores/full/demo_mead/self/per_clip.parquet", schemas.PER_CLIP)
    clips = read_table(grouped_results / "clips/demo_mead/clips.parquet", schemas.CLIPS)
    male_rows = rows[(rows.metric == "sync") & rows.clip_id.isin(clips[clips.sex == "male"].clip_id)]
    (row,) = frame[
        (frame.method == "full")
        & (frame.corpus == "demo_mead")
        & (frame.metric == "sync")
        & (frame.level == "male")
    ].itertuples()
    assert row.value == pytest.approx(male_rows.value.mean()) and (row.n, row.speakers) == (len(male_rows), 2)
    assert row.low < row.value < row.high and row.warning == f"only {len(male_rows)} clips, 2 speakers"
    assert (frame[frame.by == "speaker"].warning.str.contains("speaker") == False).all()  # noqa: E712


def test_no_interval_goes_beyond_what_a_metric_can_be(grouped_results):
    frame = read_table(grouped_results / "tables/breakdown.parquet", schemas.BREAKDOWN)
    shares = frame[(frame.metric == "acc_emo") & frame.low.notna()]
    assert len(shares) and shares.low.min() == 0 and shares.high.max() == 1


def test_the_interval_holds_clips_of_a_speaker_together():
    from scipy.stats import t

    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, 12)
    by_clip = clustered_mean(values, [f"s{k}" for k in range(12)])
    ends = t.interval(0.95, 11, values.mean(), values.std(ddof=1) / np.sqrt(12))
    assert by_clip[:3] == pytest.approx((values.mean(), *ends)) and by_clip[3] == 12
    assert clustered_mean(values, ["a"] * 12)[1:3] == pytest.approx(ends), "one speaker: over the clips"
    # Four speakers of three equal clips each hold as much as four clips.
    speakers = np.repeat(["a", "b", "c", "d"], 3)
    alike = np.repeat(values[:4], 3)
    few = clustered_mean(values[:4], list("abcd"))
    assert clustered_mean(alike, speakers) == pytest.approx((*few[:3], 4))
    assert clustered_mean(values[:1], ["a"]) == (values[0], None, None, 1)


def test_the_interval_covers_what_it_says():
    """With ten speakers, whose clips differ by speaker as much as by clip, 95 % of the
    intervals hold the truth; those of single clips do not.
    """
    rng, speakers, clustered, plain = np.random.default_rng(1), np.repeat(np.arange(10), 6).astype(str), 0, 0
    for _ in range(400):
        values = np.repeat(rng.normal(0, 1, 10), 6) + rng.normal(0, 1, 60)
        low, high = clustered_mean(values, speakers)[1:3]
        clustered += low < 0 < high
        low, high = clustered_mean(values, [str(k) for k in range(60)])[1:3]
        plain += low < 0 < high
    assert clustered / 400 == pytest.approx(0.95, abs=0.03) and plain / 400 < 0.75


def test_many_numbers_are_cut_into_thirds():
    frame = pd.DataFrame({"corpus": "c", "clip_id": [f"k{k}" for k in range(30)], "yaw": np.arange(30) / 2})
    groups = levels(frame, "yaw")
    assert groups.level.value_counts().tolist() == [10, 10, 10] and groups.level.iloc[-1] == "9.67 to 14.5"
    assert levels(frame.assign(yaw=[1, 2, 3] * 10), "yaw").level.unique().tolist() == ["1", "2", "3"]
    assert not len(levels(frame.assign(yaw=None), "yaw"))


def test_labels_of_ones_own(grouped_results, tmp_path):
    clips = [grouped_results / "clips/demo_mead/clips.parquet"]
    names = read_table(clips[0], schemas.CLIPS).clip_id
    labels = tmp_path / "mine.csv"
    labels.write_text(
        "clip_id,accent\n" + "".join(f"{c},{'north' if k % 2 else ''}\n" for k, c in enumerate(names))
    )
    groups = groups_of(clips, ["accent", "sex"], labels)
    assert (groups.by == "accent").sum() == len(names) // 2 and set(groups.by) == {"accent", "sex"}
    with open_per_clip([grouped_results / "scores/full/demo_mead/self/per_clip.parquet"], tmp_path) as base:
        frame = breakdown(base, groups)
    assert set(frame[frame.by == "accent"].level) == {"north"}
    with pytest.raises(EadbenchError, match=r"no column 'acent' .did you mean 'accent'"):
        groups_of(clips, ["acent"], labels)
    labels.write_text(f"clip_id,accent\n{names[0]},a\n{names[0]},b\n")
    with pytest.raises(EadbenchError, match="twice"):
        groups_of(clips, ["accent"], labels)


def test_the_command_prints_groups_of_what_was_scored(grouped_results, tmp_path):
    out = tmp_path / "by.csv"
    args = [
        "breakdown",
        "--by",
        "yaw",
        "--metrics",
        "ssim",
        "--results",
        str(grouped_results),
        "--out",
        str(out),
    ]
    result = CliRunner().invoke(app, args, catch_exceptions=False)
    assert "SSIM ↑ by yaw on HDTF (demo)" in result.output and "clustered by" in result.output
    frame = pd.read_csv(out)
    assert set(frame.by) == {"yaw"} and frame.level.nunique() == 3 and set(frame.metric) > {"ssim", "sync"}
    with pytest.raises(EadbenchError, match="no column 'yow'"):
        CliRunner().invoke(
            app, ["breakdown", "--by", "yow", "--results", str(grouped_results)], catch_exceptions=False
        )
    with pytest.raises(EadbenchError, match="no metric per clip 'fid'"):
        CliRunner().invoke(app, [*args, "--metrics", "ssim, fid"], catch_exceptions=False)


def test_print_orders_numbers_and_marks_small_groups(grouped_results):
    frame = read_table(grouped_results / "tables/breakdown.parquet", schemas.BREAKDOWN)
    config = TablesConfig.model_validate(synthetic.CONFIG)
    tables = printed(frame, config, "level", ["sync"])
    table = tables["Sync (LSE-C) ↑ by level on MEAD (demo)"]
    assert list(table.columns) == ["Method", "1", "2"] and table.Method.iloc[0] == "EAD-Net"
    assert table["1"].str.fullmatch(r"[\d.]+ \[[-\d.]+, [\d.]+\] \(\d+\)\*").all()


def test_the_table_of_silence_comes_by_itself():
    config = TablesConfig.model_validate(synthetic.CONFIG)
    cells = [
        ("full", "demo_mead", "self"),
        ("still", "demo_mead", "silent"),
        ("wav2lip", "demo_hdtf", "silent"),
    ]
    silent = with_automatic_tables(config, cells, {"open_mouth", "ssim"}).comparisons()["silent"]
    assert (silent.methods, silent.reference) == (["wav2lip", "still"], "wav2lip")
    assert (silent.metrics, silent.corpora) == (["open_mouth"], ["demo_hdtf", "demo_mead"])
    assert with_automatic_tables(config, cells[:1], {"open_mouth"}) == config
    drift = with_automatic_tables(config, cells, {"csim_slope"}).comparisons()["drift"]
    assert (drift.methods, drift.metrics, drift.protocol) == (["full"], ["csim_slope"], "self")
    shown = config.model_copy(update={"more": {"leaks": silent}})
    assert set(with_automatic_tables(shown, cells, {"open_mouth"}).more) == {"leaks"}

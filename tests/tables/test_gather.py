"""Inputs, paired tests, breakdown, speed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy.stats import binom, wilcoxon

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.tables import read_table, write_table
from eadbench.scores.config import ScoresConfig
from eadbench.scores.paired import signed_rank
from eadbench.scores.summarise import Summary, SummaryCell
from eadbench.tables import gather
from eadbench.tables.breakdown import breakdown


def summary_row(**changes) -> dict:
    row = {
        "method": "m",
        "corpus": "c",
        "protocol": "self",
        "metric": "ssim",
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "n": 3,
        "n_missing": 0,
        "extractor": "x",
        "weights_sha256": "",
        "warning": "",
    }
    return row | changes


def clip_rows(values: dict[str, list[float]], **changes) -> list[dict]:
    return [
        {
            "method": m,
            "corpus": "c",
            "protocol": "self",
            "clip_id": f"k{i}",
            "speaker": f"s{i % 2}",
            "emotion": "happy",
            "metric": "ssim",
            "value": v,
            "extractor": "x",
            "weights_sha256": "",
            "status": "kept",
            "reason": "",
        }
        | changes
        for m, vs in values.items()
        for i, v in enumerate(vs)
    ]


def test_paired_test_is_scipys_over_common_clips(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 20), rng.normal(0.4, 1, 20)
    b[3] = np.nan  # this clip failed for b
    write_table(tmp_path / "p.parquet", clip_rows({"a": a.tolist(), "b": b.tolist()}), schemas.PER_CLIP)
    with gather.open_per_clip([tmp_path / "p.parquet"], tmp_path) as base:
        (row,) = gather.paired_tests(base, "a").itertuples()
    common = ~np.isnan(b)
    assert row.method == "b" and row.n_common == 19
    assert row.p_value == pytest.approx(wilcoxon(b[common] - a[common]).pvalue)


@pytest.mark.parametrize(("differences", "expected"), [([], None), ([0.3], None), ([0.0, 0.0, 0.0], 1.0)])
def test_signed_rank_of_little(differences: list[float], expected: float | None) -> None:
    assert signed_rank(np.array(differences)) == expected


def test_no_significance_below_the_fewest_pairs() -> None:
    assert signed_rank(np.arange(1.0, gather.FEWEST)) > 0.05
    assert signed_rank(np.arange(1.0, gather.FEWEST + 1)) < 0.05


def test_holm_agrees_with_the_definition() -> None:
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(gather.holm(p), [0.03, np.nan, 0.06, 0.06, 0.02])


def test_values_that_are_no_numbers_become_null_with_a_warning(tmp_path: Path) -> None:
    write_table(tmp_path / "s.parquet", [summary_row(value=np.inf, high=np.nan)], schemas.SUMMARY)
    (row,) = gather.read_summaries([tmp_path / "s.parquet"]).itertuples()
    assert pd.isna(row.value) and "not a finite number" in row.warning


def test_one_clip_has_no_interval_and_unlabelled_clips_no_number_of_speakers(tmp_path: Path) -> None:
    write_table(tmp_path / "s.parquet", [summary_row(n=1, low=0.5, high=0.5)], schemas.SUMMARY)
    (row,) = gather.read_summaries([tmp_path / "s.parquet"]).itertuples()
    assert row.value == 0.5 and pd.isna(row.low) and pd.isna(row.high)


@pytest.mark.parametrize(
    ("speakers", "warning"),
    [(["a", "b"], "the interval rests on 2 speakers"), ([None, None], ""), (["a", None], ""), (["a"], "")],
)
def test_few_speakers_are_a_warning_only_where_clips_are_labelled(
    tmp_path: Path, speakers: list[str | None], warning: str
) -> None:
    values = list(np.linspace(0.4, 0.6, len(speakers)))
    rows = [r | {"speaker": s} for r, s in zip(clip_rows({"m": values}), speakers, strict=True)]
    meta = {"cell": {"method": "m", "corpus": "c", "protocol": "self"}, "signatures": {}, "notes": {}}
    cell = SummaryCell(tmp_path, pd.DataFrame(rows), meta, None)
    summary = Summary(cell, cell, ScoresConfig(evaluators={}, metrics=["ssim"], bootstrap=20), 1)
    summary.mean("ssim", cell.rows.assign(resolution=64, frames=9), len(speakers), None)
    (row,) = summary.rows
    assert row["warning"] == warning and (row["low"] is None) == (len(speakers) == 1)


@pytest.mark.parametrize("fault", ["twice", "half", "old", "absent"])
def test_bad_summaries_are_named(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "bad.parquet"
    paths = [path]
    if fault == "twice":
        write_table(path, [summary_row()], schemas.SUMMARY)
        paths = [path, path]
    elif fault == "half":
        write_table(path, [summary_row()], schemas.SUMMARY)
        path.write_bytes(path.read_bytes()[:200])
    elif fault == "old":
        pd.DataFrame([{k: v for k, v in summary_row().items() if k != "extractor"}]).to_parquet(path)
    with pytest.raises(
        FatalError if fault == "half" else EadbenchError,
        match={
            "twice": "same value",
            "half": "damaged",
            "old": "was not written by eadbench",
            "absent": "missing",
        }[fault],
    ):
        gather.read_summaries(paths)


def test_bad_per_clip_tables_are_named(tmp_path: Path) -> None:
    write_table(tmp_path / "p.parquet", clip_rows({"a": [1.0, 2.0]}), schemas.PER_CLIP)
    with (
        pytest.raises(EadbenchError, match="measured twice"),
        gather.open_per_clip([tmp_path / "p.parquet"] * 2, tmp_path),
    ):
        pass
    (tmp_path / "half.parquet").write_bytes((tmp_path / "p.parquet").read_bytes()[:-20])
    with (
        pytest.raises(FatalError, match="damaged"),
        gather.open_per_clip([tmp_path / "half.parquet"], tmp_path),
    ):
        pass


@pytest.mark.parametrize("name", ["corpus=old", "mine[v1]", "a*b", "method=x/speaker=y"])
def test_the_folders_name_is_not_taken_for_data(tmp_path: Path, name: str) -> None:
    write_table(
        tmp_path / name / "p.parquet", clip_rows({"a": [1.0, 2.0], "b": [2.0, 4.0]}), schemas.PER_CLIP
    )
    with gather.open_per_clip([tmp_path / name / "p.parquet"], tmp_path / "out") as base:
        tests, means = gather.paired_tests(base, "a"), breakdown(base)
    assert tests[["method", "corpus", "n_common"]].values.tolist() == [["b", "c", 2]]
    assert set(means.corpus) == {"c"} and set(means[means.by == "speaker"].level) == {"s0", "s1"}


def many_rows(n: int) -> pd.DataFrame:
    """``n`` rows of two methods whose sums depend on the order of adding."""
    clip = np.arange(n) // 2
    return pd.DataFrame(
        {
            "method": np.where(np.arange(n) % 2, "a", "b"),
            "corpus": "c",
            "protocol": "self",
            "clip_id": [f"k{k}" for k in clip],
            "speaker": [f"s{k % 3}" for k in clip],
            "emotion": [f"e{k % 2}" for k in clip],
            "metric": "ssim",
            "value": np.random.default_rng(0).normal(0, 1, n),
            "extractor": "x",
            "weights_sha256": "",
            "status": "kept",
            "reason": "",
        }
    )


def test_the_breakdown_is_the_same_bits_with_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many_rows(300_000)  # DuckDB gives a thread no less than a row group of 122,880
    write_table(tmp_path / "p.parquet", rows, schemas.PER_CLIP)
    frames, averages = [], set()
    for threads in (1, 2, 3, 4):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        with gather.open_per_clip([tmp_path / "p.parquet"], tmp_path) as base:
            assert base.execute("SELECT current_setting('threads')").fetchone() == (threads,)
            frames.append(breakdown(base))
            averages |= set(
                base.execute("SELECT avg(value) FROM per_clip GROUP BY method, emotion").fetchall()
            )
    assert len(averages) > 4  # as they come, the sums do differ
    for other in frames[1:]:
        pd.testing.assert_frame_equal(frames[0], other, check_exact=True)
    first = frames[0].iloc[0]
    values = rows[(rows.method == first.method) & (rows.emotion == first.level)].value
    assert first.value == pytest.approx(values.mean()) and first.n == len(values)


def test_duckdb_spills_beside_the_output_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(gather, "MEMORY", "40MB")
    with gather.open_per_clip([], tmp_path / "out") as base:
        base.execute("CREATE TABLE big AS SELECT range AS a, hash(range) AS b FROM range(8_000_000)")
        base.execute("CREATE TABLE sorted AS SELECT * FROM big ORDER BY b")
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()], "nothing was spilled"
        assert not list((tmp_path / "elsewhere").iterdir())
    assert not list((tmp_path / "out").iterdir())


def test_breakdown_is_the_mean_with_students_t(results: Path) -> None:
    frame = read_table(results / "tables" / "breakdown.parquet", schemas.BREAKDOWN)
    clips = read_table(
        results / "scores" / "full" / "demo_mead" / "self" / "per_clip.parquet", schemas.PER_CLIP
    )
    values = clips[(clips.metric == "sync") & (clips.speaker == "S01")].value
    (row,) = frame[
        (frame.method == "full")
        & (frame.corpus == "demo_mead")
        & (frame.metric == "sync")
        & (frame.level == "S01")
    ].itertuples()
    assert row.value == pytest.approx(values.mean()) and row.n == len(values)
    from scipy.stats import t

    low, high = t.interval(0.95, len(values) - 1, values.mean(), values.std() / np.sqrt(len(values)))
    assert (row.low, row.high) == (pytest.approx(low), pytest.approx(high))
    assert row.speakers == 1


@pytest.mark.parametrize("n", [5, 6, 9, 20, 101])
def test_median_interval_covers(n: int) -> None:
    low, high = gather.median_interval(np.arange(n, dtype=float))
    if n < gather.FEWEST:
        assert low is None and high is None
        return
    outside = binom.cdf(low, n, 0.5)  # fewer than low + 1 values below the median
    assert 2 * outside <= 0.05 < 2 * binom.cdf(low + 1, n, 0.5)


def test_speed_counts_what_was_not_timed(tmp_path: Path) -> None:
    samples = (
        synthetic.make_results(tmp_path, synthetic.World(corpora=("c",), methods={"full": 1.0}, history=()))
        / "samples/full/c/self/samples.parquet"
    )
    frame = read_table(samples, schemas.SAMPLES)
    frame.loc[0, "status"], frame.loc[1, "seconds"] = "failed", np.nan
    (row,) = gather.speed(frame).itertuples()
    assert (row.n, row.n_missing) == (22, 2)
    assert row.seconds_low <= row.seconds <= row.seconds_high

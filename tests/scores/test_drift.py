"""What changes in the course of a long clip."""

import cv2
import numpy as np
import pandas as pd
import pytest

from eadbench.core import schemas
from eadbench.media.video import write_video
from eadbench.scores.clip import Measurer
from eadbench.scores.evaluators import load_evaluators
from eadbench.scores.measure import measure_cell
from eadbench.scores.summarise import SummaryCell, summarise_cell
from eadbench.scores.task import ScoreTask
from eadbench.tables.config import TablesConfig
from eadbench.tables.in_time import in_time

from .conftest import astronaut

FRAMES, SECONDS = 110, 1.0  # four bins of a second, and what is left
NAMES = tuple(
    f"{what}_{how}" for how in ("slope", "bins") for what in ("csim", "sharpness", "sync", "jitter")
)


@pytest.fixture(scope="module")
def config(scores_config):
    return scores_config.model_copy(
        update={"bin_seconds": SECONDS, "metrics": (*NAMES, "sync", "csim", "jitter")}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clip, and two that get worse: blurred more and more, shaking more and more."""
    folder = tmp_path_factory.mktemp("drift")
    frames, audio = astronaut(FRAMES)
    rng = np.random.default_rng(0)
    blurred = [cv2.GaussianBlur(f, (0, 0), 0.3 + 2 * k / FRAMES) for k, f in enumerate(frames)]
    shaken = [np.roll(f, rng.integers(-1, 2, 2) * (2 * k // FRAMES), (0, 1)) for k, f in enumerate(frames)]
    for name, images in {"steady": frames, "blurred": blurred, "shaken": shaken}.items():
        write_video(folder / f"{name}.mp4", images, audio=audio, crf=10)
    return folder


@pytest.fixture(scope="module")
def cells(folder, config, zoo, tmp_path_factory):
    """The summary of each, measured as a cell of one clip."""
    evaluators, out = load_evaluators(config, zoo, "cpu"), tmp_path_factory.mktemp("cells")
    for name in ("steady", "blurred", "shaken"):
        task = ScoreTask("a", speaker="s", fake=folder / f"{name}.mp4", real=folder / "steady.mp4")
        cell = {"method": name, "corpus": "c", "protocol": "self"}
        measure_cell(cell, [task], config, evaluators, out / name / "per_clip.parquet")
    return out


def slopes(cells, name) -> pd.Series:
    return SummaryCell.read(cells / name).rows.set_index("metric").value


def test_what_gets_worse_has_a_slope(cells):
    steady, blurred, shaken = (slopes(cells, name) for name in ("steady", "blurred", "shaken"))
    assert abs(steady.sharpness_slope) < 0.05 and blurred.sharpness_slope < -0.1
    assert shaken.jitter_slope > 5 * abs(steady.jitter_slope)
    assert np.isfinite([steady.csim_slope, steady.sync_slope]).all()


def test_bins_hold_the_whole_clips_numbers(cells, config):
    read = SummaryCell.read(cells / "steady")
    bins = {what: read.features.get(f"bins-{what}", "a") for what in ("csim", "sharpness", "sync", "jitter")}
    assert {what: len(values) for what, values in bins.items()} == dict.fromkeys(bins, 4)
    whole = read.rows.set_index("metric").value
    assert bins["jitter"].mean() == pytest.approx(whole.jitter, rel=0.3)
    assert bins["sharpness"][0] == 1.0 and bins["csim"].mean() == pytest.approx(whole.csim, abs=0.1)
    slope = np.polyfit((np.arange(4) + 0.5) * SECONDS, bins["jitter"], 1)[0]
    assert whole.jitter_slope == pytest.approx(slope)


def test_the_summary_has_a_row_per_bin_and_the_tables_print_them(cells, config):
    rows = [
        summarise_cell(SummaryCell.read(cells / name), SummaryCell.read(cells / "steady"), config, 1)
        for name in ("steady", "blurred")
    ]
    bin_rows = rows[1][rows[1].metric == "sharpness_bins"]
    assert bin_rows.variant.tolist() == ["0-1s", "1-2s", "2-3s", "3-4s"]
    assert (bin_rows.value.diff().dropna() < 0).all() and (bin_rows.n == 1).all()
    sync = rows[1][rows[1].metric == "sync_bins"].iloc[0]
    own = rows[1][rows[1].metric == "sync"].iloc[0]
    assert sync.extractor == own.extractor and sync.weights_sha256 == own.weights_sha256
    main = {"title": "t", "corpora": ["c"], "metrics": ["csim"]}
    tables = TablesConfig.model_validate({"methods": ["steady", "blurred"], "main": main})
    shown = in_time(pd.concat(rows), tables)
    (table,) = (shown_table for title, shown_table in shown.items() if title.startswith("Sharpness in time"))
    assert list(table.columns) == ["Method", "0-1s", "1-2s", "2-3s", "3-4s"]
    assert table.Method.tolist() == ["steady", "blurred"] and table["0-1s"].iloc[0] == "1.00 (1)"
    assert set(rows[0].columns) == set(schemas.SUMMARY.names)


def test_values_do_not_depend_on_the_chunks_or_on_a_wrong_guess(folder, config, zoo, monkeypatch):
    from eadbench.scores import stream

    task = ScoreTask("a", fake=folder / "shaken.mp4", real=folder / "steady.mp4")
    measurer = Measurer(config, load_evaluators(config, zoo, "cpu"))
    whole = measurer.measure(task).values
    monkeypatch.setattr(stream, "CHUNK_FRAMES", 7)
    monkeypatch.setattr(stream.Source, "expected", lambda self: 40)
    parts = measurer.measure(task).values
    measurer.close()
    for name, value in whole.items():
        assert parts[name].value == pytest.approx(value.value, rel=1e-4, abs=1e-6), name


def test_short_clips_have_none_with_the_reason(folder, config, zoo):
    measurer = Measurer(config.model_copy(update={"bin_seconds": 2.0}), load_evaluators(config, zoo, "cpu"))
    measured = measurer.measure(ScoreTask("a", fake=folder / "shaken.mp4", real=folder / "steady.mp4"))
    measurer.close()
    for name in NAMES[:4]:
        value = measured.values[name]
        assert (value.value, value.status, value.reason) == (None, "dropped", "4.4 s are no 3 bins of 2 s")
    assert not [kind for kind in measured.features if kind.startswith("bins-")]

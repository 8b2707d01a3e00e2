"""The response to the intensity asked for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic

from eadbench.core import schemas
from eadbench.core.protocols import DIAL, INTENSITIES
from eadbench.core.tables import read_table, write_table
from eadbench.tables.build import TableInputs, build
from eadbench.tables.config import TablesConfig
from eadbench.tables.dial import dial, dial_text, slopes
from eadbench.tables.gather import open_per_clip
from eadbench.tables.load import load_built
from eadbench.tables.report import report


def write_dial(folder: Path, method: str, answers: dict[str, list[float]]) -> list[Path]:
    """Per-clip tables of a method: clip -> probability at each intensity; the error is 1
    minus it.
    """
    paths = []
    for index, cell in enumerate(DIAL):
        rows = [
            {
                "method": method,
                "corpus": "demo_mead",
                "protocol": cell,
                "clip_id": clip,
                "speaker": f"S0{int(clip[1]) % 3}",
                "emotion": "happy",
                "metric": metric,
                "value": value if metric == "p_emo" else 1 - value,
                "extractor": "emotion-trained",
                "weights_sha256": "",
                "status": "kept",
                "reason": "",
            }
            for clip, curve in answers.items()
            for metric, value in (("p_emo", curve[index]), ("va_error", curve[index]))
            if value is not None
        ]
        path = folder / "scores" / method / "demo_mead" / cell / "per_clip.parquet"
        write_table(path, rows, schemas.PER_CLIP)
        paths.append(path)
    return paths


ANSWERS = {
    "c0": [0.1, 0.2, 0.3, 0.4, 0.5],  # rises by 0.5 per unit
    "c1": [0.2, 0.2, 0.2, 0.2, 0.2],  # never falls, never rises
    "c2": [0.5, 0.4, 0.3, 0.2, 0.1],
    "c3": [0.1, 0.3, None, 0.4, 0.5],  # lacks one: no slope
}


@pytest.fixture(scope="module")
def frame(tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("dial")
    with open_per_clip(write_dial(folder, "full", ANSWERS), folder) as base:
        return dial(base)


def row_of(frame: pd.DataFrame, quantity: str, intensity: float | None = None):
    same = frame.intensity.isna() if intensity is None else frame.intensity == intensity
    (row,) = frame[(frame.quantity == quantity) & same].itertuples()
    return row


def test_probabilities_slopes_and_rising_clips_are_counted(frame):
    assert row_of(frame, "probability", 0.2).value == pytest.approx(np.mean([0.1, 0.2, 0.5, 0.1]))
    assert (row_of(frame, "probability", 0.6).n, row_of(frame, "probability", 0.2).n) == (3, 4)
    slope, rising = row_of(frame, "slope"), row_of(frame, "rising")
    assert (slope.n, rising.n) == (3, 3) and slope.value == pytest.approx(0, abs=1e-12)
    assert rising.value == pytest.approx(2 / 3) and slope.low < 0 < slope.high
    assert row_of(frame, "va_error", 1.0).value == pytest.approx(1 - row_of(frame, "probability", 1.0).value)
    assert row_of(frame, "va_error").n == 4


def test_a_slope_is_that_of_numpys_line():
    curves = np.random.default_rng(0).random((6, 5))
    assert slopes(curves) == pytest.approx([np.polyfit(INTENSITIES, curve, 1)[0] for curve in curves])


def test_print_has_a_row_per_method(frame):
    shown = dial_text(frame, TablesConfig.model_validate(synthetic.CONFIG))
    assert list(shown.columns)[:3] == ["Method", "Corpus", "P at 0.2"] and len(shown) == 1
    row = shown.iloc[0]
    assert row.Method == "EAD-Net" and row["Rising ↑"].startswith("0.667 [0.000, 1.000]") and row.n == "3"


def test_tables_and_page_hold_it(tmp_path):
    folder = synthetic.make_results(
        tmp_path, synthetic.World(corpora=("demo_hdtf", "demo_mead", "demo_ravdess"))
    )
    config = TablesConfig.model_validate(synthetic.CONFIG)
    inputs = synthetic.inputs_of(folder)
    build(TableInputs(**inputs), config, 1, folder / "tables/scores.parquet")
    assert not (folder / "tables/dial.parquet").exists() and load_built(folder / "tables").dial is None
    inputs["per_clip"] = [*inputs["per_clip"], *write_dial(folder, "full", ANSWERS)]
    build(TableInputs(**inputs), config, 1, folder / "tables/scores.parquet")
    assert len(read_table(folder / "tables/dial.parquet", schemas.DIAL)) == 13
    assert "| EAD-Net | MEAD (demo) |" in (folder / "tables/dial.md").read_text()
    report(folder / "tables", folder, folder / "page/index.html")
    page = (folder / "page/index.html").read_text()
    assert "Response to the intensity asked for" in page and "dial.csv" in page
    inputs["per_clip"] = [path for path in inputs["per_clip"] if path.parent.name not in DIAL]
    build(TableInputs(**inputs), config, 1, folder / "tables/scores.parquet")
    assert not list((folder / "tables").glob("dial.*")), "a table of an earlier build is none of this one"
    assert load_built(folder / "tables").dial is None

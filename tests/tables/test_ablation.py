"""Effects: contrasts against a least-squares fit, intervals, verdicts, sentences."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from eadbench.core import schemas
from eadbench.core.tables import read_table
from eadbench.tables.ablation import contrasts, mover

MODULES = ("a", "b", "c")
GRID = {
    f"m{i}": dict(zip(MODULES, states, strict=True))
    for i, states in enumerate(product((False, True), repeat=3))
}


def test_contrasts_agree_with_least_squares() -> None:
    values = dict(zip(GRID, np.random.default_rng(0).normal(size=8), strict=True))
    signs = np.array([[1 if on else -1 for on in states.values()] for states in GRID.values()])
    terms = [subset for subset in product((0, 1), repeat=3) if any(subset)]
    design = np.column_stack([np.ones(8), *(np.prod(signs[:, np.array(t, bool)], axis=1) for t in terms)])
    fitted = dict(
        zip(terms, np.linalg.lstsq(design, np.array(list(values.values())), rcond=None)[0][1:], strict=True)
    )
    effect_values = {
        c.effect: sum(w * values[m] for m, w in c.weights.items())
        for c in contrasts(GRID)
        if c.kind != "given"
    }
    assert len(effect_values) == 7
    for term, slope in fitted.items():
        assert effect_values[
            ":".join(m for m, used in zip(MODULES, term, strict=True) if used)
        ] == pytest.approx(2 * slope)


def test_an_incomplete_grid_gives_single_differences_only() -> None:
    factors = {m: s for m, s in GRID.items() if sum(s.values()) >= 2}  # all on, and one off at a time
    differences = contrasts(factors)
    assert {(c.kind, c.effect, c.given) for c in differences} == {
        ("given", "a", ("b", "c")),
        ("given", "b", ("a", "c")),
        ("given", "c", ("a", "b")),
    }
    assert all(sum(c.weights.values()) == 0 for c in differences)
    assert contrasts({"m7": GRID["m7"]}) == [] == contrasts({})


def test_mover_of_symmetric_intervals_is_pythagoras() -> None:
    low, high = mover([1, -1], [5.0, 3.0], [2.0, -1.0], [8.0, 7.0])
    assert (low, high) == (pytest.approx(2 - 5), pytest.approx(2 + 5))


@pytest.fixture(scope="module")
def effects(results: Path):
    return read_table(results / "tables" / "effects.parquet", schemas.EFFECTS)


def test_effects_of_the_synthetic_grid(results: Path, effects) -> None:
    clips = {
        m: read_table(
            results / "scores" / m / "demo_hdtf" / "self" / "per_clip.parquet", schemas.PER_CLIP
        ).query("metric == 'sync'")
        for m in ("full", "no_stda")
    }
    wide = {m: f.set_index("clip_id").value for m, f in clips.items()}
    (row,) = effects.query(
        "metric == 'sync' and kind == 'given' and effect == 'stda' and given == 'tfrm+text' and by == 'all'"
    ).itertuples()
    assert row.value == pytest.approx((wide["full"] - wide["no_stda"]).mean())
    assert row.low <= row.value <= row.high and row.n == 24 and row.speakers == 3
    assert set(effects.query("metric == 'sync' and kind == 'main'").by) == {"all", "emotion", "speaker"}


def test_verdicts_follow_from_the_numbers(effects) -> None:
    for row in effects.itertuples():
        if row.n < 6:
            assert row.verdict == "too few clips"
        elif row.verdict in ("better", "worse", "changed"):
            assert not row.low <= 0 <= row.high
            assert row.interval == "mover" or row.p_holm < 0.05
            assert row.verdict == "changed" or (row.verdict == "better") == (
                (row.value > 0) == (row.direction == "up")
            )
        if row.verdict == "none detected":
            assert "no detectable effect" in row.sentence
    assert {"better", "none detected", "too few clips"} <= set(effects.verdict)


def test_set_metrics_have_no_paired_test(effects) -> None:
    rows = effects[effects.metric == "fvd"]
    assert (
        len(rows)
        and rows.p_value.isna().all()
        and set(rows.interval) == {"mover"}
        and set(rows.by) == {"all"}
    )


def test_jitter_is_never_described_without_motion(effects) -> None:
    sentences = effects[effects.metric.str.contains("jitter")].sentence
    assert len(sentences) and sentences.str.contains("Motion energy at the same time").all()

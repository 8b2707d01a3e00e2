"""Effects over seeds and speakers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from eadbench.study.effects import by_speaker, contrast_of_clips, crossed_estimate, seed_estimate, verdict
from eadbench.tables.ablation import contrasts


def layout(rng, seeds, speakers, seed_sd, speaker_sd, rest_sd, effect=0.0):
    return (
        effect
        + seed_sd * rng.standard_normal((seeds, 1))
        + speaker_sd * rng.standard_normal((1, speakers))
        + rest_sd * rng.standard_normal((seeds, speakers))
    )


@pytest.mark.parametrize(
    "spreads", [(1, 1, 1), (0, 1, 1), (1, 0, 1), (0, 0, 1), (0.3, 1, 0.2), (1, 0.1, 0.1)]
)
def test_the_interval_holds_the_true_effect_at_least_as_often_as_it_says(spreads):
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(1500):
        estimate = crossed_estimate(layout(rng, 5, 8, *spreads, effect=0.4))
        inside += estimate.low <= 0.4 <= estimate.high
    assert inside / 1500 > 0.935  # the binomial's own spread at 0.95 is 0.006


def test_a_percentile_bootstrap_would_be_too_narrow():
    """Why the intervals are not bootstrapped: five seeds are too few to resample."""
    rng = np.random.default_rng(8)
    inside = 0
    for _ in range(300):
        d = layout(rng, 5, 8, 1, 1, 1)
        draws = [d[np.ix_(rng.integers(5, size=5), rng.integers(8, size=8))].mean() for _ in range(200)]
        low, high = np.quantile(draws, [0.025, 0.975])
        inside += low <= 0 <= high
    assert inside / 300 < 0.93


def test_with_speakers_alone_it_is_the_paired_t_test():
    """All seeds equal: what is left is one value per speaker, and its one-sample t
    test.
    """
    row = np.random.default_rng(3).standard_normal(8) + 0.5
    estimate = crossed_estimate(np.tile(row, (4, 1)))
    expected = stats.ttest_1samp(row, 0)
    assert estimate.value == pytest.approx(row.mean()) and estimate.p_value == pytest.approx(expected.pvalue)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_a_metric_of_sets_has_the_t_test_over_seeds():
    d = np.array([0.2, 0.5, 0.1, 0.4, 0.3])
    estimate, expected = seed_estimate(d), stats.ttest_1samp(d, 0)
    assert estimate.p_value == pytest.approx(expected.pvalue) and (
        estimate.low,
        estimate.high,
    ) == pytest.approx(tuple(expected.confidence_interval()))
    assert estimate.speakers == 0


def test_the_detectable_effect_is_found_as_often_as_the_power_says():
    rng = np.random.default_rng(5)
    size = np.mean([crossed_estimate(layout(rng, 5, 8, 0, 1, 0.5)).detectable(0.05, 0.8) for _ in range(200)])
    power = np.mean([crossed_estimate(layout(rng, 5, 8, 0, 1, 0.5, size)).p_value < 0.05 for _ in range(600)])
    assert 0.7 < power < 0.95


@pytest.mark.parametrize("bad", [np.zeros((1, 5)), np.zeros((5, 1)), np.full((3, 3), np.nan)])
def test_too_few_or_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="two seeds"):
        crossed_estimate(bad)


def test_contrasts_go_seed_by_seed_and_each_speaker_counts_once():
    factors = {
        "both": {"a": True, "b": True},
        "only_a": {"a": True, "b": False},
        "only_b": {"a": False, "b": True},
        "none": {"a": False, "b": False},
    }
    cells = {cell: [f"{cell}_1", f"{cell}_2"] for cell in factors}
    index = pd.MultiIndex.from_tuples(
        [("c1", "ann"), ("c2", "ann"), ("c3", "bob")], names=["clip_id", "speaker"]
    )
    values = pd.DataFrame({m: 0.0 for methods in cells.values() for m in methods}, index=index)
    values["both_1"], values["both_2"], values["only_a_1"] = (
        [1.0, 3.0, 10.0],
        [0.0, 0.0, 4.0],
        [1.0, 1.0, 2.0],
    )
    main = next(c for c in contrasts(factors) if c.kind == "main" and c.effect == "a")
    differences = contrast_of_clips(values, cells, main)
    assert differences[0].tolist() == [1.0, 2.0, 6.0] and differences[1].tolist() == [0.0, 0.0, 2.0]
    assert by_speaker(differences).tolist() == [[1.5, 6.0], [0.0, 2.0]]


@pytest.mark.parametrize(
    ("value", "half", "p", "claim", "expected"),
    [
        (0.5, 0.2, 0.01, "up", "confirmed"),
        (-0.5, 0.2, 0.01, "down", "confirmed"),
        (0.5, 0.2, 0.20, "up", "undecided"),
        (0.05, 0.04, 0.9, "up", "refuted"),  # nothing as large as 0.1 is in the interval
        (-0.5, 0.2, 0.01, "up", "refuted"),  # it goes the other way
        (0.0, 0.3, 1.0, "down", "undecided"),
    ],
)
def test_verdicts_follow_the_rules_that_were_fixed_before(value, half, p, claim, expected):
    assert verdict(value, value - half, value + half, p, claim, 0.1, 0.05) == expected

"""Soft-DTW against its definition and another implementation's values, and the metrics
that build on it.
"""

import numpy as np
import pytest

from eadbench.media.video import write_video
from eadbench.scores import dynamics, landmarks
from eadbench.scores.clip import Measurer
from eadbench.scores.evaluators import load_evaluators
from eadbench.scores.metrics import METRICS
from eadbench.scores.metrics.sequence import _flat, expression, lips
from eadbench.scores.softdtw import Band, soft_dtw, squared_distances
from eadbench.scores.task import ANIMATES, ScoreTask

from .conftest import astronaut
from .test_theval import talking

FACE = ("lips_seq", "expression_seq", "pose_seq")
# tslearn 0.10.0 (BSD-2): soft_dtw(F, G, gamma), and that less half of F's and G's own
TSLEARN = {0.01: (38.84320486029659, 38.84320486030229), 0.5: (38.53558805722939, 38.97433847483587)}


def sequences(count: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 3)), rng.standard_normal((count, 3))


def banded(first: np.ndarray, second: np.ndarray, width: int, step: int = 4) -> Band:
    band = Band(width)
    for at in range(0, len(first), step):
        band.add(first[at : at + step], second[at : at + step])
    return band


def all_paths(count: int, width: int, at: tuple[int, int] = (0, 0)) -> list[list[tuple[int, int]]]:
    """Every monotonic path from a cell to the last one."""
    if at == (count - 1, count - 1):
        return [[at]]
    steps = ((at[0] + 1, at[1]), (at[0], at[1] + 1), (at[0] + 1, at[1] + 1))
    allowed = [(t, s) for t, s in steps if max(t, s) < count and abs(t - s) <= width]
    return [[at, *rest] for step in allowed for rest in all_paths(count, width, step)]


def by_definition(first: np.ndarray, second: np.ndarray, gamma: float, width: int) -> float:
    costs = np.square(first[:, None] - second[None]).sum(2)
    sums = np.array([sum(costs[cell] for cell in path) for path in all_paths(len(first), width)])
    return float(-gamma * np.log(np.exp(-sums / gamma).sum()))


@pytest.mark.parametrize("width", [1, 2, 8])
@pytest.mark.parametrize("gamma", [0.1, 1.0, 10.0])
def test_it_is_the_soft_minimum_over_all_paths_in_the_band(width, gamma):
    first, second = sequences(6)
    pairs = ((first, second), (first, first), (second, second))
    expected = [by_definition(*pair, gamma, width) for pair in pairs]
    band = banded(first, second, width)
    assert soft_dtw(np.concatenate(band._rows, 1), gamma) == pytest.approx(expected, rel=1e-9)
    assert band.divergence(gamma) * 6 == pytest.approx(expected[0] - sum(expected[1:]) / 2, rel=1e-9)


@pytest.mark.parametrize("gamma", TSLEARN)
def test_without_a_band_it_is_what_tslearn_computes(gamma):
    band = banded(*sequences(), 20)
    whole, divergence = TSLEARN[gamma]
    assert soft_dtw(np.concatenate(band._rows, 1), gamma)[0] == pytest.approx(whole, rel=1e-12)
    assert band.divergence(gamma) * 9 == pytest.approx(divergence, rel=1e-12)


def test_a_band_of_no_width_is_the_mean_frame_by_frame():
    first, second = sequences(40)
    expected = np.square(first - second).sum(1).mean()
    assert banded(first, second, 0).divergence(0.1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("step", [1, 3, 40])
def test_values_do_not_depend_on_the_stretches_and_equal_sequences_have_0(step):
    first, second = sequences(40)
    assert banded(first, second, 5, step).divergence(0.1) == pytest.approx(
        banded(first, second, 5).divergence(0.1), rel=1e-9
    )
    assert banded(first, first, 5, step).divergence(0.1) == 0


def test_what_is_kept_of_a_sequence_does_not_grow_with_its_dimensions():
    band = Band(5)
    for _ in range(10):
        band.add(np.ones((8, 1000)), np.zeros((8, 1000)))
    assert sum(row.nbytes for row in band._rows) == 80 * 3 * 11 * 8
    assert all(side.shape == (5, 1000) and side.base is None for side in band._last)


def test_no_element_has_no_value():
    band = Band(3)
    band.add(np.empty((0, 2)), np.empty((0, 2)))
    with pytest.raises(ValueError, match="at least one"):
        band.divergence(1.0)


def test_expression_forgets_place_turn_and_size_and_keeps_the_rest():
    rng = np.random.default_rng(1)
    marks = rng.uniform(50, 200, (5, 478, 2))
    turn = np.radians(20)
    matrix = 1.7 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = marks @ matrix.T + (30, -12)
    assert expression(moved) == pytest.approx(expression(marks), abs=1e-9)
    opened = marks.copy()
    opened[:, landmarks.LOWER_LIP] += (0, 5)
    gap = np.linalg.norm(expression(opened) - expression(marks), axis=2)
    assert (gap[:, landmarks.LOWER_LIP] > 0.1).all()
    assert (np.delete(gap, landmarks.LOWER_LIP, 1) < 1e-9).all()
    flat = _flat(lips(expression(marks)))
    assert squared_distances(flat, flat).diagonal() == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def measured(zoo, scores_config, tmp_path_factory):
    """A clip against itself, itself three frames late, and a still image."""
    folder = tmp_path_factory.mktemp("sequences")
    frames, audio = astronaut(40)
    shown = {
        "itself": frames,
        "late": np.concatenate([frames[:1].repeat(3, 0), frames[:-3]]),
        "still": frames[:1].repeat(40, 0),
    }
    for name, images in shown.items():
        write_video(folder / f"{name}.mp4", images, audio=audio)
    config = scores_config.model_copy(
        update={"metrics": (*FACE, "lpips_seq", "lpips", "m_lmd"), "lpips_frames": None}
    )
    measurer = Measurer(config, load_evaluators(config, zoo, "cpu"))
    values = {
        name: measurer.measure(
            ScoreTask(name, fake=folder / f"{name}.mp4", real=folder / "itself.mp4", unaligned=ANIMATES)
        ).values
        for name in shown
    }
    values["aligned"] = measurer.measure(
        ScoreTask("late", fake=folder / "late.mp4", real=folder / "itself.mp4")
    ).values
    values["cross"] = measurer.measure(
        ScoreTask("late", fake=folder / "late.mp4", real=folder / "itself.mp4", unpaired="cross")
    ).values
    measurer.close()
    return values


@pytest.mark.parametrize("feature", [lambda m: _flat(lips(expression(m))), lambda m: _flat(expression(m))])
def test_motion_that_comes_later_costs_little(feature):
    early, other = talking(60), feature(talking(60, seed=3))
    late = feature(np.concatenate([early[:1].repeat(3, 0), early[:-3]]))
    early = feature(early)
    warped, frame_by_frame = (banded(early, late, width).divergence(0.1) for width in (12, 0))
    assert 0 <= warped < 0.2 * frame_by_frame < 0.2 * banded(early, other, 12).divergence(0.1)


@pytest.mark.parametrize(("metric", "share"), [*((name, 0.75) for name in FACE), ("lpips_seq", 0.1)])
def test_of_videos_a_delay_costs_less_than_a_still_image(measured, metric, share):
    """The mesh's unrest on a face of 40 pixels is a good part of this."""
    value = {name: measured[name][metric].value for name in ("itself", "late", "still")}
    assert value["itself"] == 0
    assert 0 < value["late"] < share * value["still"]
    assert measured["late"][metric].frames == 40


def test_they_stand_where_metrics_frame_by_frame_do_not_apply(measured):
    late = measured["late"]
    assert {name for name, value in late.items() if value.status == "dropped"} == {"lpips", "m_lmd"}
    assert late["lpips"].reason == ANIMATES
    assert measured["aligned"]["lpips"].value > 2 * measured["aligned"]["lpips_seq"].value
    assert all(value.status == "dropped" for value in measured["cross"].values())


def test_squared_distances_of_the_features_are_lpips(zoo):
    import torch

    from eadbench.zoo import load

    net = load(zoo["lpips"], "cpu")
    images = torch.rand((2, 2, 3, 80, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = [net.features(side).double().numpy() for side in images]
    expected = net(*images).numpy()
    assert squared_distances(*features).diagonal() == pytest.approx(expected, rel=1e-4)


def test_only_what_runs_a_network_on_every_frame_waits_to_be_named():
    from eadbench.scores.names import ON_REQUEST, default_names

    assert set(FACE) <= set(default_names()) and "lpips_seq" in ON_REQUEST
    assert all(METRICS[name].elastic and METRICS[name].paired for name in (*FACE, "lpips_seq"))
    assert dynamics.angles(np.full((1, 478, 2), np.nan)).shape == (1, 3)

"""THEval's measures against its formulas, written down anew the plain way."""

from itertools import combinations
from statistics import median

import numpy as np
import pandas as pd
import pytest

from eadbench.scores import dynamics, landmarks
from eadbench.scores.evaluators import load_evaluators
from eadbench.scores.metrics import METRICS
from eadbench.scores.metrics.theval import DYNAMICS, ThevalScore
from eadbench.scores.names import BUILDS_ON, with_foundations
from eadbench.scores.summarise import Summary
from eadbench.scores.task import ScoreTask


def turned(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """Turn about x, then y, then z, in degrees."""
    a, b, c = np.radians([pitch, yaw, roll])
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return z @ y @ x


def talking(frames: int = 60, seed: int = 0, size: int = 256) -> np.ndarray:
    """Landmarks of a face whose points all move."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(60, 200, (478, 2))
    base[list(dynamics.HEAD_POINTS)] = 128 + 70 * dynamics._MODEL[:, :2]
    base[list(dynamics.UPPER), 1] = 170
    base[list(dynamics.LOWER), 1] = 176
    marks = np.repeat(base[None], frames, 0)
    wave = np.sin(np.arange(frames)[:, None, None] * rng.uniform(0.2, 1.2, (1, 478, 2)) + seed)
    marks += rng.uniform(0, 2, (1, 478, 2)) * wave
    return (marks * size / 256).astype(np.float32)


def measured(marks: np.ndarray, size: int = 256, step: int = 7) -> dynamics.FaceDynamics:
    face = dynamics.FaceDynamics()
    for at in range(0, len(marks), step):
        face.add(marks[at : at + step], size, size)
    return face


@pytest.fixture(scope="module")
def marks() -> np.ndarray:
    marks = talking()
    marks[[5, 6, 30]] = np.nan
    return marks


def test_angles_return_the_turn_that_was_put_in():
    asked = np.array([[0, 0, 0], [10, 0, 0], [0, -25, 0], [0, 0, 15], [8, 20, -12], [-15, -5, 30]])
    points = np.zeros((len(asked), 478, 2))
    for k, turn in enumerate(asked):
        points[k, list(dynamics.HEAD_POINTS)] = 90 * (turned(*turn) @ dynamics._MODEL.T).T[:, :2] + (130, 110)
    assert dynamics.angles(points) == pytest.approx(asked, abs=1e-6)
    points[2] = np.nan
    assert np.isnan(dynamics.angles(points)).all(1).tolist() == [False, False, True, False, False, False]


def test_lips_are_the_mean_deviation_of_all_distances(marks):
    known = marks[np.isfinite(marks[:, 0, 0])].astype(float)
    deviations = [
        np.std(np.hypot(*(known[:, i] - known[:, j]).T)) for i, j in combinations(sorted(landmarks.LIPS), 2)
    ]
    assert measured(marks).lips() == pytest.approx(np.mean(deviations), rel=1e-9)
    half = talking(size=128)
    assert measured(half, 128).lips() == pytest.approx(measured(talking()).lips(), rel=1e-5)


def test_brows_are_the_mean_change_of_both_heights(marks):
    changes, before = [], {}
    for points in marks[np.isfinite(marks[:, 0, 0])].astype(float):
        eyes = {s: points[list(getattr(dynamics, f"{s}_EYE"))].mean(0) for s in ("LEFT", "RIGHT")}
        for side, eye in eyes.items():
            brow = points[list(getattr(dynamics, f"{side}_BROW"))].mean(0)
            height = np.hypot(*(brow - eye)) / np.hypot(*(eyes["LEFT"] - eyes["RIGHT"]))
            changes += [abs(height - before[side])] if side in before else []
            before[side] = height
    assert measured(marks).brows() == pytest.approx(np.mean(changes), rel=1e-9)


def test_the_head_joins_angles_their_unrest_and_the_place(marks):
    known = marks[np.isfinite(marks[:, 0, 0])].astype(float)
    turns = dynamics.angles(known)
    place = known[:, list(dynamics.HEAD_POINTS)].mean(1)
    spread = np.mean([np.std(a) for a in turns.T])
    restless = np.mean([np.var(np.diff(a)) for a in turns.T])
    expected = np.sqrt(spread * restless + np.mean([np.var(p) for p in place.T]))
    assert measured(marks).head() == pytest.approx(expected, rel=1e-9)


def test_silence_is_the_median_distance_from_the_mean_opening(marks):
    silent = np.zeros(60, bool)
    silent[3:20] = True
    openings = []
    for points in marks[3:20].astype(float):
        if np.isfinite(points).all():
            eyes = np.hypot(*(points[33] - points[263]))
            pairs = zip(dynamics.UPPER, dynamics.LOWER, strict=True)
            openings.append(np.mean([abs(points[u, 1] - points[lo, 1]) / eyes for u, lo in pairs]))
    expected = median(abs(x - np.mean(openings)) for x in openings)
    assert measured(marks).stability(silent) == pytest.approx(expected, rel=1e-9)


def test_short_silences_do_not_count():
    silent = np.array([True] * 8 + [False] + [True] * 7 + [False] * 4 + [True] * 9)
    assert dynamics.long_silence(silent, 25).nonzero()[0].tolist() == [*range(8), *range(20, 29)]
    assert not dynamics.long_silence(np.zeros(0, bool), 25).any()


def test_loudness_is_taken_in_centred_windows_of_50_ms():
    audio = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    centred = [
        np.sqrt(np.mean(np.square(np.pad(audio.astype(float), 400)[k * 800 : k * 800 + 800])))
        for k in range(21)
    ]
    expected = np.interp(np.arange(30) / 25, np.arange(21) * 0.05, centred)
    assert dynamics.at_frames(dynamics.loudness(audio), 30, 25.0) == pytest.approx(expected, rel=1e-9)
    assert not dynamics.at_frames(dynamics.loudness(np.zeros(0, np.float32)), 5, 25.0).any()


def test_the_gap_is_nought_for_a_mouth_that_follows_and_large_for_one_that_opposes():
    volume = np.abs(np.sin(np.arange(50) * 0.7))
    assert dynamics.gap(3 * volume + 1, volume) == pytest.approx(0, abs=1e-6)
    assert dynamics.gap(-volume, volume) > 0.4
    assert dynamics.gap(np.ones(50), volume) == pytest.approx((volume - volume.min()).mean() / np.ptp(volume))


def test_a_still_image_has_no_motion_at_all(marks):
    face = measured(marks)
    face.frozen = True
    every = np.ones(60, bool)
    assert (face.lips(), face.brows(), face.head(), face.stability(every)) == (0, 0, 0, 0)


def test_no_face_has_no_value():
    face = measured(np.full((9, 478, 2), np.nan, np.float32))
    assert np.isnan([face.lips(), face.brows(), face.head(), face.stability(np.ones(9, bool))]).all()


class Cell:
    def __init__(self, values: dict[str, list[float]]) -> None:
        clips = [f"c{k}" for k in range(len(next(iter(values.values()))))]
        rows = [
            {"clip_id": c, "metric": m, "value": v, "status": "kept" if v == v else "dropped",
             "extractor": "mesh", "weights_sha256": "", "resolution": 256, "speaker": c}
            for m, column in values.items() for c, v in zip(clips, column, strict=True)
        ]  # fmt: skip
        self.rows, self.meta = pd.DataFrame(rows), {"signatures": {}, "missing": {}}


class Summed(Summary):
    total = 4

    def __init__(self, fake, real, metrics=DYNAMICS):
        self.cell, self.real, self.rows = Cell(fake), Cell(real), []
        self.config = type("C", (), {"metrics": metrics})

    def counts(self, clips):
        return np.random.default_rng(0).multinomial(len(clips), np.full(len(clips), 1 / len(clips)), 200)

    def warnings(self, *_):
        return []

    def row(self, *values):
        self.rows.append(values)


def test_the_score_is_the_mean_closeness_to_the_real_clips():
    rng = np.random.default_rng(3)
    real = {name: list(rng.uniform(1, 2, 4)) for name in DYNAMICS}
    fake = {name: list(rng.uniform(1, 2, 4)) for name in DYNAMICS}
    summed = Summed(fake, real)
    ThevalScore.sum_up(summed)
    _, value, low, high, clips, _, signature, _, variant, _ = summed.rows[0]
    each = [1 - abs(np.mean(fake[n]) - np.mean(real[n])) / np.mean(real[n]) for n in DYNAMICS]
    assert value == pytest.approx(np.mean(each)) and low <= value <= high <= 1
    assert variant == "dynamics" and len(clips) == 4 and signature["extractor"] == "mesh"


def test_the_score_of_the_real_clips_is_one_and_what_lacks_is_named():
    real = {name: [1.0, 2.0, 3.0, 4.0] for name in DYNAMICS} | {"theval_silence": [np.nan] * 4}
    summed = Summed(real, real)
    ThevalScore.sum_up(summed)
    _, value, low, high, *_, variant, warnings = summed.rows[0]
    assert (
        (value, low, high) == (1, 1, 1) and variant == "dynamics without silence" and "silence" in warnings[0]
    )
    nothing = {name: [np.nan] * 4 for name in DYNAMICS}
    summed = Summed(nothing, nothing)
    ThevalScore.sum_up(summed)
    assert summed.rows[0][1] is None and "nothing measured" in summed.rows[0][-1][0]


def test_what_a_metric_builds_on_is_measured_with_it():
    from_rows = {name for name, metric in METRICS.items() if metric.kind == "set" and not metric.parts}
    assert {"theval", *from_rows} == set(BUILDS_ON)
    assert with_foundations(["csim_bins", "csim_slope"]) == ("csim_slope", "csim_bins")
    assert with_foundations(["ssim", "theval"]) == ("ssim", *DYNAMICS, "theval")


def test_a_clip_has_every_measure(corpus, zoo, scores_config):
    from eadbench.scores.clip import Measurer

    few = scores_config.model_copy(update={"metrics": (*DYNAMICS, "loudness_correlation")})
    measurer = Measurer(few, load_evaluators(few, zoo, "cpu"))
    video = corpus.parent / "A0-000.mp4"
    values = measurer.measure(ScoreTask("a", fake=video, real=video)).values
    measurer.close()
    assert (
        values["theval_lips"].value > 0
        and values["theval_brows"].value > 0
        and values["theval_head"].value > 0
    )
    assert 0 < values["theval_sync"].value < 1 and -1 <= values["loudness_correlation"].value <= 1
    assert values["theval_silence"].status == "dropped" and "0.3 s" in values["theval_silence"].reason

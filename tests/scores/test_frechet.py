"""Fréchet distance, KID and their bootstrap against pytorch-fid, scipy, torch-fidelity
and plain recomputation.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance
from torch_fidelity.metric_kid import kernel_mmd

from eadbench.scores import bootstrap
from eadbench.scores.bootstrap import FrechetBootstrap, interval_about, mean_interval, resamplings
from eadbench.scores.frechet import Moments, distance, frechet_distance
from eadbench.scores.kid import ClipKernels


def features(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) * 0.1 + shift, 0).astype(
        np.float32
    )


def reference(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    return calculate_frechet_distance(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))


@pytest.mark.parametrize(
    ("n", "m", "d"), [(300, 250, 40), (20, 25, 60), (20, 200, 60), (200, 20, 60), (61, 61, 60), (60, 60, 60)]
)
def test_equals_pytorch_fid(n, m, d):
    x, y = features(n, d, 1), features(m, d, 2, 0.1)
    assert frechet_distance(x, y) == pytest.approx(reference(x, y), rel=1e-5)


@pytest.mark.parametrize("n", [30, 300])
def test_identical_sets_are_at_zero_and_order_does_not_matter(n):
    x = features(n, 60, 3)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-6)


def test_known_value_of_two_gaussians():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200_000, 2)) * [1, 2] + [3, 0]
    y = rng.standard_normal((200_000, 2)) * [2, 2]
    assert frechet_distance(x, y) == pytest.approx(9 + 1, rel=0.02)


def test_dead_features_and_single_samples():
    x, y = features(100, 20, 1), features(100, 20, 2)
    x[:, :5] = y[:, :5] = 0
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(x[:, 5:], y[:, 5:]), rel=1e-6)
    assert frechet_distance(x[:1], y[:1]) == pytest.approx(float(np.square(x[0] - y[0]).sum()), rel=1e-6)


def test_not_finite_or_misshapen_or_empty_is_refused():
    bad = features(10, 4, 0)
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        frechet_distance(bad, features(10, 4, 1))
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        Moments(4).update(features(10, 5, 1))
    with pytest.raises(ValueError, match="no samples"):
        distance(Moments(4), Moments(4))


@given(cuts=st.lists(st.integers(1, 79), max_size=4), d=st.integers(2, 50))
@settings(max_examples=25, deadline=None)
def test_batches_do_not_matter(cuts, d):
    x, y = features(80, d, 1), features(80, d, 2)
    sample_sets = Moments(d), Moments(d)
    for part in np.split(x, sorted(cuts)):
        sample_sets[0].update(part)
    sample_sets[1].update(y)
    assert distance(*sample_sets) == pytest.approx(frechet_distance(x, y), rel=1e-8, abs=1e-9)


def test_memory_is_bounded_by_the_dimension():
    moments = Moments(8)
    for k in range(50):
        moments.update(features(10, 8, k))
    assert moments.n == 500 and moments._samples is None


def kid(x: np.ndarray, y: np.ndarray) -> float:
    """Of samples that are clips of their own."""
    ones = np.ones(max(len(x), len(y)))
    return ClipKernels(x, np.arange(len(x)), y, np.arange(len(y)), len(ones)).value(ones, ones)


def test_kid_equals_torch_fidelity():
    x, y = features(80, 30, 1).astype(float), features(80, 30, 2, 0.1).astype(float)
    expected = kernel_mmd(
        x, y, kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1
    )
    assert kid(x, y) == pytest.approx(float(expected), rel=1e-9)


def clips_of(lengths, d, seed):
    return [features(n, d, seed + k, 0.05 * k) for k, n in enumerate(lengths)]


def repeated(clips, weights):
    return np.concatenate([np.tile(c, (int(w), 1)) for c, w in zip(clips, weights, strict=True) if w])


@pytest.mark.parametrize("d", [6, 40])
def test_replicate_is_the_distance_of_the_repeated_clips(d):
    x, y = clips_of([4, 7, 5, 9, 3], d, 1), clips_of([4, 6, 5, 9, 8], d, 50)
    frechet = FrechetBootstrap(x, y)
    assert frechet.value == pytest.approx(frechet_distance(np.concatenate(x), np.concatenate(y)), rel=1e-9)
    for weights in ([1, 1, 1, 1, 1], [2, 0, 1, 1, 1], [0, 3, 0, 2, 0]):
        w = np.array(weights, float)
        assert frechet.replicate(w, w) == pytest.approx(
            frechet_distance(repeated(x, w), repeated(y, w)), rel=1e-6
        )


def ends_of(frechet: FrechetBootstrap, clips: int) -> tuple[float, float]:
    counts = resamplings([str(k) for k in range(clips)], 60, 0)
    return interval_about(frechet.value, np.array([frechet.replicate(w, w) for w in counts]), 0.0)


def test_leaving_out_directions_hardly_moves_the_interval(monkeypatch):
    scale = np.geomspace(1, 1e-3, 40)
    x, y = ([c * scale for c in clips_of([60] * 12, 40, seed)] for seed in (1, 90))
    exact = FrechetBootstrap(x, y)
    monkeypatch.setattr(bootstrap, "DIRECTIONS", 15)
    few = FrechetBootstrap(x, y)
    assert few.value == exact.value
    assert few.replicate(np.ones(12), np.ones(12)) == pytest.approx(exact.value, rel=1e-6)
    ends = ends_of(exact, 12), ends_of(few, 12)
    assert np.abs(np.subtract(*ends)).max() < 0.2 * (ends[0][1] - ends[0][0])


def test_thinning_like_frames_hardly_moves_the_interval(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = (
        [np.repeat(c, 20, 0) + 0.01 * rng.standard_normal((100, 6)) for c in clips_of([5] * 12, 6, seed)]
        for seed in (1, 90)
    )
    exact = FrechetBootstrap(x, y)
    monkeypatch.setattr(bootstrap, "ROWS", 240)
    few = FrechetBootstrap(x, y)
    assert few.value == exact.value and len(few.sample_sets[0].rows) == 240 < len(exact.sample_sets[0].rows)
    ends = ends_of(exact, 12), ends_of(few, 12)
    assert np.abs(np.subtract(*ends)).max() < 0.1 * (ends[0][1] - ends[0][0])


def test_kid_of_clips_leaves_copies_unpaired():
    x, y = clips_of([4, 7, 5], 10, 1), clips_of([4, 6, 5], 10, 50)
    rows = [(np.concatenate(s), np.repeat(np.arange(3), [len(c) for c in s])) for s in (x, y)]
    kernels = ClipKernels(*rows[0], *rows[1], 3)
    ones = np.ones(3)
    assert kernels.value(ones, ones) == pytest.approx(kid(rows[0][0], rows[1][0]), rel=1e-9)
    assert kernels.value(2 * ones, 2 * ones) == pytest.approx(kernels.value(ones, ones), rel=0.2)


def test_resampling_keeps_speakers_together():
    speakers = ["a"] * 3 + ["b"] * 3 + ["c"]
    counts = resamplings(speakers, 300, 1, "corpus")
    assert counts.shape == (300, 7) and (counts >= 0).all()
    per_speaker = np.stack([counts[:, :3].sum(1), counts[:, 3:6].sum(1), 3 * counts[:, 6]], 1)
    assert (per_speaker.sum(1) == 9).all() and (per_speaker % 3 == 0).all()
    assert (resamplings(speakers, 300, 1, "corpus") == counts).all()
    assert (resamplings(speakers, 300, 2, "corpus") != counts).any()
    unknown = [None, float("nan"), None, float("nan")]  # each stands alone
    assert (resamplings(unknown, 50, 1) == resamplings(["a", "b", "c", "d"], 50, 1)).all()


def test_interval_covers_the_mean_and_widens_with_clustering():
    rng = np.random.default_rng(0)
    speakers = [f"s{k // 10}" for k in range(100)]
    effect = np.repeat(rng.standard_normal(10), 10)
    values = effect + 0.1 * rng.standard_normal(100)
    low, high = mean_interval(values, resamplings(speakers, 1000, 0))
    alone = mean_interval(values, resamplings([str(k) for k in range(100)], 1000, 0))
    assert low < values.mean() < high
    assert high - low > 2 * (alone[1] - alone[0])
    assert mean_interval(values, resamplings(["one"] * 100, 200, 0))[0] < values.mean()


def test_interval_of_a_set_metric_surrounds_its_value():
    x, y = clips_of([6] * 12, 30, 1), clips_of([6] * 12, 30, 99)
    frechet = FrechetBootstrap(x, y)
    counts = resamplings([str(k // 2) for k in range(12)], 100, 0)
    replicates = np.array([frechet.replicate(w, w) for w in counts])
    low, high = interval_about(frechet.value, replicates, 0.0)
    assert 0 <= low < frechet.value < high


def test_clips_without_speakers_are_drawn_as_speakers_of_one_clip_each():
    from eadbench.core.seeds import rng_for
    from eadbench.scores.bootstrap import resamplings

    speakers = [f"clip {k}" for k in range(30)]
    rng, counts = rng_for(1, "bootstrap", "real"), np.zeros((20, 30), int)
    for row in counts:
        for g in rng.integers(30, size=30):
            np.add.at(row, rng.choice(np.array([g]), 1), 1)
    assert (resamplings(speakers, 20, 1, "real") == counts).all()

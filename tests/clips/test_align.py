"""Alignment, splitting, cuts."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from eadbench.clips import align
from eadbench.clips.shots import CutDetector
from eadbench.clips.track import Sight, Square
from eadbench.clips.windows import split_point
from eadbench.media.mesh import STABLE, template

SIZE, MARGIN = 128, 0.5


def faces_at(scale, turn, centre) -> np.ndarray:
    """Landmarks ``(T, 478, 3)`` whose stable points are the template, turned and scaled
    about the square's centre and moved to ``centre``.
    """
    goal = template(SIZE, MARGIN) - (SIZE - 1) / 2
    z = (goal[:, 0] + 1j * goal[:, 1]) * scale[:, None] * np.exp(1j * turn[:, None]) + centre[:, None]
    landmarks = np.zeros((len(scale), 478, 3), np.float32)
    landmarks[:, STABLE, 0], landmarks[:, STABLE, 1] = z.real, z.imag
    return landmarks


def test_similarity_undoes_a_known_one():
    t = np.linspace(0, 1, 9)
    landmarks = faces_at(1.5 + t, 0.4 * t - 0.2, 300 + 40 * t + 1j * (200 - 30 * t))
    a, centre = align.similarities(landmarks, SIZE, MARGIN)
    aligned = align.apply(align.matrices(a, centre, SIZE), landmarks[:, STABLE, :2])
    assert np.abs(aligned - template(SIZE, MARGIN)).max() < 1e-3
    assert np.abs(a) == pytest.approx(1 / (1.5 + t), rel=1e-5)


def test_one_transform_per_clip_is_one():
    rng = np.random.default_rng(0)
    landmarks = faces_at(
        np.full(30, 2.0), 0.02 * rng.standard_normal(30), 200 + rng.standard_normal(30) + 200j
    )
    a, centre = align.smooth_transforms(*align.similarities(landmarks, SIZE, MARGIN), "clip", 5)
    assert len(set(a)) == len(set(centre)) == 1


def test_smoothing_takes_the_noise_and_leaves_the_motion():
    """The aligner must not shake: its path's second difference falls by far, while a
    slow walk is followed within a pixel.
    """
    rng = np.random.default_rng(1)
    walk = 200 + 60 * np.sin(np.arange(100) / 25) + 150j
    landmarks = faces_at(
        np.full(100, 2.0), np.zeros(100), walk + rng.standard_normal(100) + 1j * rng.standard_normal(100)
    )
    a, raw = align.similarities(landmarks, SIZE, MARGIN)
    _, smooth = align.smooth_transforms(a, raw, "smooth", 4)
    assert np.abs(np.diff(smooth, 2)).std() < 0.05 * np.abs(np.diff(raw, 2)).std()
    assert np.abs(smooth - walk)[15:-15].max() < 2.0


def test_jitter_is_zero_at_rest_and_grows_with_shaking():
    still = np.repeat(faces_at(np.ones(1), np.zeros(1), np.full(1, 64 + 64j)), 20, 0)[..., :2]
    assert align.jitter(still) == 0
    moving = still + 3 * np.arange(20)[:, None, None]
    assert align.jitter(moving) == pytest.approx(0, abs=1e-4)
    shake = np.random.default_rng(0).standard_normal((20, 1, 2))
    assert align.jitter(still + 2 * shake) == pytest.approx(2 * align.jitter(still + shake), rel=1e-4)


def sight(landmarks) -> Sight:
    return Sight(0.0, 0, landmarks, Square(0, 0, 64), np.zeros((64, 64, 3), np.uint8), None, False)


def test_gaps_are_interpolated():
    points = [np.full((478, 3), value, np.float32) for value in (0, 3)]
    filled = align.fill_gaps(
        [sight(None), sight(points[0]), sight(None), sight(None), sight(points[1]), sight(None)]
    )
    assert np.allclose(filled[:, 0, 0], [0, 0, 1, 2, 3, 3])
    with pytest.raises(ValueError, match="no frame"):
        align.fill_gaps([sight(None)])


@pytest.mark.parametrize("side", [32, 100, 333])
def test_square_maps_to_the_source(side):
    """The centre of a square's image, at any size, is the centre of the square; its
    matrix says the same as its method.
    """
    square = Square(40, 10, 100)
    corners = np.float32([[(side - 1) / 2, (side - 1) / 2, 0], [-0.5, -0.5, 0]])
    moved = square.to_source(corners, side)
    assert np.allclose(moved[:, :2], [[89.5, 59.5], [39.5, 9.5]], atol=1e-3)
    assert np.allclose(
        corners[:, :2] @ square.matrix(side)[:2, :2].T + square.matrix(side)[:2, 2], moved[:, :2], atol=1e-3
    )


def test_splits_in_the_pause():
    rng = np.random.default_rng(0)
    samples = 0.2 * rng.standard_normal(100 * 640).astype(np.float32)
    samples[72 * 640 : 84 * 640] *= 0.01
    assert 74 <= split_point(samples, 100, 25) <= 82
    assert split_point(np.abs(samples) + 0.2, 100, 25) == 100
    assert split_point(samples[:0], 100, 25) == 100
    assert split_point(samples, 100, 90) == 100


class Shown:
    def __init__(self, image):
        self.image = image

    def thumbnail(self):
        return self.image


def test_cuts_but_not_motion_or_fades():
    rng = np.random.default_rng(0)
    scenes = [
        (gaussian_filter(rng.uniform(0, 255, (36, 64)), 3, mode="wrap") / 2 + shade).astype(np.uint8)
        for shade in (0, 90)
    ]
    moving = [
        Shown(np.roll(scenes[0], k, 1) + rng.integers(0, 3, (36, 64), dtype=np.uint8)) for k in range(20)
    ]
    detector = CutDetector(14)
    assert not any(map(detector, moving[:1] + moving))
    fade = [Shown((scenes[0] * (1 - k / 40)).astype(np.uint8)) for k in range(40)]
    detector = CutDetector(14)
    assert not any(map(detector, fade))
    calm = [Shown(scene + rng.integers(0, 3, (36, 64), dtype=np.uint8)) for scene in np.repeat(scenes, 10, 0)]
    detector = CutDetector(14)
    assert [k for k, frame in enumerate(calm) if detector(frame)] == [10]

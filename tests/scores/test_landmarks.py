"""Landmark measures: what they must not care about, and what they must see."""

import cv2
import numpy as np
import pytest

from eadbench.media.video import read_frames, write_video
from eadbench.scores import landmarks as lm


def distance(fake: np.ndarray, real: np.ndarray, points, size: int) -> float:
    gap = lm.centred_gap(fake, real, points)
    known = gap[np.isfinite(gap)]
    return known.mean() * 256 / size if known.size else float("nan")


def face(frames: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    base = rng.uniform(60, 200, (478, 2))
    base[33], base[263], base[133], base[362] = (90, 100), (170, 100), (118, 100), (142, 100)
    base[list(lm.BROWS)] = np.column_stack([np.linspace(85, 175, 10), np.full(10, 80)])
    marks = np.repeat(base[None], frames, 0)
    opening = 10 + 8 * np.sin(np.arange(frames) * 0.9 + seed)
    marks[:, lm.UPPER_LIP], marks[:, lm.LOWER_LIP] = (130, 160), (130, 160)
    marks[:, lm.LOWER_LIP, 1] += opening
    return marks.astype(np.float32)


def test_distance_ignores_place_but_sees_shape():
    a = face()
    assert distance(a, a + 7, lm.LIPS, 256) == pytest.approx(0, abs=1e-4)
    wider = a.copy()
    wider[:, lm.LIPS] += [3, 0] * np.where(a[:, lm.LIPS, :1] > 130, 1, -1)
    assert 1 < distance(wider, a, lm.LIPS, 256) < 3.1
    assert distance(wider / 2, a / 2, lm.LIPS, 128) == pytest.approx(
        distance(wider, a, lm.LIPS, 256), rel=1e-5
    )


def test_frames_without_face_are_left_out():
    a, b = face(), face()
    b[:, 0] += 5
    whole = distance(a, b, slice(0, lm.FACE), 256)
    a[3:20] = np.nan
    assert distance(a, b, slice(0, lm.FACE), 256) == pytest.approx(whole)
    motion = lm.MeshMotion()
    motion.add(a)
    assert (motion.seen, motion.frames) == (23, 40)
    a[:] = np.nan
    assert np.isnan(distance(a, b, slice(0, lm.FACE), 256)) and np.isnan(lm.jitter(a))


def test_curves_do_not_depend_on_size_place_or_turn():
    a = face()
    turn = np.deg2rad(20)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = (a @ rotation.T * 1.7 + [30, -10]).astype(np.float32)
    for name in ("mouth", "brows"):
        assert lm.curves(moved)[name] == pytest.approx(lm.curves(a)[name], abs=1e-3)
    assert lm.jitter(moved) == pytest.approx(lm.jitter(a), rel=1e-4)


def test_mouth_and_brows_have_the_right_sign():
    curves = lm.curves(face())
    assert curves["mouth"].min() > 0 and curves["brows"].min() > 0
    assert curves["mouth"][0] == pytest.approx(10 / 80 * 100, rel=0.01)


def test_freezing_kills_motion_and_noise_raises_jitter():
    a = face()
    frozen = np.repeat(a[:1], 40, 0)
    noisy = a + np.random.default_rng(1).normal(0, 1, a.shape).astype(np.float32)
    assert lm.spread(lm.curves(frozen)["mouth"]) == pytest.approx(0, abs=1e-9)
    assert lm.jitter(frozen) == 0 < lm.jitter(a) < lm.jitter(noisy)
    assert np.isnan(lm.correlation(lm.curves(a)["mouth"], lm.curves(frozen)["mouth"]))
    assert lm.correlation(lm.curves(a)["mouth"], lm.curves(noisy)["mouth"]) > 0.9


def test_head_motion_sees_shift_turn_and_scale():
    a = np.repeat(face(1), 30, 0)
    time = np.sin(np.arange(30) / 3)[:, None, None]
    for moved in (a + 5 * time, a * (1 + 0.05 * time)):
        assert lm.spread(lm.curves(moved.astype(np.float32))["head"]) > 1
    assert lm.spread(lm.curves(a)["head"]) == pytest.approx(0, abs=1e-4)


def test_silence_is_found():
    audio = np.sin(np.arange(16000) * 0.3).astype(np.float32)
    audio[6400:9600] *= 0.001
    assert np.flatnonzero(lm.silent(lm.levels(audio), 30, 30)).tolist() == [
        10,
        11,
        12,
        13,
        14,
        *range(25, 30),
    ]
    assert lm.silent(lm.levels(np.zeros(0, np.float32)), 0, 30).shape == (0,)


def test_real_face_is_found_and_followed():
    from skimage import data

    from eadbench.media.faces import FaceMesh

    image = data.astronaut()[0:256, 96:352]
    frames = np.stack([np.roll(image, shift, 1) for shift in (0, 2, 4)] + [np.zeros_like(image)])
    mesh = FaceMesh()
    marks = lm.mesh_of(frames, mesh)
    assert np.isfinite(marks[:3]).all() and np.isnan(marks[3]).all()
    assert (marks[2] - marks[0])[:, 0].mean() == pytest.approx(4, abs=1)
    # nothing is remembered from clip to clip
    assert np.array_equal(lm.mesh_of(frames, mesh), marks, equal_nan=True)
    mesh.close()


def test_motion_is_the_same_however_the_landmarks_are_cut():
    a = face(40)
    a[7] = np.nan
    whole, parts = lm.MeshMotion(), lm.MeshMotion()
    whole.add(a)
    for cut in np.split(a, [1, 2, 9, 30]):
        parts.add(cut)
    assert parts.jitter() == pytest.approx(whole.jitter(), rel=1e-12) and parts.seen == whole.seen == 39
    for name, curve in whole.curves().items():
        assert np.array_equal(parts.curves()[name], curve, equal_nan=True)


class Swinging:
    """A mesh whose answer never rests, as MediaPipe's."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.random.default_rng(self.calls).uniform(0, 100, (478, 3)).astype(np.float32)

    def reset(self) -> None:
        pass


@pytest.mark.parametrize("crf", [16, 23, 28, 35])
def test_an_encoded_still_has_no_jitter(tmp_path, crf):
    image = np.random.default_rng(0).integers(20, 236, (12, 12, 3), np.uint8)
    write_video(
        tmp_path / "still.mp4", [cv2.resize(image, (192, 192), interpolation=cv2.INTER_CUBIC)] * 40, crf=crf
    )
    frames = read_frames(tmp_path / "still.mp4")
    assert not all(np.array_equal(frames[0], frame) for frame in frames), "the codec changes something"
    tracker, motion = lm.MeshTracker(Swinging()), lm.MeshMotion()
    motion.add(tracker(frames))
    motion.frozen = tracker.still
    assert motion.jitter() == 0


def test_equal_frames_have_equal_landmarks_and_coding_noise_is_still():
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(20, 236, (16, 16, 3), np.uint8), (128, 128))
    noise = [np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8) for _ in range(5)]
    tracker = lm.MeshTracker(Swinging())
    marks = tracker(np.stack([image, image, *noise]))
    assert (marks[0] == marks[1]).all() and (marks[1] != marks[2]).all() and tracker.still
    moved = image.copy()
    moved[40:60, 40:70] = 255 - moved[40:60, 40:70]
    tracker(moved[None])
    assert not tracker.still
    motion = lm.MeshMotion()
    motion.add(marks)
    assert motion.jitter() > 0
    motion.frozen = True
    assert motion.jitter() == 0 and all(lm.spread(curve) == 0 for curve in motion.curves().values())

"""SSIM and PSNR against scikit-image; sharpness and motion energy by what they must
tell apart.
"""

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from eadbench.scores import image
from eadbench.scores.image import PSNR_CAP, psnr, sharpness, squared_difference, ssim
from eadbench.scores.metrics import METRICS, Chunk


def video(frames: int, height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (frames, height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in small])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 47), (11, 11)])
@pytest.mark.parametrize("noise", [0, 3, 40])
def test_equals_scikit_image(height, width, noise):
    x = video(3, height, width, 1)
    y = np.clip(x + np.random.default_rng(2).normal(0, noise, x.shape), 0, 255).astype(np.uint8)
    expected = [
        structural_similarity(
            a,
            b,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
        for a, b in zip(x, y, strict=True)
    ]
    assert list(map(ssim, x, y)) == pytest.approx(expected, abs=1e-6)
    if noise:
        assert list(map(psnr, x, y)) == pytest.approx(
            [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(x, y, strict=True)]
        )
    else:
        assert set(map(psnr, x, y)) == {PSNR_CAP} and list(map(ssim, x, y)) == pytest.approx([1] * 3)


def test_flat_frames_and_black_against_white():
    flat = np.full((32, 32, 3), 200, np.uint8)
    assert ssim(flat, flat) == pytest.approx(1)
    assert ssim(flat * 0, flat * 0 + 255) < 0.01


def test_too_small_is_refused():
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(np.zeros((10, 40, 3), np.uint8), np.zeros((10, 40, 3), np.uint8))


def measured(name: str, x: np.ndarray, y: np.ndarray, *cuts: int) -> float:
    metric = METRICS[name]()
    for fake, real in zip(np.split(x, cuts), np.split(y, cuts), strict=True):
        metric.update(Chunk(fake, real))
    return metric.compute().value


@pytest.mark.parametrize("name", ["ssim", "psnr", "motion_energy_ratio", "sharpness_ratio"])
def test_a_metric_is_the_same_however_the_videos_are_cut(name):
    x, y = video(7, 32, 32, 1), video(7, 32, 32, 2)
    assert measured(name, x, y, 1, 2, 5) == pytest.approx(measured(name, x, y), rel=1e-12)


def test_means_over_frames():
    x, y = video(5, 32, 32, 1), video(5, 32, 32, 2)
    assert measured("ssim", x, y, 2) == pytest.approx(np.mean(list(map(ssim, x, y))))
    energy = [np.square(np.diff(v.astype(float), axis=0)).mean() for v in (x, y)]
    assert measured("motion_energy_ratio", x, y, 2) == pytest.approx(energy[0] / energy[1])


def test_stripes_change_nothing_and_a_frame_equals_itself(monkeypatch):
    x, y = video(2, 40, 30, 5)
    whole = image.ssim(x, y)
    monkeypatch.setattr(image, "BLOCK", 7 * 30)
    assert image.ssim(x, y) == pytest.approx(whole, abs=1e-8)
    assert image.ssim(x, x) == 1.0 == pytest.approx(image.ssim(x, x.copy()), abs=1e-6)
    assert image.ssim(x, x[:, ::-1]) < 0.99, "the same memory read otherwise is another image"


def test_sharpness_is_the_variance_of_the_laplacian_of_the_luma():
    frame = video(1, 20, 30, 3)[0]
    luma = frame.astype(float) @ [0.299, 0.587, 0.114]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    assert sharpness(frame) == pytest.approx(laplacian.var(), rel=1e-6)


def test_blur_and_freezing_are_seen():
    x = video(6, 64, 64, 1)
    soft = np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in x])
    assert measured("sharpness_ratio", soft, x) < 0.3
    assert measured("motion_energy_ratio", np.repeat(x[:1], 6, 0), x) == 0 < squared_difference(x[0], x[1])

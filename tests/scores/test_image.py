"""SSIM and PSNR against scikit-image; sharpness and motion energy by what they must tell apart."""

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from eadbench.scores.image import PSNR_CAP, PairedMean, motion_energy, psnr, sharpness, ssim


def video(frames: int, height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (frames, height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in small])


def tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 47), (11, 11)])
@pytest.mark.parametrize("noise", [0, 3, 40])
def test_equals_scikit_image(height, width, noise):
    x = video(3, height, width, 1)
    y = np.clip(x + np.random.default_rng(2).normal(0, noise, x.shape), 0, 255).astype(np.uint8)
    expected = [
        structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=-1)
        for a, b in zip(x, y, strict=True)
    ]
    assert ssim(tensor(x), tensor(y)).numpy() == pytest.approx(expected, abs=1e-5)
    if noise:
        assert psnr(tensor(x), tensor(y)).numpy() == pytest.approx([peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(x, y, strict=True)])
    else:
        assert (psnr(tensor(x), tensor(y)) == PSNR_CAP).all() and ssim(tensor(x), tensor(y)).numpy() == pytest.approx(1)


def test_flat_frames_and_black_against_white():
    flat = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    assert float(ssim(flat, flat)) == pytest.approx(1)
    assert float(ssim(flat * 0, flat * 0 + 255)) < 0.01


def test_too_small_is_refused():
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))


def test_update_and_compute_give_the_mean_over_all_frames():
    x, y = tensor(video(5, 32, 32, 1)), tensor(video(5, 32, 32, 2))
    metric = PairedMean(ssim)
    metric.update(x[:2], y[:2])
    metric.update(x[2:], y[2:])
    assert metric.compute() == pytest.approx(float(ssim(x, y).mean()))
    assert np.isnan(PairedMean().compute())


def test_blur_and_freezing_are_seen():
    x = video(6, 64, 64, 1)
    soft = np.stack([cv2.GaussianBlur(f, (0, 0), 2) for f in x])
    assert sharpness(tensor(soft)) < 0.3 * sharpness(tensor(x))
    assert motion_energy(tensor(np.repeat(x[:1], 6, 0))) == 0 < motion_energy(tensor(x))
    assert motion_energy(tensor(x[:1])) == 0

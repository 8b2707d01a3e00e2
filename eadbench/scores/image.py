"""Frame-by-frame comparison of two videos: SSIM, PSNR, sharpness, motion energy. Batched, on any device."""

from itertools import pairwise

import torch
from torch import Tensor

SIGMA, RADIUS = 1.5, 5  # skimage: radius = int(3.5 * sigma + 0.5)
K1, K2, RANGE = 0.01, 0.03, 255.0
PSNR_CAP = 100.0


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity per frame, equal to scikit-image's with Gaussian weights.

    That is ``structural_similarity(x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=-1)``.

    Args:
        x: ``(T, 3, H, W)``, 0..255, any type.
        y: The same shape.

    Returns:
        ``(T,)`` in -1..1.

    Raises:
        ValueError: If a side is below 11 pixels.
    """
    if min(x.shape[-2:]) < 2 * RADIUS + 1:
        raise ValueError(f"SSIM needs sides of at least {2 * RADIUS + 1} pixels, got {tuple(x.shape[-2:])}")
    return torch.stack([_ssim_of_frame(a, b) for a, b in zip(x, y, strict=True)])  # a frame at a time stays in the cache


def _ssim_of_frame(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.contiguous().float() - 128, y.contiguous().float() - 128  # small numbers keep digits; what is taken off changes no variance
    mean_x, mean_y, squares, xy = _blur(torch.stack([x, y, x * x + y * y, x * y]))  # the formula holds the variances only as their sum
    variances, cov = squares - mean_x * mean_x - mean_y * mean_y, xy - mean_x * mean_y
    mean_x, mean_y = mean_x + 128, mean_y + 128
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    return likeness.double().mean()


def _blur(x: Tensor) -> Tensor:
    """Gaussian blur of the last two axes without their borders: sums of shifted copies, several times quicker on a CPU than a convolution."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights = (weights / weights.sum()).tolist()
    for axis in (-2, -1):
        length = x.shape[axis] - 2 * RADIUS
        total = x.narrow(axis, 0, length) * weights[0]
        for k in range(1, 2 * RADIUS + 1):
            total.add_(x.narrow(axis, k, length), alpha=weights[k])
        x = total
    return x


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio per frame in dB, capped at 100 (equal frames). Shapes as for :func:`ssim`."""
    error = torch.stack([(a.float() - b.float()).square().mean() for a, b in zip(x, y, strict=True)]).double()
    return (10 * torch.log10(RANGE**2 / error.clamp_min(1e-12))).clamp_max(PSNR_CAP)


def motion_energy(x: Tensor) -> float:
    """Mean squared change from one frame to the next, grey levels squared, of ``(T, 3, H, W)``; 0 for one frame."""
    if len(x) < 2:
        return 0.0
    return float(torch.stack([(b.float() - a.float()).square().mean() for a, b in pairwise(x)]).double().mean())


def sharpness(x: Tensor) -> float:
    """Variance of the Laplacian of the luma, mean over frames, of ``(T, 3, H, W)``."""
    luma = (x.float() * torch.tensor([0.299, 0.587, 0.114], device=x.device).view(1, 3, 1, 1)).sum(1)
    inner = luma[:, 1:-1, 1:-1]
    laplacian = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * inner
    return float(laplacian.flatten(1).var(1, correction=0).double().mean())


class PairedMean:
    """SSIM or PSNR with a torchmetrics-like contract: the mean over all frames seen.

    Args:
        metric: :func:`ssim` or :func:`psnr`.
    """

    def __init__(self, metric=ssim) -> None:
        self.metric, self.total, self.frames = metric, 0.0, 0

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add frames ``(T, 3, H, W)`` in 0..255."""
        values = self.metric(preds, target)
        self.total += float(values.sum())
        self.frames += len(values)

    def compute(self) -> float:
        """The mean; NaN without frames."""
        return self.total / self.frames if self.frames else float("nan")

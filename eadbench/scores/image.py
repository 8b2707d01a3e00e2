"""Frame-by-frame comparison of two videos: SSIM, PSNR, sharpness, motion energy; one
frame at a time, by OpenCV.
"""

import cv2
import numpy as np

SIGMA, RADIUS = 1.5, 5  # skimage: radius = int(3.5 * sigma + 0.5)
K1, K2, RANGE = 0.01, 0.03, 255.0
PSNR_CAP = 100.0
BLOCK = 1 << 16  # pixels of a stripe of one channel, so that its intermediates stay in the cache
_KERNEL = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
_KERNEL /= _KERNEL.sum()


def ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Structural similarity of two frames, equal to scikit-image's with Gaussian
    weights.

    That is
    ``structural_similarity(x, y, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=255, channel_axis=-1)``.

    Args:
        x: ``(H, W, 3)`` uint8.
        y: The same shape.

    Returns:
        -1..1.

    Raises:
        ValueError: If a side is below 11 pixels.
    """
    if min(x.shape[:2]) < 2 * RADIUS + 1:
        raise ValueError(f"SSIM needs sides of at least {2 * RADIUS + 1} pixels, got {x.shape[:2]}")
    if same_memory(x, y):
        return 1.0
    rows = x.shape[0] - 2 * RADIUS
    step = max(1, BLOCK // x.shape[1])
    total = 0.0
    for a, b in zip(cv2.split(x), cv2.split(y), strict=True):
        for top in range(0, rows, step):
            count = min(step, rows - top)
            bottom = top + count + 2 * RADIUS
            total += count * _ssim_of_channel(a[top:bottom], b[top:bottom])
    return total / (3 * rows)


def _ssim_of_channel(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over a stripe ``(H, W)`` without its borders of ``RADIUS`` pixels."""
    # small numbers keep digits; subtracting a constant changes no variance
    x, y = (np.float32(x) - 128, np.float32(y) - 128)
    # the variances appear only as their sum
    mean_x, mean_y, squares, xy = (_blur(plane) for plane in (x, y, x * x + y * y, x * y))
    product = mean_x * mean_y
    cov = xy - product
    sum_of_means = mean_x * mean_x + mean_y * mean_y
    variances = squares - sum_of_means
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    shift = 128 * (mean_x + mean_y)  # the means with 128 put back
    numerator = (2 * (product + shift + 128 * 128) + c1) * (2 * cov + c2)
    denominator = (sum_of_means + 2 * shift + 2 * 128 * 128 + c1) * (variances + c2)
    return cv2.mean(numerator / denominator)[0]


def _blur(plane: np.ndarray) -> np.ndarray:
    """Gaussian blur of ``(H, W)`` float32 without its borders."""
    return cv2.sepFilter2D(plane, cv2.CV_32F, _KERNEL, _KERNEL)[RADIUS:-RADIUS, RADIUS:-RADIUS]


def same_memory(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays are the same pixels in memory, as where a video is measured
    against itself.
    """
    return x.ctypes.data == y.ctypes.data and x.shape == y.shape and x.strides == y.strides


def squared_difference(x: np.ndarray, y: np.ndarray) -> float:
    """Mean squared difference of two uint8 frames, grey levels squared."""
    return cv2.norm(x, y, cv2.NORM_L2SQR) / x.size


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 frames in dB, capped at 100 (equal
    frames).
    """
    error = max(squared_difference(x, y), 1e-12)
    return float(min(PSNR_CAP, 10 * np.log10(RANGE**2 / error)))


def sharpness(frame: np.ndarray) -> float:
    """Variance of the Laplacian of the luma of a frame ``(H, W, 3)`` RGB uint8, its
    border left out.
    """
    luma = cv2.cvtColor(frame.astype(np.float32), cv2.COLOR_RGB2GRAY)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_32F, ksize=1)[1:-1, 1:-1])
    return float(deviation[0, 0] ** 2)

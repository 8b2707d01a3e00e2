"""Shrinking and warping still images."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from eadbench.media.image import warp_area


def reference(image, matrix, size, fine=16):
    """Area averaging by brute force: each target pixel is the mean of ``fine`` x ``fine`` points in it."""
    back = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    steps = (np.arange(size[0] * fine) + 0.5) / fine - 0.5, (np.arange(size[1] * fine) + 0.5) / fine - 0.5
    x, y = np.meshgrid(*steps)
    at = [(back[k, 0] * x + back[k, 1] * y + back[k, 2]).astype(np.float32) for k in (0, 1)]
    points = cv2.remap(image.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return points.reshape(size[1], fine, size[0], fine, -1).mean((1, 3)).squeeze()


def similarity(scale, degrees, size, image):
    matrix = cv2.getRotationMatrix2D((image.shape[1] / 2, image.shape[0] / 2), degrees, scale)
    return matrix + np.array([[0, 0, size[0] / 2 - image.shape[1] / 2], [0, 0, size[1] / 2 - image.shape[0] / 2]])


def psnr(a, b):
    return 10 * np.log10(255**2 / ((a.astype(float) - b.astype(float)) ** 2).mean())


@pytest.mark.parametrize("degrees", [0, 7, 45])
@pytest.mark.parametrize("scale", [0.75, 0.5, 0.37, 0.2, 0.11])
def test_what_shrinks_is_averaged_over_area(scale, degrees):
    image, size = astronaut(), (48, 40)
    matrix = similarity(scale, degrees, size, image)
    right = reference(image, matrix, size)
    ours = psnr(warp_area(image, matrix, size), right)
    plain = psnr(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE), right)
    assert ours > 36 and (ours > plain + 5 or scale > 0.5)


def test_a_whole_factor_is_the_mean_of_its_blocks():
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    matrix = np.array([[1 / 3, 0, -1 / 3], [0, 1 / 3, -1 / 3]])  # target pixel 0 has its centre on source pixel 1
    assert np.abs(warp_area(image, matrix, (30, 20)).astype(int) - cv2.resize(image, (30, 20), interpolation=cv2.INTER_AREA)).max() <= 1


def test_other_factors_along_x_and_y():
    image = astronaut()
    matrix = np.array([[0.1, 0, -0.4], [0, 1.0, -100]])
    assert psnr(warp_area(image, matrix, (50, 50)), reference(image, matrix, (50, 50))) > 36


def test_what_does_not_shrink_is_warped_as_ever():
    image = astronaut()[:64, :64]
    for way in (cv2.INTER_LINEAR, cv2.INTER_CUBIC):
        matrix = similarity(1.7, 12, (64, 64), image)
        plain = cv2.warpAffine(image, matrix, (64, 64), flags=way, borderMode=cv2.BORDER_REPLICATE)
        assert np.array_equal(warp_area(image, matrix, (64, 64), enlarge=way), plain)


def test_grey_float_and_zeros_outside():
    image = np.ones((100, 100), np.float32)
    shrunk = warp_area(image, np.array([[0.25, 0, 10], [0, 0.25, 10]]), (50, 50), border=cv2.BORDER_CONSTANT)
    assert shrunk.dtype == np.float32 and shrunk.shape == (50, 50) and shrunk[20, 20] == 1 and shrunk[0, 0] == 0
    assert shrunk.sum() == pytest.approx(100 * 100 / 16, rel=0.03)


def test_a_huge_shrinkage_stays_within_opencvs_sizes():
    image = np.full((3000, 3000), 9, np.uint8)
    assert (warp_area(image, np.array([[1e-4, 0, 20], [0, 1e-4, 20]]), (200, 200)) == 9).all()

"""Shrinking and warping still images."""

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from eadbench.core.errors import EadbenchError
from eadbench.media.image import read_still, resize_square, warp_area
from eadbench.media.video import iter_decoded_frames, probe, probe_with_frame, read_frames


def reference(image, matrix, size, fine=16):
    """Area averaging by brute force: each target pixel is the mean of ``fine`` x
    ``fine`` points in it.
    """
    back = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    steps = (np.arange(size[0] * fine) + 0.5) / fine - 0.5, (np.arange(size[1] * fine) + 0.5) / fine - 0.5
    x, y = np.meshgrid(*steps)
    place = [(back[k, 0] * x + back[k, 1] * y + back[k, 2]).astype(np.float32) for k in (0, 1)]
    points = cv2.remap(image.astype(np.float32), *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return points.reshape(size[1], fine, size[0], fine, -1).mean((1, 3)).squeeze()


def similarity(scale, degrees, size, image):
    matrix = cv2.getRotationMatrix2D((image.shape[1] / 2, image.shape[0] / 2), degrees, scale)
    return matrix + np.array(
        [[0, 0, size[0] / 2 - image.shape[1] / 2], [0, 0, size[1] / 2 - image.shape[0] / 2]]
    )


def psnr(a, b):
    return 10 * np.log10(255**2 / ((a.astype(float) - b.astype(float)) ** 2).mean())


@pytest.mark.parametrize("degrees", [0, 7, 45])
@pytest.mark.parametrize("scale", [0.75, 0.5, 0.37, 0.2, 0.11])
def test_what_shrinks_is_averaged_over_area(scale, degrees):
    image, size = astronaut(), (48, 40)
    matrix = similarity(scale, degrees, size, image)
    right = reference(image, matrix, size)
    ours = psnr(warp_area(image, matrix, size), right)
    plain = psnr(
        cv2.warpAffine(image, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE), right
    )
    assert ours > 36 and (ours > plain + 5 or scale > 0.5)


def test_a_whole_factor_is_the_mean_of_its_blocks():
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    # target pixel 0 has its centre on source pixel 1
    matrix = np.array([[1 / 3, 0, -1 / 3], [0, 1 / 3, -1 / 3]])
    assert (
        np.abs(
            warp_area(image, matrix, (30, 20)).astype(int)
            - cv2.resize(image, (30, 20), interpolation=cv2.INTER_AREA)
        ).max()
        <= 1
    )


def test_other_factors_along_x_and_y():
    image = astronaut()
    matrix = np.array([[0.1, 0, -0.4], [0, 1.0, -100]])
    assert psnr(warp_area(image, matrix, (50, 50)), reference(image, matrix, (50, 50))) > 36


@pytest.mark.parametrize(
    ("side", "target"), [(300, 288), (400, 288), (512, 288), (512, 200), (511, 100), (100, 160)]
)
def test_squares_are_shrunk_by_area(side, target):
    image = np.ascontiguousarray(astronaut()[:side, :side])
    scale = target / side
    matrix = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])
    if scale < 1:
        assert psnr(resize_square(image, target), reference(image, matrix, (target, target))) > 40
    else:
        assert np.array_equal(
            resize_square(image, target), cv2.resize(image, (target, target), interpolation=cv2.INTER_LINEAR)
        )


def test_what_does_not_shrink_is_warped_as_ever():
    image = astronaut()[:64, :64]
    for way in (cv2.INTER_LINEAR, cv2.INTER_CUBIC):
        matrix = similarity(1.7, 12, (64, 64), image)
        plain = cv2.warpAffine(image, matrix, (64, 64), flags=way, borderMode=cv2.BORDER_REPLICATE)
        assert np.array_equal(warp_area(image, matrix, (64, 64), enlarge=way), plain)


def test_grey_float_and_zeros_outside():
    image = np.ones((100, 100), np.float32)
    shrunk = warp_area(image, np.array([[0.25, 0, 10], [0, 0.25, 10]]), (50, 50), border=cv2.BORDER_CONSTANT)
    assert (
        shrunk.dtype == np.float32 and shrunk.shape == (50, 50) and shrunk[20, 20] == 1 and shrunk[0, 0] == 0
    )
    assert shrunk.sum() == pytest.approx(100 * 100 / 16, rel=0.03)


def test_a_huge_shrinkage_stays_within_opencvs_sizes():
    image = np.full((3000, 3000), 9, np.uint8)
    assert (warp_area(image, np.array([[1e-4, 0, 20], [0, 1e-4, 20]]), (200, 200)) == 9).all()


TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_90",
    7: "TRANSVERSE",
    8: "ROTATE_270",
}


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_of_exif(tmp_path, orientation, suffix):
    photo, exif = Image.fromarray(astronaut()[:96, :128]), Image.Exif()
    exif[0x0112] = orientation
    stored = photo.transpose(Image.Transpose[TURNS[orientation]]) if orientation > 1 else photo
    path = saved(tmp_path / f"a.{suffix}", stored, exif=exif)
    for shown in (
        read_still(path),
        next(iter_decoded_frames(path)).rgb(),
        read_frames(path)[0],
        probe_with_frame(path)[1].rgb(),
    ):
        assert shown.shape == (96, 128, 3) and np.abs(shown.astype(int) - np.asarray(photo)).mean() < 4
    assert (probe(path).width, probe(path).height) == (128, 96)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("grey.png", lambda p: p.convert("L")),
        ("grey16.png", lambda p: Image.fromarray(np.asarray(p.convert("L")).astype(np.uint16) * 257)),
        ("palette.png", lambda p: p.quantize(256)),
        ("cmyk.jpg", lambda p: p.convert("CMYK")),
        ("bits.png", lambda p: p.convert("1")),
        ("odd.bmp", lambda p: p.crop((0, 0, 127, 95))),
    ],
)
def test_other_kinds_of_pixels_are_shown_as_they_look(tmp_path, name, make):
    photo = Image.fromarray(astronaut()[:96, :128])
    notes = []
    shown = read_still(saved(tmp_path / name, make(photo)), notes).astype(int)
    kind = "L" if name.startswith("grey") else "1" if name.startswith("bits") else "RGB"
    right = np.asarray(photo.convert(kind).convert("RGB")).astype(int)[: shown.shape[0], : shown.shape[1]]
    assert shown.shape[2] == 3 and np.abs(shown - right).mean() < 6 and not notes


def test_transparency_and_animations_are_told(tmp_path):
    photo = Image.fromarray(astronaut()[:96, :128])
    clear = photo.copy()
    clear.putalpha(Image.new("L", clear.size, 0))
    notes = []
    assert (
        np.array_equal(read_still(saved(tmp_path / "a.png", clear), notes), np.asarray(photo))
        and "transparent" in notes[0]
    )
    clear.putalpha(Image.new("L", clear.size, 255))
    notes = []
    assert (
        np.array_equal(read_still(saved(tmp_path / "opaque.png", clear), notes), np.asarray(photo))
        and not notes
    )
    other = Image.fromarray(255 - np.asarray(photo))
    path = saved(tmp_path / "a.webp", photo, save_all=True, append_images=[other, photo], lossless=True)
    assert np.array_equal(read_still(path, notes), np.asarray(photo)) and notes == [
        "the file holds 3 images: the first one is taken"
    ]


def test_what_is_no_image_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.png").write_text("this is no picture")
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(astronaut())).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    saved(tmp_path / "float.tiff", Image.fromarray(np.ones((9, 9), np.float32)))
    (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    for name in ("text.png", "cut.jpg", "float.tiff", "nothing.jpg", "phone.HEIC"):
        for read in (read_still, probe, read_frames):
            with pytest.raises(EadbenchError, match=r"image(.|\n)*hint") as caught:
                read(tmp_path / name)
            assert caught.value.where.endswith(name)

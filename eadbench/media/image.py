"""Still images."""

from math import ceil
from pathlib import Path

import cv2
import numpy as np

from eadbench.core.errors import EadbenchError

# Read by Pillow; GIF and APNG files are videos here. HEIC it refuses, of which FFmpeg's
# libraries would give one tile of many.
_STILL = "jpg jpeg jfif mpo png webp bmp tif tiff ppm pgm jp2 avif heic heif"
STILL = frozenset(f".{name}" for name in _STILL.split())
# Grey of 16 bits, which Pillow's own conversion would clip to white.
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")
# Source pixels per target pixel up to which interpolating between four neighbours
# leaves nothing out that matters.
FINE = 1.25
LARGEST = 16000  # pixels of a side; OpenCV's warps stop at 32,767


def encode_jpeg(frame: np.ndarray, quality: int = 90) -> bytes:
    """A frame ``(H, W, 3)`` RGB uint8 as JPEG bytes."""
    done, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode an image of shape {frame.shape}")
    return data.tobytes()


def shrink_to(frames: np.ndarray, max_pixels: int | None) -> np.ndarray:
    """Frames ``(T, H, W, 3)`` of at most ``max_pixels`` each, same aspect; unchanged if
    they are small enough or there is no limit.
    """
    height, width = frames.shape[1:3]
    if not max_pixels or height * width <= max_pixels:
        return frames
    scale = (max_pixels / (height * width)) ** 0.5
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def resize_square(image: np.ndarray, side: int) -> np.ndarray:
    """A square image ``(S, S, 3)`` at another size without aliasing.

    Halved while it is at least three times as large, then interpolated to a whole
    number of times the size and averaged: half the time of averaging by a broken
    factor, which has no fast path, and nearer to the mean over each pixel's area.
    """
    while image.shape[0] >= 3 * side and image.shape[0] % 2 == 0:
        half = image.shape[0] // 2
        image = cv2.resize(image, (half, half), interpolation=cv2.INTER_AREA)
    finer = max(1, ceil(image.shape[0] / side - (FINE - 1)))
    fine = cv2.resize(image, (side * finer, side * finer), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA) if finer > 1 else fine


def warp_area(
    image: np.ndarray,
    matrix: np.ndarray,
    size: tuple[int, int],
    border: int = cv2.BORDER_REPLICATE,
    enlarge: int = cv2.INTER_LINEAR,
) -> np.ndarray:
    """Warp an image by an affine map, averaging over the area of each target pixel
    where the map shrinks.

    ``cv2.warpAffine`` looks at four neighbours of a point however far apart the points
    are, with ``INTER_AREA`` too, which it takes in silence (measured with OpenCV 4.14):
    what is shrunk to half and less is aliased. Here the warp goes to a grid a whole
    number of times as fine, on which neighbours are enough, and each block of that is
    averaged.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``, uint8 or float32.
        matrix: ``(2, 3)`` source pixels to target pixels (whole numbers are pixel
            centres).
        size: Width and height of the target.
        border: What lies outside the image: ``cv2.BORDER_REPLICATE`` or
            ``cv2.BORDER_CONSTANT`` (zeros).
        enlarge: Interpolation where the map does not shrink.

    Returns:
        ``(h, w)`` or ``(h, w, C)`` of the same type.
    """
    matrix = np.asarray(matrix, np.float64)
    # Source pixels per target pixel, along x and y.
    step = np.linalg.norm(np.linalg.inv(matrix[:, :2]), axis=0)
    finer = np.maximum(np.ceil(step - (FINE - 1)), 1)
    finer = np.minimum(finer, np.maximum(LARGEST // np.asarray(size), 1)).astype(int)
    if (finer == 1).all():
        flags = enlarge if (step <= 1).all() else cv2.INTER_LINEAR
        return cv2.warpAffine(image, matrix, size, flags=flags, borderMode=border)
    fine = matrix * finer[:, None] + np.array([[0, 0, (finer[0] - 1) / 2], [0, 0, (finer[1] - 1) / 2]])
    large = cv2.warpAffine(
        image,
        fine,
        (size[0] * int(finer[0]), size[1] * int(finer[1])),
        flags=cv2.INTER_LINEAR,
        borderMode=border,
    )
    return cv2.resize(large, size, interpolation=cv2.INTER_AREA)


def is_still(source: object) -> bool:
    """Whether a source is a path to an image, by its suffix."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() in STILL


def read_still(path: str | Path, notes: list[str] | None = None) -> np.ndarray:
    """An image as viewers show it, turned and mirrored as its Exif data say
    (``ImageOps.exif_transpose``).

    Grey, palette and CMYK images become RGB, 16 bits become 8.

    Args:
        path: JPEG, PNG, WebP, TIFF, BMP and whatever else Pillow reads.
        notes: Appended to where something is left out: transparency (the colours stored
            under it are shown, as FFmpeg does), all images but the first of an
            animation or a phone's JPEG.

    Returns:
        ``(H, W, 3)`` RGB uint8.

    Raises:
        EadbenchError: If it cannot be read, or its values have no known range.
    """
    from PIL import Image, ImageOps

    notes = [] if notes is None else notes
    hint = "give a JPEG or PNG image; if it is one, save it anew with an image editor"
    try:
        with Image.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                notes.append(f"the file holds {image.n_frames} images: the first one is taken")
            clear = "A" in image.getbands() or "transparency" in image.info
            if clear and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
                notes.append("parts are transparent: the colours stored under them are shown")
            upright = ImageOps.exif_transpose(image)
            if upright.mode in DEEP:
                values = np.asarray(upright).astype(np.int64)
                if values.min() < 0 or values.max() > 65535:
                    raise EadbenchError("the image's values are not of 16 bits", path, hint)
                return np.repeat(((values + 128) // 257).astype(np.uint8)[..., None], 3, 2)
            if upright.mode == "F":
                raise EadbenchError("the image holds numbers without a range (floating point)", path, hint)
            if upright.mode == "P" and "transparency" in upright.info:
                upright = upright.convert("RGBA")
            return np.array(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise EadbenchError(f"the image cannot be read: {error}", path, hint) from error

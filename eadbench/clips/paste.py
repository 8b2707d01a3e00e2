"""Put a generated face back into the frame that it was cut from."""

import cv2
import numpy as np

from eadbench.media.image import warp_area


def paste_back(
    source_frame: np.ndarray,
    aligned_frame: np.ndarray,
    matrix: np.ndarray,
    mask: np.ndarray,
    feather: float = 0.04,
    match_colour: bool = True,
) -> np.ndarray:
    """Warp an aligned frame back and blend it into the source frame where the mask says
    so.

    Args:
        source_frame: ``(H, W, 3)`` RGB uint8.
        aligned_frame: ``(S, S, 3)`` RGB uint8, as the model made it.
        matrix: ``(2, 3)`` source pixels to aligned pixels, from the clip's track.
        mask: ``(S, S)`` bool or float in [0, 1]: what to take from ``aligned_frame``.
        feather: Width of the soft edge as a share of S. It lies inside the mask, so
            that nothing outside it changes.
        match_colour: Shift and scale the colours of the pasted part so that mean and
            spread agree with the source just outside the mask's edge.

    Returns:
        ``(H, W, 3)`` RGB uint8.
    """
    size = aligned_frame.shape[0]
    back = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    here = _rectangle(back, size, source_frame.shape)
    if here is None:
        return source_frame.copy()
    x0, y0, x1, y1 = here
    local = back - np.array([[0, 0, x0], [0, 0, y0]])
    face = warp_area(aligned_frame, local, (x1 - x0, y1 - y0)).astype(np.float32)
    weight = warp_area(soft_mask(mask, feather), local, (x1 - x0, y1 - y0), border=cv2.BORDER_CONSTANT)
    under = source_frame[y0:y1, x0:x1].astype(np.float32)
    if match_colour:
        face = _match(face, under, weight)
    result = source_frame.copy()
    result[y0:y1, x0:x1] = np.clip(np.round(under + weight[..., None] * (face - under)), 0, 255).astype(
        np.uint8
    )
    return result


def soft_mask(mask: np.ndarray, feather: float) -> np.ndarray:
    """The mask ``(S, S)`` as float32 with an edge that rises over ``feather * S``
    pixels inwards; the border of the square is an edge, too.
    """
    solid = np.pad((np.asarray(mask, np.float32) >= 0.5).astype(np.uint8), 1)
    width = max(1.0, feather * mask.shape[0])
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, 3)[1:-1, 1:-1]
    ramp = np.clip(depth / width, 0, 1)
    return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)


def _rectangle(back: np.ndarray, size: int, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Part of the source frame that the aligned square covers; ``None`` if it lies
    outside.
    """
    corners = (
        np.array([[-0.5, -0.5], [size - 0.5, -0.5], [-0.5, size - 0.5], [size - 0.5, size - 0.5]])
        @ back[:, :2].T
        + back[:, 2]
    )
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, [shape[1], shape[0]])
    return (int(x0), int(y0), int(x1), int(y1)) if x1 > x0 and y1 > y0 else None


def _match(face: np.ndarray, under: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean and spread per channel, compared where the two overlap in the soft edge,
    since only there must they agree.
    """
    edge = (weight > 0.02) & (weight < 0.98)
    if edge.sum() < 16:
        return face
    ours, theirs = face[edge], under[edge]
    gain = np.clip((theirs.std(0) + 1) / (ours.std(0) + 1), 0.8, 1.25)
    return (face - ours.mean(0)) * gain + theirs.mean(0)

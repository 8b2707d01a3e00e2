"""Putting the generated part into the original frame: soft edge, matching colours."""

import cv2
import numpy as np

SHARPEN_SIGMA = 0.6  # pixels of the generated frames that the unsharp mask blurs by
# share of the previous batch's colour shift in that of the next, so that it cannot flicker
COLOUR_SMOOTHING = 0.9


class Compositor:
    """Replaces the masked part of frames; everything outside stays byte for byte.

    Args:
        keep: Mask of the frames, ``(S, S)``; 1 keep, 0 replace.
        feather: Width of the soft edge inside the mask, as a share of S.
        colour_match: Shift the colours so that they agree on average in a band around
            the mask.
        sharpen: Amount of an unsharp mask on the generated part, 0 for none.
    """

    def __init__(self, keep: np.ndarray, feather: float, colour_match: bool, sharpen: float = 0.0) -> None:
        self.size = keep.shape[0]
        replace = (keep < 0.5).astype(np.uint8)
        width = max(1.0, feather * self.size)
        inside = cv2.distanceTransform(np.pad(replace, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        self.alpha = np.clip((inside - 0.5) / width, 0, 1)[..., None].astype(np.float32)
        outside = cv2.distanceTransform(1 - replace, cv2.DIST_L2, 5)
        self.band = (outside > 0) & (outside <= max(2.0, 2 * width))
        self.sharpen = sharpen
        self.colour_match = colour_match and bool(self.band.any())
        self._shift: np.ndarray | None = None

    def __call__(self, original: np.ndarray, generated: np.ndarray) -> np.ndarray:
        """Composite a batch.

        Args:
            original: ``(T, S, S, 3)`` uint8.
            generated: ``(T, s, s, 3)`` float, 0..255; resized to S.

        Returns:
            ``(T, S, S, 3)`` uint8.
        """
        scale = self.size / generated.shape[1]
        if scale != 1:
            generated = np.stack(
                [
                    cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
                    for image in generated
                ]
            )
        if self.sharpen:
            blurred = np.stack(
                [cv2.GaussianBlur(image, (0, 0), SHARPEN_SIGMA * scale) for image in generated]
            )
            generated = generated + self.sharpen * (generated - blurred)
        if self.colour_match:
            generated = generated + self._colour_shift(original, generated)
        mixed = original + self.alpha * (generated - original)
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)

    def _colour_shift(self, original: np.ndarray, generated: np.ndarray) -> np.ndarray:
        shift = (original[:, self.band].astype(np.float32) - generated[:, self.band]).mean((0, 1))
        if self._shift is not None:
            shift = COLOUR_SMOOTHING * self._shift + (1 - COLOUR_SMOOTHING) * shift
        self._shift = shift
        return shift

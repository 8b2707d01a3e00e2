"""Where a face lies in an aligned frame: the template that `clips` aligns to and that
the masks are cut from.
"""

import numpy as np

# Five points as fractions of the side of the square frame, x to the right, y down. Left
# and right are the subject's: the right eye lies left in the image. Ours; chosen so
# that brows, chin and some background stay in view.
TEMPLATE = {
    "right_eye": (0.35, 0.40),
    "left_eye": (0.65, 0.40),
    "nose_tip": (0.50, 0.58),
    "mouth_right": (0.38, 0.74),
    "mouth_left": (0.62, 0.74),
}


def template_points(size: int) -> np.ndarray:
    """The template in pixels of a frame of side ``size``: ``(5, 2)`` float32, x then y,
    in the order of ``TEMPLATE``.
    """
    return np.float32(list(TEMPLATE.values())) * size


def spread(count: int, most: int | None) -> np.ndarray:
    """Indices of ``most`` items spread evenly over ``count``; all if ``None`` or more."""
    if most is None or most >= count:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))

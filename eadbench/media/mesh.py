"""Points of MediaPipe's face mesh by name, and where they lie in an aligned face."""

from functools import cache

import numpy as np

POINTS = 478  # with those of the irises

# Points of the face mesh that speech and expression hardly move: corners of the eyes,
# bridge and base of the nose, temples' side of the brow line.
STABLE = (33, 133, 362, 263, 168, 6, 197, 195)
# Brows, of the subject's right (left in the image) and left.
RIGHT_BROW = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107)
LEFT_BROW = (276, 282, 283, 285, 293, 295, 296, 300, 334, 336)
RIGHT_EYE_OUTER, LEFT_EYE_OUTER, FOREHEAD, CHIN, UPPER_LIP, LOWER_LIP = 33, 263, 10, 152, 13, 14

# Places of the stable points and of forehead and chin, in units of the distance between
# the outer corners of the eyes, origin between the eyes, y downwards: mean of measured
# frontal faces (two filmed, one drawn), made symmetric (ours).
TEMPLATE = {
    33: (-0.500, 0.0), 133: (-0.185, 0.010), 362: (0.185, 0.010), 263: (0.500, 0.0), 168: (0.0, -0.100),
    6: (0.0, -0.010), 197: (0.0, 0.060),
    195: (0.0, 0.130), FOREHEAD: (0.0, -0.70), CHIN: (0.0, 1.24),
}  # fmt: skip


@cache
def template(size: int, margin: float) -> np.ndarray:
    """Where the stable points lie in an aligned square.

    Args:
        size: Side of the square in pixels.
        margin: Room around the face: the square is ``1 + margin`` times as high as the
            face from the top of the forehead to the chin at rest.

    Returns:
        ``(8, 2)`` float64 in the order of :data:`STABLE`.
    """
    top, bottom = TEMPLATE[FOREHEAD][1], TEMPLATE[CHIN][1]
    unit = size / ((bottom - top) * (1 + margin))
    # A little more room above than below: hair is taller than an opening jaw.
    centre = np.array([0.0, (top + bottom) / 2 - 0.02 * (bottom - top)])
    points = np.array([TEMPLATE[i] for i in STABLE])
    return (points - centre) * unit + (size - 1) / 2

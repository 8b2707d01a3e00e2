"""The shapes of the masks: their names, for the configuration, and where they lie.
`models.masks` says what each is for and draws it.
"""

from typing import Literal

MaskKind = Literal["mouth", "lower_face", "face"]

# Superellipses |x|^p + |y|^p <= 1: centre, half axes (fractions of the side), exponent,
# and the line above which all is kept.
SHAPES: dict[MaskKind, tuple[tuple[float, float], tuple[float, float], float, float]] = {
    "mouth": ((0.50, 0.80), (0.24, 0.18), 2.5, 0.0),
    "lower_face": ((0.50, 0.60), (0.35, 0.38), 2.5, 0.50),
    "face": ((0.50, 0.60), (0.35, 0.38), 2.5, 0.0),
}

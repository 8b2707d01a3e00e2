"""Which part of an aligned frame is made anew: fixed shapes, in the coordinates of
``core.geometry.TEMPLATE``.

The shape must not follow the mouth, or its edge would tell the answer.

- ``mouth``: mouth and chin. Lip-sync only.
- ``lower_face``: from below the eyes to below the chin. As LatentSync; emotion stays in
  the untouched eyes and brows.
- ``face``: brows to below the chin; hair, contour and background stay. Default, since
  emotion is also in the upper face.
"""

import torch
import torch.nn.functional as F

from eadbench.core.masks import SHAPES, MaskKind


def mask_for(kind: MaskKind, size: int) -> torch.Tensor:
    """The mask of aligned frames.

    Args:
        kind: Shape.
        size: Side of the frame in pixels.

    Returns:
        (1, size, size) float32; 1 keep, 0 make anew.

    Raises:
        KeyError: If the kind is unknown.
    """
    (cx, cy), (ax, ay), power, top = SHAPES[kind]
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    inside = (((x - cx) / ax).abs() ** power + ((y - cy) / ay).abs() ** power <= 1) & (y >= top)
    return (~inside).float()[None]


def latent_mask(mask: torch.Tensor, factor: int) -> torch.Tensor:
    """Mask at the resolution of the latents, (..., S, S) to (..., S/factor, S/factor):
    a cell is kept if all its pixels are.
    """
    return -F.max_pool2d(-mask, factor)

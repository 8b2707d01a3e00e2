"""Which part of an aligned frame is made anew: fixed shapes, in the coordinates of
``core.geometry.TEMPLATE``.

The shape must not follow the mouth, or its edge would tell the answer. Landmarks may
place it on the head, by eyes and nose only.

- ``mouth``: mouth and chin. Lip-sync only.
- ``lower_face``: from below the eyes to below the chin. As LatentSync; emotion stays in
  the untouched eyes and brows.
- ``face``: brows to below the chin; hair, contour and background stay. Default, since
  emotion is also in the upper face.
"""

import numpy as np
import torch
import torch.nn.functional as F

from eadbench.core.geometry import TEMPLATE
from eadbench.core.masks import SHAPES, MaskKind

# Corners of the eyes and the tip of the nose in MediaPipe's face mesh, in the order of
# the template's first three points.
STABLE_LANDMARKS = ((33, 133), (263, 362), (1, 1))


def mask_for(kind: MaskKind, size: int, landmarks: np.ndarray | None = None) -> torch.Tensor:
    """The mask of aligned frames.

    Args:
        kind: Shape.
        size: Side of the frame in pixels.
        landmarks: Face mesh in pixels, (478, 2), e.g. a clip's median; moves, turns and
            scales the shape by eyes and nose.

    Returns:
        (1, size, size) float32; 1 keep, 0 make anew.

    Raises:
        KeyError: If the kind is unknown.
    """
    (cx, cy), (ax, ay), power, top = SHAPES[kind]
    at = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    y, x = torch.meshgrid(at, at, indexing="ij")
    if landmarks is not None:
        x, y = _to_template(x, y, np.asarray(landmarks, np.float64) / size)
    inside = (((x - cx) / ax).abs() ** power + ((y - cy) / ay).abs() ** power <= 1) & (y >= top)
    return (~inside).float()[None]


def latent_mask(mask: torch.Tensor, factor: int) -> torch.Tensor:
    """Mask at the resolution of the latents, (..., S, S) to (..., S/factor, S/factor):
    a cell is kept if all its pixels are.
    """
    return -F.max_pool2d(-mask, factor)


def _to_template(
    x: torch.Tensor, y: torch.Tensor, landmarks: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates in the template of coordinates in the frame, by the similarity that
    fits eyes and nose best (complex least squares).
    """
    found = np.array([landmarks[list(points)].mean(0) for points in STABLE_LANDMARKS]) @ [1, 1j]
    wanted = np.array(list(TEMPLATE.values())[:3]) @ [1, 1j]
    centred = found - found.mean()
    turn = (centred.conj() @ (wanted - wanted.mean())) / (centred.conj() @ centred)
    z = torch.complex(x, y) - complex(found.mean())
    z = z * complex(turn) + complex(wanted.mean())
    return z.real, z.imag

"""Clips are aligned to where masks and losses expect the face: two modules, one
geometry.
"""

from pathlib import Path

import numpy as np
import pytest

from eadbench.core.geometry import TEMPLATE
from eadbench.core.settings import load
from eadbench.media.mesh import STABLE, template

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["config.yaml", "config/paper.yaml"])
def test_eyes_lie_where_the_masks_expect_them(name: str) -> None:
    margin = load(None, [ROOT / name]).clips.margin
    points = dict(zip(STABLE, template(1000, margin) / 1000, strict=True))
    right, left = (points[33] + points[133]) / 2, (points[263] + points[362]) / 2
    assert np.allclose(right, TEMPLATE["right_eye"], atol=0.02)
    assert np.allclose(left, TEMPLATE["left_eye"], atol=0.02)

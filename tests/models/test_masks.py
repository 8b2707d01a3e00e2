"""Masks lie where the template says the face is."""

from typing import get_args

import pytest
import torch

from eadbench.core.geometry import TEMPLATE
from eadbench.core.masks import SHAPES, MaskKind
from eadbench.models.masks import latent_mask, mask_for


def made_anew(mask: torch.Tensor, x: float, y: float) -> bool:
    size = mask.shape[-1]
    return mask[0, int(y * size), int(x * size)] == 0


def test_every_name_has_a_shape():
    assert set(SHAPES) == set(get_args(MaskKind))


@pytest.mark.parametrize("size", [64, 96, 256])
@pytest.mark.parametrize("kind", SHAPES)
def test_values_shape_and_symmetry(kind, size):
    mask = mask_for(kind, size)
    assert mask.shape == (1, size, size) and mask.dtype == torch.float32
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(mask, mask.flip(-1))


@pytest.mark.parametrize(
    ("kind", "eyes", "brows"), [("mouth", False, False), ("lower_face", False, False), ("face", True, True)]
)
def test_what_is_made_anew(kind, eyes, brows):
    mask = mask_for(kind, 128)
    for side in ("right", "left"):
        assert made_anew(mask, *TEMPLATE[f"mouth_{side}"])
        assert made_anew(mask, *TEMPLATE[f"{side}_eye"]) == eyes
        x, y = TEMPLATE[f"{side}_eye"]
        assert made_anew(mask, x, y - 0.10) == brows
    assert made_anew(mask, 0.5, 0.93)  # the chin moves
    for corner in ((0.02, 0.02), (0.02, 0.98), (0.98, 0.98), (0.5, 0.05)):
        assert not made_anew(mask, *corner)


def test_kinds_are_nested():
    mouth, lower, face = (mask_for(kind, 128) for kind in ("mouth", "lower_face", "face"))
    assert ((mouth >= lower) & (lower >= face)).all()


def test_latent_mask_keeps_a_cell_only_if_all_its_pixels_are_kept():
    mask = mask_for("face", 64)
    cells = latent_mask(mask, 8)
    expected = mask.view(8, 8, 8, 8).amin((1, 3))
    assert torch.equal(cells[0], expected)
    assert latent_mask(mask.expand(2, 3, 1, 64, 64).flatten(0, 1), 8).shape == (6, 1, 8, 8)


def test_unknown_kind():
    with pytest.raises(KeyError):
        mask_for("nose", 64)

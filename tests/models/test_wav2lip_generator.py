"""Wav2Lip's generator: the published size, other sizes."""

import pytest
import torch

from eadbench.models.config import Wav2LipConfig
from eadbench.models.wav2lip import Wav2Lip


def test_published_size():
    """Tensors and parameters of the released checkpoint, as counted in its repository."""
    model = Wav2Lip()
    assert len(model.state_dict()) == 352
    assert sum(p.numel() for p in model.parameters()) == 36_298_035
    assert model.state_dict()["face_decoder_blocks.3.0.conv_block.0.weight"].shape == (768, 384, 3, 3)


@pytest.mark.parametrize(("size", "width"), [(96, 4), (64, 4), (128, 2)])
def test_sizes(size, width):
    face = torch.rand(2, 6, size, size)
    drawn = Wav2Lip(Wav2LipConfig(face_size=size, width=width))(torch.randn(2, 1, 80, 16), face)
    assert drawn.shape == (2, 3, size, size) and drawn.min() >= 0 and drawn.max() <= 1


def test_lips_depend_on_the_audio():
    torch.manual_seed(0)
    model = Wav2Lip(Wav2LipConfig(width=4)).eval()
    mel = torch.randn(1, 1, 80, 16, requires_grad=True)
    model(mel, torch.rand(1, 6, 96, 96)).sum().backward()
    assert mel.grad.abs().max() > 0

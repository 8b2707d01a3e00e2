"""The training SyncNet."""

import pytest
import torch
import torch.nn.functional as F

from eadbench.models.config import SyncNetConfig
from eadbench.models.syncnet import LipSyncNet

CONFIG = SyncNetConfig(
    image_size=64,
    frames=5,
    visual_channels=(8, 16, 16, 16),
    audio_channels=(8, 16, 16),
    embedding=24,
    attention_from=2,
)


@pytest.mark.parametrize("relu", [True, False])
def test_embeddings_are_unit_vectors(relu):
    torch.manual_seed(0)
    visual, audio = LipSyncNet(CONFIG.model_copy(update={"relu": relu}))(
        torch.randn(3, 15, 32, 64), torch.randn(3, 1, 80, CONFIG.mel_steps)
    )
    for embedding in (visual, audio):
        assert embedding.shape == (3, 24)
        assert torch.allclose(embedding.norm(dim=1), torch.ones(3), atol=1e-5)
        assert (embedding.min() >= 0) == relu


def test_sizes_of_latentsync_build_without_memory():
    with torch.device("meta"):
        model = LipSyncNet(SyncNetConfig())
        visual, audio = model(torch.empty(1, 48, 128, 256), torch.empty(1, 1, 80, 52))
    assert visual.shape == audio.shape == (1, 2048)


def test_learns_which_audio_belongs_to_which_lips():
    """Audio whose loudness is the mouth's opening: after a few steps windows are told
    apart.
    """
    torch.manual_seed(0)
    model = LipSyncNet(CONFIG.model_copy(update={"relu": False}))
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)

    def batch(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        opening = torch.randperm(n).view(n, 1, 1, 1, 1) / n
        rows = torch.arange(32).view(1, 1, 1, 32, 1) / 32
        frames = ((rows < opening).float() * 2 - 1).expand(n, 5, 3, 32, 64).flatten(1, 2)
        return frames, opening[..., 0].expand(n, 1, 80, 16) * 2 - 1

    for _ in range(30):
        frames, mel = batch(16)
        visual, audio = model(frames, mel)
        loss = F.cross_entropy(visual @ audio.T / 0.07, torch.arange(16))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    visual, audio = model(*batch(16))
    assert ((visual @ audio.T).argmax(1) == torch.arange(16)).float().mean() > 0.5

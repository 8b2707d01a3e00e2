"""The training SyncNet and its losses."""

import math

import pytest
import torch
import torch.nn.functional as F

from eadbench.models.config import SyncNetConfig
from eadbench.models.syncnet import LipSyncNet, cosine_bce, frame_windows, in_clip_contrastive, mel_windows

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


def test_frame_windows_hold_the_lower_half_of_consecutive_frames():
    frames = torch.arange(7.0).view(1, 7, 1, 1, 1) + torch.zeros(2, 7, 3, 8, 6)
    frames[..., :4, :] = -1
    windows = frame_windows(frames, 5)
    assert windows.shape == (2, 3, 15, 4, 6)
    assert windows[0, 1, :, 0, 0].tolist() == [float(f) for f in range(1, 6) for _ in range(3)]
    assert frame_windows(frames, 5, stride=2).shape[1] == 2


def test_mel_windows_start_with_the_frames():
    mel = torch.arange(100.0).expand(80, 100)
    windows = mel_windows(mel, torch.tensor([0, 5, 28]), CONFIG)
    assert windows.shape == (3, 1, 80, 16)
    assert windows[1, 0, 0].tolist() == [float(s) for s in range(16, 32)]
    assert windows[2, 0, 0, -1] == 99  # repeated at the end


def units(n: int, d: int = 8) -> torch.Tensor:
    return F.normalize(torch.rand(n, d), dim=1)


def test_cosine_bce():
    v = units(4)
    assert cosine_bce(v, v, torch.ones(4)) < 1e-4
    assert cosine_bce(v, v, torch.zeros(4)) > 10
    a, match = units(4), torch.tensor([1, 0, 1, 0])
    cosine = (v * a).sum(1)
    expected = -torch.where(match == 1, cosine.log(), (1 - cosine).log()).mean()
    assert torch.allclose(cosine_bce(v, a, match), expected, atol=1e-5)


def test_contrastive_takes_negatives_from_the_same_clip_only():
    v, a = units(6), units(6)
    clip, start = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 4, 8, 0, 4, 8])
    both = in_clip_contrastive(v, a, clip, start)
    apart = (
        in_clip_contrastive(v[:3], a[:3], clip[:3], start[:3])
        + in_clip_contrastive(v[3:], a[3:], clip[3:], start[3:])
    ) / 2
    assert torch.allclose(both, apart, atol=1e-5)
    # with all rows from different clips there is nothing to tell apart
    assert in_clip_contrastive(v, a, torch.arange(6), start).abs() < 1e-6


def test_contrastive_leaves_out_neighbours():
    v = F.normalize(torch.ones(3, 8), dim=1)
    same = torch.zeros(3, dtype=torch.long)
    start = torch.tensor([0, 1, 10])
    assert in_clip_contrastive(v, v, same, start, min_gap=1) == pytest.approx(math.log(3), abs=1e-5)
    assert in_clip_contrastive(v, v, same, start, min_gap=2) == pytest.approx(
        (2 * math.log(2) + math.log(3)) / 3, abs=1e-5
    )


def test_learns_which_sound_belongs_to_which_lips():
    """A sound whose loudness is the mouth's opening: after a few steps windows are told
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
        loss = in_clip_contrastive(*model(frames, mel), torch.zeros(16), torch.arange(16))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    visual, audio = model(*batch(16))
    assert ((visual @ audio.T).argmax(1) == torch.arange(16)).float().mean() > 0.5

"""Losses and diffusion arithmetic: finite gradients that point the right way, weights,
references.
"""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from eadbench import zoo
from eadbench.models.config import SyncNetConfig
from eadbench.models.syncnet import LipSyncNet
from eadbench.training import losses as L
from eadbench.training.config import DiffusionConfig
from eadbench.training.eadnet import position_weight
from eadbench.training.noise import Diffusion, draw_noise, draw_timestep


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def syncnet() -> LipSyncNet:
    torch.manual_seed(0)
    config = SyncNetConfig(
        image_size=32,
        frames=3,
        visual_channels=(8, 8),
        audio_channels=(8, 8),
        embedding=16,
        attention_from=None,
        relu=False,
    )
    return LipSyncNet(config).eval().requires_grad_(False)


def descends(loss_of, start: torch.Tensor, step: float = 0.05, steps: int = 20) -> tuple[float, float]:
    """Loss before and after a few steps against the gradient; the gradient must be
    finite and not zero.
    """
    x = start.clone().requires_grad_()
    values = []
    for _ in range(steps):
        loss = loss_of(x).sum()
        (gradient,) = torch.autograd.grad(loss, x)
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0
        values.append(float(loss))
        x = (x - step * gradient / gradient.abs().max()).detach().requires_grad_()
    return values[0], float(loss_of(x).sum())


@pytest.mark.parametrize("temperature", [0.1, None])
def test_sync_loss_pulls_frames_to_their_audio(syncnet: LipSyncNet, temperature: float | None) -> None:
    frames = torch.rand(2, 4, 3, 3, 32, 32, generator=generator()) * 2 - 1
    mels, others = (torch.randn(2, n, 80, 10, generator=generator(n)) for n in (4, 6))
    before, after = descends(lambda x: L.sync_loss(syncnet, x, mels, others, temperature), frames)
    assert after < before
    x = frames.clone().requires_grad_()
    L.sync_loss(syncnet, x, mels, others, temperature).sum().backward()
    assert not x.grad[..., :16, :].any(), "SyncNet sees the lower half only"


def test_contrastive_loss_prefers_the_right_pairs() -> None:
    v = torch.nn.functional.normalize(torch.randn(1, 6, 16, generator=generator()), dim=-1)
    matched, share = L.contrastive(v, v, 0.1)
    shifted, _ = L.contrastive(v, v.roll(1, 1), 0.1)
    assert matched < 0.1 < shifted and share == 1
    same = v[:, :1].expand(-1, 6, -1)
    chance, _ = L.contrastive(same, same, 0.1)
    assert torch.allclose(chance, torch.tensor(6.0).log())


@pytest.mark.parametrize("size", [32, 64])
def test_lpips_pulls_to_the_real_frames(tiny_parts, size: int) -> None:
    lpips = zoo.load(tiny_parts["lpips"])
    real, fake = (torch.rand(1, 2, 3, size, size, generator=generator(k)) * 2 - 1 for k in (0, 1))
    before, after = descends(lambda x: L.lpips_loss(lpips, x, real, lower_half=True), fake, steps=8)
    assert after < before and L.lpips_loss(lpips, real, real, True).abs() < 1e-6
    upper = real.clone()
    upper[..., : size // 2, :] = 0
    assert L.lpips_loss(lpips, upper, real, True).abs() < 1e-6 < L.lpips_loss(lpips, upper, real, False)


def test_trepa_pulls_to_the_real_motion_and_scales_with_width(tiny_parts) -> None:
    features = zoo.load(tiny_parts["videomae"])
    real, fake = (torch.rand(2, 4, 3, 32, 32, generator=generator(k)) * 2 - 1 for k in (0, 1))
    before, after = descends(lambda x: L.trepa_loss(features, x, real), fake)
    assert after < before
    cosine = (features(fake) * features(real)).sum(-1)
    assert torch.allclose(L.trepa_loss(features, fake, real), 2 * (1 - cosine) / 1408, atol=1e-6), (
        "the same for any width"
    )
    assert L.trepa_loss(features, fake.flip(1), fake).min() > 0, "the order of frames matters"


def test_noise_loss_weights_positions_and_keeps_the_mean() -> None:
    mask = torch.ones(1, 16, 16)
    mask[:, 4:12, 4:12] = 0
    weight = position_weight(mask, 2.0, 3.0)
    assert weight.mean() == pytest.approx(1.0, abs=1e-5)
    assert weight[0, 12, 8] > weight[0, 0, 0] and weight[0, 8, 8] > weight[0, 0, 0]
    assert torch.equal(position_weight(mask, 0, 0), torch.ones(1, 16, 16))
    x, y = (torch.randn(2, 3, 4, 16, 16, generator=generator(k)) for k in (0, 1))
    assert torch.allclose(L.noise_loss(x, y), ((x - y) ** 2).mean((1, 2, 3, 4)))
    assert torch.allclose(L.noise_loss(x, x + 1, weight), torch.ones(2))


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_diffusion_is_that_of_diffusers(prediction: str) -> None:
    ours = Diffusion(DiffusionConfig(), prediction)
    name = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    theirs = DDIMScheduler(
        1000, 0.00085, 0.012, "scaled_linear", clip_sample=False, set_alpha_to_one=False, prediction_type=name
    )
    clean, noise = (torch.randn(3, 2, 4, 8, 8, generator=generator(k)) for k in (0, 1))
    t = torch.tensor([10, 500, 990])
    noisy = ours.add_noise(clean, noise, t)
    assert torch.allclose(noisy, theirs.add_noise(clean, noise, t), atol=1e-6)
    target = ours.target(clean, noise, t)
    if prediction == "v":
        assert torch.allclose(target, theirs.get_velocity(clean, noise, t), atol=1e-6)
    assert torch.allclose(ours.clean(noisy, target, t), clean, atol=2e-4), (
        "the true target gives the clean sample back"
    )
    theirs.set_timesteps(1000)
    step = theirs.step(target[1:2], 500, noisy[1:2]).pred_original_sample
    assert torch.allclose(step, ours.clean(noisy, target, t)[1:2], atol=1e-5)


def test_noisy_steps_do_not_dominate_the_losses_on_the_clean_sample() -> None:
    """With an error of fixed size in the prediction, the weighted squared error of the
    clean sample must not grow with the noise.
    """
    diffusion = Diffusion(DiffusionConfig(), "epsilon")
    t = torch.arange(0, 1000, 50)
    clean, noise = (torch.randn(len(t), 64, generator=generator(k)) for k in (0, 1))
    noisy = diffusion.add_noise(clean, noise, t)
    error = (diffusion.clean(noisy, noise + 0.1, t) - clean).square().mean(1)
    assert error[-1] > 100 * error[4], "unweighted, the noisy steps would dominate"
    for kind in ("alpha_bar", "min_snr"):
        weight = diffusion.clean_weight(t, kind)
        assert (weight.diff() <= 0).all() and 0 < weight[-1] < weight[0] <= 1
        assert (weight * error).max() <= 0.0101
    assert torch.equal(diffusion.clean_weight(t, "none"), torch.ones(len(t)))


def test_min_snr_weight_of_the_noise_loss() -> None:
    for prediction, power in (("epsilon", 0), ("v", 1)):
        diffusion = Diffusion(DiffusionConfig(), prediction)
        t = torch.tensor([0, 300, 999])
        a = diffusion.schedule.alphas_cumprod[t]
        snr = a / (1 - a)
        assert torch.allclose(diffusion.noise_weight(t, 5.0), snr.clamp(max=5) / (snr + power))
        assert torch.equal(diffusion.noise_weight(t, None), torch.ones(3))


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_noise_has_unit_variance_and_the_asked_correlation(shared: float) -> None:
    noise = draw_noise((4, 8, 64, 64), shared, generator())
    assert noise.std() == pytest.approx(1, abs=0.02)
    correlation = torch.corrcoef(noise.flatten(1))[0, 1]
    assert correlation == pytest.approx(shared**2 / (1 + shared**2), abs=0.02)


def test_timesteps_cover_the_schedule_and_a_positive_mean_prefers_noise():
    def drawn(mean):
        rng = np.random.default_rng(0)
        return np.array(
            [draw_timestep(DiffusionConfig(timestep_mean=mean, train_steps=1000), rng) for _ in range(4000)]
        )

    even, noisy = drawn(None), drawn(1.0)
    for t in (even, noisy):
        assert t.min() >= 0 and t.max() < 1000
    assert abs(even.mean() - 499.5) < 20 and abs(np.median(noisy) - 1000 / (1 + np.exp(-1))) < 20

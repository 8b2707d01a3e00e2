"""The forward process, its targets, and the way back to the clean sample in one step."""

import numpy as np
import torch

from eadbench.training.config import DiffusionConfig


class Diffusion:
    """Noise schedule with ``epsilon`` or ``v`` as target. Timesteps ``t`` are ``(B,)``;
    samples ``(B, ...)``.
    """

    def __init__(self, config: DiffusionConfig, prediction: str) -> None:
        from diffusers import DDIMScheduler  # with it comes scipy.stats; SyncNet and Wav2Lip have no noise

        self.prediction = prediction
        self.schedule = DDIMScheduler(
            num_train_timesteps=config.train_steps,
            beta_start=config.beta_start,
            beta_end=config.beta_end,
            beta_schedule="scaled_linear",
        )

    def alpha_bar(self, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """abar_t in float32, shaped to multiply ``like``."""
        return self.schedule.alphas_cumprod.to(t.device)[t].view(-1, *[1] * (like.dim() - 1))

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise."""
        a = self.alpha_bar(t, clean)
        return a.sqrt() * clean + (1 - a).sqrt() * noise

    def target(self, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """What the network should predict: the noise, or v = sqrt(abar) noise - sqrt(1
        - abar) x_0 (Salimans & Ho 2022).
        """
        if self.prediction == "epsilon":
            return noise
        a = self.alpha_bar(t, clean)
        return a.sqrt() * noise - (1 - a).sqrt() * clean

    def clean(self, noisy: torch.Tensor, predicted: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The clean sample that the prediction implies, in one step."""
        a = self.alpha_bar(t, noisy)
        if self.prediction == "epsilon":
            return (noisy - (1 - a).sqrt() * predicted) / a.sqrt()
        return a.sqrt() * noisy - (1 - a).sqrt() * predicted

    def clean_weight(self, t: torch.Tensor, kind: str) -> torch.Tensor:
        """Weight ``(B,)`` in [0, 1] of losses on that clean sample, falling with the
        noise; see ``LossConfig.x0_weight``.
        """
        a = self.schedule.alphas_cumprod.to(t.device)[t]
        if kind == "alpha_bar":
            return a
        if kind == "min_snr":
            return (a / (1 - a)).clamp(max=1)
        return torch.ones_like(a)

    def noise_weight(self, t: torch.Tensor, gamma: float | None) -> torch.Tensor:
        """Min-SNR weight ``(B,)`` of the noise loss: min(SNR, gamma) / SNR for epsilon,
        / (SNR + 1) for v; 1 without gamma.
        """
        a = self.schedule.alphas_cumprod.to(t.device)[t]
        if gamma is None:
            return torch.ones_like(a)
        snr = a / (1 - a)
        return snr.clamp(max=gamma) / (snr if self.prediction == "epsilon" else snr + 1)


def draw_timestep(config: DiffusionConfig, rng: np.random.Generator) -> int:
    """A timestep in 0 .. train_steps - 1, see ``DiffusionConfig.timestep_mean``."""
    if config.timestep_mean is None:
        return int(rng.integers(0, config.train_steps))
    return int(config.train_steps / (1 + np.exp(-config.timestep_mean - rng.standard_normal())))


def draw_noise(shape: tuple[int, ...], shared: float, generator: torch.Generator) -> torch.Tensor:
    """Unit-variance noise ``(F, ...)`` whose frames have a part in common: (shared *
    common + own) / sqrt(1 + shared^2).
    """
    own = torch.randn(shape, generator=generator)
    if not shared:
        return own
    common = torch.randn((1, *shape[1:]), generator=generator)
    return (shared * common + own) / (1 + shared**2) ** 0.5

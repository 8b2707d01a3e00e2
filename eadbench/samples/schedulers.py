"""Deterministic samplers, by diffusers' schedulers."""

from fractions import Fraction
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from eadbench.core.errors import EadbenchError


class EvenDDIM(DDIMScheduler):
    """DDIM whose steps end where the next one begins. That of diffusers 0.42 takes each
    to ``t - train_steps // steps``, which the next is not where the number of steps
    does not divide that of the training: with 150 of 1000 it ends three times as far
    from the exact solution as Euler's method.
    """

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *args: Any, **options: Any
    ) -> Any:
        """See diffusers."""
        later = self.timesteps[self.timesteps < timestep]
        gap = int(timestep) - (int(later[0]) if len(later) else -1)
        # so that train_steps // steps is the gap
        self.num_inference_steps = Fraction(self.config.num_train_timesteps, gap)
        return super().step(model_output, timestep, sample, *args, **options)


SCHEDULERS = {
    "ddim": (EvenDDIM, {"clip_sample": False}),
    "dpmsolver++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "unipc": (UniPCMultistepScheduler, {"solver_order": 2}),
    "euler": (EulerDiscreteScheduler, {}),
}


def make_scheduler(name: str, schedule: dict[str, Any], steps: int, device: Any = "cpu") -> Any:
    """A scheduler for the noise that the model was trained with, ready for sampling.

    Args:
        name: ``ddim``, ``dpmsolver++``, ``unipc`` or ``euler``.
        schedule: Betas, number of steps and kind of prediction, as diffusers names
            them.
        steps: Steps of sampling.
        device: Where the samples are.

    Returns:
        The scheduler, with exactly ``steps`` timesteps in ``[0, train steps)``. They
        are spaced from the last one on ("trailing", Lin et al. 2024), since sampling
        starts from pure noise.

    Raises:
        EadbenchError: If there are no such timesteps, as when there are more than in
            the training.
    """
    scheduler_class, options = SCHEDULERS[name]
    scheduler = scheduler_class(**schedule, **options, timestep_spacing="trailing")
    train_steps = scheduler.config.num_train_timesteps
    if not 1 <= steps <= train_steps:
        raise EadbenchError(
            f"{steps} steps of sampling for {train_steps} of the training",
            "samples.sampler.steps",
            f"choose 1 to {train_steps}",
        )
    scheduler.set_timesteps(steps, device=device)
    if len(scheduler.timesteps) > steps:
        # diffusers 0.42 takes np.arange(1000, 0, -1000 / n), which for n = 61, 103,
        # 121, 122 by rounding has one more at 0, that is, timestep -1.
        scheduler.timesteps = scheduler.timesteps[:steps]
        if hasattr(scheduler, "sigmas"):
            scheduler.sigmas = torch.cat([scheduler.sigmas[:steps], scheduler.sigmas[-1:]])
        scheduler.num_inference_steps = steps
    times = scheduler.timesteps
    in_range = len(times) == steps and times.min() >= 0 and times.max() < train_steps
    if not in_range or not (times[:-1] > times[1:]).all():
        raise EadbenchError(
            f"scheduler {name} has no {steps} steps of sampling",
            "samples.sampler.steps",
            "choose another number",
        )
    return scheduler

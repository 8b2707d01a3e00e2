"""Deterministic samplers, by diffusers' schedulers."""

from typing import Any

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler

SCHEDULERS = {
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    "dpmsolver++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "unipc": (UniPCMultistepScheduler, {"solver_order": 2}),
    "euler": (EulerDiscreteScheduler, {}),
}


def make_scheduler(name: str, schedule: dict[str, Any]) -> Any:
    """A scheduler for the noise that the model was trained with.

    Args:
        name: ``ddim``, ``dpmsolver++``, ``unipc`` or ``euler``.
        schedule: Betas, number of steps and kind of prediction, as diffusers names them.

    Returns:
        The scheduler. Steps are spaced from the last one on ("trailing", Lin et al. 2024), since sampling starts from pure noise.
    """
    kind, options = SCHEDULERS[name]
    return kind(**schedule, **options, timestep_spacing="trailing")

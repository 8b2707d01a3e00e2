"""Every number of steps of every scheduler takes noise to where the exact solution of
the sampling equation ends.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from eadbench.core.errors import EadbenchError
from eadbench.samples.schedulers import SCHEDULERS, make_scheduler

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
CLEAN = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
NOISE = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
SPREAD = 0.3


def sample(scheduler, prediction: str = "epsilon") -> torch.Tensor:
    """Sample from ``N(CLEAN, SPREAD ** 2)`` with the best possible prediction. Solved
    exactly, noise ``z`` ends at ``CLEAN + SPREAD * z``.
    """
    abar, state = scheduler.alphas_cumprod.double(), NOISE * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        x, a = scheduler.scale_model_input(state, time), abar[int(time)]
        best = CLEAN + a.sqrt() * SPREAD**2 / (a * SPREAD**2 + 1 - a) * (x - a.sqrt() * CLEAN)
        noise = (x - a.sqrt() * best) / (1 - a).sqrt()
        state = scheduler.step(
            noise if prediction == "epsilon" else a.sqrt() * noise - (1 - a).sqrt() * best, time, state
        ).prev_sample
    return state


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_every_number_of_steps_has_that_many_and_more_steps_end_no_farther_from_the_exact_solution(
    name: str,
) -> None:
    errors = []
    for steps in range(1, 201):
        scheduler = make_scheduler(name, SCHEDULE, steps)
        times = scheduler.timesteps.tolist()
        assert (
            len(times) == steps
            and times[0] == 999
            and times[-1] >= 0
            and all(a > b for a, b in pairwise(times))
        ), steps
        assert np.abs(np.array(times) - (1000 - np.arange(steps) * 1000 / steps - 1)).max() <= 0.5, (
            "evenly spaced from the last one on"
        )
        errors.append(float((sample(scheduler) - (CLEAN + SPREAD * NOISE)).abs().mean()))
    errors = np.array(errors)
    assert errors[0] > 0.2 and errors[19] < 0.06 and errors[199] < 0.02
    assert (errors[1:] <= errors[:-1] + 2e-3).all(), (
        f"worse than one step less: {np.flatnonzero(errors[1:] > errors[:-1] + 2e-3) + 2}"
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [1, 2, 20, 50, 125])
def test_ddim_is_diffusers_own_where_the_steps_divide_those_of_the_training(
    prediction: str, steps: int
) -> None:
    theirs = DDIMScheduler(
        **SCHEDULE, prediction_type=prediction, clip_sample=False, timestep_spacing="trailing"
    )
    theirs.set_timesteps(steps)
    ours = make_scheduler("ddim", SCHEDULE | {"prediction_type": prediction}, steps)
    assert torch.equal(sample(ours, prediction), sample(theirs, prediction))


@pytest.mark.parametrize("steps", [61, 103, 122, 150])
def test_ddim_is_eulers_method(steps: int) -> None:
    """Without noise of its own DDIM is Euler's method in the noise level (Song et al.
    2021); diffusers starts the latter from a little less noise.
    """
    torch.testing.assert_close(
        sample(make_scheduler("ddim", SCHEDULE, steps)),
        sample(make_scheduler("euler", SCHEDULE, steps)),
        atol=0.01,
        rtol=0.01,
    )


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_numbers_of_steps_that_cannot_be_are_refused(name: str, steps: int) -> None:
    with pytest.raises(EadbenchError, match="steps of sampling"):
        make_scheduler(name, SCHEDULE, steps)

"""The one-cycle schedule of the zoo's own trainings."""

import pytest
import torch

from eadbench.zoo.schedule import one_cycle


@pytest.mark.parametrize("warm_up", [0.1, 0.3])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 20, 100])
def test_any_number_of_steps(steps, warm_up):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = one_cycle(optimiser, 0.5, steps, warm_up)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert all(0 < rate <= 0.5 for rate in rates)
    assert steps < 3 or max(rates) == pytest.approx(0.5, rel=0.1)

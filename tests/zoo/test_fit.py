"""The zoo's one training loop and its one-cycle schedule."""

import pytest
import torch

from eadbench.core.errors import EadbenchError
from eadbench.zoo.fit import fit, one_cycle


def line_through_noise(seed: int):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.nn.Parameter(torch.zeros(2))

    def losses() -> dict[str, torch.Tensor]:
        x = torch.randn(32, generator=generator)
        error = weights[0] * x + weights[1] - (2 * x - 1)
        return {"loss": error.square().mean(), "largest": error.abs().max()}

    return weights, losses


def test_a_line_is_found_and_the_last_means_are_returned():
    weights, losses = line_through_noise(0)
    means = fit([weights], losses, 200, 0.3, "line", weight_decay=0.0)
    assert weights.tolist() == pytest.approx([2, -1], abs=1e-2)
    assert means["loss"] < 1e-3 and means["largest"] < 0.1


def test_the_same_seed_gives_the_same_weights():
    first, second = (line_through_noise(1) for _ in range(2))
    for weights, losses in (first, second):
        fit([weights], losses, 20, 0.1, "line")
    assert torch.equal(first[0], second[0])


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_step():
    weights = torch.nn.Parameter(torch.ones(1))
    values = iter([1.0, 1.0, float("nan")])
    with pytest.raises(EadbenchError, match="line: the loss is not finite at step 3"):
        fit([weights], lambda: {"loss": next(values) * weights.sum()}, 5, 0.1, "line")


@pytest.mark.parametrize("warm_up", [0.1, 0.3])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 20, 100])
def test_the_rate_rises_to_its_peak_and_stays_positive_for_any_number_of_steps(steps, warm_up):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = one_cycle(optimiser, 0.5, steps, warm_up)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert all(0 < rate <= 0.5 for rate in rates)
    assert steps < 3 or max(rates) == pytest.approx(0.5, rel=0.1)

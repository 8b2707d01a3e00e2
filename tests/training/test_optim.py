"""The learning rate and the averaged weights over the steps are what the configuration
says.
"""

import logging
import math

import pytest
import torch
from torch import nn

from eadbench.training.config import OptimConfig
from eadbench.training.loop import make_average, make_schedule


def rates(config: OptimConfig) -> list[float]:
    """The learning rate of each step as a share of ``lr``."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], config.lr)
    schedule = make_schedule(config, optimiser)
    learning_rates = []
    for _ in range(config.steps):
        learning_rates.append(schedule.get_last_lr()[0] / config.lr)
        optimiser.step()
        schedule.step()
    return learning_rates


def test_a_constant_rate_is_warmed_up() -> None:
    assert rates(OptimConfig(schedule="constant", warmup=4, steps=8)) == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    )
    assert rates(OptimConfig(schedule="constant", steps=3)) == [1, 1, 1]


def test_a_cosine_is_warmed_up_and_ends_at_zero() -> None:
    learning_rates = rates(OptimConfig(schedule="cosine", warmup=2, steps=6))
    assert learning_rates == pytest.approx(
        [0, 0.5, *[0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]]
    )


def averaged(config: OptimConfig, weights: list[float]) -> float:
    """The average after a weight took these values, one per step."""
    weight = nn.Parameter(torch.tensor([0.0]))
    average = make_average(config, [weight])
    for value in weights:
        weight.data.fill_(value)
        average.step([weight])
    return float(average.shadow_params[0])


def by_hand(decays: list[float], weights: list[float]) -> float:
    """The same by the definition."""
    value = 0.0
    for decay, weight in zip(decays, weights, strict=True):
        value = decay * value + (1 - decay) * weight
    return value


WEIGHTS = [math.sin(k) + k / 10 for k in range(1, 41)]


def test_the_decay_rises_to_the_one_asked_for_as_the_configuration_says() -> None:
    steps = range(1, len(WEIGHTS) + 1)
    decays = [0.0] + [min(0.75, n / (n + 9)) for n in steps[1:]]
    assert decays[25] < decays[26] == decays[-1] == 0.75, "27 / 36"
    assert averaged(OptimConfig(ema=0.75, steps=40), WEIGHTS) == pytest.approx(
        by_hand(decays, WEIGHTS), rel=1e-5
    )


def test_the_decay_with_warm_up_and_the_fixed_one() -> None:
    steps = range(1, len(WEIGHTS) + 1)
    warmed = [0.0] + [min(0.95, 1 - (1 + (n - 1) / 2) ** -0.75) for n in steps[1:]]
    config = OptimConfig(ema=0.95, use_ema_warmup=True, ema_inv_gamma=2, ema_power=0.75, steps=40)
    assert averaged(config, WEIGHTS) == pytest.approx(by_hand(warmed, WEIGHTS), rel=1e-5)
    fixed = [0.0] + [0.95] * (len(WEIGHTS) - 1)
    assert averaged(OptimConfig(ema=0.95, ema_min_decay=0.95, steps=40), WEIGHTS) == pytest.approx(
        by_hand(fixed, WEIGHTS), rel=1e-5
    )
    assert len({round(v, 4) for v in (by_hand(warmed, WEIGHTS), by_hand(fixed, WEIGHTS))}) == 2


@pytest.mark.parametrize(("decay", "steps"), [(0.99, 891), (0.999, 8991), (0.9999, 89991)])
def test_a_decay_that_the_run_does_not_reach_is_told(
    decay: float, steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    average = make_average(OptimConfig(ema=decay, steps=steps), [nn.Parameter(torch.zeros(1))])
    assert average.get_decay(steps) == decay and not caplog.text
    make_average(OptimConfig(ema=decay, steps=steps - 1), [nn.Parameter(torch.zeros(1))])
    assert f"{decay:g} is not reached" in caplog.text


def test_a_least_decay_above_the_largest_is_refused() -> None:
    with pytest.raises(ValueError, match="ema_min_decay"):
        OptimConfig(ema=0.9, ema_min_decay=0.99)


def test_no_average_where_none_is_asked_for() -> None:
    assert make_average(OptimConfig(ema=0), []) is None

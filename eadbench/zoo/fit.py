"""The one training loop of the zoo: AdamW under a one-cycle schedule."""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import nn

from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track

log = logging.getLogger(__name__)


def fit(
    parameters: Iterable[nn.Parameter],
    losses: Callable[[], dict[str, torch.Tensor]],
    steps: int,
    lr: float,
    title: str,
    warm_up: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 1e-2,
    clip: float | None = 1.0,
) -> dict[str, float]:
    """Train for a number of steps.

    There is no early stopping: the learning rate falls to zero over all steps, and a
    run that ends before has not converged. Whether the steps were enough is seen in the
    cards' values on the validation split.

    Args:
        parameters: What is trained.
        losses: Draws a batch and gives scalars; ``loss`` is minimised, the others are
            logged.
        steps: Optimiser steps, at least 1.
        lr: Peak learning rate, see :func:`one_cycle`.
        title: Name in messages.
        warm_up: Share of the steps until the peak, 0 to 1.
        betas, weight_decay: Of AdamW.
        clip: Largest norm of the gradient; ``None``: any.

    Returns:
        Mean of each scalar over the last tenth of the steps.

    Raises:
        EadbenchError: If the loss is not finite.
    """
    parameters = list(parameters)
    optimiser = torch.optim.AdamW(parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
    schedule = one_cycle(optimiser, lr, steps, warm_up)
    tenth = max(1, steps // 10)
    recent: dict[str, list[float]] = defaultdict(list)
    for step in track(range(1, steps + 1), f"train {title}", unit="steps"):
        values = losses()
        optimiser.zero_grad(set_to_none=True)
        values["loss"].backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        optimiser.step()
        schedule.step()
        for name, value in values.items():
            recent[name].append(float(value.detach()))
        if not math.isfinite(recent["loss"][-1]):
            raise EadbenchError(
                f"{title}: the loss is not finite at step {step}", "zoo.artefacts.*.options", "lower `lr`"
            )
        if step % tenth == 0:
            means = ", ".join(f"{name} {sum(v[-tenth:]) / tenth:.4g}" for name, v in recent.items())
            log.info("%s, step %d: %s", title, step, means)
    return {name: sum(v[-tenth:]) / tenth for name, v in recent.items()}


def one_cycle(
    optimiser: torch.optim.Optimizer, lr: float, steps: int, warm_up: float
) -> torch.optim.lr_scheduler.OneCycleLR:
    """torch's one-cycle schedule for any number of steps: at least two warm up, since
    it divides by one less.

    Args:
        optimiser: What it steers.
        lr: Peak learning rate.
        steps: Length of the training, at least 1.
        warm_up: Share of the steps until the peak, 0 to 1.
    """
    total = max(steps, 3)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lr, total_steps=total, pct_start=max(warm_up, 2 / total)
    )

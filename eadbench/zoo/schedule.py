"""The learning rate of what the zoo trains itself."""

import torch


def one_cycle(optimiser: torch.optim.Optimizer, lr: float, steps: int, warm_up: float) -> torch.optim.lr_scheduler.OneCycleLR:
    """torch's one-cycle schedule for any number of steps: at least two warm up, since it divides by one less.

    Args:
        optimiser: What it steers.
        lr: Peak learning rate.
        steps: Length of the training, at least 1.
        warm_up: Share of the steps until the peak, 0 to 1.
    """
    total = max(steps, 3)
    return torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=total, pct_start=max(warm_up, 2 / total))

"""The schedule that the command uses."""

from __future__ import annotations

import math
from typing import Any

from ..optim.lr_scheduler import LambdaLR


def warm_cosine(optimizer: Any, steps: int, warmup: float = 0.1) -> LambdaLR:
    """A linear rise of the learning rate, then half a cosine; for ``schedule_on="step"``.

    Parameters
    ----------
    optimizer : Optimizer
        Its learning rates are the peaks.
    steps : int
        Optimiser steps of the whole training.
    warmup : float
        Share of `steps` spent rising from 0.

    Returns
    -------
    LambdaLR
        From Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017),
        equation 5, without the restarts.

    Raises
    ------
    ValueError
        If `steps` is not positive or `warmup` is not in [0, 1).
    """
    if steps <= 0:
        raise ValueError(f"steps must be positive, got {steps}")
    if not 0.0 <= warmup < 1.0:
        raise ValueError(f"warmup must be at least 0 and below 1, got {warmup}")
    rising = warmup * steps

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1.0 + math.cos(math.pi * (min(step, steps) - rising) / (steps - rising)))

    return LambdaLR(optimizer, factor)

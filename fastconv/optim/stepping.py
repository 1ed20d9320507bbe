"""What the updates of most optimisers share: a count of steps, arrays of state, running means."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..memory import zeros_like
from .optimizer import Optimizer, State


class Stepping(Optimizer):
    """Counts the steps of each parameter, and keeps the arrays that `zeros` names."""

    zeros: tuple[str, ...] = ()

    def prepare(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        if not state:
            state["step"] = 0
            for key in self.zeros:
                state[key] = zeros_like(array)
            self.begin(group, array, state)
        state["step"] += 1

    def begin(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        """Add what else a parameter's state begins with."""


def check_nesterov(group: dict[str, Any]) -> None:
    """Raise ValueError for Nesterov's form without the momentum that it needs."""
    if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
        raise ValueError("Nesterov momentum requires a momentum and zero dampening")


def descent(
    group: dict[str, Any], p: np.ndarray, g: np.ndarray, decoupled: bool = False
) -> np.ndarray:
    """The gradient to descend. Weight decay is added to it or, decoupled, shrinks `p` at once."""
    if group["maximize"]:
        g = -g
    decay = group["weight_decay"]
    if decay and decoupled:
        p *= 1 - group["lr"] * decay
    elif decay:
        g = p * decay + g
    return g


def average(mean: np.ndarray, value: np.ndarray, keep: float) -> None:
    """mean ← keep · mean + (1 − keep) · value; `value` is overwritten."""
    mean *= keep
    value *= 1 - keep
    mean += value

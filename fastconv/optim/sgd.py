"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import memory
from ..ops.optim import Kept, sgd_step
from .optimizer import Optimizer, State, check_unsupported
from .stepping import check_nesterov


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and Nesterov's variant of it.

    With gradient g (minus it when maximising), plus weight_decay · p:
    v ← momentum · v + (1 − dampening) · g, beginning with v = g, and p ← p − lr · v;
    Nesterov's form steps by g + momentum · v.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr, momentum, dampening, weight_decay : float
    nesterov, maximize : bool
    foreach, fused : optional
        PyTorch's choice of implementation; there is one here.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_unsupported("SGD", differentiable=differentiable)
        defaults = dict(
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        check_nesterov(group)

    def update_all(
        self,
        group: dict[str, Any],
        arrays: list[np.ndarray],
        grads: list[np.ndarray],
        states: list[State],
        kept: Kept,
    ) -> None:
        first, velocities = [False] * len(arrays), []
        if group["momentum"]:
            first = [state.get("momentum_buffer") is None for state in states]
            for array, state, begins in zip(arrays, states, first, strict=True):
                if begins:
                    state["momentum_buffer"] = memory.empty(array.shape, array.dtype)
            velocities = [state["momentum_buffer"] for state in states]
        sgd_step(
            arrays,
            grads,
            velocities,
            first,
            rate=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            decay=group["weight_decay"],
            maximize=group["maximize"],
            nesterov=group["nesterov"],
            kept=kept,
        )

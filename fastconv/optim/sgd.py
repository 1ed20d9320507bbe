"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from .optimizer import Optimizer, State, blocks, check_unsupported


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
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        sign = -1.0 if group["maximize"] else 1.0
        if not momentum:
            for p, g in blocks(array, grad):
                d = g * (sign * lr)
                if decay:
                    d += p * (lr * decay)
                p -= d
            return
        first = state.get("momentum_buffer") is None
        if first:
            state["momentum_buffer"] = np.empty_like(array)
        gain = sign if first else sign * (1 - group["dampening"])
        for p, g, v in blocks(array, grad, state["momentum_buffer"]):
            if first:
                np.multiply(g, gain, out=v)
            else:
                v *= momentum
                v += g if gain == 1 else g * gain
            if decay:
                v += p * (decay * gain * sign)
            if not group["nesterov"]:
                p -= v * lr
                continue
            d = v * momentum
            d += g if sign == 1 else -g
            if decay:
                d += p * decay
            d *= lr
            p -= d

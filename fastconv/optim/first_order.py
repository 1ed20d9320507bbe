"""Optimisers without second moments: Rprop, ASGD, LARS."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..memory import zeros_like
from .optimizer import Optimizer, State, blocks, check_unsupported
from .stepping import Stepping, check_nesterov, descent


class Rprop(Stepping):
    """Resilient backpropagation (Riedmiller, Braun 1993): a step size for each weight.

    A step grows by ``etas[1]`` while the gradient keeps its sign. Where the sign changes, it
    shrinks by ``etas[0]`` and the weight stays. For gradients of the whole data, not of batches.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
        The first step size.
    etas : (float, float)
        Factors below and above 1.
    step_sizes : (float, float)
        The smallest and the largest step.
    maximize : bool
    """

    zeros = ("prev",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_unsupported("Rprop", differentiable=differentiable)
        defaults = dict(lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize)
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        low, high = group["etas"]
        if not 0 < low < 1 < high:
            raise ValueError(f"Invalid eta values: {low}, {high}; expected 0 < first < 1 < second")

    def begin(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        state["step_size"] = np.full_like(array, group["lr"])

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        (low, high), (least, most) = group["etas"], group["step_sizes"]
        for p, g, before, size in blocks(array, grad, state["prev"], state["step_size"]):
            g = -g if group["maximize"] else g
            agree = g * before
            factor = np.where(agree > 0, high, np.where(agree < 0, low, 1.0))
            np.clip(size * factor, least, most, out=size)
            g = np.where(agree < 0, 0, g).astype(p.dtype, copy=False)
            p -= np.sign(g) * size
            before[...] = g


class ASGD(Stepping):
    """Averaged stochastic gradient descent (Polyak, Juditsky 1992).

    The mean of the weights since step `t0` is in ``state[p]["ax"]``.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr, lambd, alpha, t0, weight_decay : float
        The rate of step t is ``lr / (1 + lambd · lr · t) ** alpha``.
    maximize : bool
    """

    zeros = ("ax",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_unsupported("ASGD", differentiable=differentiable)
        defaults = dict(
            lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, maximize=maximize
        )
        super().__init__(params, defaults)

    def begin(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        state["eta"] = _single(group["lr"])
        state["mu"] = 1.0

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        lr, lambd, step, eta, mu = (
            group["lr"], group["lambd"], state["step"], state["eta"], state["mu"],
        )  # fmt: skip
        for p, g, mean in blocks(array, grad, state["ax"]):
            g = descent(group, p, g)
            p *= 1 - lambd * eta
            p -= g * eta
            if mu == 1:
                mean[...] = p
            else:
                mean += (p - mean) * mu
        state["eta"] = _single(lr / (1 + lambd * lr * step) ** group["alpha"])
        state["mu"] = _single(1 / max(1, step - group["t0"]))


def _single(value: float) -> float:
    """Rounded to float32, which is how PyTorch keeps these numbers."""
    return float(np.float32(value))


class LARS(Optimizer):
    """Momentum with a rate for each layer (You, Gitman, Ginsburg 2017), for large batches.

    The rate of a parameter p with gradient g is `lr` times
    ``trust_coefficient · |p| / (|g| + weight_decay · |p| + eps)``, and `lr` alone where a norm is
    zero or p has at most one axis (biases, normalisation), which then has no weight decay either.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr, momentum, dampening, weight_decay, trust_coefficient, eps : float
    nesterov, maximize : bool
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        trust_coefficient: float = 1e-3,
        eps: float = 1e-8,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = dict(
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            trust_coefficient=trust_coefficient,
            eps=eps,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        check_nesterov(group)
        if not group["trust_coefficient"] > 0:
            raise ValueError(f"Invalid trust_coefficient value: {group['trust_coefficient']}")

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        layer, rate = array.ndim > 1, group["lr"]
        if layer:
            size, slope = _norm(array), _norm(grad)
            if size > 0 and slope > 0:
                below = slope + group["weight_decay"] * size + group["eps"]
                rate *= group["trust_coefficient"] * size / below
        plain = group if layer else {**group, "weight_decay": 0}
        momentum, first = group["momentum"], "momentum_buffer" not in state
        if momentum and first:
            state["momentum_buffer"] = zeros_like(array)
        buffers = (state["momentum_buffer"],) if momentum else ()
        for p, g, *kept in blocks(array, grad, *buffers):
            g = descent(plain, p, g)
            for v in kept:
                v *= momentum
                v += g if first else g * (1 - group["dampening"])
                g = g + v * momentum if group["nesterov"] else v
            p -= g * rate


def _norm(a: np.ndarray) -> float:
    """The Euclidean norm, summed in double."""
    return math.sqrt(float(np.einsum("i,i->", *(2 * [a.ravel(order="K").astype(np.float64)]))))

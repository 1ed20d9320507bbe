"""Relatives of Adam: NAdam, RAdam, Adamax, Lion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..memory import zeros_like
from .optimizer import Optimizer, State, blocks, check_unsupported
from .stepping import Stepping, average, descent


class _Moments(Stepping):
    """What keeps running means of the gradient and of its square."""

    zeros = ("exp_avg", "exp_avg_sq")

    @staticmethod
    def advance(group: dict[str, Any], g: np.ndarray, mean: np.ndarray, square: np.ndarray) -> None:
        """Move both means."""
        beta1, beta2 = group["betas"]
        average(mean, g.copy(), beta1)
        average(square, g * g, beta2)


class NAdam(_Moments):
    """Adam with Nesterov's momentum (Dozat 2016).

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
    betas : (float, float)
        How much of the two running means a step keeps.
    eps, weight_decay : float
    momentum_decay : float
        How fast the momentum approaches ``betas[0]``.
    decoupled_weight_decay : bool
        Shrink the weights instead of adding to the gradient.
    maximize : bool
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_unsupported("NAdam", differentiable=differentiable)
        defaults = dict(
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        if not group["momentum_decay"] >= 0:
            raise ValueError(f"Invalid momentum_decay value: {group['momentum_decay']}")

    def begin(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        state["mu_product"] = 1.0

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        beta1, beta2 = group["betas"]
        step, lr, decay = state["step"], group["lr"], group["momentum_decay"]
        mu = beta1 * (1 - 0.5 * 0.96 ** (step * decay))
        following = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * decay))
        # in float32, as PyTorch keeps it
        product = state["mu_product"] = float(np.float32(state["mu_product"]) * np.float32(mu))
        correction = 1 - beta2**step
        for p, g, mean, square in blocks(array, grad, state["exp_avg"], state["exp_avg_sq"]):
            g = descent(group, p, g, group["decoupled_weight_decay"])
            self.advance(group, g, mean, square)
            d = np.sqrt(square / correction)
            d += group["eps"]
            p -= g / d * (lr * (1 - mu) / (1 - product))
            p -= mean / d * (lr * following / (1 - product * following))


class RAdam(_Moments):
    """Adam whose scaling waits until its variance is known well enough (Liu et al. 2020).

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
    betas : (float, float)
    eps, weight_decay : float
    decoupled_weight_decay, maximize : bool
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_unsupported("RAdam", differentiable=differentiable)
        defaults = dict(
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        beta1, beta2 = group["betas"]
        step, lr = state["step"], group["lr"]
        first, second = 1 - beta1**step, 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / second  # of the average that was seen
        rectified = 0.0
        if length > 5:
            rectified = math.sqrt(
                (length - 4) * (length - 2) * longest
                / ((longest - 4) * (longest - 2) * length)
            )  # fmt: skip
        for p, g, mean, square in blocks(array, grad, state["exp_avg"], state["exp_avg_sq"]):
            g = descent(group, p, g, group["decoupled_weight_decay"])
            self.advance(group, g, mean, square)
            if rectified:
                d = np.sqrt(square)
                d += group["eps"]
                p -= mean / d * (lr * rectified * math.sqrt(second) / first)
            else:
                p -= mean * (lr / first)


class Adamax(Stepping):
    """Adam with the largest gradient so far in place of the root mean square (Kingma, Ba 2015).

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
    betas : (float, float)
    eps, weight_decay : float
    maximize : bool
    """

    zeros = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_unsupported("Adamax", differentiable=differentiable)
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults)

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        beta1, beta2 = group["betas"]
        rate = group["lr"] / (1 - beta1 ** state["step"])
        for p, g, mean, top in blocks(array, grad, state["exp_avg"], state["exp_inf"]):
            g = descent(group, p, g)
            average(mean, g.copy(), beta1)
            top *= beta2
            np.maximum(top, np.abs(g) + group["eps"], out=top)
            p -= mean / top * rate


class Lion(Optimizer):
    """Steps of one size, by the sign of a mean of gradients (Chen et al. 2023).

    With gradient g and mean m: p ← p − lr · sign(β₁ · m + (1 − β₁) · g), after
    p ← p · (1 − lr · weight_decay); then m ← β₂ · m + (1 − β₂) · g.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
        A third to a tenth of Adam's.
    betas : (float, float)
    weight_decay : float
    maximize : bool
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults)

    def prepare(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        if not state:
            state["exp_avg"] = zeros_like(array)

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        beta1, beta2 = group["betas"]
        for p, g, mean in blocks(array, grad, state["exp_avg"]):
            g = descent(group, p, g, decoupled=True)
            p -= np.sign(mean * beta1 + g * (1 - beta1)) * group["lr"]
            average(mean, g.copy(), beta2)

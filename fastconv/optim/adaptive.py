"""Optimisers that scale each element's step: Adagrad, Adadelta, RMSprop, Adam, AdamW."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..memory import zeros_like
from ..ops.optim import Kept, adam_step
from .optimizer import State, blocks, check_unsupported
from .stepping import Stepping, average, descent


class Adagrad(Stepping):
    """Adagrad (Duchi, Hazan, Singer 2011): steps divided by the root of the sum of all squares.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr, lr_decay, weight_decay, initial_accumulator_value, eps : float
    maximize : bool
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_unsupported("Adagrad", differentiable=differentiable)
        if initial_accumulator_value < 0:
            raise ValueError(
                f"Invalid initial_accumulator_value value: {initial_accumulator_value}"
            )
        defaults = dict(
            lr=lr,
            lr_decay=lr_decay,
            eps=eps,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def begin(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        state["sum"] = np.full_like(array, group["initial_accumulator_value"])

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        for p, g, total in blocks(array, grad, state["sum"]):
            g = descent(group, p, g)
            total += g * g
            d = np.sqrt(total)
            d += group["eps"]
            np.divide(g, d, out=d)
            d *= rate
            p -= d


class Adadelta(Stepping):
    """Adadelta (Zeiler 2012): steps in the ratio of two running root mean squares.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr, rho, eps, weight_decay : float
    maximize : bool
    """

    zeros = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_unsupported("Adadelta", differentiable=differentiable)
        if not 0 <= rho <= 1:
            raise ValueError(f"Invalid rho value: {rho}")
        defaults = dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, defaults)

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        rho, eps = group["rho"], group["eps"]
        arrays = (array, grad, state["square_avg"], state["acc_delta"])
        for p, g, square, moved in blocks(*arrays):
            g = descent(group, p, g)
            average(square, g * g, rho)
            d = np.sqrt((moved + eps) / (square + eps))
            d *= g
            average(moved, d * d, rho)
            d *= group["lr"]
            p -= d


class RMSprop(Stepping):
    """RMSProp (Hinton 2012): steps divided by a running root mean square.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr, alpha, eps, weight_decay, momentum : float
    centered : bool
        Take the running mean off: divide by the standard deviation.
    maximize : bool
    """

    zeros = ("square_avg",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_unsupported("RMSprop", differentiable=differentiable)
        if not alpha >= 0:
            raise ValueError(f"Invalid alpha value: {alpha}")
        defaults = dict(
            lr=lr,
            momentum=momentum,
            alpha=alpha,
            eps=eps,
            centered=centered,
            weight_decay=weight_decay,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def begin(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_like(array)
        if group["centered"]:
            state["grad_avg"] = zeros_like(array)

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        alpha, momentum = group["alpha"], group["momentum"]
        arrays = [array, grad, state["square_avg"]]
        arrays += [state[key] for key in ("grad_avg", "momentum_buffer") if key in state]
        for p, g, square, *kept in blocks(*arrays):
            g = descent(group, p, g)
            average(square, g * g, alpha)
            if group["centered"]:
                average(kept[0], g * 1, alpha)
                d = np.sqrt(square - kept[0] * kept[0])
            else:
                d = np.sqrt(square)
            d += group["eps"]
            np.divide(g, d, out=d)
            if momentum > 0:
                kept[-1] *= momentum
                kept[-1] += d
                d = kept[-1] * group["lr"]
            else:
                d *= group["lr"]
            p -= d


class Adam(Stepping):
    """Adam (Kingma, Ba 2015): running mean of the gradient over its running root mean square.

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
    betas : (float, float)
        How much of the two running means a step keeps.
    eps, weight_decay : float
    amsgrad : bool
        Divide by the largest root mean square so far (Reddi, Kale, Kumar 2018).
    maximize : bool
    decoupled_weight_decay : bool
        Shrink the weights instead of adding to the gradient: AdamW.
    """

    zeros = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_unsupported(type(self).__name__, differentiable=differentiable)
        defaults = dict(
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )
        super().__init__(params, defaults)

    def begin(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_like(array)

    def update_all(
        self,
        group: dict[str, Any],
        arrays: list[np.ndarray],
        grads: list[np.ndarray],
        states: list[State],
        kept: Kept,
    ) -> None:
        (beta1, beta2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
        decoupled = group["decoupled_weight_decay"]
        corrections = {}
        for step in {state["step"] for state in states}:
            corrections[step] = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
        adam_step(
            arrays,
            grads,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
            [corrections[state["step"]][0] for state in states],
            [corrections[state["step"]][1] for state in states],
            betas=(beta1, beta2),
            eps=group["eps"],
            decay=0.0 if decoupled else decay,
            shrink=1 - lr * decay if decoupled else 1.0,
            maximize=group["maximize"],
            kept=kept,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019).

    Parameters
    ----------
    params : iterable
        See `Optimizer`.
    lr : float
    betas : (float, float)
    eps, weight_decay : float
    amsgrad, maximize : bool
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            differentiable=differentiable,
            decoupled_weight_decay=True,
        )

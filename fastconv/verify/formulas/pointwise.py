"""Activations and arithmetic, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.verify.formulas.conv import Results
from fastconv.verify.formulas.loss import softplus as stable_softplus
from fastconv.verify.formulas.tape import (
    V,
    absolute,
    erf,
    exp,
    expm1,
    gather,
    log,
    log1p,
    permute,
    reshape,
    sqrt,
    tanh,
    where,
)

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def _sigmoid(x: V) -> V:
    small = exp(where(x.a >= 0, -x, x))
    return where(x.a >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def _clamp(x: V, low: float, high: float) -> V:
    """x between its bounds, of slope zero on them and where x is not a number."""
    return where((x.a > low) & (x.a < high), x, np.clip(x.a, low, high))


def _elu(x: V, alpha: float, scale: float = 1.0, rate: float = 1.0) -> V:
    below = where(x.a > 0, 0.0, x)
    return where(x.a > 0, scale * x, scale * alpha * expm1(rate * below))


def _gelu(x: V, approximate: str) -> V:
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1.0 + tanh(inner))
    return x * 0.5 * (1.0 + erf(x / V(math.sqrt(2.0))))


def _softplus(x: V, beta: float, threshold: float) -> V:
    scaled = beta * x
    return where(scaled.a > threshold, x, stable_softplus(scaled) / V(beta))


def _hardswish(x: V) -> V:
    """0 below -3, x above 3, x (x + 3) / 6 between; on the ends the slope is the outside's."""
    return where(x.a <= -3, 0.0, where(x.a >= 3, x, x * (x + 3.0) / V(6.0)))


def _prelu(x: V, weight: V) -> V:
    if weight.shape[0] == 1:
        slope = reshape(weight, (1,) * x.a.ndim)
    else:
        slope = reshape(weight, (weight.shape[0], *[1] * max(0, x.a.ndim - 2)))
    return where(x.a > 0, x, slope * x)


def _glu(x: V, dim: int) -> V:
    axis = dim % x.a.ndim
    order = (*[i for i in range(x.a.ndim) if i != axis], axis)
    last = permute(x, order)
    half = last.shape[-1] // 2
    y = gather(last, np.arange(half)) * _sigmoid(gather(last, np.arange(half, 2 * half)))
    return permute(y, tuple(int(i) for i in np.argsort(order)))


#: Name: formula of the input and the options.
UNARY: dict[str, Callable[..., V]] = {
    "relu": lambda x: where(x.a > 0, x, 0.0),
    "relu6": lambda x: _clamp(x, 0.0, 6.0),
    "leaky_relu": lambda x, negative_slope=0.01: where(x.a > 0, x, negative_slope * x),
    "hardtanh": lambda x, min_val=-1.0, max_val=1.0: _clamp(x, min_val, max_val),
    "threshold": lambda x, threshold, value: where(x.a > threshold, x, value),
    "elu": lambda x, alpha=1.0: _elu(x, alpha),
    "selu": lambda x: _elu(x, SELU_ALPHA, SELU_SCALE),
    "celu": lambda x, alpha=1.0: _elu(x, alpha, 1.0, 1.0 / alpha),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x, approximate="none": _gelu(x, approximate),
    "mish": lambda x: x * tanh(stable_softplus(x)),
    "hardswish": lambda x: _hardswish(x),
    "hardsigmoid": lambda x: _clamp(x + 3.0, 0.0, 6.0) / V(6.0),
    "softplus": lambda x, beta=1.0, threshold=20.0: _softplus(x, beta, threshold),
    "softsign": lambda x: x / (1.0 + absolute(x)),
    "tanhshrink": lambda x: x - tanh(x),
    "tanh": lambda x: tanh(x),
    "sigmoid": lambda x: _sigmoid(x),
    "logsigmoid": lambda x: -stable_softplus(-x),
    "glu": lambda x, dim=-1: _glu(x, dim),
    "exp": lambda x: exp(x),
    "expm1": lambda x: expm1(x),
    "log": lambda x: log(x),
    "log1p": lambda x: log1p(x),
    "sqrt": lambda x: sqrt(x),
    "rsqrt": lambda x: 1.0 / sqrt(x),
    "square": lambda x: x * x,
    "abs": lambda x: absolute(x),
    "erf": lambda x: erf(x),
}


def unary(name: str, operands: dict[str, Any], options: dict[str, Any]) -> Results:
    return {"y": UNARY[name](operands["input"], **options)}


def prelu(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    return {"y": _prelu(operands["input"], operands["weight"])}


def _extreme(x: V, y: V, larger: bool) -> V:
    """The larger or smaller of two; equal ones share the gradient."""
    first = x.a > y.a if larger else x.a < y.a
    return where(x.a == y.a, 0.5 * x + 0.5 * y, where(first, x, y))


BINARY: dict[str, Callable[[V, V], V]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "maximum": lambda x, y: _extreme(x, y, True),
    "minimum": lambda x, y: _extreme(x, y, False),
}


def binary(name: str, operands: dict[str, Any], options: dict[str, Any]) -> Results:
    return {"y": BINARY[name](operands["input"], operands["other"])}

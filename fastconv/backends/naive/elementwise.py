"""Functions of each element, of one or two arrays of one shape, with any strides."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_quiet = np.errstate(over="ignore", invalid="ignore")


def _unary(f: Callable[..., float], doc: str) -> Callable[..., None]:
    @_quiet
    def run(a: Array, out: Array, p: float = 0.0, q: float = 0.0) -> None:
        for at in np.ndindex(a.shape):
            out[at] = f(float(a[at]), p, q)

    run.__doc__ = doc
    return run


def _binary(f: Callable[..., float], doc: str) -> Callable[..., None]:
    @_quiet
    def run(a: Array, b: Array, out: Array, p: float = 0.0, q: float = 0.0) -> None:
        for at in np.ndindex(a.shape):
            out[at] = f(float(a[at]), float(b[at]), p, q)

    run.__doc__ = doc
    return run


def _clamped(x: float, low: float, high: float) -> float:
    return low if x < low else high if x > high else x  # NaN stays


def _sigmoid(x: float) -> float:
    e = math.exp(-abs(x))
    return (1 if x > 0 else e) / (1 + e)


def _silu_slope(x: float) -> float:
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


def copy_columns(a: Array, start: int, out: Array, at: int, width: int) -> None:
    """``out[:, at + k] = a[:, start + k]`` for every k < width."""
    for row, k in np.ndindex(len(a), width):
        out[row, at + k] = a[row, start + k]


copy_format = _unary(lambda x, p, q: x, "The same elements in other memory.")
add = _binary(lambda a, b, p, q: a + b, "``out = a + b``.")
sub = _binary(lambda a, b, p, q: a - b, "``out = a - b``.")
mul = _binary(lambda a, b, p, q: a * b, "``out = a * b``.")
relu = _unary(lambda x, p, q: 0.0 if x < 0 else x, "max(x, 0); NaN stays NaN.")
leaky_relu = _unary(lambda x, p, q: x if x > 0 else p * x, "x where positive, else ``p * x``.")
clamp = _unary(_clamped, "x limited to [p, q]; NaN stays NaN.")
sigmoid = _unary(lambda x, p, q: _sigmoid(x), "1 / (1 + exp(-x)).")
tanh = _unary(lambda x, p, q: math.tanh(x), "The hyperbolic tangent.")
silu = _unary(lambda x, p, q: x * _sigmoid(x), "x / (1 + exp(-x)).")
relu_backward = _binary(
    lambda g, y, p, q: 0.0 if y <= 0 else g, "g unless the output y is 0; 0 elsewhere."
)
leaky_relu_backward = _binary(
    lambda g, y, p, q: g if y > 0 else p * g, "g where the output y is positive, else ``p * g``."
)
clamp_backward = _binary(
    lambda g, y, p, q: g if p < y < q else 0.0, "g where the output y lies in (p, q), else 0."
)
sigmoid_backward = _binary(lambda g, y, p, q: g * (y * (1 - y)), "g y (1 - y), y the output.")
tanh_backward = _binary(lambda g, y, p, q: g * (1 - y * y), "g (1 - y y), y the output.")
silu_backward = _binary(lambda g, x, p, q: g * _silu_slope(x), "g times the slope at the input x.")


def _sums(gradient: Callable[..., None], doc: str) -> Callable[..., None]:
    def run(g: Array, y: Array, out: Array, sums: Array, p: float = 0.0, q: float = 0.0) -> None:
        gradient(g, y, out, p, q)
        for k in range(g.shape[1]):
            total = 0.0
            for row in range(g.shape[0]):
                total += float(out[row, k])
            sums[k] = total

    run.__doc__ = f"{doc} Matrices; `sums` are those of the columns of `out`."
    return run


relu_backward_sums = _sums(relu_backward, "As `relu_backward`.")
leaky_relu_backward_sums = _sums(leaky_relu_backward, "As `leaky_relu_backward`.")
clamp_backward_sums = _sums(clamp_backward, "As `clamp_backward`.")

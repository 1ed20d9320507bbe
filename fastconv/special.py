"""Special functions under PyTorch's names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .absent import missing
from .autograd import TensorBase, wrap
from .functions._named import named
from .functions.reduce import logsumexp
from .functions.unary import erf, erfc, exp2, expm1, log, log1p, sigmoid, where
from .functions.unary import round as _round
from .nn.functional import log_softmax, softmax

__all__ = [
    "entr", "erf", "erfc", "exp2", "expit", "expm1", "log1p", "log_softmax", "logit", "logsumexp",
    "ndtr", "round", "sinc", "softmax", "xlog1py", "xlogy",
]  # fmt: skip

expit = named(sigmoid, "expit")
round = _round


@named
def logit(input: Any, eps: float | None = None) -> Any:
    """log(p / (1 - p)) of probabilities, limited to [eps, 1 - eps] where `eps` is given."""
    p = input if eps is None else input.clamp(eps, 1 - eps)
    return log(p) - log1p(-p)


@named
def xlogy(input: Any, other: Any) -> Any:
    """``input * log(other)``, and 0 where `input` is 0."""
    return _product(input, other, log, 0)


@named
def xlog1py(input: Any, other: Any) -> Any:
    """``input * log1p(other)``, and 0 where `input` is 0."""
    return _product(input, other, log1p, -1)


def _product(input: Any, other: Any, logarithm: Any, least: float) -> Any:
    """``input * logarithm(other)``, which is -inf at `least`; 0 where `input` is 0."""
    from .creation import tensor

    if not isinstance(input, TensorBase):
        input = tensor(float(input), dtype=other._array.dtype)
    elif not isinstance(other, TensorBase):
        other = tensor(float(other), dtype=input._array.dtype)
    y = other._array
    bad = (input._array == 0) & ((y <= least) | np.isinf(y))  # NaN stays NaN
    return input * logarithm(where(wrap(bad), least + 1.0, other))


@named
def entr(input: Any) -> Any:
    """``-x log x``, 0 at 0, and -inf below."""
    below = wrap(input._array < 0)
    return where(below, float("-inf"), -xlogy(input, where(below, 1.0, input)))


@named
def sinc(input: Any) -> Any:
    """sin(πx) / (πx), and 1 at 0; by its series near 0, where the gradient would cancel."""
    x = input * math.pi
    small = wrap(np.abs(x._array) < 0.15)
    z = where(small, x, 0.0) ** 2
    series = 1 - z / 6 * (1 - z / 20 * (1 - z / 42 * (1 - z / 72 * (1 - z / 110))))
    far = where(small, 1.0, x)
    return where(small, series, far.sin() / far)


@named
def ndtr(input: Any) -> Any:
    """The normal distribution's area below."""
    return 0.5 * erfc(input * -(0.5**0.5))


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)

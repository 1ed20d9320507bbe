"""Special functions under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .absent import missing
from .autograd import TensorBase, wrap
from .functions._named import named
from .functions.elementwise import mul
from .functions.reduce import logsumexp
from .functions.unary import erf, exp2, expm1, log, log1p, sigmoid, where
from .functions.unary import round as _round
from .nn.functional import log_softmax, softmax

__all__ = [
    "entr", "erf", "erfc", "exp2", "expit", "expm1", "log1p", "log_softmax", "logit", "logsumexp",
    "ndtr", "round", "sinc", "softmax", "xlog1py", "xlogy",
]  # fmt: skip

expit = named(sigmoid, "expit")
round = _round


@named
def erfc(input: Any) -> Any:
    """``1 - erf(input)``; for large inputs it loses digits."""
    return 1 - erf(input)


@named
def logit(input: Any, eps: float | None = None) -> Any:
    """log(p / (1 - p)) of probabilities, limited to [eps, 1 - eps] where `eps` is given."""
    p = input if eps is None else input.clamp(eps, 1 - eps)
    return log(p) - log1p(-p)


@named
def xlogy(input: Any, other: Any) -> Any:
    """``input * log(other)``, and 0 where `input` is 0."""
    if not isinstance(input, TensorBase):
        return input * log(other) if input else mul(other, 0.0)
    if not isinstance(other, TensorBase):
        from .creation import tensor

        other = tensor(other, dtype=input._array.dtype)
    y = other._array
    bad = (input._array == 0) & ((y <= 0) | np.isinf(y))  # NaN stays NaN
    return input * log(where(wrap(bad), 1.0, other))


@named
def xlog1py(input: Any, other: Any) -> Any:
    """``input * log1p(other)``, and 0 where `input` is 0."""
    return xlogy(input, 1 + other)


@named
def entr(input: Any) -> Any:
    """``-x log x``, 0 at 0, and -inf below."""
    below = wrap(input._array < 0)
    return where(below, float("-inf"), -xlogy(input, where(below, 1.0, input)))


@named
def sinc(input: Any) -> Any:
    """sin(πx) / (πx), and 1 at 0."""
    import math

    x = input * math.pi
    zero = wrap(x._array == 0)
    safe = where(zero, 1.0, x)
    return where(zero, 1.0, safe.sin() / safe)


@named
def ndtr(input: Any) -> Any:
    """The normal distribution's area below."""
    return 0.5 * (1 + erf(input * 0.5**0.5))


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)

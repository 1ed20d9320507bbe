"""Functions that draw: activations with random slopes, dropout that keeps the mean, Gumbel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...functions._named import named
from ...random import rng
from ...tensor import Tensor, wrap
from .activation import leaky_relu, softmax
from .common import axis_of, check_floats, number

_SATURATED = -1.7580993408473766  # SELU's limit at minus infinity


@named
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """x where not negative, a · x elsewhere, with `a` drawn for each element.

    Parameters
    ----------
    input : Tensor
    lower, upper : float
        `a` is drawn evenly between them; not in training it is their mean.
    training, inplace : bool

    Raises
    ------
    ValueError
        When lower is above upper.
    """
    check_floats("rrelu", input=input)
    lower, upper = number("rrelu", "lower", lower), number("rrelu", "upper", upper)
    if not lower <= upper:
        raise ValueError(f"rrelu(): lower {lower} must not be above upper {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    x = input._array
    slopes = rng().uniform(lower, upper, x.shape).astype(x.dtype)
    factor = wrap(np.where(x < 0, slopes, x.dtype.type(1)))
    return input.mul_(factor) if inplace else input * factor


def _alpha(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, channels: bool
) -> Tensor:
    check_floats(name, input=input)
    p = number(name, "p", p)
    if not 0 <= p <= 1:
        raise ValueError(f"{name}(): dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return input
    x = input._array
    if channels and x.ndim < 2:
        raise ValueError(f"{name}(): input must be (N, C, *), got shape {x.shape}")
    shape = (*x.shape[:2], *[1] * (x.ndim - 2)) if channels else x.shape
    keep = rng().random(shape) >= p
    scale = ((1 - p) * (1 + p * _SATURATED**2)) ** -0.5 if p < 1 else 0.0
    factor = wrap(np.where(keep, scale, 0).astype(x.dtype))
    offset = np.where(keep, 0, scale * _SATURATED) - scale * _SATURATED * p
    shift = wrap(offset.astype(x.dtype))
    return input.mul_(factor).add_(shift) if inplace else input * factor + shift


@named
def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout for SELU networks: elements become SELU's limit, mean and variance stay.

    Parameters
    ----------
    input : Tensor
    p : float
        The probability of an element to be replaced.
    training, inplace : bool
        Not in training the input is returned.
    """
    return _alpha("alpha_dropout", input, p, training, inplace, False)


@named
def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, *)."""
    return _alpha("feature_alpha_dropout", input, p, training, inplace, True)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of classes that has a gradient: softmax((logits + Gumbel noise) / tau).

    Parameters
    ----------
    logits : Tensor
        Logarithms of probabilities, not normalised.
    tau : float
        The temperature, above 0.
    hard : bool
        Give ones and zeros, with the gradient of the soft sample.
    eps : float
        Not used, as in PyTorch.
    dim : int
        The axis of the classes.
    """
    name = "gumbel_softmax"
    check_floats(name, input=logits)
    tau = number(name, "tau", tau)
    if not tau > 0:
        raise ValueError(f"{name}(): tau must be positive, got {tau}")
    x = logits._array
    axis = axis_of(name, dim, x.ndim)
    noise = -np.log(rng().exponential(size=x.shape))
    soft = softmax((logits + wrap(np.asarray(noise, x.dtype))) / tau, axis)
    if not hard:
        return soft
    best: Any = np.zeros_like(soft._array)
    np.put_along_axis(best, soft._array.argmax(axis, keepdims=True), 1, axis)
    return wrap(best) - soft.detach() + soft

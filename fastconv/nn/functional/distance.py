"""Distances and similarities of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...functions.unary import where
from ...spec import as_int
from ...tensor import Tensor, wrap
from .common import axis_of, check_all_floats, check_floats, number


def broadcast_shape(name: str, **tensors: Tensor) -> tuple[int, ...]:
    """The common shape of these tensors; ValueError, with their names, where there is none."""
    shapes = {key: t._array.shape for key, t in tensors.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        text = ", ".join(f"{key} of shape {shape}" for key, shape in shapes.items())
        raise ValueError(f"{name}(): {text} do not broadcast") from None


def raised(t: Tensor, least: float) -> Tensor:
    """`t`, or `least` where that is more; the gradient passes everywhere, as in PyTorch."""
    return where(wrap(t._array < least), (t - t.detach()) + least, t)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`: x1 · x2 / (max(‖x1‖, ε) max(‖x2‖, ε)).

    Parameters
    ----------
    x1, x2 : Tensor
        Of shapes that broadcast.
    dim : int
        The axis of the vectors in the common shape.
    eps : float
        The least norm that is divided by.

    Returns
    -------
    Tensor
        The common shape without `dim`.

    Raises
    ------
    ValueError, TypeError, IndexError
        For shapes, types and axes that do not fit.
    """
    name = "cosine_similarity"
    check_all_floats(name, x1=x1, x2=x2)
    eps = number(name, "eps", eps)
    shape = broadcast_shape(name, x1=x1, x2=x2)
    axis = axis_of(name, dim, len(shape))
    x1, x2 = x1.expand(shape), x2.expand(shape)
    if not shape:
        x1, x2 = x1.reshape(1), x2.reshape(1)
    length1 = raised(x1.norm(2, axis, keepdim=True), eps)
    length2 = raised(x2.norm(2, axis, keepdim=True), eps)
    return ((x1 / length1) * (x2 / length2)).sum(axis)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last axis.

    Parameters
    ----------
    x1, x2 : Tensor
        (*, D), of shapes that broadcast.
    p : float
    eps : float
        Added to every difference, so that the norm has a gradient where they are equal.
    keepdim : bool

    Returns
    -------
    Tensor
        (*) or, with `keepdim`, (*, 1).
    """
    name = "pairwise_distance"
    check_all_floats(name, x1=x1, x2=x2)
    p, eps = number(name, "p", p), number(name, "eps", eps)
    broadcast_shape(name, x1=x1, x2=x2)
    difference = x1 - x2 + eps
    if not difference._array.ndim:
        difference = difference.reshape(1)
    return difference.norm(p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances between all pairs of rows of (N, D), as (N (N - 1) / 2,)."""
    check_floats("pdist", input=input)
    p = number("pdist", "p", p)
    if p < 0:
        raise ValueError(f"pdist(): p must not be negative, got {p}")
    if input._array.ndim != 2:
        raise ValueError(f"pdist(): input must be (N, D), got shape {input._array.shape}")
    first, second = np.triu_indices(input._array.shape[0], 1)
    return (input[wrap(first)] - input[wrap(second)]).norm(p, 1)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = input1ᵀ · weight_k · input2 + bias_k over the last axes.

    Parameters
    ----------
    input1, input2 : Tensor
        (*, I) and (*, J).
    weight : Tensor
        (K, I, J).
    bias : Tensor, optional
        (K,).

    Returns
    -------
    Tensor
        (*, K).
    """
    name = "bilinear"
    check_all_floats(name, input1=input1, input2=input2, weight=weight)
    check_floats(name, input=input1, bias=bias)
    a, b, w = input1._array.shape, input2._array.shape, weight._array.shape
    if len(w) != 3 or not a or not b or a[:-1] != b[:-1] or w[1:] != (a[-1], b[-1]):
        raise ValueError(
            f"{name}(): input1 of shape {a} and input2 of shape {b} do not fit weight of shape {w}"
        )
    k, i, j = w
    rows = input1.reshape(-1, i).matmul(weight.permute(1, 0, 2).reshape(i, k * j))
    y: Any = (rows.reshape(-1, k, j) * input2.reshape(-1, 1, j)).sum(2)
    if bias is not None:
        if bias._array.shape != (k,):
            raise ValueError(f"{name}(): bias must have shape {(k,)}, got {bias._array.shape}")
        y = y + bias
    return y.reshape(*a[:-1], k)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels (N, C, *) of `groups` groups taken by turns (ShuffleNet, Zhang et al. 2018)."""
    check_floats("channel_shuffle", input=input)
    shape = input._array.shape
    groups = as_int("channel_shuffle", "groups", groups)
    if len(shape) < 3:
        raise ValueError(f"channel_shuffle(): input must be (N, C, *), got shape {shape}")
    if groups < 1 or shape[1] % groups:
        raise ValueError(
            f"channel_shuffle(): channels of input {shape} must be divisible by groups {groups}"
        )
    y = input.reshape(shape[0], groups, shape[1] // groups, *shape[2:])
    return y.transpose(1, 2).reshape(shape)

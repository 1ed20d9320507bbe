"""Softmax, its logarithm and cross-entropy along one axis, in the array's own memory order."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import planner
from fastconv.memory import empty
from fastconv.ops.layout import Array, Columns


def _along(name: str, like: Array, axis: int, *arrays: Array) -> Array:
    if not like.size:
        return np.zeros_like(like)
    if not like.ndim:
        return _along(name, like[None], 0, *[a[None] for a in arrays])[0, ...]
    columns = Columns(like, axis % like.ndim)
    out = empty(columns.shape, like.dtype)
    planner.kernel(name)(*[columns.of(a) for a in arrays], out)
    return columns.result(out)


def softmax(x: Array, axis: int) -> Array:
    """``exp(x)`` over its sum along an axis."""
    return _along("softmax", x, axis, x)


def log_softmax(x: Array, axis: int) -> Array:
    """``x`` less the logarithm of the sum of ``exp(x)`` along an axis."""
    return _along("log_softmax", x, axis, x)


def softmax_backward(g: Array, y: Array, axis: int) -> Array:
    """The gradient of `softmax`, from its output y."""
    return _along("softmax_backward", y, axis, g, y)


def log_softmax_backward(g: Array, y: Array, axis: int) -> Array:
    """The gradient of `log_softmax`, from its output y."""
    return _along("log_softmax_backward", y, axis, g, y)


def cross_entropy(
    x: Array, labels: Array, weight: Array | None, ignore: int
) -> tuple[Array, Array, Array | None, Columns]:
    """Losses of scores (N, C, *) at the flat class indices, and what backward needs.

    Returns
    -------
    loss, p, sample, columns
        The weighted losses (N · space,); the softmax as (outer, C, inner); with `weight` that of
        each label; the order of p.
    """
    columns = Columns(x, 1)
    p = empty(columns.shape, x.dtype)
    loss = empty(labels.shape, x.dtype)
    sample = None if weight is None else empty(labels.shape, x.dtype)
    planner.kernel("cross_entropy")(columns.of(x), labels, weight, ignore, p, loss, sample)
    return loss, p, sample, columns


def cross_entropy_backward(
    p: Array, labels: Array, weight: Array | None, ignore: int, grad: Array, columns: Columns
) -> Any:
    """The gradient of the scores; `grad` that of the losses, (N · space,) or ()."""
    out = empty(p.shape, p.dtype)
    planner.kernel("cross_entropy_backward")(p, labels, weight, ignore, grad, out)
    return columns.result(out)

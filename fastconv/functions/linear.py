"""The fully connected layer in the graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Op

Array = np.ndarray


def flat(a: Array) -> Array:
    """`a` (*, n) as a matrix (rows, n)."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


class LinearOp(Op):
    """y (*, out) = x (*, in) · w (out, in)ᵀ + b (out,)."""

    @staticmethod
    def forward(ctx: Any, x: Array, w: Array, b: Array | None) -> Array:
        ctx.save(x if ctx.needs[1] else None, w if ctx.needs[0] else None)
        ctx.shape = x.shape
        y = flat(x) @ w.T if x.ndim != 1 else w @ x
        if b is not None:
            y += b
        return y.reshape(*x.shape[:-1], w.shape[0]) if x.ndim > 2 else y

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, w = ctx.saved
        rows = flat(g)
        grads: list[Array | None] = [None] * len(ctx.needs)
        if ctx.needs[0]:
            grads[0] = (rows @ w).reshape(ctx.shape)
        if ctx.needs[1]:
            grads[1] = rows.T @ flat(x)
        if len(grads) > 2 and ctx.needs[2]:
            grads[2] = rows.sum(axis=0)
        return tuple(grads)

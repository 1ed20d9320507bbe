"""The fully connected layer in the graph.

The products are 1×1 convolutions over the rows, by our own kernels: their threads are those of
`set_num_threads`, while a BLAS with a pool of its own gets in their way (measured on two cores, a
LeNet training step: three to five times slower). What takes a BLAS a microsecond or two on one
thread is NumPy's product, as is everything in the other backends.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Op
from ..config import current_backend
from ..ops import conv as ops
from ..packed import Packed
from ..spec import ConvSpec, conv_spec

Array = np.ndarray
#: Products of a multiplication below which it is NumPy's.
SMALL = 1 << 15
#: Up to so many rows the weights are read as they lie: nothing to keep packed.
LYING_ROWS = 16


def flat(a: Array) -> Array:
    """`a` (*, n) as a matrix (rows, n)."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def pixels(rows: Array) -> Array:
    """A matrix (M, C) as a line of pixels (1, C, M), channels-last: a view."""
    return rows.T[None]


def matrix(line: Array) -> Array:
    """The inverse of `pixels`."""
    return line[0].T


class LinearOp(Op):
    """y (*, out) = x (*, in) · w (out, in)ᵀ + b (out,)."""

    @staticmethod
    def forward(
        ctx: Any, x: Array, w: Array, b: Array | None, packed: Packed | None = None
    ) -> Array:
        ctx.save(x if ctx.needs[1] else None, w if ctx.needs[0] else None)
        ctx.shape, ctx.spec = x.shape, None
        if x.ndim == 1:
            y = w @ x
            return y if b is None else y + b
        rows = flat(x)
        if len(rows) * w.size >= SMALL and current_backend() == "c":
            spec = conv_spec((1, w.shape[1], len(rows)), (*w.shape, 1), ndim=1, name="linear")
            ctx.spec = spec
            kept = packed if len(rows) > LYING_ROWS else None
            y = matrix(ops.forward(spec, pixels(rows), w[:, :, None], b, packed=kept))
        else:
            y = rows @ w.T
            if b is not None:
                y += b
        return y.reshape(*x.shape[:-1], w.shape[0])

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, w = ctx.saved
        spec: ConvSpec | None = ctx.spec
        rows = flat(g)
        grads: list[Array | None] = [None] * len(ctx.needs)
        if ctx.needs[0]:
            if spec is None:
                gx = rows @ w
            else:
                gx = matrix(ops.backward_input(spec, pixels(rows), w[:, :, None]))
            grads[0] = gx.reshape(ctx.shape)
        if ctx.needs[1]:
            if spec is None:
                grads[1] = rows.T @ flat(x)
            else:
                gw = ops.backward_weight(spec, pixels(rows), pixels(flat(x)))
                grads[1] = gw.reshape(gw.shape[:2])
        if len(grads) > 2 and ctx.needs[2]:
            grads[2] = rows.sum(axis=0) if spec is None else ops.backward_bias(spec, pixels(rows))
        return tuple(grads)

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

from .. import _watch
from .._grad_mode import mode, quiet, unquiet
from ..autograd import Op, wrap
from ..caches import cached
from ..config import switches
from ..ops import contract
from ..ops import conv as ops
from ..ops.reduce import total
from ..spec import ConvSpec, conv_spec
from .kept import kept

Array = np.ndarray
#: Products of a multiplication below which it is NumPy's.
SMALL = 1 << 15
#: Inputs that the kernels add up in float32: of equal terms the sum is off by 7e-7.
LONG = 1 << 16


def flat(a: Array) -> Array:
    """`a` (*, n) as a matrix (rows, n)."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def pixels(rows: Array) -> Array:
    """A matrix (M, C) as a line of pixels (1, C, M), channels-last: a view."""
    return rows.T[None]


def matrix(line: Array) -> Array:
    """The inverse of `pixels`."""
    return line[0].T


def _spec(x: Array, w: Array) -> ConvSpec | None:
    """The geometry of the convolution that computes the products; None for NumPy."""
    products = w.size if x.ndim == 1 else w.shape[0] * x.size
    now = switches()
    if x.ndim == 1 or now.backend != "c" or (products < SMALL and not now.exact):
        return None
    outs, ins = w.shape
    if ins > LONG or outs > LONG:
        return None
    return _line(x.size // ins, ins, outs)


@cached(4096)
def _line(rows: int, ins: int, outs: int) -> ConvSpec:
    return conv_spec((1, ins, rows), (outs, ins, 1), ndim=1, name="linear")


def _dot(a: Array, b: Array) -> Array:
    """Two matrices' product by NumPy: `dot`, whose outer product is five times as fast as `@`."""
    return np.dot(a, b) if len(b) <= contract.LONG else contract.matmul(a, b)


def linear(x: Any, weight: Any, bias: Any) -> Any:
    """The products of Tensors."""
    a, w, b = x._array, weight._array, None if bias is None else bias._array
    values = a, w, b, _spec(a, w), kept(weight)
    if not mode.grad and _watch.recorder is None:
        return wrap(LinearOp.compute(values))
    return LinearOp.of((x, weight) if bias is None else (x, weight, bias), values)


class LinearOp(Op):
    """y (*, out) = x (*, in) · w (out, in)ᵀ + b (out,)."""

    @staticmethod
    def compute(arguments: Any) -> Array:
        x, w, b, spec, packed = arguments
        rows = x if x.ndim < 3 else flat(x)
        if spec is None:
            token = quiet()
            try:
                y = _dot(rows, w.T)
                if b is not None:
                    y += b
            finally:
                unquiet(token)
        else:
            y = ops.ready("conv_forward", spec, x.dtype, 2)(rows, w, b, None, None, packed)
        return y if x.ndim < 3 else y.reshape(*x.shape[:-1], w.shape[0])

    def remember(self, y: Array, arguments: Any) -> None:
        x, w, _, spec, _ = arguments
        self.saved = (x if self.needs[1] else None, w if self.needs[0] else None)
        self.shape, self.spec = x.shape, spec

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, w = ctx.saved
        spec: ConvSpec | None = ctx.spec
        rows = flat(g)
        grads: list[Array | None] = [None] * len(ctx.needs)
        if ctx.needs[0]:
            if spec is None:
                gx = _dot(rows, w)
            else:
                gx = matrix(ops.backward_input(spec, pixels(rows), w[:, :, None]))
            grads[0] = gx.reshape(ctx.shape)
        if ctx.needs[1]:
            if spec is None:
                grads[1] = _dot(rows.T, flat(x))
            else:
                gw = ops.backward_weight(spec, pixels(rows), pixels(flat(x)))
                grads[1] = gw.reshape(gw.shape[:2])
        if len(grads) > 2 and ctx.needs[2]:
            grads[2] = total(rows, (0,)) if spec is None else ops.backward_bias(spec, pixels(rows))
        return tuple(grads)

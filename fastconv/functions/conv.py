"""Convolution and transposed convolution in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from ..ops import conv as ops
from ..ops.layout import as_5d, drop_axes
from ..packed import Packed
from ..spec import ConvSpec

Array = np.ndarray


class Convolution(Op):
    """y (N, K, *out) of x (N, C, *in), w (K, C/groups, *kernel) and b (K,) or None.

    Without the batch axis on x, y has none either. y is channels-last in memory. `packed` is where
    packed forms of w are kept, if they may be.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Array, w: Array, b: Array | None, spec: ConvSpec, packed: Packed | None = None
    ) -> Array:
        ctx.spec = spec
        ctx.single = x.ndim == spec.ndim + 1
        ctx.save(x if ctx.needs[1] else None, w if ctx.needs[0] else None)
        if ctx.single:
            return ops.forward(spec, x[None], w, b, packed=packed)[0]
        return ops.forward(spec, x, w, b, packed=packed)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, w = ctx.saved
        spec: ConvSpec = ctx.spec
        g5 = as_5d(g[None] if ctx.single else g)
        grads: list[Array | None] = [None] * len(ctx.needs)
        if ctx.needs[0]:
            gx = drop_axes(ops.backward_input(spec, g5, as_5d(w)), spec.ndim)
            grads[0] = gx[0] if ctx.single else gx
        if ctx.needs[1]:
            x5 = as_5d(x[None] if ctx.single else x)
            grads[1] = drop_axes(ops.backward_weight(spec, g5, x5), spec.ndim)
        if len(grads) > 2 and ctx.needs[2]:
            grads[2] = ops.backward_bias(spec, g5)
        return tuple(grads)


class ConvTranspose(Op):
    """The adjoint of the convolution `spec`, from its y to its x, plus b.

    x (N, K, *out), w (K, C/groups, *kernel), b (C,) or None; the result is (N, C, *in),
    channels-last in memory.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Array, w: Array, b: Array | None, spec: ConvSpec, packed: Packed | None = None
    ) -> Array:
        ctx.spec = spec
        ctx.single = x.ndim == spec.ndim + 1
        ctx.save(x if ctx.needs[1] else None, w if ctx.needs[0] else None)
        x5 = as_5d(x[None] if ctx.single else x)
        y = drop_axes(ops.backward_input(spec, x5, as_5d(w), b, packed=packed), spec.ndim)
        return y[0] if ctx.single else y

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, w = ctx.saved
        spec: ConvSpec = ctx.spec
        g5 = as_5d(g[None] if ctx.single else g)
        grads: list[Array | None] = [None] * len(ctx.needs)
        if ctx.needs[0]:
            gx = drop_axes(ops.forward(spec, g5, as_5d(w)), spec.ndim)
            grads[0] = gx[0] if ctx.single else gx
        if ctx.needs[1]:
            x5 = as_5d(x[None] if ctx.single else x)
            grads[1] = drop_axes(ops.backward_weight(spec, x5, g5), spec.ndim)
        if len(grads) > 2 and ctx.needs[2]:
            grads[2] = ops.conv_backward_bias(g5)  # of the transposed convolution's output
        return tuple(grads)

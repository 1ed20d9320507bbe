"""Convolution and transposed convolution in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _watch
from .._grad_mode import mode
from ..autograd import Op, wrap
from ..ops import conv as ops
from ..spec import ConvSpec
from .kept import kept

Array = np.ndarray


def convolution(x: Any, weight: Any, bias: Any, spec: ConvSpec) -> Any:
    """The convolution of Tensors."""
    b = None if bias is None else bias._array
    values = x._array, weight._array, b, spec, kept(weight)
    if not mode.grad and _watch.recorder is None:
        return wrap(Convolution.compute(values))
    return Convolution.of((x, weight) if bias is None else (x, weight, bias), values)


class Convolution(Op):
    """y (N, K, *out) of x (N, C, *in), w (K, C/groups, *kernel) and b (K,) or None.

    Without the batch axis on x, y has none either. y is channels-last in memory. `packed` is where
    packed forms of w are kept, if they may be.
    """

    spec: ConvSpec
    single: bool  # whether x came without its batch axis
    biased: bool

    @staticmethod
    def compute(arguments: Any) -> Array:
        x, w, b, spec, packed = arguments
        rank = spec.ndim + 2
        call = ops.ready("conv_forward", spec, x.dtype, rank)
        if x.ndim != rank:
            return call(x[None], w, b, None, None, packed)[0]  # type: ignore[no-any-return]
        return call(x, w, b, None, None, packed)  # type: ignore[no-any-return]

    def remember(self, y: Array | None, arguments: Any) -> None:
        x, w, b, spec, _ = arguments
        needs = self.needs
        self.spec, self.single, self.biased = spec, x.ndim == spec.ndim + 1, b is not None
        self.saved = (x if needs[1] else None, w if needs[0] else None)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        return gradients(ctx, g, None)


def gradients(ctx: Any, g: Array, gb: Array | None) -> tuple[Array | None, ...]:
    """Those of input, weight and bias (that is `gb` if given) from the output's, `g`."""
    x, w = ctx.saved[:2]
    spec, single, needs = ctx.spec, ctx.single, ctx.needs
    if single:
        g, x = g[None], None if x is None else x[None]
    gx = ops.backward_input(spec, g, w) if needs[0] else None
    gw = ops.backward_weight(spec, g, x) if needs[1] else None
    if single and gx is not None:
        gx = gx[0]
    if not ctx.biased:
        return gx, gw
    if gb is None and needs[2]:
        gb = ops.backward_bias(spec, g)
    return gx, gw, gb


class ConvTranspose(Op):
    """The adjoint of the convolution `spec`, from its y to its x, plus b.

    x (N, K, *out), w (K, C/groups, *kernel), b (C,) or None; the result is (N, C, *in),
    channels-last in memory.
    """

    @staticmethod
    def compute(arguments: Any) -> Array:
        x, w, b, spec, packed = arguments
        if x.ndim == spec.ndim + 1:
            return ops.backward_input(spec, x[None], w, b, packed=packed)[0]
        return ops.backward_input(spec, x, w, b, packed=packed)

    def remember(self, y: Array, arguments: Any) -> None:
        x, w, _, spec, _ = arguments
        self.spec, self.single = spec, x.ndim == spec.ndim + 1
        self.saved = (x if self.needs[1] else None, w if self.needs[0] else None)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, w = ctx.saved
        spec: ConvSpec = ctx.spec
        if ctx.single:
            g, x = g[None], None if x is None else x[None]
        grads: list[Array | None] = [None] * len(ctx.needs)
        if ctx.needs[0]:
            gx = ops.forward(spec, g, w)
            grads[0] = gx[0] if ctx.single else gx
        if ctx.needs[1]:
            grads[1] = ops.backward_weight(spec, x, g)
        if len(grads) > 2 and ctx.needs[2]:
            grads[2] = ops.conv_backward_bias(g)  # of the transposed convolution's output
        return tuple(grads)

"""Pooling in the graph: max, average, power average, and max unpooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _watch
from .._grad_mode import mode
from ..autograd import Op, wrap
from ..ops import pool as ops
from ..ops.layout import as_5d, drop_axes, is_channels_last
from ..spec import PoolSpec

Array = np.ndarray


def max_pool(x: Any, spec: PoolSpec, return_indices: bool) -> Any:
    """Max pooling of a Tensor; with int64 flat indices if asked for, else the maxima."""
    if return_indices:
        return MaxPool.apply(x, spec)
    if not spec.numbered:
        return MaxPool.apply(x, spec)[0]
    values = x._array, spec
    if not mode.grad and _watch.recorder is None:
        return wrap(MaxPoolOnly.compute(values))
    return MaxPoolOnly.of((x,), values)


def avg_pool(x: Any, spec: PoolSpec) -> Any:
    """Average pooling of a Tensor."""
    values = x._array, spec
    if not mode.grad and _watch.recorder is None:
        return wrap(AvgPool.compute(values))
    return AvgPool.of((x,), values)


def five(a: Array, single: bool) -> Array:
    """(N, C, *spatial), or (C, *spatial) if `single`, as a 5-D view."""
    return as_5d(a[None] if single else a)


def back(a: Array, ndim: int, single: bool) -> Array:
    """The inverse of `five`."""
    a = drop_axes(a, ndim)
    return a[0] if single else a


class MaxPool(Op):
    """Maxima of x's windows and their int64 flat indices into the spatial axes."""

    @staticmethod
    def forward(ctx: Any, x: Array, spec: PoolSpec) -> tuple[Array, Array]:
        ctx.spec, ctx.single = spec, x.ndim == spec.ndim + 1
        y, indices = ops.max_forward(spec, five(x, ctx.single))
        ctx.save(indices)
        return back(y, spec.ndim, ctx.single), back(indices, spec.ndim, ctx.single)

    @staticmethod
    def backward(ctx: Any, g: Array, _: None) -> Array:
        (indices,) = ctx.saved
        gx = ops.max_backward(ctx.spec, five(g, ctx.single), indices)
        return back(gx, ctx.spec.ndim, ctx.single)


class MaxPoolOnly(Op):
    """Maxima of x's windows, where a byte can number their elements; backward needs the numbers."""

    @staticmethod
    def compute(arguments: Any) -> Array:
        x, spec = arguments
        rank = spec.ndim + 2
        call = ops.ready("max_pool_taps_forward", spec, x.dtype, rank)
        return call(x)[0] if x.ndim == rank else call(x[None])[0][0]  # type: ignore[no-any-return]

    @staticmethod
    def forward(ctx: Any, x: Array, spec: PoolSpec) -> Array:
        ctx.spec = spec
        ctx.single = single = x.ndim == spec.ndim + 1
        if single:
            x = x[None]
        y, taps = ops.max_train(spec, x, ctx.needs[0])
        if taps is not None:
            ctx.saved = (taps,)
            ctx.last = is_channels_last(x)
        return y[0] if single else y

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (taps,) = ctx.saved
        gx = ops.max_train_backward(ctx.spec, five(g, ctx.single), taps, ctx.last)
        return back(gx, ctx.spec.ndim, ctx.single)


class AvgPool(Op):
    """Averages of x's windows."""

    @staticmethod
    def compute(arguments: Any) -> Array:
        x, spec = arguments
        rank = spec.ndim + 2
        call = ops.ready("avg_pool_forward", spec, x.dtype, rank)
        return call(x) if x.ndim == rank else call(x[None])[0]  # type: ignore[no-any-return]

    def remember(self, y: Array, arguments: Any) -> None:
        x, spec = arguments
        self.spec, self.single = spec, x.ndim == spec.ndim + 1
        # g does not show it where one position is left
        self.last = is_channels_last(x[None] if self.single else x)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        gx = ops.avg_backward(ctx.spec, five(g, ctx.single), ctx.last)
        return back(gx, ctx.spec.ndim, ctx.single)


class LPPool(Op):
    """(count · average of x^p)^(1/p) over windows of `count` elements."""

    @staticmethod
    def forward(ctx: Any, x: Array, spec: PoolSpec, p: float, count: int) -> Array:
        ctx.spec, ctx.p, ctx.count = spec, p, count
        ctx.single = x.ndim == spec.ndim + 1
        y, sums = ops.lp_forward(spec, five(x, ctx.single), p, count)
        ctx.save(x, sums)
        return back(y, spec.ndim, ctx.single)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        x, sums = ctx.saved
        single = ctx.single
        gx = ops.lp_backward(ctx.spec, five(g, single), five(x, single), sums, ctx.p, ctx.count)
        return back(gx, ctx.spec.ndim, single)


class MaxUnpool(Op):
    """x scattered to `indices` in zeros of spatial size `size`."""

    @staticmethod
    def forward(ctx: Any, x: Array, indices: Array, size: tuple[int, ...]) -> Array:
        ndim = len(size)
        ctx.ndim, ctx.single = ndim, x.ndim == ndim + 1
        full = (1,) * (3 - ndim) + size
        at = five(indices, ctx.single)
        ctx.save(at)
        y = ops.unpool_forward(five(x, ctx.single), at, (full[0], full[1], full[2]))
        return back(y, ndim, ctx.single)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array, None]:
        (at,) = ctx.saved
        return back(ops.unpool_backward(five(g, ctx.single), at), ctx.ndim, ctx.single), None

"""Upsampling and downsampling in the graph: every axis on its own, by gathering."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from .layout import dense

Array = np.ndarray
Taps = tuple[tuple[Array, Array | None], ...]  # (sorted source indices, weights or None for 1)


def shaped(weights: Array | None, ndim: int, axis: int) -> Array | None:
    """Weights along one axis, to broadcast."""
    if weights is None:
        return None
    shape = [1] * ndim
    shape[axis] = -1
    return weights.reshape(shape)


def gather(a: Array, axis: int, taps: Taps) -> Array:
    """out[o] = sum over the taps of weight[o] · a[index[o]] along an axis."""
    total = None
    for index, weights in taps:
        part = np.take(a, index, axis)
        scale = shaped(weights, a.ndim, axis)
        if scale is not None:
            part *= scale
        total = part if total is None else np.add(total, part, out=total)
    return total  # type: ignore[return-value]


def scatter(g: Array, axis: int, taps: Taps, size: int) -> Array:
    """The adjoint of `gather`: sorted indices make each sum a run along the axis."""
    shape = list(g.shape)
    shape[axis] = size
    out = np.zeros(shape, g.dtype)
    for index, weights in taps:
        scale = shaped(weights, g.ndim, axis)
        part = g if scale is None else g * scale
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        where: list[Any] = [slice(None)] * g.ndim
        where[axis] = index[starts]
        out[tuple(where)] += np.add.reduceat(part, starts, axis)
    return out


class Resample(Op):
    """x (N, C, *in) with its spatial axes gathered by `plan`, one Taps per axis (None: as is)."""

    @staticmethod
    def forward(ctx: Any, x: Array, plan: tuple[Taps | None, ...]) -> Array:
        flat, order = dense(x)
        first = 2 if order is None else 1
        ctx.plan, ctx.sizes, ctx.order = plan, x.shape[2:], order
        for i, taps in enumerate(plan):
            if taps is not None:
                flat = gather(flat, first + i, taps)
        if flat is x:
            flat = x.copy()
        return flat if order is None else flat.transpose(order)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        order = ctx.order
        first = 2 if order is None else 1
        flat = np.ascontiguousarray(g if order is None else np.moveaxis(g, 1, -1))
        for i in reversed(range(len(ctx.plan))):
            if ctx.plan[i] is not None:
                flat = scatter(flat, first + i, ctx.plan[i], ctx.sizes[i])
        return flat if order is None else flat.transpose(order)

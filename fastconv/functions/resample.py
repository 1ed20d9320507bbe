"""Upsampling and downsampling in the graph: every axis on its own, by gathering.

Where each output copies one input, and every input is copied, the outputs of an input are a window:
the gradient is the sums of these windows, which pooling's kernel computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from ..ops import pool as pool_ops
from ..ops.check import FLOATS
from ..ops.layout import as_5d, drop_axes
from ..spec import PoolSpec
from .layout import dense

Array = np.ndarray
#: Below this size NumPy's copies are quicker than finding the windows.
SMALL = 4_000
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
    """The adjoint of `gather`, gathered too: in turns, the k-th output that reads each input.

    An input with fewer readers gets 0 in that turn, whatever the gradient there (0 times infinity
    would be NaN).
    """
    sources = np.concatenate([index for index, _ in taps])
    outputs = np.concatenate([np.arange(len(index)) for index, _ in taps])
    by_source = np.argsort(sources, kind="stable")
    counts = np.bincount(sources, minlength=size)
    starts = np.cumsum(counts) - counts
    weights = None
    if any(w is not None for _, w in taps):
        ones = (np.ones(len(index), g.dtype) if w is None else w for index, w in taps)
        weights = np.concatenate(list(ones))
    total = None
    for turn in range(max(1, int(counts.max(initial=1)))):
        missing = np.flatnonzero(counts <= turn)
        at = by_source[np.minimum(starts + turn, len(by_source) - 1)]
        part = np.take(g, outputs[at], axis)
        if weights is not None:
            part *= shaped(weights[at].astype(g.dtype, copy=False), g.ndim, axis)
        if missing.size:
            where: list[Any] = [slice(None)] * g.ndim
            where[axis] = missing
            part[tuple(where)] = 0
        total = part if total is None else np.add(total, part, out=total)
    return total  # type: ignore[return-value]


def copies(shape: tuple[int, ...], plan: tuple[Taps | None, ...]) -> PoolSpec | None:
    """The windows of outputs that copy each input of x (N, C, *in); None if there are none.

    ``in_size`` of the specification is the larger side, the output of the resampling.
    """
    windows, ndim = [], len(plan)
    for n, taps in zip(shape[2:], plan, strict=True):
        index = np.arange(n) if taps is None else taps[0][0]
        if taps is not None and (len(taps) > 1 or taps[0][1] is not None):
            return None
        counts = np.bincount(index, minlength=n)
        if not counts.all():
            return None
        windows.append(np.stack([np.cumsum(counts) - counts, counts, counts * 0 + 1, counts]))
    unit = np.array([[0], [1], [1], [1]])
    d, h, w = [unit] * (3 - ndim) + windows
    outs = (int(d[1].sum()), int(h[1].sum()), int(w[1].sum()))
    sizes = (d.shape[1], h.shape[1], w.shape[1])
    return PoolSpec(ndim, shape[0], shape[1], outs, sizes, (d, h, w), 1)


class Resample(Op):
    """x (N, C, *in) with its spatial axes gathered by `plan`, one Taps per axis (None: as is)."""

    @staticmethod
    def forward(ctx: Any, x: Array, plan: tuple[Taps | None, ...]) -> Array:
        flat, order = dense(x)
        first = 2 if order is None else 1
        ctx.plan, ctx.shape, ctx.order = plan, x.shape, order
        for i, taps in enumerate(plan):
            if taps is not None:
                flat = gather(flat, first + i, taps)
        if flat is x:
            flat = x.copy()
        return flat if order is None else flat.transpose(order)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        if g.size >= SMALL and g.dtype in FLOATS and 1 <= len(ctx.plan) <= 3:
            spec = copies(ctx.shape, ctx.plan)
            if spec is not None:
                return drop_axes(pool_ops.avg_forward(spec, as_5d(g)), spec.ndim)
        order = ctx.order
        first = 2 if order is None else 1
        flat = np.ascontiguousarray(g if order is None else np.moveaxis(g, 1, -1))
        for i in reversed(range(len(ctx.plan))):
            if ctx.plan[i] is not None:
                flat = scatter(flat, first + i, ctx.plan[i], ctx.shape[2 + i])
        return flat if order is None else flat.transpose(order)

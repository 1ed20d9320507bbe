"""Padding in the graph, in the four modes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from ..ops import join as ops

Array = np.ndarray
#: (axis, before, after); negative values crop, in mode constant alone.
Pads = tuple[tuple[int, int, int], ...]


def window(ndim: int, axis: int, at: Any) -> tuple[Any, ...]:
    """The index that is `at` on one axis and everything on the others."""
    index: list[Any] = [slice(None)] * ndim
    index[axis] = at
    return tuple(index)


def crop(shape: tuple[int, ...], pads: Pads) -> tuple[slice, ...]:
    """The part of the input that the output keeps."""
    index = [slice(0, n) for n in shape]
    for axis, before, after in pads:
        index[axis] = slice(max(-before, 0), shape[axis] - max(-after, 0))
    return tuple(index)


def centre(shape: tuple[int, ...], pads: Pads) -> tuple[slice, ...]:
    """The part of the output that the input fills."""
    index = [slice(0, n) for n in shape]
    for axis, before, after in pads:
        index[axis] = slice(max(before, 0), shape[axis] - max(after, 0))
    return tuple(index)


def sources(mode: str, begin: int, end: int, size: int) -> list[tuple[int, int]]:
    """(border position, the position inside [begin, end) that it repeats) along one axis."""
    length = end - begin
    pairs = []
    for j in (*range(begin - 1, -1, -1), *range(end, size)):
        if mode == "replicate":
            inside = begin if j < begin else end - 1
        elif mode == "reflect":
            inside = 2 * begin - j if j < begin else 2 * (end - 1) - j
        else:
            inside = begin + (j - begin) % length
        pairs.append((j, inside))
    return pairs


class Pad(Op):
    """x with borders: a constant, or in mode reflect, replicate or circular its own values."""

    @staticmethod
    def forward(ctx: Any, x: Array, pads: Pads, mode: str, value: float) -> Array:
        ctx.pads, ctx.mode, ctx.shape = pads, mode, x.shape
        shape = list(x.shape)
        for axis, before, after in pads:
            shape[axis] += before + after
        y = ops.resized(x, tuple(shape))
        inside = centre(y.shape, pads)
        if mode == "constant":
            for axis, _, _ in pads:
                y[window(y.ndim, axis, slice(0, inside[axis].start))] = value
                y[window(y.ndim, axis, slice(inside[axis].stop, None))] = value
        y[inside] = x[crop(x.shape, pads)]
        if mode != "constant":
            for axis, _, _ in pads:
                span = inside[axis]
                for j, source in sources(mode, span.start, span.stop, y.shape[axis]):
                    y[window(y.ndim, axis, j)] = y[window(y.ndim, axis, source)]
        return y

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        pads, mode = ctx.pads, ctx.mode
        inside = centre(g.shape, pads)
        if mode != "constant":
            g = g.copy(order="K")
            for axis, _, _ in reversed(pads):
                span = inside[axis]
                for j, source in sources(mode, span.start, span.stop, g.shape[axis]):
                    g[window(g.ndim, axis, source)] += g[window(g.ndim, axis, j)]
        kept = crop(ctx.shape, pads)
        if all(s.stop - s.start == n for s, n in zip(kept, ctx.shape, strict=True)):
            return g[inside]
        gx = np.zeros_like(g, shape=ctx.shape)
        gx[kept] = g[inside]
        return gx

"""Gradients of what moves elements: shapes, indexing, joining, matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._inplace import AsStrided, CopySlices, Geometry
from .. import formats, gather, index, join, linalg
from .. import shape as sh
from ..pad import Pad
from . import argument, fit, gradients, linear, rule


@rule(sh.Reshape)
def _reshape(node: Any, g: Any) -> Any:
    return g.reshape(node.shape)


@rule(sh.Permute)
def _permute(node: Any, g: Any) -> Any:
    return g.permute([int(i) for i in np.argsort(node.order)])


@rule(sh.Expand)
def _expand(node: Any, g: Any) -> Any:
    return fit(g, node.shape)


@rule(sh.Flip)
def _flip(node: Any, g: Any) -> Any:
    return sh.flip(g, node.dims)


@rule(sh.Roll)
def _roll(node: Any, g: Any) -> Any:
    return sh.roll(g, *node.back)


@rule(sh.Repeat)
def _repeat(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: sh.Repeat.apply(t, node.counts))


@rule(sh.RepeatInterleave)
def _repeat_interleave(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: sh.RepeatInterleave.apply(t, *node.args[1:]))


@rule(formats.Clone)
def _clone(node: Any, g: Any) -> Any:
    return g


@rule(join.Cat)
def _cat(node: Any, g: Any) -> Any:
    found, start = [], 0
    for size, need in zip(node.sizes, node.needs, strict=True):
        found.append(g.narrow(node.dim, start, size) if need else None)
        start += size
    return tuple(found)


@rule(join.Stack)
def _stack(node: Any, g: Any) -> Any:
    return tuple([g.select(node.dim, i) if need else None for i, need in enumerate(node.needs)])


# --- indexing ---


@rule(index.Slice)
def _slice(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: index.Slice.apply(t, node.index))


@rule(index.Take)
def _take(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: index.Take.apply(t, node.index))


@rule(index.Unfold)
def _unfold(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: index.Unfold.apply(t, *node.args[1:]))


@rule(gather.Gather)
def _gather(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: gather.Gather.apply(t, node.index, node.once))


@rule(gather.Crop)
def _crop(node: Any, g: Any) -> Any:
    shape = tuple([s.stop for s in node.index])
    return linear(node, g, lambda t: gather.Crop.apply(t, shape))


@rule(gather.Scatter)
def _scatter(node: Any, g: Any) -> Any:
    rest = g
    if not node.add and node.needs[0]:
        mask = np.ones(g._array.shape, g._array.dtype)
        mask[node.index] = 0
        rest = g * sh.wrap(mask)
    if not node.tensor:
        return rest
    value = gather.Gather.apply(g, node.index, False) if node.needs[1] else None
    return rest if node.needs[0] else None, value


@rule(Pad)
def _pad(node: Any, g: Any) -> Any:
    mode = node.mode
    return linear(node, g, lambda t: Pad.apply(t, node.pads, mode, 0))


# --- changes of views ---


def _positions(geometry: Geometry) -> Any:
    """The position in the flattened base of each element of the view."""
    (shape, kind, first, strides), (part, _, offset, steps) = geometry.base, geometry.view
    item, count = kind.itemsize, int(np.prod(shape))
    memory = np.zeros(geometry.nbytes // item, np.int64)

    def over(shape: Any, offset: int, strides: Any) -> Any:
        words = tuple([s // item * 8 for s in strides])
        return np.ndarray(shape, np.int64, memory, offset // item * 8, words)

    over(shape, first, strides)[...] = np.arange(count).reshape(shape)
    return over(part, offset, steps)


@rule(AsStrided)
def _as_strided(node: Any, g: Any) -> Any:
    at = _positions(node.geometry)
    return linear(node, g, lambda t: index.Take.apply(t.reshape(-1), (at,)))


@rule(CopySlices)
def _copy_slices(node: Any, g: Any) -> Any:
    at = _positions(node.geometry)
    flat = g.reshape(-1)
    first, *rest = gradients(node.inner, [index.Take.apply(flat, (at,))])
    value = 0 if first is None else first.reshape(at.shape)
    return gather.Scatter.apply(flat, value, (at,), False).reshape(g._array.shape), *rest


# --- matrices ---


@rule(linalg.MatMul)
def _matmul(node: Any, g: Any) -> Any:
    a, b = node.saved
    sa, sb = node.shapes
    ga = gb = None
    if len(sa) == 1:
        g = g.unsqueeze(-2 if len(sb) > 1 else -1)
    if len(sb) == 1:
        g = g.unsqueeze(-1)
    # g is now (..., n, m) of a (..., n, k) times b (..., k, m); vectors are one row or one column
    if node.needs[0]:
        right = argument(node, 1, b)
        right = right.unsqueeze(-1) if len(sb) == 1 else right
        ga = g @ right.transpose(-1, -2)
        ga = fit(ga, (1, *sa)).reshape(sa) if len(sa) == 1 else fit(ga, sa)
    if node.needs[1]:
        left = argument(node, 0, a)
        left = left.unsqueeze(0) if len(sa) == 1 else left
        gb = left.transpose(-1, -2) @ g
        gb = fit(gb, (*sb, 1)).reshape(sb) if len(sb) == 1 else fit(gb, sb)
    return ga, gb


@rule(linalg.Triangle)
def _triangle(node: Any, g: Any) -> Any:
    return linalg.Triangle.apply(g, node.keep, node.diagonal)


@rule(linalg.Diagonal)
def _diagonal(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: linalg.Diagonal.apply(t, *node.args[1:]))


@rule(linalg.Diag)
def _diag(node: Any, g: Any) -> Any:
    return linalg.diagonal(g, node.offset)


@rule(linalg.Einsum)
def _einsum(node: Any, g: Any) -> Any:
    found: list[Any] = []
    operands = [argument(node, i, a) for i, a in enumerate(node.saved)]
    for i, need in enumerate(node.needs):
        if not need:
            found.append(None)
            continue
        names = [n for k, n in enumerate(node.names) if k != i]
        others = [t for k, t in enumerate(operands) if k != i]
        known = set("".join((node.output, *names)))
        name = "".join([c for c in node.names[i] if c in known])
        part = linalg.einsum(f"{','.join((node.output, *names))}->{name}", g, *others)
        shape = node.saved[i].shape  # axes that only this operand has were summed: all alike
        kept = [n if c in known else 1 for c, n in zip(node.names[i], shape, strict=True)]
        found.append(part.reshape(kept).expand(shape))
    return tuple(found)

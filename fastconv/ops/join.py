"""Joining arrays along an axis and cutting them apart, in their own memory order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from fastconv import planner
from fastconv.memory import empty, is_last
from fastconv.ops.layout import Array

#: Bytes from which a result is worth a block of the buffer pool, and a part a copy.
LARGE = 1 << 16


class _Rows:
    """A dense array as rows: what lies before an axis in memory, by the axis and what lies behind.

    Attributes
    ----------
    rows : ndarray
        A C-contiguous view, of two axes.
    each : int
        Columns of one position along the axis.
    """

    def __init__(self, a: Array, axis: int) -> None:
        self.last = is_last(a)
        self.axis = axis
        if self.last:
            order = (0, *range(2, a.ndim), 1)
            self.axis = order.index(axis)
            self.order = order
        self.rows = self._view(a)
        self.each = self.rows.shape[1] // max(a.shape[axis], 1)

    def _view(self, a: Array) -> Array:
        dense = a.transpose(self.order) if self.last else a
        return dense.reshape(math.prod(dense.shape[: self.axis]), -1)

    def of(self, a: Array) -> Array | None:
        """The rows of another array, None where it is empty or does not lie so."""
        dense = a.transpose(self.order) if self.last else a
        return self._view(a) if dense.flags.c_contiguous and a.size else None


def resized(a: Array, shape: tuple[int, ...]) -> Array:
    """An uninitialised array of another shape in the memory order of `a`."""
    last = is_last(a)
    if last or a.flags.c_contiguous:
        return empty(shape, a.dtype, last)
    return np.empty_like(a, shape=shape)


def concatenate(arrays: Sequence[Array], axis: int) -> Array:
    """The arrays joined along an axis; large ones channels-last where one of them is."""
    first = arrays[0]
    nbytes = sum([a.nbytes for a in arrays])
    if nbytes < LARGE or first.dtype.kind == "O":
        return np.concatenate(arrays, axis)
    if any([a.dtype != first.dtype for a in arrays]):
        return np.concatenate(arrays, axis)
    shape = list(first.shape)
    shape[axis] = sum([a.shape[axis] for a in arrays])
    out = empty(tuple(shape), first.dtype, any([is_last(a) for a in arrays]))
    start, target = 0, _Rows(out, axis)
    for a in arrays:
        end = start + a.shape[axis]
        if (rows := target.of(a)) is not None:
            width = rows.shape[1]
            planner.kernel("copy_columns")(rows, 0, target.rows, start * target.each, width)
        else:
            out[(slice(None),) * axis + (slice(start, end),)] = a
        start = end
    return out


def split(
    g: Array, sizes: Sequence[int], needs: Sequence[bool], axis: int
) -> Iterator[Array | None]:
    """The parts of an array along an axis, None where not needed; views, or of large arrays dense.

    What is computed from a part goes through the kernels then, which a view with gaps does not.
    """
    last, start = is_last(g), 0
    source: _Rows | None = None
    for n, need in zip(sizes, needs, strict=True):
        part = g[(slice(None),) * axis + (slice(start, start + n),)]
        start += n
        if not need:
            yield None
        elif part.nbytes < LARGE or part.flags.c_contiguous or is_last(part):
            yield part
        else:
            out = empty(part.shape, part.dtype, last)
            if source is None and (last or g.flags.c_contiguous):
                source = _Rows(g, axis)
            if source is not None and (rows := source.of(out)) is not None:
                width = rows.shape[1]
                at = (start - n) * source.each
                planner.kernel("copy_columns")(source.rows, at, rows, 0, width)
            else:
                out[...] = part
            yield out

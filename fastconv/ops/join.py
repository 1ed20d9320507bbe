"""Joining arrays along an axis and cutting them apart, in their own memory order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastconv.memory import empty
from fastconv.ops.layout import Array

#: Bytes from which a result is worth a block of the buffer pool, and a part a copy.
LARGE = 1 << 16


def _channels_last(a: Array) -> bool:
    """Whether an array (N, C, *) is dense with its channels innermost, and not also contiguous."""
    if a.flags.c_contiguous or a.ndim < 3:
        return False
    return a.transpose(0, *range(2, a.ndim), 1).flags.c_contiguous


def _empty(shape: tuple[int, ...], dtype: np.dtype, last: bool) -> Array:
    if not last:
        return empty(shape, dtype)
    n = len(shape)
    return empty((shape[0], *shape[2:], shape[1]), dtype).transpose(0, n - 1, *range(1, n - 1))


def resized(a: Array, shape: tuple[int, ...]) -> Array:
    """An uninitialised array of another shape in the memory order of `a`."""
    last = _channels_last(a)
    if last or a.flags.c_contiguous:
        return _empty(shape, a.dtype, last)
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
    out = _empty(tuple(shape), first.dtype, any([_channels_last(a) for a in arrays]))
    return np.concatenate(arrays, axis, out=out)


def split(
    g: Array, sizes: Sequence[int], needs: Sequence[bool], axis: int
) -> Iterator[Array | None]:
    """The parts of an array along an axis, None where not needed; views, or of large arrays dense.

    What is computed from a part goes through the kernels then, which a view with gaps does not.
    """
    last, start = _channels_last(g), 0
    for n, need in zip(sizes, needs, strict=True):
        part = g[(slice(None),) * axis + (slice(start, start + n),)]
        start += n
        if not need:
            yield None
        elif part.nbytes < LARGE or part.flags.c_contiguous or _channels_last(part):
            yield part
        else:
            out = _empty(part.shape, part.dtype, last)
            out[...] = part
            yield out

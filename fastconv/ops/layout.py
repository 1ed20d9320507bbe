"""Memory formats of 5-D arrays: NCHW-contiguous and channels-last.

Every array has the shape (N, C, D, H, W); channels-last means that its memory runs N, D, H, W, C.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import planner
from fastconv.memory import empty

Array = np.ndarray[Any, np.dtype[Any]]


def as_5d(a: Array) -> Array:
    """View (N, C, *spatial) with its missing spatial axes as leading axes of size one."""
    if a.ndim == 5:
        return a
    if a.ndim == 4:
        return a[:, :, None]
    return a[:, :, None, None]


def drop_axes(a: Array, ndim: int) -> Array:
    """View a 5-D array with `ndim` spatial axes: the inverse of ``as_5d``."""
    if ndim == 3:
        return a
    return a[:, :, 0] if ndim == 2 else a[:, :, 0, 0]


def is_channels_last(a: Array) -> bool:
    """Whether an array is dense with its channels innermost (and not also plain NCHW)."""
    return not a.flags.c_contiguous and a.transpose(TO_LAST[a.ndim]).flags.c_contiguous


#: The axes of (N, C, *spatial) in the order of channels-last memory, by rank; and back.
TO_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
FROM_LAST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}


def formatted(a: Array, last: bool) -> Array:
    """(N, C, *spatial) dense in NCHW or channels-last memory: itself, or a copy in the other."""
    if (a.transpose(TO_LAST[a.ndim]) if last else a).flags.c_contiguous:
        return a
    out = empty(a.shape, a.dtype, last)
    planner.kernel("copy_format")(a, out)
    return out


def alike(a: Array, b: Array) -> Array:
    """`b` in the memory format of `a`, where they are of one shape and each is dense in its own."""
    if a.ndim not in TO_LAST or a.shape != b.shape or a.strides == b.strides:
        return b
    if a.flags.c_contiguous:
        return formatted(b, False) if is_channels_last(b) else b
    return formatted(b, True) if is_channels_last(a) and b.flags.c_contiguous else b


class Columns:
    """An array as (outer, classes, inner) over its own memory, channels-last or contiguous.

    Other arrays of the shape are brought into the same order where they are not in it.
    """

    def __init__(self, like: Array, axis: int) -> None:
        self.order: tuple[int, ...] | None = None
        self.back: tuple[int, ...] = ()
        shape = like.shape
        if not like.flags.c_contiguous and like.ndim > 2:
            order = (0, *range(2, like.ndim), 1)
            if like.transpose(order).flags.c_contiguous:
                self.order, self.back = order, (0, like.ndim - 1, *range(1, like.ndim - 1))
                shape = tuple([shape[i] for i in order])
                axis = order.index(axis)
        self.memory = shape
        self.shape = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])

    def of(self, a: Array) -> Array:
        """The array as (outer, classes, inner), copied only where its memory differs."""
        view = a if self.order is None else a.transpose(self.order)
        return np.ascontiguousarray(view).reshape(self.shape)

    def result(self, a: Array) -> Array:
        """The inverse of `of`, a view."""
        view = a.reshape(self.memory)
        return view if self.order is None else view.transpose(self.back)

"""Memory order of activations: dense views to work on, whatever the layout."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def dense(a: Array) -> tuple[Array, tuple[int, ...] | None]:
    """A C-contiguous array with the elements of `a`, and the axes that lead back to its order.

    Where `a` is channels-last, (N, C, *spatial) over memory (N, *spatial, C), the result is the
    view (N, *spatial, C); else `a` itself, or a copy where it has gaps.
    """
    if a.flags.c_contiguous or a.ndim < 3:
        return np.ascontiguousarray(a), None
    view = np.moveaxis(a, 1, -1)
    if not view.flags.c_contiguous:
        return np.ascontiguousarray(a), None
    n = a.ndim
    return view, (0, n - 1, *range(1, n - 1))


def channels_last(a: Array) -> bool:
    """Whether `a` (N, C, *spatial) lies in memory as (N, *spatial, C), and not also as NCHW."""
    if a.ndim < 3 or a.flags.c_contiguous:
        return False
    return bool(np.moveaxis(a, 1, -1).flags.c_contiguous)


def by_channel(a: Array, last: bool) -> tuple[Array, tuple[int, ...]]:
    """`a` (N, C, *spatial) as a C-contiguous (M, C) if `last`, else (N, C, L).

    Returns
    -------
    ndarray
        A view where the memory allows, else a copy.
    tuple of int
        The shape that (C,) vectors take to broadcast against it.
    """
    c = a.shape[1]
    if last or a.ndim == 2:
        rows = np.moveaxis(a, 1, -1) if a.ndim > 2 else a
        return np.ascontiguousarray(rows).reshape(-1, c), (c,)
    length = 1
    for size in a.shape[2:]:
        length *= size
    return np.ascontiguousarray(a).reshape(a.shape[0], c, length), (c, 1)


def from_channel(flat: Array, shape: tuple[int, ...]) -> Array:
    """The view of shape `shape` = (N, C, *spatial) of what `by_channel` gave."""
    if flat.ndim == 3 or len(shape) == 2:
        return flat.reshape(shape)
    return np.moveaxis(flat.reshape(shape[0], *shape[2:], shape[1]), -1, 1)

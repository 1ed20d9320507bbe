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

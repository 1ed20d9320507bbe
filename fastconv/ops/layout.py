"""Memory formats of 5-D arrays: NCHW-contiguous and channels-last.

Every array has the shape (N, C, D, H, W); channels-last means that its memory runs N, D, H, W, C.
"""

from __future__ import annotations

from typing import Any

import numpy as np

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
    return not a.flags.c_contiguous and a.transpose(_LAST[a.ndim]).flags.c_contiguous


_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}

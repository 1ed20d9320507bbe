"""Memory of results: blocks of the C extension's buffer pool, used again when an array is gone.

A fresh array of several megabytes costs more than the arithmetic of many a layer, since the system
maps and clears its pages one by one.  Arrays from here are 64-byte aligned, and their memory waits
in the pool after their last reference, up to a bound (``FASTCONV_CACHE_MB``, 1024 by default).
Small arrays, and all arrays where the extension is missing, come from NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

#: Smaller arrays stay in the C library's heap, whose pages are mapped already.
POOLED_BYTES = 1 << 16

_block: Callable[[int], Any] | None = None
_looked = False


def _find_pool() -> None:
    global _block, _looked
    from fastconv import backends

    _looked = True
    if backends.why_not("c") is None:
        _block = backends.load("c").block


def empty(shape: tuple[int, ...], dtype: Any, channels_last: bool = False) -> np.ndarray[Any, Any]:
    """Return an uninitialised array, of 5-D shape where `channels_last`.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    channels_last : bool
        Let the memory of (N, C, D, H, W) run N, D, H, W, C.
    """
    if not _looked:
        _find_pool()
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    nbytes = math.prod(shape) * size
    if _block is None or nbytes < POOLED_BYTES:
        if not channels_last:
            return np.empty(shape, dtype)
        n, c, d, h, w = shape
        return np.empty((n, d, h, w, c), dtype).transpose(0, 4, 1, 2, 3)
    if not channels_last:
        return np.ndarray(shape, dtype, _block(nbytes))
    n, c, d, h, w = shape
    c *= size
    strides = (d * h * w * c, size, h * w * c, w * c, c)
    return np.ndarray(shape, dtype, _block(nbytes), 0, strides)


def empty_like(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an uninitialised array as `a`, channels-last where `a` is, else C-contiguous."""
    shape = a.shape
    if a.flags.c_contiguous or a.ndim < 3:
        return empty(shape, a.dtype)
    n = a.ndim
    if not a.transpose(0, *range(2, n), 1).flags.c_contiguous:
        return empty(shape, a.dtype)
    return empty((shape[0], *shape[2:], shape[1]), a.dtype).transpose(0, n - 1, *range(1, n - 1))


def empty_cache() -> None:
    """Drop the packed weights, and give the memory that waits in the pool back to the system."""
    from fastconv import backends, packed

    packed.clear()
    if backends.why_not("c") is None:
        backends.load("c").empty_cache()


def memory_stats() -> dict[str, int]:
    """Bytes the pool has lent (``in_use``) and keeps for later (``cached``).

    Of those lent, ``packed`` hold weights in the form in which kernels read them.
    """
    from fastconv import backends, packed

    if backends.why_not("c") is not None:
        return {"in_use": 0, "cached": 0, "packed": 0}
    return {**backends.load("c").memory_stats(), "packed": packed.total()}

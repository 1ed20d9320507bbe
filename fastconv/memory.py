"""Memory of results: blocks of the C extension's buffer pool, used again when an array is gone.

A fresh array of several megabytes costs more than the arithmetic of many a layer, since the system
maps and clears its pages one by one.  Arrays from here are 64-byte aligned, and their memory waits
in the pool after their last reference, up to a bound (``FASTCONV_CACHE_MB``, 1024 by default).
Small arrays, and all arrays where the extension is missing, come from NumPy.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any

import numpy as np

#: Smaller arrays stay in the C library's heap, whose pages are mapped already.
POOLED_ELEMENTS = 1 << 14

_block: Callable[[int], Any] | None = None
_block_type: Any = None
_looked = False


def _find_pool() -> None:
    global _block, _block_type, _looked
    from fastconv import backends

    _looked = True
    if backends.why_not("c") is None:
        _block = backends.load("c").block
        _block_type = type(_block(1))


def empty(shape: tuple[int, ...], dtype: Any, channels_last: bool = False) -> np.ndarray[Any, Any]:
    """Return an uninitialised array, of three to five axes where `channels_last`.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    channels_last : bool
        Let the memory of (N, C, *spatial) run N, *spatial, C.
    """
    if not _looked:
        _find_pool()
    count = math.prod(shape)
    if count < POOLED_ELEMENTS or _block is None:
        if not channels_last:
            return np.empty(shape, dtype)
        if len(shape) == 4:
            n, c, h, w = shape
            return np.empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)
        last = len(shape) - 1
        dense = np.empty((shape[0], *shape[2:], shape[1]), dtype)
        return dense.transpose(0, last, *range(1, last))
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    if not channels_last:
        return np.ndarray(shape, dtype, _block(count * size))
    step = shape[1] * size
    strides = [step]
    for n in shape[:2:-1]:
        strides.insert(0, n * strides[0])
    return np.ndarray(
        shape, dtype, _block(count * size), 0, (shape[2] * strides[0], size, *strides)
    )


def pooled(owner: Any) -> bool:
    """Whether the `base` of an array is a block of the pool, which belongs to that array alone."""
    return _block is not None and type(owner) is _block_type


def empty_like(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an uninitialised array as `a`, channels-last where `a` is, else C-contiguous."""
    return empty(a.shape, a.dtype, is_last(a))


#: The axes of (N, C, *spatial) in the order of channels-last memory, by rank.
_TO_LAST = {n: (0, *range(2, n), 1) for n in range(3, 65)}


def is_last(a: np.ndarray[Any, Any]) -> bool:
    """Whether an array of three axes or more is channels-last, and not C-contiguous as well."""
    if a.flags.c_contiguous or a.ndim < 3:
        return False
    return a.transpose(_TO_LAST[a.ndim]).flags.c_contiguous


def zeros_like(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array of zeros as `a`, channels-last where `a` is, else C-contiguous."""
    out = empty_like(a)
    out.fill(0)
    return out


def laid_out_alike(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Whether `a` could be ``empty_like(b)``: of the same type and shape, dense in b's format."""
    if a.dtype != b.dtype or a.shape != b.shape or a.strides != b.strides:
        return False
    return a.flags.c_contiguous or is_last(a)


def empty_cache() -> None:
    """Drop packed weights and tables of geometries, and give free memory back to the system.

    That is the memory of the pool, and where the system can tell, that of its heap. What is dropped
    is made again when a call needs it.
    """
    from fastconv import backends, caches, packed

    packed.clear()
    caches.clear()
    gc.collect()  # specifications and the calls prepared for them refer to one another
    if backends.why_not("c") is None:
        backends.load("c").empty_cache()


def memory_stats() -> dict[str, int]:
    """Bytes the pool has lent (``in_use``) and keeps for later (``cached``).

    Of those lent, ``packed`` hold weights in the form in which kernels read them. ``tables`` are
    bytes outside the pool, of tables that pooling and resampling keep for geometries.
    """
    from fastconv import backends, caches, packed

    if backends.why_not("c") is not None:
        lent = {"in_use": 0, "cached": 0}
    else:
        lent = backends.load("c").memory_stats()
    return {**lent, "packed": packed.total(), "tables": caches.total()}

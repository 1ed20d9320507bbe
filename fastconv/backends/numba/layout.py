"""Dense arrays as flat buffers: the kernels see one dimension, int64 offsets and explicit strides.

One layout for every call means one compilation per kernel and type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.geometry import Window
from fastconv.backends.numba.runtime import Kernel

Array = NDArray[Any]
#: Elements between neighbours along N, C and the flattened D * H * W.
Strides = tuple[int, int, int]


def aligned_empty(count: int, dtype: Any) -> Array:
    """Uninitialised one-dimensional array that starts on a cache line."""
    size = np.dtype(dtype).itemsize
    room = np.empty(count + 64 // size, dtype)
    skip = -room.ctypes.data % 64 // size
    return room[skip : skip + count]


def flat(a: Array) -> tuple[Array, Strides]:
    """One-dimensional view of a dense 5-D array, in either memory format, and its strides.

    Raises
    ------
    ValueError
        If `a` is neither NCHW-contiguous nor channels-last.
    """
    channels = a.shape[1]
    positions = a.shape[2] * a.shape[3] * a.shape[4]
    last = a.transpose(0, 2, 3, 4, 1)
    if last.flags.c_contiguous:
        return last.reshape(-1), (positions * channels, 1, channels)
    if a.flags.c_contiguous:
        return a.reshape(-1), (positions * channels, positions, 1)
    raise ValueError(f"array of shape {a.shape} and strides {a.strides} is not dense")


def readable(a: Array) -> tuple[Array, Strides]:
    """As `flat`, of a copy where `a` is not dense or not writable (another type to Numba)."""
    dense = a.flags.c_contiguous or a.transpose(0, 2, 3, 4, 1).flags.c_contiguous
    if dense and a.flags.writeable:
        return flat(a)
    return flat(a.copy(order="C"))


def flat_copy_if_needed(a: Array) -> Array:
    """One-dimensional C-contiguous writable array with the elements of `a` in C order."""
    a = np.ascontiguousarray(a)
    return (a if a.flags.writeable else a.copy()).reshape(-1)


def channels_last(a: Array, window: Window | None = None) -> Array:
    """Flat channels-last buffer of `a` (N, C, D, H, W), or of a window of it, zero outside `a`.

    The array's own memory where it already is that.
    """
    size = a.shape[2:]
    if window is None:
        window = Window((0, 0, 0), (size[0], size[1], size[2]))
    buffer, strides = readable(a)
    whole = window.size == size and window.lo == (0, 0, 0)
    if whole and strides[1] == 1:
        return buffer
    out = aligned_empty(
        a.shape[0] * window.size[0] * window.size[1] * window.size[2] * a.shape[1], a.dtype
    )
    _copy_window(buffer, strides, a.shape, window.lo, window.size, out)
    return out


@Kernel
def _copy_window(a, strides, shape, lo, size, out):
    """out (N, *size, C) = a (N, C, *in) from index lo on, zero outside."""
    batch, channels, depth, height, width = shape
    on_n, on_c, on_p = strides
    line = size[2] * channels
    for row in prange(batch * size[0] * size[1]):
        n = row // (size[0] * size[1])
        d = row // size[1] % size[0] + lo[0]
        h = row % size[1] + lo[1]
        to = out[row * line : (row + 1) * line]
        if d < 0 or d >= depth or h < 0 or h >= height:
            to[:] = 0
            continue
        begin = min(max(0, -lo[2]), size[2])
        end = max(begin, min(size[2], width - lo[2]))
        to[: begin * channels] = 0
        to[end * channels :] = 0
        first = n * on_n + ((d * height + h) * width + begin + lo[2]) * on_p
        inside = to[begin * channels : end * channels]
        if on_c == 1:
            inside[:] = a[first : first + inside.size]
        else:
            for w in range(end - begin):
                for c in range(channels):
                    inside[w * channels + c] = a[first + w + c * on_c]


def copy_columns(a: Array, start: int, out: Array, at: int, width: int) -> None:
    """Write ``a[:, start : start + width]`` to ``out[:, at : at + width]``."""
    out[:, at : at + width] = a[:, start : start + width]


def copy_format(a: Array, out: Array) -> None:
    """Write `a` (N, C, *spatial) to `out`, which lies in another memory format."""
    np.copyto(out, a)

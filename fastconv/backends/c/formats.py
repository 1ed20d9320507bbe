"""Memory formats of 5-D arrays on their way to C: channels-last or NCHW, dense, as pointers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.backends.c.library import (
    DTYPES,
    SERIAL_ELEMENTS,
    Array,
    check_status,
    from_buffer,
    lib,
    thread_count,
)
from fastconv.backends.c.machine import block
from fastconv.memory import POOLED_ELEMENTS, empty

NCHW, LAST = 0, 1
#: NumPy copies so many elements before a call of our transpose has begun.
SMALL_COPY = 4_096
#: The axes of (N, C, *spatial) in the order of channels-last memory, by rank; and back.
TO_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
FROM_LAST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}


def dense_view(a: Array) -> tuple[int, Array]:
    """Return the format of an array and its C-contiguous view (a copy where it has none)."""
    if a.flags.c_contiguous:
        return NCHW, a
    view = a.transpose(TO_LAST[a.ndim])
    return LAST, view if view.flags.c_contiguous else np.ascontiguousarray(view)


def last_view(a: Array) -> Array:
    """Return the C-contiguous (N, D, H, W, C) view of a 5-D array, converting it if need be."""
    view = a.transpose(0, 2, 3, 4, 1)
    return view if view.flags.c_contiguous else to_channels_last(a).transpose(0, 2, 3, 4, 1)


def last_pointer(a: Array) -> Any:
    """Return the pointer to an array of any rank in channels-last, converting it if need be."""
    view = a.transpose(TO_LAST[a.ndim])
    try:
        return from_buffer(view)
    except ValueError:  # not dense
        if a.size < SMALL_COPY:
            return from_buffer(np.ascontiguousarray(view))
        missing = (1,) * (5 - a.ndim)
        return from_buffer(last_view(a.reshape(a.shape[:2] + missing + a.shape[2:])))


def last_results(shape: tuple[int, ...], dtype: Any) -> Callable[[], tuple[Array, Any]]:
    """Return what makes uninitialised channels-last arrays of a shape, each with its pointer.

    They are those of ``memory.empty``, without its questions. A shape (rows, C) will do too.
    """
    if len(shape) == 2:
        matrix = last_results((1, shape[1], shape[0]), dtype)

        def rows() -> tuple[Array, Any]:
            memory, pointer = matrix()
            return memory[0].T, pointer

        return rows
    back = FROM_LAST[len(shape)]
    dense = tuple([shape[i] for i in TO_LAST[len(shape)]])
    count, new = math.prod(shape), np.empty

    def small() -> tuple[Array, Any]:
        memory = new(dense, dtype)
        return memory.transpose(back), from_buffer(memory)

    size = np.dtype(dtype).itemsize
    steps = element_strides(LAST, shape[1], (1,) * (5 - len(shape)) + shape[2:])
    strides = tuple([size * s for s in steps[:2] + steps[7 - len(shape) :]])
    array, nbytes = np.ndarray, count * size

    def pooled() -> tuple[Array, Any]:
        memory = block(nbytes)
        return array(shape, dtype, memory, 0, strides), from_buffer(memory)

    return small if count < POOLED_ELEMENTS else pooled


def dense_results(shape: tuple[int, ...], dtype: Any) -> Callable[[], tuple[Array, Any]]:
    """Return what makes uninitialised C-contiguous arrays of a shape, each with its pointer."""
    count, new, array = math.prod(shape), np.empty, np.ndarray
    nbytes = count * np.dtype(dtype).itemsize

    def small() -> tuple[Array, Any]:
        memory = new(shape, dtype)
        return memory, from_buffer(memory)

    def pooled() -> tuple[Array, Any]:
        memory = block(nbytes)
        return array(shape, dtype, memory), from_buffer(memory)

    return small if count < POOLED_ELEMENTS else pooled


def compute_target(what: str, a: Array) -> Array:
    """Return the array to compute into: `a`, or a channels-last one in place of a plain NCHW one.

    ``bring_home`` brings the result home.
    """
    if a.flags.c_contiguous and a.shape[1] > 1 and math.prod(a.shape[2:]) > 1:
        if not a.flags.writeable:
            raise ValueError(f"{what}: out is read-only")
        return empty(a.shape, a.dtype, True)
    return a


def bring_home(computed: Array, out: Array) -> None:
    """Move a channels-last result to its plain NCHW array."""
    if computed is not out:
        n, c, *space = out.shape
        transpose(computed.transpose(TO_LAST[out.ndim]), n, math.prod(space), c, out)


def output_pointer(what: str, a: Array) -> tuple[int, Any]:
    """Return the format of an array of any rank and the pointer to write it through."""
    if a.flags.c_contiguous:
        return NCHW, from_buffer("char[]", a, True)
    try:
        return LAST, from_buffer("char[]", a.transpose(TO_LAST[a.ndim]), True)
    except ValueError:
        raise ValueError(
            f"{what}: out must be dense, NCHW or channels-last, and writable, got {a.strides}"
        ) from None


def element_strides(form: int, channels: int, size: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides N, C, D, H, W; where both formats agree, channels-last's are given."""
    d, h, w = size
    space = d * h * w
    if form == LAST or channels == 1 or space == 1:
        return (space * channels, 1, h * w * channels, w * channels, channels)
    return (space * channels, space, h * w, w, 1)


def transpose(a: Array, batch: int, rows: int, cols: int, out: Array) -> None:
    """Write out[b][c][r] = a[b][r][c]; only the element's size matters."""
    code = lib.FC_F32 if a.itemsize == 4 else lib.FC_F64
    threads = thread_count(a.size >= SERIAL_ELEMENTS)
    pointer = from_buffer("char[]", out, True)
    check_status(
        lib.fc_transpose(code, batch, rows, cols, from_buffer(a), pointer, threads), "layout"
    )


def copy_format(a: Array, out: Array) -> None:
    """Write `a` (N, C, *spatial), dense in one format, to `out`, dense in the other."""
    n, c, *space = a.shape
    order, count = TO_LAST[a.ndim], math.prod(space)
    if a.dtype not in DTYPES:
        np.copyto(out, a)
    elif a.flags.c_contiguous:
        transpose(a, n, c, count, out.transpose(order))
    else:
        transpose(a.transpose(order), n, count, c, out)


def copy_columns(a: Array, start: int, out: Array, at: int, width: int) -> None:
    """Write ``a[:, start : start + width]`` to ``out[:, at : at + width]``, both C-contiguous."""
    code = DTYPES.get(a.dtype)
    if code is None:
        out[:, at : at + width] = a[:, start : start + width]
        return
    threads = thread_count(len(a) * width >= SERIAL_ELEMENTS)
    status = lib.fc_copy_columns(
        code, len(a), width, from_buffer(a), a.shape[1], start, from_buffer("char[]", out, True),
        out.shape[1], at, threads,
    )  # fmt: skip
    check_status(status, "copy_columns")


def to_channels_last(a: Array) -> Array:
    """Return a 5-D array with channels-last memory: `a` itself where it has that already."""
    n, c, d, h, w = a.shape
    last = a.transpose(0, 2, 3, 4, 1)
    if last.flags.c_contiguous:
        return a
    if a.dtype not in DTYPES or not a.flags.c_contiguous:
        return np.ascontiguousarray(last).transpose(0, 4, 1, 2, 3)
    out = empty((n, d, h, w, c), a.dtype)
    transpose(a, n, c, d * h * w, out)
    return out.transpose(0, 4, 1, 2, 3)


def to_contiguous(a: Array) -> Array:
    """Return a 5-D array with NCHW memory: `a` itself where it has that already."""
    if a.flags.c_contiguous:
        return a
    n, c, d, h, w = a.shape
    last = a.transpose(0, 2, 3, 4, 1)
    if a.dtype not in DTYPES or not last.flags.c_contiguous:
        return np.ascontiguousarray(a)
    out = empty(a.shape, a.dtype)
    transpose(last, n, d * h * w, c, out)
    return out

"""Pooling and unpooling over channels-last buffers, vectors along the channels.

A window is a product of three axis windows from the tables of `PoolSpec`, already clipped to the
input. Scattering kernels (max backward, average backward, unpooling) give every task its own
channels, so no two tasks write the same element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv import caches
from fastconv.backends.kernel import adapted
from fastconv.backends.numba.layout import channels_last, flat, flat_copy_if_needed, readable
from fastconv.backends.numba.runtime import Kernel, compiled
from fastconv.spec import PoolSpec

Array = NDArray[Any]

#: Channels per task of a scattering kernel.
BLOCK = 32


def _windows(spec: PoolSpec) -> tuple[Array, Array, Array]:
    """The window tables as one-dimensional writable arrays, one type to Numba."""
    tables = spec.cache.get("numba")
    if tables is None:
        tables = spec.cache["numba"] = tuple(flat_copy_if_needed(w) for w in spec.windows)
        caches.count(*tables)
    return tables  # type: ignore[no-any-return]


@adapted("numba", "max_pool_forward")
def max_pool_forward(spec: PoolSpec, x: Array, out: Array, indices: Array) -> None:
    """Maximum of every window into `out`, its flat index in the input into `indices`."""
    if out.size == 0:
        return
    result, strides = flat(out)
    index, index_strides = flat(indices)
    _max_forward(
        channels_last(x), result, strides, index, index_strides, spec.batch, spec.channels,
        spec.in_size, spec.out_size, _windows(spec),
    )  # fmt: skip


@compiled
def _larger(best, where, row, at):
    """Replace what is smaller than `row`, or NaN in `row`, by `row` and its position."""
    for k in range(best.size):
        value = row[k]
        replace = (value > best[k]) | (value != value)
        best[k] = value if replace else best[k]
        where[k] = at if replace else where[k]


@Kernel
def _max_forward(x, out, strides, indices, index_strides, batch, channels, size, out_size, windows):
    depth, height, width = out_size
    wd, wh, ww = windows
    in_size = size[0] * size[1] * size[2]
    for line in prange(batch * depth * height):
        n = line // (depth * height)
        d = line // height % depth
        h = line % height
        best = np.empty(channels, x.dtype)
        where = np.empty(channels, np.int64)
        for w in range(width):
            best[:] = -np.inf
            where[:] = (wd[d] * size[1] + wh[h]) * size[2] + ww[w]
            for a in range(wd[depth + d]):
                for b in range(wh[height + h]):
                    row = (wd[d] + a * wd[2 * depth + d]) * size[1]
                    row = (row + wh[h] + b * wh[2 * height + h]) * size[2]
                    for c in range(ww[width + w]):
                        at = row + ww[w] + c * ww[2 * width + w]
                        start = (n * in_size + at) * channels
                        _larger(best, where, x[start : start + channels], at)
            p = (d * height + h) * width + w
            to, index_to = (
                n * strides[0] + p * strides[2],
                n * index_strides[0] + p * index_strides[2],
            )
            for k in range(channels):
                out[to + k * strides[1]] = best[k]
                indices[index_to + k * index_strides[1]] = where[k]


@adapted("numba", "max_pool_taps_forward")
def max_pool_taps_forward(spec: PoolSpec, x: Array, out: Array, taps: Array | None) -> None:
    """Maximum of every window into `out`, the number of its tap (uint8) into `taps`, if given."""
    if out.size == 0:
        return
    result, strides = flat(out)
    kept, kept_strides = flat(np.empty(out.shape, np.uint8) if taps is None else taps)
    _max_taps_forward(
        channels_last(x), result, strides, kept, kept_strides, spec.batch, spec.channels,
        spec.in_size, spec.out_size, spec.taps, _windows(spec),
    )  # fmt: skip


@Kernel
def _max_taps_forward(
    x, out, strides, taps, taps_strides, batch, channels, size, out_size, most, windows
):
    depth, height, width = out_size
    wd, wh, ww = windows
    in_size = size[0] * size[1] * size[2]
    for line in prange(batch * depth * height):
        n = line // (depth * height)
        d = line // height % depth
        h = line % height
        best = np.empty(channels, x.dtype)
        where = np.empty(channels, np.int64)
        for w in range(width):
            best[:] = -np.inf
            where[:] = 0
            for a in range(wd[depth + d]):
                for b in range(wh[height + h]):
                    row = (wd[d] + a * wd[2 * depth + d]) * size[1]
                    row = (row + wh[h] + b * wh[2 * height + h]) * size[2]
                    for c in range(ww[width + w]):
                        at = row + ww[w] + c * ww[2 * width + w]
                        start = (n * in_size + at) * channels
                        tap = (a * most[1] + b) * most[2] + c
                        _larger(best, where, x[start : start + channels], tap)
            p = (d * height + h) * width + w
            to, taps_to = n * strides[0] + p * strides[2], n * taps_strides[0] + p * taps_strides[2]
            for k in range(channels):
                out[to + k * strides[1]] = best[k]
                taps[taps_to + k * taps_strides[1]] = where[k]


@adapted("numba", "max_pool_taps_backward")
def max_pool_taps_backward(spec: PoolSpec, grad_out: Array, taps: Array, out: Array) -> None:
    """Gradient of max pooling from the numbers of the taps."""
    if out.size == 0:
        return
    result, strides = flat(out)
    result[:] = 0
    source, source_strides = readable(grad_out)
    kept, kept_strides = readable(taps)
    _taps_backward(
        source, source_strides, kept, kept_strides, result, strides, spec.batch, spec.channels,
        spec.in_size, spec.out_size, spec.taps, _windows(spec),
    )  # fmt: skip


@Kernel
def _taps_backward(
    g, g_strides, taps, taps_strides, out, strides, batch, channels, size, out_size, most, windows
):
    depth, height, width = out_size
    wd, wh, ww = windows
    blocks = (channels + BLOCK - 1) // BLOCK
    for task in prange(batch * blocks):
        n, first = task // blocks, task % blocks * BLOCK
        count = min(BLOCK, channels - first)
        for d in range(depth):
            for h in range(height):
                for w in range(width):
                    p = (d * height + h) * width + w
                    for k in range(first, first + count):
                        from_ = n * taps_strides[0] + p * taps_strides[2] + k * taps_strides[1]
                        tap = int(taps[from_])
                        a, b = tap // (most[1] * most[2]), tap // most[2] % most[1]
                        c = tap % most[2]
                        at = (wd[d] + a * wd[2 * depth + d]) * size[1]
                        at = (at + wh[h] + b * wh[2 * height + h]) * size[2]
                        at += ww[w] + c * ww[2 * width + w]
                        value = g[n * g_strides[0] + p * g_strides[2] + k * g_strides[1]]
                        out[n * strides[0] + at * strides[2] + k * strides[1]] += value


@adapted("numba", "avg_pool_forward")
def avg_pool_forward(spec: PoolSpec, x: Array, out: Array) -> None:
    """Sum of every window over its divisor into `out`."""
    if out.size == 0:
        return
    result, strides = flat(out)
    _avg_forward(
        channels_last(x), result, strides, spec.batch, spec.channels, spec.in_size, spec.out_size,
        _windows(spec), spec.divisor_override or 0,
    )  # fmt: skip


@compiled
def _add(total, row):
    for k in range(total.size):
        total[k] += row[k]


@Kernel
def _avg_forward(x, out, strides, batch, channels, size, out_size, windows, override):
    depth, height, width = out_size
    wd, wh, ww = windows
    in_size = size[0] * size[1] * size[2]
    for line in prange(batch * depth * height):
        n = line // (depth * height)
        d = line // height % depth
        h = line % height
        total = np.empty(channels, np.float64)
        for w in range(width):
            total[:] = 0
            for a in range(wd[depth + d]):
                for b in range(wh[height + h]):
                    row = (wd[d] + a * wd[2 * depth + d]) * size[1]
                    row = (row + wh[h] + b * wh[2 * height + h]) * size[2]
                    for c in range(ww[width + w]):
                        at = n * in_size + row + ww[w] + c * ww[2 * width + w]
                        _add(total, x[at * channels : (at + 1) * channels])
            divisor = float(wd[3 * depth + d]) * wh[3 * height + h] * ww[3 * width + w]
            divisor = float(override) if override else divisor
            p = (d * height + h) * width + w
            to = n * strides[0] + p * strides[2]
            for k in range(channels):
                out[to + k * strides[1]] = total[k] / divisor


@adapted("numba", "avg_pool_backward")
def avg_pool_backward(spec: PoolSpec, grad_out: Array, out: Array) -> None:
    """``out[n, c, i] += grad_out[n, c, o] / divisor(o)`` for every `i` in the window of `o`."""
    if out.size == 0:
        return
    result, strides = flat(out)
    _avg_backward(
        channels_last(grad_out), result, strides, spec.batch, spec.channels, spec.in_size,
        spec.out_size, _windows(spec), spec.divisor_override or 0,
    )  # fmt: skip


@Kernel
def _avg_backward(g, out, strides, batch, channels, size, out_size, windows, override):
    depth, height, width = out_size
    wd, wh, ww = windows
    in_size = size[0] * size[1] * size[2]
    blocks = (channels + BLOCK - 1) // BLOCK
    for task in prange(batch * blocks):
        n, first = task // blocks, task % blocks * BLOCK
        count = min(BLOCK, channels - first)
        total = np.zeros((in_size, count), g.dtype)
        share = np.empty(count, g.dtype)
        for d in range(depth):
            for h in range(height):
                for w in range(width):
                    divisor = float(wd[3 * depth + d]) * wh[3 * height + h] * ww[3 * width + w]
                    divisor = float(override) if override else divisor
                    at = (((n * depth + d) * height + h) * width + w) * channels + first
                    for k in range(count):
                        share[k] = g[at + k] / divisor
                    for a in range(wd[depth + d]):
                        for b in range(wh[height + h]):
                            row = (wd[d] + a * wd[2 * depth + d]) * size[1]
                            row = (row + wh[h] + b * wh[2 * height + h]) * size[2]
                            for c in range(ww[width + w]):
                                _add(total[row + ww[w] + c * ww[2 * width + w]], share)
        for p in range(in_size):
            to = n * strides[0] + first * strides[1] + p * strides[2]
            for k in range(count):
                out[to + k * strides[1]] = total[p, k]


# --- through indices ---


@adapted("numba", "max_pool_backward")
def max_pool_backward(spec: PoolSpec, grad_out: Array, indices: Array, out: Array) -> None:
    """``out[n, c, indices[n, c, o]] += grad_out[n, c, o]``, zero elsewhere."""
    _scattered(grad_out, indices, out, True)


def max_unpool_forward(x: Array, indices: Array, out: Array) -> None:
    """``out[n, c, indices[n, c, i]] = x[n, c, i]``, zero elsewhere; of equal indices the last."""
    _scattered(x, indices, out, False)


def _scattered(a: Array, indices: Array, out: Array, add: bool) -> None:
    if out.size == 0:
        return
    result, strides = flat(out)
    result[:] = 0
    if a.size == 0:
        return
    source, source_strides = readable(a)
    index, index_strides = readable(indices)
    positions = a.shape[2] * a.shape[3] * a.shape[4]
    outside = np.zeros(1, np.int64)
    _scatter(
        source, source_strides, index, index_strides, result, strides, a.shape[0], a.shape[1],
        positions, out.shape[2] * out.shape[3] * out.shape[4], add, outside,
    )  # fmt: skip
    _check("max_pool_backward" if add else "max_unpool_forward", outside)


def _check(what: str, outside: Array) -> None:
    if outside[0]:
        raise IndexError(f"{what}(): indices has elements outside the array they point into")


@Kernel
def _scatter(
    a,
    a_strides,
    indices,
    index_strides,
    out,
    strides,
    batch,
    channels,
    positions,
    size,
    add,
    outside,
):
    blocks = (channels + BLOCK - 1) // BLOCK
    for task in prange(batch * blocks):
        n, first = task // blocks, task % blocks * BLOCK
        count = min(BLOCK, channels - first)
        from_n = n * a_strides[0] + first * a_strides[1]
        index_n = n * index_strides[0] + first * index_strides[1]
        to_n = n * strides[0] + first * strides[1]
        for p in range(positions):
            for k in range(count):
                value = a[from_n + p * a_strides[2] + k * a_strides[1]]
                at = indices[index_n + p * index_strides[2] + k * index_strides[1]]
                if at < 0 or at >= size:
                    outside[0] = 1
                    continue
                to = to_n + at * strides[2] + k * strides[1]
                out[to] = out[to] + value if add else value


def max_unpool_backward(grad_out: Array, indices: Array, out: Array) -> None:
    """``out[n, c, i] = grad_out[n, c, indices[n, c, i]]``."""
    if out.size == 0:
        return
    source, source_strides = readable(grad_out)
    index, index_strides = readable(indices)
    result, strides = flat(out)
    positions = out.shape[2] * out.shape[3] * out.shape[4]
    outside = np.zeros(1, np.int64)
    _take(
        source, source_strides, index, index_strides, result, strides, out.shape[0], out.shape[1],
        positions, grad_out.shape[2] * grad_out.shape[3] * grad_out.shape[4], outside,
    )  # fmt: skip
    _check("max_unpool_backward", outside)


@Kernel
def _take(
    a, a_strides, indices, index_strides, out, strides, batch, channels, positions, size, outside
):
    for task in prange(batch * positions):
        n, p = task // positions, task % positions
        for k in range(channels):
            at = indices[n * index_strides[0] + p * index_strides[2] + k * index_strides[1]]
            if at < 0 or at >= size:
                outside[0] = 1
                at = 0
            value = a[n * a_strides[0] + at * a_strides[2] + k * a_strides[1]]
            out[n * strides[0] + p * strides[2] + k * strides[1]] = value

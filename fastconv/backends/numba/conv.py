"""Direct convolution: register-sized tiles over channels-last buffers.

One tile updates four accumulator rows of `width` columns with four products at a time:

    acc[i, k] += sum over j < 4 of x[i, j] * w[j, k]        i < 4, k < width

which LLVM turns into sixteen broadcasts and, per vector of columns, sixteen fused multiply-adds for
twelve loads and stores. Forward and backward-input: rows are output positions, columns output
channels, products run over taps and input channels. Backward-weight: rows are taps and input
channels, columns output channels, products run over output positions. Every result element is
summed in one order whatever the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.kernel import adapted
from fastconv.backends.numba.geometry import Correlation, correlation
from fastconv.backends.numba.layout import aligned_empty, channels_last, flat, flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel, compiled
from fastconv.spec import ConvSpec

Array = NDArray[Any]

#: Products per visit of a tile: the rows of the right operand that stay in the first-level cache.
DEPTH = 64
#: Output positions per task.
CHUNK = 128
#: Rows of the weight's gradient per task.
ROWS = 32


def _column_block(columns: int) -> int:
    """Width of a column block: 16, 32, 48 or 64, with little left over in the last one."""
    blocks = -(-columns // 64)
    return -(-columns // (16 * blocks)) * 16


@compiled
def _aligned_zeros(rows, width, like):
    """Zeros (rows, width) of the type of `like`, on a cache line: split stores are much slower."""
    room = np.zeros(rows * width + 64 // like.itemsize, like.dtype)
    skip = (-room.ctypes.data % 64) // like.itemsize
    return room[skip : skip + rows * width].reshape(rows, width)


# --- forward and backward-input ---


@adapted("numba", "conv_forward")
def conv_forward_direct(spec: ConvSpec, x: Array, w: Array, bias: Array | None, out: Array) -> None:
    """Convolution of `x` ``spec.x_shape`` with `w` ``spec.w_shape`` into `out` ``spec.y_shape``."""
    taps = spec.kernel[0] * spec.kernel[1] * spec.kernel[2]
    depth, columns = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    strides = (columns * depth * taps, depth * taps, taps)
    _correlation(spec, correlation(spec, False), x, w, strides, depth, columns, bias, out)


@adapted("numba", "conv_backward_input")
def conv_backward_input_direct(spec: ConvSpec, grad_out: Array, w: Array, out: Array) -> None:
    """Gradient in the input, `out` ``spec.x_shape``, from `grad_out` ``spec.y_shape``."""
    taps = spec.kernel[0] * spec.kernel[1] * spec.kernel[2]
    depth, columns = spec.out_channels // spec.groups, spec.in_channels // spec.groups
    strides = (columns * depth * taps, taps, columns * taps)
    _correlation(spec, correlation(spec, True), grad_out, w, strides, depth, columns, None, out)


def _correlation(
    spec: ConvSpec,
    tables: Correlation,
    source: Array,
    w: Array,
    strides: tuple[int, int, int],
    depth: int,
    columns: int,
    bias: Array | None,
    out: Array,
) -> None:
    """Correlate; `strides` are those of `w` per group, result channel and source channel."""
    if out.size == 0:
        return
    width = _column_block(columns)
    blocks = -(-columns // width)
    packed = aligned_empty(spec.groups * blocks * tables.rows * width, out.dtype)
    _pack_weight(
        flat_copy_if_needed(w), strides, spec.groups, depth, columns, width,
        tables.run_taps.reshape(-1), packed,
    )  # fmt: skip
    add = np.empty(0, out.dtype) if bias is None else flat_copy_if_needed(bias)
    result, result_strides = flat(out)
    positions = spec.batch * int(tables.phases[:, :3].prod(axis=1).max())
    chunk = CHUNK if positions * spec.groups * blocks >= 16 * CHUNK else CHUNK // 4
    _correlate(
        channels_last(source, tables.window), packed.reshape(-1, width), add, result,
        result_strides, spec.batch, tables.window.size, tables.step, tables.phases,
        tables.run_offset, spec.groups, depth, tables.run_taps.shape[1] * depth, columns, width,
        tables.rows, chunk,
    )  # fmt: skip


@Kernel
def _pack_weight(w, strides, groups, depth, columns, width, taps, out):
    """out [group, block, tap, source channel, column of the block] from w, zero past the last."""
    blocks = -(-columns // width)
    rows = taps.size * depth
    for task in prange(groups * blocks):
        group, block = task // blocks, task % blocks
        first = block * width
        count = min(width, columns - first)
        for c0 in range(0, depth, 8):  # a tile of w and of out that stay in the first-level cache
            c1 = min(depth, c0 + 8)
            for k in range(count):
                for c in range(c0, c1):
                    source = group * strides[0] + (first + k) * strides[1] + c * strides[2]
                    for i in range(taps.size):
                        at = (task * rows + i * depth + c) * width + k
                        out[at] = w[source + taps[i]]
        for row in range(rows if count < width else 0):
            at = (task * rows + row) * width
            out[at + count : at + width] = 0


@compiled
def _tile(acc, x, b0, b1, b2, b3, w, width):
    """acc (4, width) += x[b_i : b_i + depth] (4, depth) @ w (depth, width)."""
    depth = w.shape[0]
    r0, r1 = x[b0 : b0 + depth], x[b1 : b1 + depth]
    r2, r3 = x[b2 : b2 + depth], x[b3 : b3 + depth]
    whole = depth - depth % 4
    for c in range(0, whole, 4):
        x00, x01, x02, x03 = r0[c], r0[c + 1], r0[c + 2], r0[c + 3]
        x10, x11, x12, x13 = r1[c], r1[c + 1], r1[c + 2], r1[c + 3]
        x20, x21, x22, x23 = r2[c], r2[c + 1], r2[c + 2], r2[c + 3]
        x30, x31, x32, x33 = r3[c], r3[c + 1], r3[c + 2], r3[c + 3]
        for k in range(width):
            p, q, r, s = w[c, k], w[c + 1, k], w[c + 2, k], w[c + 3, k]
            acc[0, k] = acc[0, k] + x00 * p + x01 * q + x02 * r + x03 * s
            acc[1, k] = acc[1, k] + x10 * p + x11 * q + x12 * r + x13 * s
            acc[2, k] = acc[2, k] + x20 * p + x21 * q + x22 * r + x23 * s
            acc[3, k] = acc[3, k] + x30 * p + x31 * q + x32 * r + x33 * s
    for c in range(whole, depth):
        x00, x10, x20, x30 = r0[c], r1[c], r2[c], r3[c]
        for k in range(width):
            p = w[c, k]
            acc[0, k] = acc[0, k] + x00 * p
            acc[1, k] = acc[1, k] + x10 * p
            acc[2, k] = acc[2, k] + x20 * p
            acc[3, k] = acc[3, k] + x30 * p


@compiled
def _any_tile(acc, x, b0, b1, b2, b3, w, width):
    """`_tile` with `width` known to the compiler."""
    if width == 64:
        _tile(acc, x, b0, b1, b2, b3, w, 64)
    elif width == 48:
        _tile(acc, x, b0, b1, b2, b3, w, 48)
    elif width == 32:
        _tile(acc, x, b0, b1, b2, b3, w, 32)
    else:
        _tile(acc, x, b0, b1, b2, b3, w, 16)


@Kernel
def _correlate(
    x, w, bias, out, strides, batch, size, step, phases, run_offset,
    groups, depth, run, columns, width, rows, chunk,
):  # fmt: skip
    """out = bias + x correlated with packed w, by phase, column block and chunk of positions."""
    blocks = -(-columns // width)
    first_task = np.zeros(phases.shape[0] + 1, np.int64)
    for i in range(phases.shape[0]):
        positions = batch * phases[i, 0] * phases[i, 1] * phases[i, 2]
        chunks = (positions + chunk - 1) // chunk
        first_task[i + 1] = first_task[i] + chunks * blocks * groups
    for task in prange(first_task[-1]):
        i = np.searchsorted(first_task, task, side="right") - 1
        phase = phases[i]
        positions = batch * phase[0] * phase[1] * phase[2]
        chunks = (positions + chunk - 1) // chunk
        block, part = (task - first_task[i]) // chunks, (task - first_task[i]) % chunks
        begin = part * chunk
        end = min(positions, begin + chunk)
        at = block * rows + phase[9]
        weight = w[at : at + phase[8] * run]
        runs = run_offset[phase[7] : phase[7] + phase[8]]
        first = block % blocks * width
        column = block // blocks * columns + first
        count = min(width, columns - first)
        _correlate_chunk(
            x, weight, bias, out, strides, begin, end, size, step, phase, runs, groups * depth,
            block // blocks * depth, run, column, count, width,
        )  # fmt: skip


@compiled
def _correlate_chunk(
    x, w, bias, out, strides, begin, end, size, step, phase, runs, channels,
    channel, run, column, count, width,
):  # fmt: skip
    """Positions [begin, end) of one phase, result channels [column, column + count)."""
    positions = end - begin
    padded = (positions + 3) // 4 * 4
    acc = _aligned_zeros(padded, width, x)
    if bias.size:
        for q in range(positions):
            acc[q, :count] = bias[column : column + count]
    base = np.empty(padded, np.int64)
    target = np.empty(padded, np.int64)
    for q in range(padded):
        p = begin + min(q, positions - 1)  # a tile's missing positions repeat the last one
        jw = p % phase[2]
        p //= phase[2]
        jh = p % phase[1]
        p //= phase[1]
        jd = p % phase[0]
        n = p // phase[0]
        source = (n * size[0] + jd * step[0]) * size[1] + jh * step[1]
        base[q] = (source * size[2] + jw * step[2]) * channels + channel
        p = phase[3] + jd * phase[4] + jh * phase[5] + jw * phase[6]
        target[q] = n * strides[0] + p * strides[2] + column * strides[1]
    for r in range(runs.size):
        for c in range(0, run, DEPTH):
            depth = min(DEPTH, run - c)
            rows = w[r * run + c : r * run + c + depth]
            shift = runs[r] * channels + c
            for q in range(0, padded, 4):
                _any_tile(
                    acc[q : q + 4], x, base[q] + shift, base[q + 1] + shift,
                    base[q + 2] + shift, base[q + 3] + shift, rows, width,
                )  # fmt: skip
    if strides[1] == 1:
        for q in range(positions):
            out[target[q] : target[q] + count] = acc[q, :count]
    else:
        for k in range(count):
            for q in range(positions):
                out[target[q] + k * strides[1]] = acc[q, k]


# --- backward-weight ---


@adapted("numba", "conv_backward_weight")
def conv_backward_weight_direct(spec: ConvSpec, grad_out: Array, x: Array, out: Array) -> None:
    """Gradient in the weight, `out` ``spec.w_shape``, from `grad_out` ``spec.y_shape``."""
    result = out.reshape(-1)
    result[:] = 0  # taps that meet nothing but padding
    if grad_out.size == 0:
        return
    tables = correlation(spec, False)
    depth, columns = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    width = _column_block(columns)
    blocks = -(-columns // width)
    gradient = channels_last(grad_out)
    pixels = gradient.size // spec.out_channels
    if spec.groups * blocks * width > spec.out_channels or blocks > 1 or spec.groups > 1:
        packed = aligned_empty(spec.groups * blocks * pixels * width, out.dtype)
        _pack_columns(gradient, spec.groups, columns, width, pixels, packed)
        gradient = packed
    (_, high, wide), (sd, sh, sw) = tables.window.size, spec.stride
    n, d, h, w = np.ogrid[
        0 : spec.batch, 0 : spec.out_size[0], 0 : spec.out_size[1], 0 : spec.out_size[2]
    ]
    base = ((n * tables.window.size[0] + d * sd) * high + h * sh) * wide + w * sw
    _weight_gradient(
        gradient.reshape(-1, width), channels_last(x, tables.window),
        base.reshape(-1) * spec.in_channels, result, tables.run_offset, tables.run_taps,
        spec.groups, depth, columns, width, spec.kernel[0] * spec.kernel[1] * spec.kernel[2],
    )  # fmt: skip


@Kernel
def _pack_columns(g, groups, columns, width, pixels, out):
    """out [group, block, pixel, column of the block] from g [pixel, channel], then zeros."""
    blocks = -(-columns // width)
    for task in prange(groups * blocks):
        group, first = task // blocks, task % blocks * width
        count = min(width, columns - first)
        for p in range(pixels):
            to = out[(task * pixels + p) * width : (task * pixels + p + 1) * width]
            at = (p * groups + group) * columns + first
            to[:count] = g[at : at + count]
            to[count:] = 0


@compiled
def _outer_tile(acc, x, base, r0, r1, r2, r3, g, width):
    """acc (4, width) += sum over p of x[base[p] + r_i] (4,) times g[p] (width,)."""
    whole = base.size - base.size % 4
    for c in range(0, whole, 4):
        b0, b1, b2, b3 = base[c], base[c + 1], base[c + 2], base[c + 3]
        x00, x01 = x[np.uint64(b0 + r0)], x[np.uint64(b1 + r0)]
        x02, x03 = x[np.uint64(b2 + r0)], x[np.uint64(b3 + r0)]
        x10, x11 = x[np.uint64(b0 + r1)], x[np.uint64(b1 + r1)]
        x12, x13 = x[np.uint64(b2 + r1)], x[np.uint64(b3 + r1)]
        x20, x21 = x[np.uint64(b0 + r2)], x[np.uint64(b1 + r2)]
        x22, x23 = x[np.uint64(b2 + r2)], x[np.uint64(b3 + r2)]
        x30, x31 = x[np.uint64(b0 + r3)], x[np.uint64(b1 + r3)]
        x32, x33 = x[np.uint64(b2 + r3)], x[np.uint64(b3 + r3)]
        for k in range(width):
            p, q, r, s = g[c, k], g[c + 1, k], g[c + 2, k], g[c + 3, k]
            acc[0, k] = acc[0, k] + x00 * p + x01 * q + x02 * r + x03 * s
            acc[1, k] = acc[1, k] + x10 * p + x11 * q + x12 * r + x13 * s
            acc[2, k] = acc[2, k] + x20 * p + x21 * q + x22 * r + x23 * s
            acc[3, k] = acc[3, k] + x30 * p + x31 * q + x32 * r + x33 * s
    for c in range(whole, base.size):
        b = base[c]
        x00, x10, x20, x30 = x[b + r0], x[b + r1], x[b + r2], x[b + r3]
        for k in range(width):
            p = g[c, k]
            acc[0, k] = acc[0, k] + x00 * p
            acc[1, k] = acc[1, k] + x10 * p
            acc[2, k] = acc[2, k] + x20 * p
            acc[3, k] = acc[3, k] + x30 * p


@compiled
def _any_outer_tile(acc, x, base, r0, r1, r2, r3, g, width):
    """`_outer_tile` with `width` known to the compiler."""
    if width == 64:
        _outer_tile(acc, x, base, r0, r1, r2, r3, g, 64)
    elif width == 48:
        _outer_tile(acc, x, base, r0, r1, r2, r3, g, 48)
    elif width == 32:
        _outer_tile(acc, x, base, r0, r1, r2, r3, g, 32)
    else:
        _outer_tile(acc, x, base, r0, r1, r2, r3, g, 16)


@Kernel
def _weight_gradient(g, x, base, out, run_offset, run_taps, groups, depth, columns, width, taps):
    """out (K, C/groups, taps) = sum over pixels of packed g times x, by blocks of a run's rows."""
    blocks = -(-columns // width)
    run = run_taps.shape[1] * depth
    parts = -(-run // ROWS)
    pixels = base.size
    for task in prange(groups * blocks * run_offset.size * parts):
        first_row = task % parts * ROWS
        r = task // parts % run_offset.size
        block = task // parts // run_offset.size
        group = block // blocks
        rows = min(ROWS, run - first_row)
        acc = _aligned_zeros(ROWS, width, x)
        shift = run_offset[r] * groups * depth + group * depth + first_row
        for p in range(0, pixels, DEPTH):
            end = min(pixels, p + DEPTH)
            part = g[block * pixels + p : block * pixels + end]
            for i in range(0, rows, 4):
                # a tile's missing rows repeat the last one
                _any_outer_tile(
                    acc[i : i + 4], x, base[p:end], shift + i,
                    shift + min(i + 1, rows - 1), shift + min(i + 2, rows - 1),
                    shift + min(i + 3, rows - 1), part, width,
                )  # fmt: skip
        first = block % blocks * width
        for i in range(rows):
            c = (first_row + i) % depth
            tap = run_taps[r, (first_row + i) // depth]
            for k in range(min(width, columns - first)):
                at = (group * columns + first + k) * depth + c
                out[at * taps + tap] = acc[i, k]


# --- bias ---


@adapted("numba", "conv_backward_bias")
def conv_backward_bias(spec: ConvSpec, grad_out: Array, out: Array) -> None:
    """Gradient in the bias, `out` ``(K,)``: the sum of `grad_out` over batch and positions."""
    _column_sums(channels_last(grad_out), out)


@Kernel
def _column_sums(g, out):
    """out[k] = sum over pixels of g[pixel, k], in float64."""
    channels = out.size
    for block in prange((channels + 63) // 64):
        first = block * 64
        count = min(64, channels - first)
        total = np.zeros(count, np.float64)
        for at in range(first, g.size, channels):
            row = g[at : at + count]
            for k in range(count):
                total[k] += row[k]
        out[first : first + count] = total

"""Depthwise convolution: one input channel per group, vectors along the channels.

Forward and backward-input gather: a result row of channels is a sum, over the taps that stay
inside, of source rows times weight rows. Which source index a tap reads at which position is
tabulated per axis, so stride, dilation and padding cost nothing inside. Four taps at a time, so
that the sums are loaded and stored once for four products.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv import caches
from fastconv.backends.kernel import adapted
from fastconv.backends.numba.layout import channels_last, flat, flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel, compiled
from fastconv.spec import ConvSpec

Array = NDArray[Any]

AXES = (0, 1, 2)
#: Channels per task of backward-weight.
BLOCK = 64


class AxisTable(NamedTuple):
    """Taps met by every position of one axis."""

    number: Array  # (positions,)
    tap: Array  # (positions, kernel), the first `number` of a row count
    source: Array  # as `tap`


def _tables(spec: ConvSpec, backward: bool) -> tuple[AxisTable, AxisTable, AxisTable]:
    key = ("numba", "depthwise", backward)
    tables = spec.cache.get(key)
    if tables is None:
        tables = spec.cache[key] = tuple(_axis_table(spec, axis, backward) for axis in AXES)
        caches.count(*[column for table in tables for column in table])
    return tables  # type: ignore[no-any-return]


def _axis_table(spec: ConvSpec, axis: int, backward: bool) -> AxisTable:
    stride, pad, dilation = spec.stride[axis], spec.pad[axis], spec.dilation[axis]
    t = np.arange(spec.kernel[axis], dtype=np.int64)
    if backward:
        i = np.arange(spec.in_size[axis], dtype=np.int64)[:, None] + pad - t * dilation
        source = i // stride
        valid = (i % stride == 0) & (source >= 0) & (source < spec.out_size[axis])
    else:
        source = (
            np.arange(spec.out_size[axis], dtype=np.int64)[:, None] * stride - pad + t * dilation
        )
        valid = (source >= 0) & (source < spec.in_size[axis])
    order = np.argsort(~valid, axis=1, kind="stable")
    return AxisTable(
        valid.sum(axis=1, dtype=np.int64),
        np.ascontiguousarray(
            np.broadcast_to(t, valid.shape)[np.arange(len(valid))[:, None], order]
        ),
        np.ascontiguousarray(np.take_along_axis(source, order, axis=1)),
    )


# --- forward and backward-input ---


@adapted("numba", "conv_forward", "depthwise")
def conv_forward_depthwise(
    spec: ConvSpec, x: Array, w: Array, bias: Array | None, out: Array
) -> None:
    """Convolution of `x` ``spec.x_shape`` with `w` ``spec.w_shape`` into `out` ``spec.y_shape``."""
    add = np.empty(0, out.dtype) if bias is None else flat_copy_if_needed(bias)
    _gathered(spec, False, _spread(x, spec), w, add, out)


@adapted("numba", "conv_backward_input", "depthwise")
def conv_backward_input_depthwise(spec: ConvSpec, grad_out: Array, w: Array, out: Array) -> None:
    """Gradient in the input, `out` ``spec.x_shape``, from `grad_out` ``spec.y_shape``."""
    add = np.empty(0, out.dtype)
    multiplier = spec.out_channels // spec.in_channels
    if multiplier == 1:
        _gathered(spec, True, grad_out, w, add, out)
        return
    n, d, h, v = (spec.batch, *spec.in_size)
    each = np.empty((n, d, h, v, spec.out_channels), out.dtype)
    _gathered(spec, True, grad_out, w, add, each.transpose(0, 4, 1, 2, 3))
    parts = each.reshape(n, d, h, v, spec.in_channels, multiplier)
    np.sum(parts, axis=-1, out=out.transpose(0, 2, 3, 4, 1))


def _spread(x: Array, spec: ConvSpec) -> Array:
    """`x` with every channel repeated for each of its output channels."""
    multiplier = spec.out_channels // spec.in_channels
    return x if multiplier == 1 else np.repeat(x, multiplier, axis=1)


def _gathered(
    spec: ConvSpec, backward: bool, source: Array, w: Array, bias: Array, out: Array
) -> None:
    if out.size == 0:
        return
    rows = np.ascontiguousarray(w.reshape(spec.out_channels, -1).T).reshape(-1)
    result, strides = flat(out)
    sizes = spec.out_size if backward else spec.in_size
    d, h, v = _tables(spec, backward)
    _gather(channels_last(source), rows, bias, result, strides, spec.batch, spec.out_channels,
            sizes, spec.kernel, *d, *h, *v)  # fmt: skip


@compiled
def _accumulate(acc, x, x0, x1, x2, x3, w, w0, w1, w2, w3):
    """acc += sum of four source rows times four weight rows, each of acc.size channels."""
    size = acc.size
    a, b, c, d = x[x0 : x0 + size], x[x1 : x1 + size], x[x2 : x2 + size], x[x3 : x3 + size]
    p, q, r, s = w[w0 : w0 + size], w[w1 : w1 + size], w[w2 : w2 + size], w[w3 : w3 + size]
    for k in range(size):
        acc[k] = acc[k] + a[k] * p[k] + b[k] * q[k] + c[k] * r[k] + d[k] * s[k]


@Kernel
def _gather(
    x, w, bias, out, strides, batch, channels, size, kernel,
    d_count, d_tap, d_source, h_count, h_tap, h_source, w_count, w_tap, w_source,
):  # fmt: skip
    """out [n, d, h, w, :] = bias + sum over taps of x rows times w rows, by lines along W."""
    depth, height, width = d_count.size, h_count.size, w_count.size
    for line in prange(batch * depth * height):
        n = line // (depth * height)
        d = line // height % depth
        h = line % height
        taps = d_count[d] * h_count[h]
        starts = np.empty(taps, np.int64)
        rows = np.empty(taps, np.int64)
        for i in range(taps):
            a, b = i // h_count[h], i % h_count[h]
            source = (n * size[0] + d_source[d, a]) * size[1] + h_source[h, b]
            starts[i] = source * size[2] * channels
            rows[i] = (d_tap[d, a] * kernel[1] + h_tap[h, b]) * kernel[2] * channels
        sources = np.empty(taps * kernel[2], np.int64)
        weights = np.empty(taps * kernel[2], np.int64)
        scratch = np.empty(channels, x.dtype)
        for v in range(width):
            at = n * strides[0] + ((d * height + h) * width + v) * strides[2]
            acc = out[at : at + channels] if strides[1] == 1 else scratch
            if bias.size:
                acc[:] = bias
            else:
                acc[:] = 0
            inner = w_count[v]
            for i in range(taps):
                for j in range(inner):
                    sources[i * inner + j] = starts[i] + w_source[v, j] * channels
                    weights[i * inner + j] = rows[i] + w_tap[v, j] * channels
            total = taps * inner
            whole = total - total % 4
            for i in range(0, whole, 4):
                _accumulate(
                    acc, x, sources[i], sources[i + 1], sources[i + 2], sources[i + 3],
                    w, weights[i], weights[i + 1], weights[i + 2], weights[i + 3],
                )  # fmt: skip
            for i in range(whole, total):
                p = x[sources[i] : sources[i] + channels]
                q = w[weights[i] : weights[i] + channels]
                for k in range(channels):
                    acc[k] = acc[k] + p[k] * q[k]
            if strides[1] != 1:
                for k in range(channels):
                    out[at + k * strides[1]] = acc[k]


# --- backward-weight ---


@adapted("numba", "conv_backward_weight", "depthwise")
def conv_backward_weight_depthwise(spec: ConvSpec, grad_out: Array, x: Array, out: Array) -> None:
    """Gradient in the weight, `out` ``(K, 1, *kernel)``, from `grad_out` ``spec.y_shape``."""
    result = out.reshape(-1)
    if grad_out.size == 0:
        result[:] = 0
        return
    _weight_gradient(
        channels_last(grad_out), channels_last(_spread(x, spec)), result, spec.batch,
        spec.out_channels, spec.in_size, spec.out_size, spec.kernel, spec.stride, spec.pad,
        spec.dilation,
    )  # fmt: skip


@compiled
def _inside(tap, size, out_size, stride, pad, dilation):
    """Outputs [begin, end) whose tap lies inside the input."""
    shift = pad - tap * dilation  # 0 <= o * stride - shift < size
    begin = max(0, (shift + stride - 1) // stride)
    end = min(out_size, (size - 1 + shift) // stride + 1)
    return begin, max(begin, end)


@compiled
def _products(acc, g, x, g0, x0, g_step, x_step, count, width):
    """acc[k] += sum over p < count of g[g0 + p * g_step + k] * x[x0 + p * x_step + k]."""
    whole = count - count % 4
    for i in range(0, whole, 4):
        at = g0 + i * g_step
        a = g[at : at + width]
        b = g[at + g_step : at + g_step + width]
        c = g[at + 2 * g_step : at + 2 * g_step + width]
        d = g[at + 3 * g_step : at + 3 * g_step + width]
        at = x0 + i * x_step
        p = x[at : at + width]
        q = x[at + x_step : at + x_step + width]
        r = x[at + 2 * x_step : at + 2 * x_step + width]
        s = x[at + 3 * x_step : at + 3 * x_step + width]
        for k in range(width):
            acc[k] = acc[k] + a[k] * p[k] + b[k] * q[k] + c[k] * r[k] + d[k] * s[k]
    for i in range(whole, count):
        a = g[g0 + i * g_step : g0 + i * g_step + width]
        p = x[x0 + i * x_step : x0 + i * x_step + width]
        for k in range(width):
            acc[k] = acc[k] + a[k] * p[k]


@Kernel
def _weight_gradient(g, x, out, batch, channels, size, out_size, kernel, stride, pad, dilation):
    """out (C, taps) = sum over pixels of g times x, by channel block and line of taps along W."""
    lines = kernel[0] * kernel[1]
    blocks = (channels + BLOCK - 1) // BLOCK
    for task in prange(blocks * lines):
        first = task // lines * BLOCK
        td, th = task % lines // kernel[1], task % lines % kernel[1]
        width = min(BLOCK, channels - first)
        acc = np.zeros((kernel[2], BLOCK), g.dtype)
        d0, d1 = _inside(td, size[0], out_size[0], stride[0], pad[0], dilation[0])
        h0, h1 = _inside(th, size[1], out_size[1], stride[1], pad[1], dilation[1])
        for n in range(batch):
            for d in range(d0, d1):
                i = d * stride[0] - pad[0] + td * dilation[0]
                for h in range(h0, h1):
                    j = h * stride[1] - pad[1] + th * dilation[1]
                    g_line = ((n * out_size[0] + d) * out_size[1] + h) * out_size[2]
                    x_line = ((n * size[0] + i) * size[1] + j) * size[2]
                    for t in range(kernel[2]):
                        v0, v1 = _inside(t, size[2], out_size[2], stride[2], pad[2], dilation[2])
                        at = x_line + v0 * stride[2] - pad[2] + t * dilation[2]
                        g0, x0 = (g_line + v0) * channels + first, at * channels + first
                        step = stride[2] * channels
                        if width == BLOCK:
                            _products(acc[t], g, x, g0, x0, channels, step, v1 - v0, BLOCK)
                        else:
                            _products(acc[t], g, x, g0, x0, channels, step, v1 - v0, width)
        for t in range(kernel[2]):
            for k in range(width):
                out[((first + k) * lines + task % lines) * kernel[2] + t] = acc[t, k]

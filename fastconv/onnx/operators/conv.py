"""Convolutions, forward, transposed and deformable, and images from columns."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import fastconv as T

from ..._grad_mode import mode
from ...functions.conv import ConvTranspose, convolution
from ...functions.conv_late import conv_late
from ...functions.kept import kept
from ...spec import ConvSpec
from ..errors import OnnxError
from ..registry import Node, operator
from ..values import arr, ints, room, ten
from .geometry import conv_spec, paddings, per_axis, transposed_spec


def convolve(n: Node, x: Any, w: Any, b: Any) -> Any:
    """The convolution of Tensors that the node describes."""
    xs, ws = tuple(x.shape), w._array.shape
    spec = n.memo.get((xs, ws)) or n.kept((xs, ws), lambda: _spec(n, xs, ws))
    kind = w._array.dtype
    if x.dtype.dtype != kind or (b is not None and b._array.dtype != kind):
        raise OnnxError(f"input is {x.dtype}, weight {w.dtype}")
    if b is not None and b._array.shape != ws[:1]:
        raise OnnxError(f"the bias must have shape ({ws[0]},), got {tuple(b.shape)}")
    if mode.waits:
        late = conv_late(x, w, b, spec)
        if late is not None:
            return late
    return convolution(x, w, b, spec)


def _spec(n: Node, xs: tuple[int, ...], ws: tuple[int, ...]) -> ConvSpec:
    rank = len(xs) - 2
    kernel = tuple(n.get("kernel_shape") or ws[2:])
    if kernel != ws[2:]:
        raise OnnxError(f"kernel_shape {kernel} is not that of the weight, {ws}")
    stride, dilation = per_axis(n, "strides", rank), per_axis(n, "dilations", rank)
    before, after = paddings(n, xs[2:], kernel, stride, dilation)
    return conv_spec(xs, ws, stride, dilation, before, after, n.get("group", 1))


@operator("Conv", weights=(1, 2))
def _conv(n: Node, x: Any, w: Any, b: Any = None) -> Any:
    return convolve(n, ten(x), ten(w), b)


def _transposed_size(n: Node, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """Sizes of the output, and what is cut off before each axis."""
    rank, auto = len(size), n.get("auto_pad", "NOTSET")
    extra = per_axis(n, "output_padding", rank, 0, 0)
    full = [(m - 1) * s + d * (k - 1) + 1 for m, k, s, d in zip(size, kernel, stride, dilation)]
    wanted = n.get("output_shape")
    if wanted is None and auto not in ("SAME_UPPER", "SAME_LOWER"):
        before, after = paddings(n, size, kernel, stride, dilation)
        out = [f + e - a - b for f, e, a, b in zip(full, extra, before, after)]
        return tuple(out), before
    if wanted is None:
        wanted = [m * s for m, s in zip(size, stride)]
    wanted = list(wanted)[-rank:]
    cut = []
    for f, e, w in zip(full, extra, wanted):
        total = max(0, f + e - w)
        cut.append(total - total // 2 if auto == "SAME_LOWER" else total // 2)
    return tuple(wanted), tuple(cut)


@operator("ConvTranspose", weights=(1, 2))
def _conv_transpose(n: Node, x: Any, w: Any, b: Any = None) -> Any:
    x, w = ten(x), ten(w)
    xs, ws = tuple(x.shape), tuple(w.shape)
    rank = len(xs) - 2
    stride, dilation = per_axis(n, "strides", rank), per_axis(n, "dilations", rank)
    out, before = _transposed_size(n, xs[2:], ws[2:], stride, dilation)
    spec = transposed_spec(xs, ws, stride, dilation, before, out, n.get("group", 1))
    return ConvTranspose.apply(x, w, b, spec, kept(w))


# -- other -----------------------------------------------------------------------------------------


@operator("DeformConv", since=19, weights=(1, 3))
def _deform_conv(n: Node, x: Any, w: Any, offset: Any, b: Any = None, mask: Any = None) -> Any:
    """Every tap reads x at a place of its own, by bilinear interpolation, zero outside."""
    x, w = ten(x), ten(w)
    count, channels, height, width = x.shape
    outs, each, kh, kw = w.shape
    groups, sets = n.get("group", 1), n.get("offset_group", 1)
    (sh, sw), (dh, dw) = per_axis(n, "strides", 2), per_axis(n, "dilations", 2)
    (ph, pw), _ = paddings(n, (height, width), (kh, kw), (sh, sw), (dh, dw))
    oh, ow = offset.shape[2:]
    places = ten(offset).reshape(count, sets, kh, kw, 2, oh, ow)
    shares = None if mask is None else ten(mask).reshape(count, sets, kh, kw, oh, ow)
    kind = arr(x).dtype
    rows = (np.arange(oh) * sh - ph)[:, None].astype(kind)
    columns = (np.arange(ow) * sw - pw)[None].astype(kind)
    parts = x.reshape(count, sets, channels // sets, height, width)
    taps = []
    for i, j in itertools.product(range(kh), range(kw)):
        r = places[:, :, i, j, 0] + T.from_numpy(rows + kind.type(i * dh))
        c = places[:, :, i, j, 1] + T.from_numpy(columns + kind.type(j * dw))
        tap = bilinear(parts, r, c)
        taps.append(tap if shares is None else tap * shares[:, :, None, i, j])
    stacked = T.stack(taps, 3).reshape(count, groups, each * kh * kw, oh * ow)
    filters = w.reshape(1, groups, outs // groups, each * kh * kw)
    y = filters.matmul(stacked).reshape(count, outs, oh, ow)
    return y if b is None else y + b.reshape(1, -1, 1, 1)


def bilinear(x: Any, rows: Any, columns: Any) -> Any:
    """x (N, G, C, H, W) read at rows and columns (N, G, *out), zero outside: (N, G, C, *out)."""
    count, groups, _, height, width = x.shape
    r0, c0 = np.floor(arr(rows)), np.floor(arr(columns))
    out: Any = 0
    images = np.arange(count).reshape(-1, 1, 1, 1)
    sets = np.arange(groups).reshape(1, -1, 1, 1)
    for dr, dc in itertools.product((0, 1), (0, 1)):
        r, c = r0 + dr, c0 + dc
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        share = (1 - (rows - T.from_numpy(r)).abs()) * (1 - (columns - T.from_numpy(c)).abs())
        share = share * T.from_numpy(inside.astype(r.dtype))
        ri = r.clip(0, height - 1).astype(np.int64)
        ci = c.clip(0, width - 1).astype(np.int64)
        whole = np.broadcast_arrays(images, sets, ri, ci)
        key = tuple([T.from_numpy(k.copy()) for k in whole])
        read = x.permute(0, 1, 3, 4, 2)[key]
        out = out + read * share[..., None]
    return out.permute(0, 1, 4, 2, 3)


@operator("Col2Im", since=18)
def _col2im(n: Node, x: Any, image: Any, block: Any) -> Any:
    """Columns (N, C · block, L) added up in images; any number of spatial axes."""
    x = ten(x)
    size, kernel = ints(image), ints(block)
    rank = len(size)
    stride, dilation = per_axis(n, "strides", rank), per_axis(n, "dilations", rank)
    before, after = paddings(n, size, kernel, stride, dilation)
    count, taps = x.shape[0], int(np.prod(kernel))
    channels = x.shape[1] // taps
    outs = [
        (m + a + b - d * (k - 1) - 1) // s + 1
        for m, a, b, d, k, s in zip(size, before, after, dilation, kernel, stride, strict=True)
    ]
    padded = room([m + a + b for m, a, b in zip(size, before, after, strict=True)])
    flat: Any = np.zeros(1, np.int64)
    for axis_out, k, s, d, full in zip(outs, kernel, stride, dilation, padded, strict=True):
        here = np.arange(k)[:, None] * d + np.arange(axis_out) * s  # (k, out)
        grown = flat.reshape(*flat.shape[:-1], -1) if flat.ndim > 1 else flat.reshape(1, -1)
        grown = grown[:, None, :, None] * full + here[None, :, None, :]
        flat = grown.reshape(grown.shape[0] * k, -1)
    index = flat.reshape(-1)
    total = T.zeros(count, channels, int(np.prod(padded)), dtype=x.dtype)
    source = x.reshape(count, channels, -1)
    full_sum = T.index_add(total, 2, T.from_numpy(index), source).reshape(count, channels, *padded)
    inner = tuple(slice(a, a + m) for a, m in zip(before, size, strict=True))
    key = (slice(None), slice(None), *inner)
    return full_sum[key]

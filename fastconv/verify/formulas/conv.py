"""Convolution and its transpose: sums over a table of positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.verify.formulas.tape import einsum, gather, lift, reshape, scatter

Array = np.ndarray
Results = dict[str, Any]


def tuple_of(value: Any, n: int) -> tuple[Any, ...]:
    """Return an option given once or per axis as one value per axis."""
    if isinstance(value, (tuple, list)):
        return tuple(value) if len(value) == n else tuple(value) * n
    return (value,) * n


def table(columns: list[Array], sizes: tuple[int, ...]) -> Array:
    """Join tables of positions on each axis into one of flat positions.

    Parameters
    ----------
    columns : list of ndarray of int
        One (taps, outputs) table per axis; negative or too large is outside.
    sizes : tuple of int
        Sizes of the axes.

    Returns
    -------
    ndarray of int
        (all taps, all outputs), -1 outside.
    """
    flat = np.zeros((1, 1), np.int64)
    inside = np.ones((1, 1), bool)
    for column, size in zip(columns, sizes):
        shape = (flat.shape[0] * column.shape[0], flat.shape[1] * column.shape[1])
        within = (column >= 0) & (column < size)
        flat = (flat[:, None, :, None] * size + column[None, :, None, :]).reshape(shape)
        inside = (inside[:, None, :, None] & within[None, :, None, :]).reshape(shape)
    return np.where(inside, flat, -1)


def _padding(padding: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> Any:
    """Return the pairs (before, after) of each axis."""
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if padding == "same":
        wide = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return [(n // 2, n - n // 2) for n in wide]
    return [(p, p) for p in tuple_of(padding, len(kernel))]


def conv(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """y[n, k, o] = b[k] + sum of x[n, c, o*stride - before + t*dilation] * w[k, c, t]."""
    x, w = operands["input"], operands["weight"]
    kernel = w.shape[2:]
    ndim, groups = len(kernel), options.get("groups", 1)
    batched = x.a.ndim == ndim + 2
    if not batched:
        x = reshape(x, (1, *x.shape))
    stride = tuple_of(options.get("stride", 1), ndim)
    dilation = tuple_of(options.get("dilation", 1), ndim)
    pads = _padding(options.get("padding", 0), kernel, dilation)
    sizes = x.shape[2:]
    outs = [
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, d, p in zip(sizes, kernel, stride, dilation, pads)
    ]
    if min(outs) < 1:
        raise ValueError(f"no outputs of a kernel {kernel} over {sizes}")
    columns = [
        np.arange(o)[None, :] * s - p[0] + np.arange(k)[:, None] * d
        for o, k, s, d, p in zip(outs, kernel, stride, dilation, pads)
    ]
    batch, channels, filters = x.shape[0], x.shape[1], w.shape[0]
    x = reshape(x, (batch, groups, channels // groups, math.prod(sizes)))
    patches = gather(x, table(columns, sizes))
    taps = math.prod(kernel)
    w = reshape(w, (groups, filters // groups, channels // groups, taps))
    y = reshape(einsum("ngcto,gkct->ngko", patches, w), (batch, filters, *outs))
    if operands.get("bias") is not None:
        y = y + reshape(operands["bias"], (filters, *[1] * ndim))
    return {"y": y if batched else reshape(y, y.shape[1:])}


def conv_transpose(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """y[n, k, i*stride - padding + t*dilation] += x[n, c, i] * w[c, k, t], then the bias."""
    x, w = operands["input"], operands["weight"]
    kernel = w.shape[2:]
    ndim, groups = len(kernel), options.get("groups", 1)
    batched = x.a.ndim == ndim + 2
    if not batched:
        x = reshape(x, (1, *x.shape))
    stride = tuple_of(options.get("stride", 1), ndim)
    dilation = tuple_of(options.get("dilation", 1), ndim)
    padding = tuple_of(options.get("padding", 0), ndim)
    extra = tuple_of(options.get("output_padding", 0), ndim)
    sizes = x.shape[2:]
    outs = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, k, s, d, p, e in zip(sizes, kernel, stride, dilation, padding, extra)
    )
    columns = [
        np.arange(n)[None, :] * s - p + np.arange(k)[:, None] * d
        for n, k, s, d, p in zip(sizes, kernel, stride, dilation, padding)
    ]
    batch, channels, taps = x.shape[0], x.shape[1], math.prod(kernel)
    x = reshape(x, (batch, groups, channels // groups, math.prod(sizes)))
    w = reshape(w, (groups, channels // groups, w.shape[1], taps))
    products = einsum("ngci,gckt->ngkti", x, w)
    y = scatter(products, table(columns, outs), math.prod(outs))
    filters = groups * w.shape[2]
    y = reshape(y, (batch, filters, *outs))
    if operands.get("bias") is not None:
        y = y + reshape(operands["bias"], (filters, *[1] * ndim))
    return {"y": y if batched else reshape(y, y.shape[1:])}


def linear(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """x (..., in) times w (out, in) transposed, and the bias."""
    x, w = operands["input"], operands["weight"]
    rows = reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    y = reshape(einsum("ri,oi->ro", rows, w), (*x.shape[:-1], w.shape[0]))
    if operands.get("bias") is not None:
        y = y + lift(operands["bias"])
    return {"y": y}

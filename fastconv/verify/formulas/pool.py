"""Pooling: maxima, means and norms over tables of windows, and what undoes a maximum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.verify.formulas.conv import Results, table, tuple_of
from fastconv.verify.formulas.tape import (
    V,
    absolute,
    gather,
    permute,
    pick,
    power,
    reshape,
    scatter,
    total,
    where,
)

Array = np.ndarray


def _size(n: int, k: int, s: int, p: int, d: int, ceil: bool) -> int:
    """Return how many windows an axis has."""
    room = n + 2 * p - d * (k - 1) - 1
    count = (-(-room // s) if ceil else room // s) + 1
    if ceil and (count - 1) * s >= n + p:
        count -= 1  # the last window must begin inside the input or its left padding
    if count < 1:
        raise ValueError(f"no window of {k} over {n}")
    return count


def _flat(x: V, ndim: int) -> tuple[V, tuple[int, ...], tuple[int, ...]]:
    """Return x with its spatial axes joined, its leading shape, and the spatial sizes."""
    lead, sizes = x.shape[: x.a.ndim - ndim], x.shape[x.a.ndim - ndim :]
    return reshape(x, (*lead, math.prod(sizes))), lead, sizes


def _windows(sizes: tuple[int, ...], ndim: int, options: dict[str, Any]) -> tuple[Any, ...]:
    kernel = tuple_of(options["kernel_size"], ndim)
    given = options.get("stride")
    stride = kernel if given is None else tuple_of(given, ndim)
    padding = tuple_of(options.get("padding", 0), ndim)
    dilation = tuple_of(options.get("dilation", 1), ndim)
    ceil = options.get("ceil_mode", False)
    outs = tuple(
        _size(n, k, s, p, d, ceil)
        for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation)
    )
    columns = [
        np.arange(o)[None, :] * s - p + np.arange(k)[:, None] * d
        for o, k, s, p, d in zip(outs, kernel, stride, padding, dilation)
    ]
    return columns, outs, kernel, padding


def covered(sizes: tuple[int, ...], options: dict[str, Any]) -> bool:
    """Whether every window holds an element; with dilation, padding may be all of one."""
    columns = _windows(sizes, len(sizes), options)[0]
    return all(bool(np.all(np.any((c >= 0) & (c < n), 0))) for c, n in zip(columns, sizes))


def _largest(x: V, index: Array, outs: tuple[int, ...], lead: tuple[int, ...]) -> Results:
    """The maximum of each column of ``index``, a NaN where there is one, and where it is."""
    patches = gather(x, index, -math.inf)  # (..., taps, outs)
    last = patches.a.ndim - 1
    order = (*range(last - 1), last, last - 1)
    patches = permute(patches, order)
    valid = np.broadcast_to((index >= 0).T, patches.shape)
    top = np.max(patches.a, -1, keepdims=True)
    winner = np.where(np.isnan(top), np.isnan(patches.a), patches.a == top) & valid
    tap = np.argmax(winner, -1)
    y = pick(patches, tap)
    found = np.take_along_axis(np.broadcast_to(index.T, patches.shape), tap[..., None], -1)
    shape = (*lead, *outs)
    return {"y": reshape(y, shape), "indices": found[..., 0].reshape(shape)}


def max_pool(ndim: int, operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """The largest value of each window; padding is smaller than anything."""
    x, lead, sizes = _flat(operands["input"], ndim)
    columns, outs, _, _ = _windows(sizes, ndim, options)
    found = _largest(x, table(columns, sizes), outs, lead)
    return found if options.get("return_indices") else {"y": found["y"]}


def avg_pool(ndim: int, operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """The sum of each window over its divisor: what it covers, with or without padding."""
    x, lead, sizes = _flat(operands["input"], ndim)
    columns, outs, kernel, padding = _windows(sizes, ndim, options)
    index = table(columns, sizes)
    sums = total(gather(x, index), (-2,))
    if options.get("divisor_override"):
        divisor: Any = np.full(index.shape[1], float(options["divisor_override"]))
    elif options.get("count_include_pad", True):
        covered = [
            np.minimum(c[0] + k, n + p) - c[0]
            for c, k, n, p in zip(columns, kernel, sizes, padding)
        ]
        divisor = covered[0]
        for more in covered[1:]:
            divisor = np.multiply.outer(divisor, more).ravel()
    else:
        divisor = np.sum(index >= 0, 0)
    return {"y": reshape(_divided(sums, x, index, divisor), (*lead, *outs))}


def _divided(sums: V, x: V, index: Array, divisor: Array) -> V:
    """The sums over their divisors; a kernel may divide the terms, which then cancel less well."""
    y = sums / divisor
    if np.any(y.e):
        sizes = total(gather(V(np.abs(x.a)), index), (-2,)).a / divisor
        y.e = y.e + 2.0 * sizes
    return y


def _adaptive(sizes: tuple[int, ...], ndim: int, wanted: Any) -> tuple[Array, tuple[int, ...]]:
    """Windows from floor(i n / m) to ceil((i + 1) n / m)."""
    outs = tuple(n if m is None else m for n, m in zip(sizes, tuple_of(wanted, ndim)))
    columns = []
    for n, m in zip(sizes, outs):
        starts = [i * n // m for i in range(m)]
        ends = [-(-(i + 1) * n // m) for i in range(m)]
        widest = max(end - start for start, end in zip(starts, ends))
        column = np.array(starts)[None, :] + np.arange(widest)[:, None]
        columns.append(np.where(column < np.array(ends)[None, :], column, -1))
    return table(columns, sizes), outs


def adaptive_avg_pool(ndim: int, operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x, lead, sizes = _flat(operands["input"], ndim)
    index, outs = _adaptive(sizes, ndim, options["output_size"])
    y = _divided(total(gather(x, index), (-2,)), x, index, np.sum(index >= 0, 0))
    return {"y": reshape(y, (*lead, *outs))}


def adaptive_max_pool(ndim: int, operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x, lead, sizes = _flat(operands["input"], ndim)
    index, outs = _adaptive(sizes, ndim, options["output_size"])
    found = _largest(x, index, outs, lead)
    return found if options.get("return_indices") else {"y": found["y"]}


def lp_pool(ndim: int, operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """(mean of |x|^p, times the size of the kernel)^(1/p); slope zero where that is zero."""
    p = float(options["norm_type"])
    x = operands["input"]
    powers = power(absolute(x), p) if p != 1.0 else absolute(x)
    plain = {k: v for k, v in options.items() if k != "norm_type"}
    means = avg_pool(ndim, {"input": powers}, plain)["y"]
    count = math.prod(tuple_of(options["kernel_size"], ndim))
    sums = means * float(count)
    zero = sums.a == 0
    return {"y": where(zero, 0.0, power(where(zero, 1.0, sums), 1.0 / p))}


def max_unpool(ndim: int, operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """Each value at the place its index names, zero elsewhere."""
    x, lead, sizes = _flat(operands["input"], ndim)
    kernel = tuple_of(options["kernel_size"], ndim)
    given = options.get("stride")
    stride = kernel if given is None else tuple_of(given, ndim)
    padding = tuple_of(options.get("padding", 0), ndim)
    outs = options.get("output_size")
    if outs is None:
        outs = [(n - 1) * s - 2 * p + k for n, k, s, p in zip(sizes, kernel, stride, padding)]
    outs = tuple(outs)[-ndim:]
    room = math.prod(outs)
    index = operands["indices"].reshape(x.shape)
    rows = math.prod(lead)
    places = np.arange(rows).reshape(*lead, 1) * room + index
    y = scatter(reshape(x, (x.a.size,)), places.ravel(), rows * room)
    return {"y": reshape(y, (*lead, *outs))}

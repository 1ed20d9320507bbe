"""Normalisation: channel by channel in NCHW memory, pixel by pixel in channels-last."""

from __future__ import annotations

from functools import partial
from math import inf, nan
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.runtime import Kernel
from fastconv.spec import NormSpec

Array = NDArray[Any]
#: Pixels whose sums are added up in the array's type.
ROWS = 256
SAMPLES = 8

_kernel = partial(Kernel, fastmath=False)


def _last(a: Array) -> bool:
    """Whether the memory of `a` is taken as rows of channels."""
    if a.flags.c_contiguous:
        return a.size == a.shape[0] * a.shape[1]
    return bool(np.moveaxis(a, 1, -1).flags.c_contiguous)


def _flat(a: Array | None, last: bool, like: Array) -> Array:
    """The elements in the order of the memory format; a copy where `a` has another one."""
    if a is None:
        return np.empty(0, like.dtype)
    view = np.ascontiguousarray(np.moveaxis(a, 1, -1) if last else a)
    return (view if view.flags.writeable else view.copy()).reshape(-1)


def _target(a: Array | None, last: bool, like: Array) -> Array:
    """The elements of an output, in the order of their memory."""
    if a is None:
        return np.empty(0, like.dtype)
    view = np.moveaxis(a, 1, -1) if last else a
    if not view.flags.c_contiguous:
        raise ValueError(f"norm: the output must be laid out as the input, got {a.strides}")
    return view.reshape(-1)


def _sizes(spec: NormSpec) -> tuple[int, int, int, int]:
    return spec.sets, spec.batch, spec.channels, spec.space


@_kernel
def _sums_rows(kind, gy, x, y, stop, centre, part, sets, rows, channels):
    """Blocks of channels-last rows -> part[set, block, 2, channel]."""
    blocks = part.shape[1]
    for task in prange(sets * blocks):
        s, block = task // blocks, task % blocks
        first, second = part[s, block, 0], part[s, block, 1]
        first[:] = 0
        second[:] = 0
        for p in range(block * ROWS, min(rows, (block + 1) * ROWS)):
            start = (s * rows + p) * channels
            for c in range(channels):
                d = x[start + c] - centre[s * channels + c]
                v = d if kind == 0 else gy[start + c]
                if kind == 2 and (y[start + c] <= 0 or y[start + c] == stop):
                    v = x.dtype.type(0)
                first[c] += v
                second[c] += v * d


@_kernel
def _sums_lines(kind, gy, x, y, stop, centre, first, second, sets, batch, channels, space):
    """Channels of NCHW memory -> first, second, float64."""
    for i in prange(sets * channels):
        total, along = 0.0, 0.0
        for n in range(batch):
            start = ((i // channels * batch + n) * channels + i % channels) * space
            for p in range(start, start + space):
                d = x[p] - centre[i]
                v = d if kind == 0 else gy[p]
                if kind == 2 and (y[p] <= 0 or y[p] == stop):
                    v = x.dtype.type(0)
                total += v
                along += float(v) * d
        first[i] = total
        second[i] = along


def _stop(limit: float, like: Array) -> Any:
    """What y equals where the limit cut it off; nothing does if there is none."""
    return like.dtype.type(limit if limit < inf else nan)


def _sums(
    spec: NormSpec, kind: int, last: bool, gy: Array, x: Array, y: Array, stop: Any,
    centre: Array, first: Array, second: Array,
) -> None:  # fmt: skip
    sets, batch, channels, space = _sizes(spec)
    centre = np.ascontiguousarray(centre)
    if not last:
        _sums_lines(kind, gy, x, y, stop, centre, first, second, sets, batch, channels, space)
        return
    rows = batch * space
    part = np.empty((sets, -(-rows // ROWS), 2, channels), x.dtype)
    _sums_rows(kind, gy, x, y, stop, centre, part, sets, rows, channels)
    total = part.sum(1, dtype=np.float64)
    first[:] = total[:, 0].reshape(-1)
    second[:] = total[:, 1].reshape(-1)


@np.errstate(all="ignore")
def norm_statistics(spec: NormSpec, x: Array, mean: Array, var: Array) -> None:
    """Mean and biased variance of every channel of x -> float64 arrays (sets * C,)."""
    last = _last(x)
    flat = _flat(x, last, x)
    sets, batch, channels, space = _sizes(spec)
    count = batch * space
    pick = np.arange(min(SAMPLES, count)) * (count // min(SAMPLES, count))
    if last:
        sample = flat.reshape(sets, count, channels)[:, pick]
    else:
        sample = flat.reshape(sets, batch, channels, space)[:, pick // space, :, pick % space]
        sample = sample.transpose(1, 0, 2)
    centre = sample.mean(1, dtype=np.float64).astype(x.dtype).reshape(-1)
    centre[~np.isfinite(centre)] = 0
    _sums(spec, 0, last, flat, flat, flat, _stop(inf, x), centre, mean, var)
    mean /= count
    var /= count
    var -= mean * mean
    np.maximum(var, 0, out=var)
    mean += centre


@_kernel
def _apply(x, coef, residual, relu, limit, out, rows, channels, space, last):
    """Rows of channels, or runs of `space` elements of one channel; `coef` for each set of rows."""
    length = channels if last else space
    per_set = rows // (coef.shape[1] // channels)
    for row in prange(rows):
        start = row * length
        i = row // per_set * channels if last else row // per_set * channels + row % channels
        for j in range(length):
            k = i + j if last else i
            v = (x[start + j] - coef[0, k]) * coef[1, k] + coef[2, k]
            if residual.size:
                v = v + residual[start + j]
            if relu and v < 0:
                v = x.dtype.type(0)
            if relu and v > limit:
                v = limit
            out[start + j] = v


def norm_apply(
    spec: NormSpec,
    x: Array,
    coef: Array,
    residual: Array | None,
    relu: bool,
    out: Array,
    limit: float = inf,
) -> None:
    """``(x - centre) * scale + shift``, + residual, ReLU up to the limit -> out, laid out as x."""
    last = _last(out)
    rows = spec.sets * spec.batch * (spec.space if last else spec.channels)
    _apply(
        _flat(x, last, x), np.ascontiguousarray(coef), _flat(residual, last, x), relu,
        x.dtype.type(limit), _target(out, last, x), rows, spec.channels, spec.space, last,
    )  # fmt: skip


def norm_backward_sums(
    spec: NormSpec,
    grad_out: Array,
    x: Array,
    y: Array | None,
    centre: Array,
    total: Array,
    along: Array,
    limit: float = inf,
) -> None:
    """Sums of d and of ``d * (x - centre)`` for every channel -> total, along, float64."""
    last = _last(x)
    kind = 1 if y is None else 2
    gy, flat = _flat(grad_out, last, x), _flat(x, last, x)
    flat_y, stop = _flat(y, last, x), _stop(limit, x)
    _sums(spec, kind, last, gy, flat, flat_y, stop, centre, total, along)


@_kernel
def _backward(gy, x, y, stop, coef, out, passed, rows, channels, space, last):
    length = channels if last else space
    per_set = rows // (coef.shape[1] // channels)
    for row in prange(rows):
        start = row * length
        i = row // per_set * channels if last else row // per_set * channels + row % channels
        for j in range(length):
            k, p = i + j if last else i, start + j
            v = gy[p]
            if y.size and (y[p] <= 0 or y[p] == stop):
                v = gy.dtype.type(0)
            if passed.size:
                passed[p] = v
            if out.size:
                v = v * coef[1, k]
                if x.size:
                    v = v + (x[p] - coef[0, k]) * coef[2, k] + coef[3, k]
                out[p] = v


def norm_backward_apply(
    spec: NormSpec,
    grad_out: Array,
    x: Array | None,
    y: Array | None,
    coef: Array,
    out: Array | None,
    passed: Array | None,
    limit: float = inf,
) -> None:
    """``d * scale + (x - centre) * slope + level`` -> out, d -> passed; each may be None."""
    like = passed if out is None else out
    if like is None:
        return
    last = _last(like)
    rows = spec.sets * spec.batch * (spec.space if last else spec.channels)
    _backward(
        _flat(grad_out, last, like), _flat(x, last, like), _flat(y, last, like),
        _stop(limit, like), np.ascontiguousarray(coef), _target(out, last, like),
        _target(passed, last, like), rows, spec.channels, spec.space, last,
    )  # fmt: skip

"""Normalisation: channel by channel in NCHW memory, pixel by pixel in channels-last."""

from __future__ import annotations

from functools import partial
from math import inf, nan
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.kernel import adapted
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
def _sums_rows(kind, gy, x, y, stop, coef, part, sets, rows, channels):
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
                k = s * channels + c
                d = x[start + c] - coef[0, k]
                v = d if kind == 0 else gy[start + c]
                if kind >= 2:
                    out = y[start + c] if kind == 2 else d * coef[1, k] + coef[2, k]
                    if out <= 0 or out >= stop:
                        v = x.dtype.type(0)
                first[c] += v
                second[c] += v * d


@_kernel
def _sums_lines(kind, gy, x, y, stop, coef, first, second, sets, batch, channels, space):
    """Channels of NCHW memory -> first, second, float64."""
    for i in prange(sets * channels):
        total, along = 0.0, 0.0
        for n in range(batch):
            start = ((i // channels * batch + n) * channels + i % channels) * space
            for p in range(start, start + space):
                d = x[p] - coef[0, i]
                v = d if kind == 0 else gy[p]
                if kind >= 2:
                    out = y[p] if kind == 2 else d * coef[1, i] + coef[2, i]
                    if out <= 0 or out >= stop:
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
    coef: Array, first: Array, second: Array,
) -> None:  # fmt: skip
    sets, batch, channels, space = _sizes(spec)
    if not last:
        _sums_lines(kind, gy, x, y, stop, coef, first, second, sets, batch, channels, space)
        return
    rows = batch * space
    part = np.empty((sets, -(-rows // ROWS), 2, channels), x.dtype)
    _sums_rows(kind, gy, x, y, stop, coef, part, sets, rows, channels)
    total = part.sum(1, dtype=np.float64)
    first[:] = total[:, 0].reshape(-1)
    second[:] = total[:, 1].reshape(-1)


def _moments(spec: NormSpec, x: Array, mean: Array, var: Array) -> None:
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
    centre = sample.mean(1, dtype=np.float64).astype(x.dtype).reshape(1, -1)
    centre[~np.isfinite(centre)] = 0
    _sums(spec, 0, last, flat, flat, flat, _stop(inf, x), centre, mean, var)
    for i in np.flatnonzero(np.isinf(var)):  # squares above what a float32 holds
        part = x.reshape(sets, batch, channels, space)[i // channels, :, i % channels]
        apart = part.astype(np.float64) - centre[0, i]
        mean[i], var[i] = apart.sum(), (apart * apart).sum()
    mean /= count
    var /= count
    var -= mean * mean
    np.maximum(var, 0, out=var)
    mean += centre[0]
    if spec.pool > 1:
        m, v = mean.reshape(-1, spec.pool), var.reshape(-1, spec.pool)
        together = m.mean(1, keepdims=True)
        m -= together
        v[:] = (v + m * m).mean(1, keepdims=True)
        m[:] = together


@np.errstate(all="ignore")
@adapted("numba", "norm_statistics")
def norm_statistics(
    spec: NormSpec,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    running_mean: Array | None,
    running_var: Array | None,
    momentum: float,
    stats: Array,
    coef: Array,
) -> None:
    """Mean, biased variance and inverse deviation of every channel -> stats (3, sets * C), float64.

    Centre, scale, shift -> coef (3, sets * C); the running statistics (C,) move.
    """
    mean, var, inverse = stats
    _moments(spec, x, mean, var)
    inverse[:] = 1 / np.sqrt(var + eps)
    scale = inverse if weight is None else inverse * np.tile(weight, spec.sets)
    coef[0] = mean
    coef[1] = scale
    shift = (coef[0] - mean) * scale
    coef[2] = shift if bias is None else shift + np.tile(bias, spec.sets)
    count = spec.batch * spec.space
    for running, now, factor in (
        (running_mean, mean, 1),
        (running_var, var, count / max(1, count - 1)),
    ):
        if running is not None:
            now = now.reshape(spec.sets, -1).mean(0) * factor
            running[:] = (1 - momentum) * running.astype(np.float64) + momentum * now


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


@adapted("numba", "norm_apply")
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


@_kernel
def _backward(kind, gy, x, y, stop, coef, constant, out, passed, rows, channels, space, last):
    length = channels if last else space
    per_set = rows // (coef.shape[1] // channels)
    for row in prange(rows):
        start = row * length
        i = row // per_set * channels if last else row // per_set * channels + row % channels
        for j in range(length):
            k, p = i + j if last else i, start + j
            v, d = gy[p], x[p] - coef[0, k]
            if kind >= 2:
                result = y[p] if kind == 2 else d * coef[1, k] + coef[2, k]
                if result <= 0 or result >= stop:
                    v = gy.dtype.type(0)
            if passed.size:
                passed[p] = v
            if out.size:
                v = v * coef[1, k]
                if not constant:
                    v = v + d * coef[3, k] + coef[4, k]
                out[p] = v


@np.errstate(all="ignore")
@adapted("numba", "norm_backward")
def norm_backward(
    spec: NormSpec,
    grad_out: Array,
    x: Array,
    y: Array | None,
    relu: bool,
    weight: Array | None,
    stats: Array,
    coef: Array,
    constant: bool,
    out: Array | None,
    passed: Array | None,
    grad_weight: Array | None,
    grad_bias: Array | None,
    limit: float = inf,
) -> None:
    """Gradients of ``norm_apply`` with what ``norm_statistics`` left; each output may be None.

    d is grad_out, or with `relu` what of it passes: by the result `y`, or the value computed again.
    passed = d; out or passed may be grad_out itself.
    """
    like = next((a for a in (out, passed) if a is not None), x)
    last = _last(like)
    kind = 2 if y is not None else 3 if relu else 1
    gy, flat = _flat(grad_out, last, like), _flat(x, last, like)
    flat_y, stop = _flat(y, last, like), _stop(limit, like)
    mean, _, inverse = stats
    full = np.zeros((5, mean.size), x.dtype)
    full[:3] = coef
    if grad_weight is not None or grad_bias is not None or (out is not None and not constant):
        total, along = np.empty((2, mean.size))
        _sums(spec, kind, last, gy, flat, flat_y, stop, full, total, along)
        off = mean - full[0]
        along -= total * off
        scale = inverse if weight is None else inverse * np.tile(weight, spec.sets)
        level, slope = scale * total, scale * along
        for a in (level, slope):
            a.reshape(-1, spec.pool)[:] = a.reshape(-1, spec.pool).sum(1, keepdims=True)
        slope *= inverse * inverse / -spec.count
        full[3] = slope
        full[4] = level / -spec.count - slope * off
        if grad_weight is not None:
            grad_weight[:] = (along * inverse).reshape(spec.sets, -1).sum(0)
        if grad_bias is not None:
            grad_bias[:] = total.reshape(spec.sets, -1).sum(0)
    if out is None and passed is None:
        return
    rows = spec.sets * spec.batch * (spec.space if last else spec.channels)
    _backward(
        kind, gy, flat, flat_y, stop, full, constant, _target(out, last, like),
        _target(passed, last, like), rows, spec.channels, spec.space, last,
    )  # fmt: skip

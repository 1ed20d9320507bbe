"""Normalisation as plain loops: the formulas of `backends/c/norm.py`, element by element."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import fsum, inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.backends.kernel import adapted
from fastconv.spec import NormSpec

Array = NDArray[Any]
_quiet = np.errstate(all="ignore")


def _elements(spec: NormSpec, i: int) -> Iterator[tuple[int, ...]]:
    """Indices of the elements of channel ``i % C`` of set ``i // C``."""
    s, c = divmod(i, spec.channels)
    for n in range(s * spec.batch, (s + 1) * spec.batch):
        for at in product(*map(range, spec.shape[2:])):
            yield (n, c, *at)


def _total(values: list[float]) -> float:
    """The sum without rounding errors, where it is finite."""
    return fsum(values) if all(map(isfinite, values)) else sum(values)


@_quiet
@adapted("naive", "norm_statistics")
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
    """Mean, variance ``sum of (x - mean)² / M`` and ``1 / sqrt(variance + eps)`` -> stats.

    coef: centre, scale and shift, so that ``(x - centre) * scale + shift`` is
    ``(x - mean) / sqrt(variance + eps) * weight + bias``.
    """
    sets, channels, pool = spec.sets, spec.channels, spec.pool
    for first in range(0, sets * channels, pool):
        together = range(first, first + pool)
        values = [float(x[at]) for i in together for at in _elements(spec, i)]
        m = _total(values) / len(values)
        v = _total([(value - m) ** 2 for value in values]) / len(values)
        for i in together:
            c = i % channels
            stats[:, i] = m, v, 1 / np.sqrt(v + eps)
            coef[0, i] = m
            scale = stats[2, i] * (1 if weight is None else float(weight[c]))
            coef[1, i] = scale
            coef[2, i] = (float(coef[0, i]) - m) * scale + (0 if bias is None else float(bias[c]))
    count = spec.batch * spec.space
    for running, row, factor in ((running_mean, 0, 1), (running_var, 1, count / max(1, count - 1))):
        if running is None:
            continue
        for c in range(channels):
            now = factor * sum(stats[row, s * channels + c] for s in range(sets)) / sets
            running[c] = (1 - momentum) * float(running[c]) + momentum * now


@_quiet
@adapted("naive", "norm_apply")
def norm_apply(
    spec: NormSpec,
    x: Array,
    coef: Array,
    residual: Array | None,
    relu: bool,
    out: Array,
    limit: float = inf,
) -> None:
    """``out = (x - centre) * scale + shift``, ``+ residual``, then within 0 and the limit."""
    for i in range(coef.shape[1]):
        centre, scale, shift = (float(v) for v in coef[:, i])
        for at in _elements(spec, i):
            out[at] = (float(x[at]) - centre) * scale + shift
            if residual is not None:
                out[at] += residual[at]
            if relu and out[at] < 0:
                out[at] = 0
            if relu and out[at] > limit:
                out[at] = limit


def _cut(y: Any, limit: float) -> bool:
    """Whether a ReLU up to the limit, with result y, has no slope there."""
    return bool(y <= 0 or (limit < inf and y >= limit))


@_quiet
@adapted("naive", "norm_backward")
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
    """With d = grad_out, or what of it the ReLU with result y lets through:

    ``passed = d``, ``grad_bias = sum of d``, ``grad_weight = sum of d * xhat``, and unless constant
    ``out = inverse * (e - mean of e - xhat * mean of e * xhat)`` with ``e = d * weight``.
    """
    mean, _, inverse = stats
    sums = np.zeros((2, stats.shape[1]))
    d = np.zeros(spec.shape)
    for i in range(stats.shape[1]):
        centre, scale, shift = (float(v) for v in coef[:, i])
        for at in _elements(spec, i):
            d[at] = grad_out[at]
            if relu or y is not None:
                again = x.dtype.type((float(x[at]) - centre) * scale + shift)
                if _cut(again if y is None else y[at], limit):
                    d[at] = 0
            sums[:, i] += d[at], d[at] * (float(x[at]) - mean[i])
    for i in range(stats.shape[1]):
        first = i // spec.pool * spec.pool
        level = slope = 0.0
        for k in range(first, first + spec.pool):
            by = inverse[k] * (1 if weight is None else float(weight[k % spec.channels]))
            level -= by * sums[0, k] / spec.count
            slope -= by * sums[1, k] * inverse[k] ** 2 / spec.count
        for at in _elements(spec, i):
            if passed is not None:
                passed[at] = d[at]
            if out is not None:
                rest = 0 if constant else (float(x[at]) - mean[i]) * slope + level
                out[at] = d[at] * float(coef[1, i]) + rest
    for c in range(spec.channels):
        own = range(c, stats.shape[1], spec.channels)
        if grad_weight is not None:
            grad_weight[c] = sum(sums[1, i] * inverse[i] for i in own)
        if grad_bias is not None:
            grad_bias[c] = sum(sums[0, i] for i in own)

"""Normalisation as plain loops: the formulas of `backends/c/norm.py`, element by element."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import fsum, inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
def norm_statistics(spec: NormSpec, x: Array, mean: Array, var: Array) -> None:
    """``mean[i] = sum of x / M``, ``var[i] = sum of (x - mean[i])² / M`` over the channel."""
    for i in range(mean.size):
        values = [float(x[at]) for at in _elements(spec, i)]
        mean[i] = m = _total(values) / len(values)
        var[i] = _total([(v - m) ** 2 for v in values]) / len(values)


@_quiet
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


def _cut(y: float, limit: float) -> bool:
    """Whether a ReLU up to the limit, with result y, has no slope there."""
    return y <= 0 or y == limit < inf


@_quiet
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
    """``total = sum of d``, ``along = sum of d * (x - centre)``; d is 0 where y was cut off."""
    for i in range(total.size):
        total[i] = along[i] = 0
        for at in _elements(spec, i):
            d = 0.0 if y is not None and _cut(y[at], limit) else float(grad_out[at])
            total[i] += d
            along[i] += d * (float(x[at]) - float(centre[i]))


@_quiet
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
    """``out = d * scale + (x - centre) * slope + level``, ``passed = d``; d as above."""
    for i in range(coef.shape[1]):
        centre, scale, slope, level = (float(v) for v in coef[:, i])
        for at in _elements(spec, i):
            d = 0.0 if y is not None and _cut(y[at], limit) else float(grad_out[at])
            if passed is not None:
                passed[at] = d
            if out is not None:
                rest = 0.0 if x is None else (float(x[at]) - centre) * slope + level
                out[at] = d * scale + rest

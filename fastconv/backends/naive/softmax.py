"""Softmax and cross-entropy along the middle axis of arrays (outer, classes, inner)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _rows(shape: tuple[int, ...]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The number of each position and the index of its classes."""
    for p in range(shape[0] * shape[2]):
        yield p, (p // shape[2], slice(None), p % shape[2])


def _shifted(row: Array) -> tuple[list[float], float]:
    """The scores less the largest, and the sum of their exponentials."""
    values = [float(v) for v in row]
    if any(math.isnan(v) for v in values) or max(values) in (math.inf, -math.inf):
        return [math.nan] * len(values), math.nan
    most = max(values)
    z = [v - most for v in values]
    return z, sum(math.exp(v) for v in z)


def softmax(x: Array, out: Array) -> None:
    """``exp(x) / sum(exp(x))``."""
    for _, at in _rows(x.shape):
        z, total = _shifted(x[at])
        out[at] = [math.exp(v) / total for v in z]


def log_softmax(x: Array, out: Array) -> None:
    """``x - log(sum(exp(x)))``."""
    for _, at in _rows(x.shape):
        z, total = _shifted(x[at])
        out[at] = [v - math.log(total) for v in z]


def softmax_backward(grad_out: Array, y: Array, out: Array) -> None:
    """``y * (g - sum(g * y))``."""
    for _, at in _rows(y.shape):
        g, v = grad_out[at].astype(np.float64), y[at].astype(np.float64)
        along = sum(float(a) * float(b) for a, b in zip(g, v, strict=True))
        out[at] = [b * (a - along) for a, b in zip(g, v, strict=True)]


def log_softmax_backward(grad_out: Array, y: Array, out: Array) -> None:
    """``g - exp(y) * sum(g)``."""
    for _, at in _rows(y.shape):
        total = sum(float(a) for a in grad_out[at])
        out[at] = [float(a) - math.exp(b) * total for a, b in zip(grad_out[at], y[at], strict=True)]


def _weight(label: int, weight: Array | None, ignore: int, classes: int) -> float | None:
    """What a label counts; None for one that does not."""
    if label == ignore or not 0 <= label < classes:
        return None
    return 1.0 if weight is None else float(weight[label])


def cross_entropy(
    x: Array,
    labels: Array,
    weight: Array | None,
    ignore: int,
    out: Array,
    loss: Array,
    sample: Array | None,
) -> None:
    """``softmax(x)``; ``loss = -weight[label] * log_softmax(x)[label]``; ``weight[label]``."""
    softmax(x, out)
    for p, at in _rows(x.shape):
        label = int(labels[p])
        counts = _weight(label, weight, ignore, x.shape[1])
        z, total = _shifted(x[at])
        loss[p] = 0.0 if counts is None else counts * (math.log(total) - z[label])
        if sample is not None:
            sample[p] = counts or 0.0


def cross_entropy_backward(
    p: Array, labels: Array, weight: Array | None, ignore: int, grad: Array, out: Array
) -> None:
    """``(p - [class == label]) * weight[label] * grad``, 0 where a label does not count."""
    for i, at in _rows(p.shape):
        label = int(labels[i])
        counts = _weight(label, weight, ignore, p.shape[1])
        if counts is None:
            out[at] = 0.0
            continue
        scale = counts * float(grad[i] if grad.ndim else grad)
        out[at] = [(float(v) - (c == label)) * scale for c, v in enumerate(p[at])]

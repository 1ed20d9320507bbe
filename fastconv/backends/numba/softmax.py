"""Softmax, cross-entropy along the middle axis of C-contiguous (outer, classes, inner) arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.layout import flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel

Array = NDArray[Any]


@Kernel
def _softmax(x, out, loss, sample, labels, weight, ignore, classes, inner, log):
    """`loss` empty: the softmax or its logarithm alone."""
    for p in prange(out.size // max(1, classes)):
        first = p // inner * classes * inner + p % inner
        most = x[first]
        for c in range(1, classes):
            v = x[first + c * inner]
            if v > most or v != v:
                most = v
        total = most - most
        for c in range(classes):
            at = first + c * inner
            z = x[at] - most
            e = math.exp(z)
            total += e
            out[at] = z if log else e
        if log:
            rest = math.log(total)
            for c in range(classes):
                out[first + c * inner] -= rest
        else:
            for c in range(classes):
                out[first + c * inner] /= total
        if loss.size:
            label = labels[p]
            kept = label != ignore and 0 <= label < classes
            loss[p] = 0
            if kept:
                one = math.log(total) - (x[first + label * inner] - most)
                loss[p] = one * weight[label] if weight.size else one
            if sample.size:
                sample[p] = 0
                if kept:
                    sample[p] = weight[label] if weight.size else 1


@Kernel
def _backward(g, y, out, classes, inner, log):
    for p in prange(out.size // max(1, classes)):
        first = p // inner * classes * inner + p % inner
        total = g[first] * 0
        for c in range(classes):
            at = first + c * inner
            total += g[at] if log else g[at] * y[at]
        for c in range(classes):
            at = first + c * inner
            out[at] = g[at] - math.exp(y[at]) * total if log else y[at] * (g[at] - total)


@Kernel
def _cross_entropy_backward(y, labels, weight, ignore, grad, step, out, classes, inner):
    for p in prange(out.size // max(1, classes)):
        first = p // inner * classes * inner + p % inner
        label = labels[p]
        if label == ignore or label < 0 or label >= classes:
            for c in range(classes):
                out[first + c * inner] = 0
            continue
        scale = grad[p * step]
        if weight.size:
            scale *= weight[label]
        for c in range(classes):
            at = first + c * inner
            out[at] = (y[at] - 1 if c == label else y[at]) * scale


def _optional(a: Array | None, dtype: Any) -> Array:
    return np.empty(0, dtype) if a is None else flat_copy_if_needed(a)


def _forward(x: Array, out: Array, log: bool) -> None:
    none, labels = np.empty(0, x.dtype), np.empty(0, np.int64)
    _softmax(
        flat_copy_if_needed(x), out.reshape(-1), none, none, labels, none, 0, x.shape[1],
        x.shape[2], log,
    )  # fmt: skip


def softmax(x: Array, out: Array) -> None:
    """``exp(x)`` over its sum along the classes."""
    _forward(x, out, False)


def log_softmax(x: Array, out: Array) -> None:
    """``x`` less the logarithm of the sum of ``exp(x)``."""
    _forward(x, out, True)


def softmax_backward(grad_out: Array, y: Array, out: Array) -> None:
    """``y * (g - sum(g * y))``, from the output y."""
    _backward(*map(flat_copy_if_needed, (grad_out, y)), out.reshape(-1), *y.shape[1:], False)


def log_softmax_backward(grad_out: Array, y: Array, out: Array) -> None:
    """``g - exp(y) * sum(g)``, from the output y."""
    _backward(*map(flat_copy_if_needed, (grad_out, y)), out.reshape(-1), *y.shape[1:], True)


def cross_entropy(
    x: Array,
    labels: Array,
    weight: Array | None,
    ignore: int,
    out: Array,
    loss: Array,
    sample: Array | None,
) -> None:
    """``softmax(x)`` -> out, the weighted losses and, where wanted, the weights of the labels."""
    _softmax(
        flat_copy_if_needed(x), out.reshape(-1), loss,
        np.empty(0, x.dtype) if sample is None else sample, flat_copy_if_needed(labels),
        _optional(weight, x.dtype), ignore, x.shape[1], x.shape[2], False,
    )  # fmt: skip


def cross_entropy_backward(
    p: Array, labels: Array, weight: Array | None, ignore: int, grad: Array, out: Array
) -> None:
    """``(p - [class == label]) * weight[label] * grad``; `grad` (positions,) or ()."""
    _cross_entropy_backward(
        flat_copy_if_needed(p), flat_copy_if_needed(labels), _optional(weight, p.dtype), ignore,
        flat_copy_if_needed(grad), min(grad.ndim, 1), out.reshape(-1), p.shape[1], p.shape[2],
    )  # fmt: skip

"""Layer norm of the rows of a C-contiguous (rows, length) array."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.layout import flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel

Array = NDArray[Any]
#: Rows whose gradients of weight and bias are added up in the array's type.
ROWS = 128

_kernel = partial(Kernel, fastmath=False)


@_kernel
def _forward(x, weight, bias, eps, out, mean, inverse, length):
    for row in prange(mean.size):
        first = row * length
        total = 0.0
        for j in range(first, first + length):
            total += x[j]
        m = total / length
        total = 0.0
        for j in range(first, first + length):
            total += (x[j] - m) * (x[j] - m)
        scale = 1 / np.sqrt(total / length + eps)
        mean[row] = m
        inverse[row] = scale
        for j in range(length):
            v = (x[first + j] - m) * scale
            if weight.size:
                v *= weight[j]
            if bias.size:
                v += bias[j]
            out[first + j] = v


@_kernel
def _backward(g, x, weight, mean, inverse, out, part, length):
    """part[block, 0] is the sum of g * xhat over a block of rows, part[block, 1] that of g."""
    for block in prange(part.shape[0]):
        part[block] = 0
        for row in range(block * ROWS, min(mean.size, (block + 1) * ROWS)):
            first, m, scale = row * length, mean[row], inverse[row]
            level, slope = 0.0, 0.0
            for j in range(length):
                d, v = float(g[first + j]), (x[first + j] - m) * scale
                part[block, 0, j] += d * v
                part[block, 1, j] += d
                if weight.size:
                    d *= weight[j]
                level += d
                slope += d * v
            level, slope = level / length, slope / length
            for j in range(length if out.size else 0):
                d, v = float(g[first + j]), (x[first + j] - m) * scale
                if weight.size:
                    d *= weight[j]
                out[first + j] = (d - level - v * slope) * scale


def _given(a: Array | None, like: Array) -> Array:
    return np.empty(0, like.dtype) if a is None else flat_copy_if_needed(a)


def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float, out: Array, stats: Array
) -> None:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` -> out, of each row.

    stats (2, rows), float64: mean and 1 / sqrt(variance + eps).
    """
    _forward(
        flat_copy_if_needed(x), _given(weight, x), _given(bias, x), eps, out.reshape(-1), *stats,
        x.shape[1],
    )  # fmt: skip


def layer_norm_backward(
    grad_out: Array,
    x: Array,
    weight: Array | None,
    stats: Array,
    out: Array | None,
    grad_weight: Array | None,
    grad_bias: Array | None,
) -> None:
    """Gradients of x -> out, of weight and bias, each may be None; out may be grad_out."""
    rows, length = x.shape
    part = np.empty((-(-rows // ROWS), 2, length))
    _backward(
        flat_copy_if_needed(grad_out), flat_copy_if_needed(x), _given(weight, x), *stats,
        np.empty(0, x.dtype) if out is None else out.reshape(-1), part, length,
    )  # fmt: skip
    if grad_weight is not None:
        grad_weight[:] = part[:, 0].sum(0)
    if grad_bias is not None:
        grad_bias[:] = part[:, 1].sum(0)

"""Functions of the elements of one or two C-contiguous arrays: one pass each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.layout import flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel

Array = NDArray[Any]


def _with(kernel: Any, binary: bool, parameters: int) -> Callable[..., None]:
    """The function of arrays that calls a kernel of flat buffers and parameters of their type."""

    def run(a: Array, *rest: Any) -> None:
        given = [a, *rest[:1]] if binary else [a]
        out = rest[1 if binary else 0]
        values = [a.dtype.type(v) for v in rest[2 if binary else 1 :][:parameters]]
        kernel(*map(flat_copy_if_needed, given), out.reshape(-1), *values)

    return run


@Kernel
def _add(a, b, out):
    for i in prange(out.size):
        out[i] = a[i] + b[i]


@Kernel
def _sub(a, b, out):
    for i in prange(out.size):
        out[i] = a[i] - b[i]


@Kernel
def _mul(a, b, out):
    for i in prange(out.size):
        out[i] = a[i] * b[i]


@Kernel
def _relu(a, out):
    for i in prange(out.size):
        out[i] = 0 if a[i] < 0 else a[i]


@Kernel
def _leaky_relu(a, out, slope):
    for i in prange(out.size):
        out[i] = a[i] if a[i] > 0 else a[i] * slope


@Kernel
def _clamp(a, out, low, high):
    for i in prange(out.size):
        v = high if a[i] > high else a[i]
        out[i] = low if v < low else v


@Kernel
def _sigmoid(a, out):
    for i in prange(out.size):
        e = math.exp(-abs(a[i]))
        out[i] = (1 if a[i] > 0 else e) / (1 + e)


@Kernel
def _tanh(a, out):
    for i in prange(out.size):
        out[i] = math.tanh(a[i])


@Kernel
def _silu(a, out):
    for i in prange(out.size):
        e = math.exp(-abs(a[i]))
        out[i] = a[i] * ((1 if a[i] > 0 else e) / (1 + e))


@Kernel
def _relu_backward(g, y, out):
    for i in prange(out.size):
        out[i] = 0 if y[i] <= 0 else g[i]


@Kernel
def _leaky_relu_backward(g, y, out, slope):
    for i in prange(out.size):
        out[i] = g[i] if y[i] > 0 else g[i] * slope


@Kernel
def _clamp_backward(g, y, out, low, high):
    for i in prange(out.size):
        out[i] = g[i] if (y[i] > low) & (y[i] < high) else 0


@Kernel
def _sigmoid_backward(g, y, out):
    for i in prange(out.size):
        out[i] = g[i] * (y[i] * (1 - y[i]))


@Kernel
def _tanh_backward(g, y, out):
    for i in prange(out.size):
        out[i] = g[i] * (1 - y[i] * y[i])


@Kernel
def _silu_backward(g, x, out):
    for i in prange(out.size):
        e = math.exp(-abs(x[i]))
        s = (1 if x[i] > 0 else e) / (1 + e)
        out[i] = g[i] * (s * (1 + x[i] * (1 - s)))


add = _with(_add, True, 0)
sub = _with(_sub, True, 0)
mul = _with(_mul, True, 0)
relu = _with(_relu, False, 0)
leaky_relu = _with(_leaky_relu, False, 1)
clamp = _with(_clamp, False, 2)
sigmoid = _with(_sigmoid, False, 0)
tanh = _with(_tanh, False, 0)
silu = _with(_silu, False, 0)
relu_backward = _with(_relu_backward, True, 0)
leaky_relu_backward = _with(_leaky_relu_backward, True, 1)
clamp_backward = _with(_clamp_backward, True, 2)
sigmoid_backward = _with(_sigmoid_backward, True, 0)
tanh_backward = _with(_tanh_backward, True, 0)
silu_backward = _with(_silu_backward, True, 0)


@Kernel
def _column_sums(a, sums):
    """In float64, 64 columns a task."""
    channels = sums.size
    for block in prange((channels + 63) // 64):
        first = block * 64
        count = min(64, channels - first)
        total = np.zeros(count, np.float64)
        for at in range(first, a.size, channels):
            for i in range(count):
                total[i] += a[at + i]
        sums[first : first + count] = total


def _summing(backward: Callable[..., None]) -> Callable[..., None]:
    """A gradient (rows, channels), and the sums of its columns."""

    def run(g: Array, y: Array, out: Array, sums: Array, *rest: float) -> None:
        backward(g, y, out, *rest)
        _column_sums(out.reshape(-1), sums)

    return run


relu_backward_sums = _summing(relu_backward)
leaky_relu_backward_sums = _summing(leaky_relu_backward)
clamp_backward_sums = _summing(clamp_backward)

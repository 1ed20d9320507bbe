"""Functions of the elements of one or two C-contiguous arrays: one pass each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


add = _with(_add, True, 0)
sub = _with(_sub, True, 0)
mul = _with(_mul, True, 0)
relu = _with(_relu, False, 0)
leaky_relu = _with(_leaky_relu, False, 1)
clamp = _with(_clamp, False, 2)
relu_backward = _with(_relu_backward, True, 0)
leaky_relu_backward = _with(_leaky_relu_backward, True, 1)
clamp_backward = _with(_clamp_backward, True, 2)

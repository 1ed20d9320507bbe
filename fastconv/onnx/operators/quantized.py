"""Quantised operators: integers with a scale and a zero point.

Products are computed in float64, in which they are exact, and rounded once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv as T

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import Array, along_axis, arr, axis, value
from .conv import convolve

#: Types that QuantizeLinear makes here, by number.
INTEGERS = {2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16}


def _lined(a: Any, rank: int, k: int, shape: Any, block: int = 0) -> Array:
    """A scale or zero point against a value: one number, one for each index of axis k, blocks."""
    a = arr(a)
    if a.size == 1 and a.ndim <= 1:
        return a.reshape(())
    if a.ndim == 1 and not block:
        if a.shape[0] != shape[k]:
            raise OnnxError(f"{a.shape[0]} scales or zero points for axis {k} of {tuple(shape)}")
        return a.reshape(-1, *(1,) * (rank - k - 1))
    if not block:
        raise OnnxError(f"scales of shape {a.shape} need a block_size")
    wide = np.repeat(a, block, k)
    return wide[along_axis(k, slice(0, shape[k]))]


def _saturated(a: Array, kind: Any) -> Array:
    ends = np.iinfo(kind)
    return np.clip(a, ends.min, ends.max).astype(kind)


@operator("QuantizeLinear", since=10)
def _quantize(n: Node, x: Any, scale: Any, zero: Any = None) -> Any:
    a = arr(x)
    k = axis(n.get("axis", 1), a.ndim) if arr(scale).size > 1 else 0
    block = n.get("block_size", 0)
    kind = n.get("output_dtype", 0)
    if zero is not None:
        made = arr(zero).dtype
    elif kind and kind not in INTEGERS:
        raise OnnxError(f"output_dtype {kind} is none of 8 and 16 bits")
    else:
        made = np.dtype(INTEGERS[kind] if kind else np.uint8)
    if made.kind not in "iu":
        raise OnnxError(f"zero points must be integers of 8 or 16 bits, got {made}")
    s = _lined(scale, a.ndim, k, a.shape, block).astype(a.dtype if a.dtype.kind == "f" else float)
    with np.errstate(all="ignore"):
        y = np.rint(a / s)
    if zero is not None:
        y = y + _lined(zero, a.ndim, k, a.shape, block).astype(np.int64)
    return _saturated(np.nan_to_num(y, nan=0.0), made)


@operator("DequantizeLinear", since=10)
def _dequantize(n: Node, x: Any, scale: Any, zero: Any = None) -> Any:
    a, s = arr(x), arr(scale)
    k = axis(n.get("axis", 1), a.ndim) if s.size > 1 else 0
    block = n.get("block_size", 0)
    y = a.astype(np.float64 if s.dtype == np.float64 else np.float32)
    if zero is not None:
        y = y - _lined(zero, a.ndim, k, a.shape, block).astype(y.dtype)
    return value(y * _lined(scale, a.ndim, k, a.shape, block).astype(y.dtype))


@operator("DynamicQuantizeLinear", since=11)
def _dynamic(n: Node, x: Any) -> Any:
    a = arr(x)
    low = np.float32(min(0.0, float(a.min(initial=0))))
    high = np.float32(max(0.0, float(a.max(initial=0))))
    scale = np.float32((high - low) / np.float32(255))
    if scale == 0:
        scale = np.float32(1)
    zero = np.clip(np.rint(-low / scale), 0, 255).astype(np.uint8)
    y = _saturated(np.rint(a / scale) + zero, np.uint8)
    return y, np.asarray(scale), np.asarray(zero)


def _wide(x: Any, zero: Any, k: int = 0) -> Array:
    """x minus its zero point, in float64."""
    a = arr(x).astype(np.float64)
    if zero is None:
        return a
    return a - _lined(zero, a.ndim, k, a.shape).astype(np.float64)


def _convolution(n: Node, x: Array, w: Array) -> Array:
    """The exact products of integers."""
    y = convolve(n, T.from_numpy(x), T.from_numpy(w), None)
    return np.rint(arr(y))


@operator("ConvInteger", since=10)
def _conv_integer(n: Node, x: Any, w: Any, x_zero: Any = None, w_zero: Any = None) -> Any:
    return _convolution(n, _wide(x, x_zero), _wide(w, w_zero)).astype(np.int32)


@operator("MatMulInteger", since=10)
def _matmul_integer(n: Node, a: Any, b: Any, a_zero: Any = None, b_zero: Any = None) -> Any:
    x, y = _wide(a, _rows(a_zero)), _wide(b, b_zero, arr(b).ndim - 1)
    return np.matmul(x, y).astype(np.int64).astype(np.int32)


def _rows(zero: Any) -> Any:
    """Zero points of the rows of the first operand, as a column."""
    if zero is None or arr(zero).size == 1:
        return zero
    return arr(zero)[..., None] if arr(zero).ndim == 1 else zero


def _requantized(y: Array, scale: Array, zero: Any) -> Array:
    """Sums times a scale, in the type of the zero point."""
    kind = arr(zero).dtype
    return _saturated(np.rint(y * scale) + arr(zero).astype(np.float64), kind)


@operator("QLinearConv", since=10)
def _qlinear_conv(
    n: Node, x: Any, x_scale: Any, x_zero: Any, w: Any, w_scale: Any, w_zero: Any, y_scale: Any,
    y_zero: Any, b: Any = None,
) -> Any:  # fmt: skip
    y = _convolution(n, _wide(x, x_zero), _wide(w, w_zero))
    channels = (1, -1, *(1,) * (y.ndim - 2))
    if b is not None:
        y = y + arr(b).astype(np.float64).reshape(channels)
    scale = arr(x_scale).astype(np.float64) * arr(w_scale).astype(np.float64)
    scale = scale.reshape(channels) if scale.size > 1 else scale.reshape(())
    return _requantized(y, scale / arr(y_scale).astype(np.float64).reshape(()), y_zero)


@operator("QLinearMatMul", since=10)
def _qlinear_matmul(
    n: Node, a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, y_scale: Any,
    y_zero: Any,
) -> Any:  # fmt: skip
    x, w = _wide(a, _rows(a_zero)), _wide(b, b_zero, arr(b).ndim - 1)
    rows = _rows(a_scale)
    scale = arr(rows).astype(np.float64) * arr(b_scale).astype(np.float64)
    y = np.matmul(x, w)
    return _requantized(y, scale / arr(y_scale).astype(np.float64), y_zero)

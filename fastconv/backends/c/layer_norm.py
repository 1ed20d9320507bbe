"""Layer norm of the rows of a C-contiguous (rows, length) array."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.backends.c.library import (
    NULL,
    SERIAL_ELEMENTS,
    Array,
    check_same,
    check_status,
    dtype_code,
    from_buffer,
    lib,
    thread_count,
)

DOUBLE = np.dtype(np.float64)


def _read(what: str, name: str, a: Array | None, shape: tuple[int, ...], dtype: Any) -> Any:
    if a is None:
        return NULL
    check_same(what, name, a, shape, dtype)
    return from_buffer(a if a.flags.c_contiguous else np.ascontiguousarray(a))


def _written(what: str, name: str, a: Array | None, shape: tuple[int, ...], dtype: Any) -> Any:
    if a is None:
        return NULL
    check_same(what, name, a, shape, dtype)
    return from_buffer("char[]", a, True)


def _rows(what: str, x: Array) -> tuple[int, int]:
    if x.ndim != 2:
        raise ValueError(f"{what}: expected (rows, length), got shape {x.shape}")
    return x.shape  # type: ignore[return-value]


def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float, out: Array, stats: Array
) -> None:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` -> out, of each row.

    stats (2, rows), float64: mean and 1 / sqrt(variance + eps).
    """
    what = "layer_norm"
    code, dtype, (rows, length) = dtype_code(what, x), x.dtype, _rows(what, x)
    check_same(what, "stats", stats, (2, rows), DOUBLE)
    status = lib.fc_layer_norm(
        code, rows, length, _read(what, "x", x, x.shape, dtype),
        _read(what, "weight", weight, (length,), dtype),
        _read(what, "bias", bias, (length,), dtype), eps,
        _written(what, "out", out, x.shape, dtype), from_buffer("double[]", stats, True),
        thread_count(x.size >= SERIAL_ELEMENTS),
    )  # fmt: skip
    if status:
        check_status(status, what)


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
    what = "layer_norm_backward"
    code, dtype, (rows, length) = dtype_code(what, x), x.dtype, _rows(what, x)
    check_same(what, "stats", stats, (2, rows), DOUBLE)
    status = lib.fc_layer_norm_backward(
        code, rows, length, _read(what, "grad_out", grad_out, x.shape, dtype),
        _read(what, "x", x, x.shape, dtype), _read(what, "weight", weight, (length,), dtype),
        from_buffer("double[]", stats), _written(what, "out", out, x.shape, dtype),
        _written(what, "grad_weight", grad_weight, (length,), dtype),
        _written(what, "grad_bias", grad_bias, (length,), dtype),
        thread_count(x.size >= SERIAL_ELEMENTS),
    )  # fmt: skip
    if status:
        check_status(status, what)

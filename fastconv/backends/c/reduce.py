"""Sums, products and running sums along the middle axis of (outer, length, inner) arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.backends.c.library import (
    DTYPES,
    NULL,
    SERIAL_ELEMENTS,
    Array,
    check_same,
    check_status,
    dtype_code,
    ffi,
    from_buffer,
    lib,
    thread_count,
)

DOUBLE = np.dtype(np.float64)


@lru_cache(maxsize=1024)
def _structure(shape: tuple[int, ...]) -> Any:
    return ffi.new("fc_reduce_geom *", shape)


def _geometry(what: str, x: Array) -> Any:
    if x.ndim != 3:
        raise ValueError(f"{what}: expected (outer, length, inner), got shape {x.shape}")
    return _structure(x.shape)


def _reduction(what: str, kind: int) -> Callable[..., None]:
    def run(
        x: Array,
        out: Array,
        other: Array | None = None,
        centre: Array | None = None,
        divisor: float = 1.0,
    ) -> None:
        dtype = x.dtype
        if dtype not in DTYPES:
            dtype_code(what, x)
        geometry = _geometry(what, x)
        outer, _, inner = x.shape
        wide = out.dtype == DOUBLE
        if out.shape != (outer, inner) or not (wide or out.dtype == dtype):
            check_same(what, "out", out, (outer, inner), dtype)
        if other is not None:
            check_same(what, "other", other, x.shape, dtype)
        elif kind == lib.FC_SUM_PRODUCTS:
            raise ValueError(f"{what}: needs two operands")
        if centre is not None:
            check_same(what, "centre", centre, (outer, inner), DOUBLE)
        status = lib.fc_reduce(
            kind, DTYPES[dtype], geometry, from_buffer(x),
            NULL if other is None else from_buffer(other),
            NULL if centre is None else from_buffer("double[]", centre), divisor, wide,
            from_buffer("char[]", out, True), thread_count(x.size >= SERIAL_ELEMENTS),
        )  # fmt: skip
        if status:
            check_status(status, what)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = f"{what} of x, C-contiguous, -> out (outer, inner), of x's type or float64."
    return run


sums = _reduction("sums", lib.FC_SUM)
sums_of_squares = _reduction("sums_of_squares", lib.FC_SUM_SQUARES)
sums_of_products = _reduction("sums_of_products", lib.FC_SUM_PRODUCTS)
sums_of_exps = _reduction("sums_of_exps", lib.FC_SUM_EXP)
products = _reduction("products", lib.FC_PRODUCT)


def _running(what: str, product: bool) -> Callable[..., None]:
    def run(x: Array, out: Array, back: bool = False) -> None:
        code, geometry = dtype_code(what, x), _geometry(what, x)
        check_same(what, "out", out, x.shape, x.dtype)
        status = lib.fc_running(
            product, code, geometry, from_buffer(x), back,
            from_buffer("char[]", out, True), thread_count(x.size >= SERIAL_ELEMENTS),
        )  # fmt: skip
        if status:
            check_status(status, what)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = f"{what} of x -> out, which may be x; with `back` from the end on."
    return run


running_sums = _running("running_sums", False)
running_products = _running("running_products", True)

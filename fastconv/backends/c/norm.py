"""Normalisation: statistics of the channels, the pass that applies them, and the gradients."""

from __future__ import annotations

import math
from math import inf
from typing import Any

import numpy as np

from fastconv.backends.c.formats import dense_results, last_results, last_view
from fastconv.backends.c.library import (
    NULL,
    SERIAL_ELEMENTS,
    Array,
    check_same,
    check_status,
    ffi,
    from_buffer,
    lib,
    thread_count,
    type_code,
)
from fastconv.backends.c.packing import dense_pointer
from fastconv.backends.kernel import Call, kernel
from fastconv.spec import NormSpec

DOUBLE = np.dtype(np.float64)


class Norm:
    """What C's calls share of a normalisation: shapes, and a geometry for each memory format.

    Pointers to whole arrays are in the format that `last` names; what lies otherwise is copied if
    it is only read.
    """

    __slots__ = ("axes", "channels", "code", "coef", "geometry", "parallel", "shape", "what")

    def __init__(self, what: str, spec: NormSpec, dtype: Any) -> None:
        self.what, self.code, self.shape = what, type_code(what, dtype), spec.shape
        n = len(spec.shape)
        self.axes = (0, *range(2, n), 1)
        self.channels = (spec.channels,)
        self.coef = (3, spec.sets * spec.channels)
        self.parallel = math.prod(spec.shape) >= SERIAL_ELEMENTS
        sizes = (spec.sets, spec.batch, spec.channels, spec.space, spec.pool)
        rows = spec.space == 1 and spec.channels > 1  # both formats are one
        self.geometry = [
            ffi.new("fc_norm_geom *", (*sizes, last)) for last in (int(rows), 1)
        ]  # fmt: skip

    def input(self, x: Array, dtype: Any) -> tuple[bool, Any]:
        """Whether x is channels-last, and its pointer; dense in neither format, it is copied."""
        if x.shape != self.shape or x.dtype != dtype:
            check_same(self.what, "x", x, self.shape, dtype)
        if x.flags.c_contiguous:
            return False, from_buffer(x)
        try:
            return True, from_buffer(x.transpose(self.axes))
        except ValueError:
            return False, from_buffer(np.ascontiguousarray(x))

    def read(self, last: bool, dtype: Any, **arrays: Array | None) -> list[Any]:
        """Pointers to arrays in that format, copied where they have another."""
        found = []
        for name, a in arrays.items():
            if a is None:
                found.append(NULL)
                continue
            if a.shape != self.shape or a.dtype != dtype:
                check_same(self.what, name, a, self.shape, dtype)
            try:
                found.append(from_buffer(a.transpose(self.axes) if last else a))
            except ValueError:  # not dense in that format
                dense = last_view(a.reshape(*a.shape[:2], 1, 1, -1)) if last else None
                found.append(from_buffer(np.ascontiguousarray(a) if dense is None else dense))
        return found

    def write(self, last: bool, dtype: Any, **arrays: Array | None) -> list[Any]:
        """Pointers to results in that format."""
        found = []
        for name, a in arrays.items():
            if a is None:
                found.append(NULL)
                continue
            if a.shape != self.shape or a.dtype != dtype:
                check_same(self.what, name, a, self.shape, dtype)
            try:
                found.append(from_buffer("char[]", a.transpose(self.axes) if last else a, True))
            except ValueError:
                raise ValueError(
                    f"{self.what}: {name} must be laid out as the input, and writable, "
                    f"got strides {a.strides}"
                ) from None
        return found

    def each(self, dtype: Any, out: bool = False, **values: Array | None) -> list[Any]:
        """Pointers to values of the channels (C,), copied where they are only read."""
        found = []
        for name, a in values.items():
            if a is None:
                found.append(NULL)
                continue
            if a.shape != self.channels or a.dtype != dtype:
                check_same(self.what, name, a, self.channels, dtype)
            if out:
                found.append(from_buffer("char[]", a, True))
            else:
                found.append(from_buffer(a) if a.flags.c_contiguous else dense_pointer(a))
        return found

    def doubles(self, name: str, a: Array) -> Any:
        """The pointer to statistics (3, sets * C), float64."""
        if a.shape != self.coef or a.dtype != DOUBLE:
            check_same(self.what, name, a, self.coef, DOUBLE)
        return from_buffer("double[]", a, True)

    def rows(self, name: str, a: Array, dtype: Any, out: bool = False) -> Any:
        """The pointer to coefficients (3, sets * C)."""
        if a.shape != self.coef or a.dtype != dtype:
            check_same(self.what, name, a, self.coef, dtype)
        return from_buffer("char[]", a, True) if out else dense_pointer(a)


@kernel("c", "norm_statistics")
def norm_statistics(spec: NormSpec, dtype: Any, rank: int) -> Call:
    """Mean, biased variance and inverse deviation of every channel -> stats (3, sets * C), float64.

    coef (3, sets * C): centre, scale, shift. weight, bias, running statistics (C,): each may be
    None; the last are moved towards the average of the sets, the variance unbiased.
    """
    norm = Norm("norm_statistics", spec, dtype)
    code, size, new, run = norm.code, norm.coef, np.empty, lib.fc_norm_statistics
    each = norm.each

    def call(
        x: Array, weight: Array | None, bias: Array | None, eps: float, running_mean: Array | None,
        running_var: Array | None, momentum: float, stats: Array | None = None,
        coef: Array | None = None,
    ) -> tuple[Array, Array]:  # fmt: skip
        if stats is None or coef is None:
            stats, coef = new(size), new(size, dtype)
            s, c = from_buffer("double[]", stats), from_buffer(coef)
        else:
            s, c = norm.doubles("stats", stats), norm.rows("coef", coef, dtype, True)
        last, a = norm.input(x, dtype)
        w, b = each(dtype, weight=weight, bias=bias)
        mean, var = each(dtype, True, running_mean=running_mean, running_var=running_var)
        status = run(
            code, norm.geometry[last], a, w, b, eps, mean, var, momentum, s, c,
            thread_count(norm.parallel),
        )  # fmt: skip
        if status:
            check_status(status, norm.what)
        return stats, coef

    return call


@kernel("c", "norm_apply")
def norm_apply(spec: NormSpec, dtype: Any, rank: int) -> Call:
    """``(x - centre) * scale + shift``, + residual, ReLU up to the limit, laid out as x.

    `coef` (3, sets * C): centre, scale, shift.
    """
    norm = Norm("norm_apply", spec, dtype)
    code, shape, run = norm.code, norm.shape, lib.fc_norm_apply
    new = (dense_results(shape, dtype), last_results(shape, dtype) if 3 <= rank <= 5 else None)

    def call(
        x: Array, coef: Array, residual: Array | None = None, relu: bool = False,
        out: Array | None = None, limit: float = inf,
    ) -> Array:  # fmt: skip
        last, a = norm.input(x, dtype)
        c = norm.rows("coef", coef, dtype)
        (r,) = norm.read(last, dtype, residual=residual)
        make = new[last] if out is None else None
        if make is not None:
            out, y = make()
        else:
            out = np.empty_like(x) if out is None else out
            (y,) = norm.write(last, dtype, out=out)
        geometry = norm.geometry[last]
        status = run(code, geometry, a, c, r, relu, limit, y, thread_count(norm.parallel))
        if status:
            check_status(status, norm.what)
        return out

    return call


@kernel("c", "norm_backward")
def norm_backward(spec: NormSpec, dtype: Any, rank: int) -> Call:
    """Gradients of ``norm_apply`` with what ``norm_statistics`` left; each output may be None.

    d is grad_out, or with `relu` what of it passes: by the result `y`, needed where a residual was
    added, or by the value computed again. passed = d; grad_weight and grad_bias (C,) are the sums
    of d * xhat and d; out is the gradient of x, through the statistics unless `constant`. out or
    passed may be grad_out itself.
    """
    norm = Norm("norm_backward", spec, dtype)
    code, run, each = norm.code, lib.fc_norm_backward, norm.each

    def call(
        grad_out: Array, x: Array, y: Array | None, relu: bool, weight: Array | None, stats: Array,
        coef: Array, constant: bool, out: Array | None, passed: Array | None,
        grad_weight: Array | None, grad_bias: Array | None, limit: float = inf,
    ) -> None:  # fmt: skip
        first = x if passed is None else passed
        last = not (first if out is None else out).flags.c_contiguous
        (w,) = each(dtype, weight=weight)
        dw, db = each(dtype, True, grad_weight=grad_weight, grad_bias=grad_bias)
        dy, a, b = norm.read(last, dtype, grad_out=grad_out, x=x, y=y)
        dx, dr = norm.write(last, dtype, out=out, passed=passed)
        status = run(
            code, norm.geometry[last], dy, a, b, relu, limit, w, norm.doubles("stats", stats),
            norm.rows("coef", coef, dtype), constant, dx, dr, dw, db, thread_count(norm.parallel),
        )  # fmt: skip
        if status:
            check_status(status, norm.what)

    return call

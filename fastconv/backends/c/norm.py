"""Normalisation: statistics, sums of the gradient, and the two maps."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from fastconv.backends.c.formats import LAST, NCHW, last_view
from fastconv.backends.c.library import (
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
from fastconv.spec import NormSpec

DOUBLE = np.dtype(np.float64)


class _Norm:
    """What is kept of a normalisation: the axes of channels-last memory, a geometry per format."""

    __slots__ = ("axes", "geometry", "length", "parallel", "shape")

    def __init__(self, spec: NormSpec) -> None:
        self.shape = spec.shape
        n = len(spec.shape)
        self.axes = (0, *range(2, n), 1)
        self.length = spec.sets * spec.channels
        self.parallel = self.length * spec.batch * spec.space >= SERIAL_ELEMENTS
        sizes = (spec.sets, spec.batch, spec.channels, spec.space)
        rows = spec.space == 1 and spec.channels > 1  # both formats are one
        self.geometry = [
            ffi.new("fc_norm_geom *", (*sizes, last)) for last in (int(rows), 1)
        ]  # fmt: skip


def _norm(spec: NormSpec) -> _Norm:
    kept = spec.cache.get("c")
    if kept is None:
        kept = spec.cache["c"] = _Norm(spec)
    return kept


def _form(kept: _Norm, a: Array) -> int:
    """Memory format of `a`; what is dense in neither will be copied to NCHW."""
    if a.flags.c_contiguous:
        return NCHW
    return LAST if a.transpose(kept.axes).flags.c_contiguous else NCHW


def _memory(kept: _Norm, a: Array, form: int) -> Array:
    """The C-contiguous array over the memory of `a` in that format; a copy where it has another."""
    if form == NCHW:
        return a if a.flags.c_contiguous else np.ascontiguousarray(a)
    view = a.transpose(kept.axes)
    if view.flags.c_contiguous:
        return view
    return last_view(a.reshape(*a.shape[:2], 1, 1, -1))


def _input(what: str, name: str, kept: _Norm, a: Array | None, form: int, dtype: Any) -> Any:
    if a is None:
        return NULL
    check_same(what, name, a, kept.shape, dtype)
    return from_buffer(_memory(kept, a, form))


def _output(what: str, name: str, kept: _Norm, a: Array | None, form: int, dtype: Any) -> Any:
    if a is None:
        return NULL
    check_same(what, name, a, kept.shape, dtype)
    view = a if form == NCHW else a.transpose(kept.axes)
    if not view.flags.c_contiguous:
        raise ValueError(f"{what}: {name} must be laid out as the input, got strides {a.strides}")
    return from_buffer("char[]", view, True)


def _sums(what: str, name: str, kept: _Norm, a: Array) -> Any:
    check_same(what, name, a, (kept.length,), DOUBLE)
    return from_buffer("double[]", a, True)


def _coefficients(what: str, kept: _Norm, a: Array, count: int, dtype: Any) -> Any:
    check_same(what, "coef", a, (count, kept.length), dtype)
    return from_buffer(a if a.flags.c_contiguous else np.ascontiguousarray(a))


def norm_statistics(spec: NormSpec, x: Array, mean: Array, var: Array) -> None:
    """Mean and biased variance of every channel of x -> float64 arrays (sets * C,)."""
    what = "norm_statistics"
    kept, code = _norm(spec), dtype_code(what, x)
    form = _form(kept, x)
    status = lib.fc_norm_statistics(
        code, kept.geometry[form], _input(what, "x", kept, x, form, x.dtype),
        _sums(what, "mean", kept, mean), _sums(what, "var", kept, var),
        thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)


def norm_apply(
    spec: NormSpec,
    x: Array,
    coef: Array,
    residual: Array | None,
    relu: bool,
    out: Array,
    limit: float = inf,
) -> None:
    """``(x - centre) * scale + shift``, + residual, ReLU up to the limit -> out, laid out as x.

    `coef` (3, sets * C): centre, scale, shift.
    """
    what = "norm_apply"
    kept, code, dtype = _norm(spec), dtype_code(what, x), x.dtype
    form = _form(kept, x)
    status = lib.fc_norm_apply(
        code, kept.geometry[form], _input(what, "x", kept, x, form, dtype),
        _coefficients(what, kept, coef, 3, dtype),
        _input(what, "residual", kept, residual, form, dtype), relu, limit,
        _output(what, "out", kept, out, form, dtype), thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)


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
    """Sums of d and of ``d * (x - centre)`` for every channel -> total, along, float64 (sets * C,).

    d is grad_out, or what of it the ReLU with result `y`, cut off at `limit`, lets through.
    """
    what = "norm_backward_sums"
    kept, code, dtype = _norm(spec), dtype_code(what, x), x.dtype
    form = _form(kept, x)
    check_same(what, "centre", centre, (kept.length,), dtype)
    status = lib.fc_norm_backward_sums(
        code, kept.geometry[form], _input(what, "grad_out", kept, grad_out, form, dtype),
        _input(what, "x", kept, x, form, dtype), _input(what, "y", kept, y, form, dtype), limit,
        from_buffer(np.ascontiguousarray(centre)), _sums(what, "total", kept, total),
        _sums(what, "along", kept, along), thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)


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
    """``d * scale + (x - centre) * slope + level`` -> out, d -> passed; each may be None.

    d as in ``norm_backward_sums``; without x only its multiple. `coef` (4, sets * C): centre,
    scale, slope, level. All arrays are laid out as the outputs.
    """
    what = "norm_backward_apply"
    kept, code, dtype = _norm(spec), dtype_code(what, grad_out), grad_out.dtype
    target = passed if out is None else out
    if target is None:
        return
    form = _form(kept, target)
    status = lib.fc_norm_backward_apply(
        code, kept.geometry[form], _input(what, "grad_out", kept, grad_out, form, dtype),
        _input(what, "x", kept, x, form, dtype), _input(what, "y", kept, y, form, dtype), limit,
        _coefficients(what, kept, coef, 4, dtype), _output(what, "out", kept, out, form, dtype),
        _output(what, "passed", kept, passed, form, dtype), thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)

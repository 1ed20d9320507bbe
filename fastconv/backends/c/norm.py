"""Normalisation: statistics and coefficients, the map, and its gradients: a call each."""

from __future__ import annotations

import math
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
from fastconv.backends.c.norm_ready import prepare_apply, prepare_backward, prepare_statistics
from fastconv.backends.c.packing import dense_pointer
from fastconv.spec import NormSpec

DOUBLE = np.dtype(np.float64)


class _Norm:
    """What is kept of a normalisation: the axes of channels-last memory, a geometry per format."""

    __slots__ = ("axes", "channels", "coef", "geometry", "parallel", "shape")

    def __init__(self, spec: NormSpec) -> None:
        self.shape = spec.shape
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


def _input(what: str, name: str, kept: _Norm, a: Array | None, form: int, dtype: Any) -> Any:
    """The pointer to `a` in that format, copied where it has another."""
    if a is None:
        return NULL
    if a.shape != kept.shape or a.dtype != dtype:
        check_same(what, name, a, kept.shape, dtype)
    try:
        return from_buffer(a if form == NCHW else a.transpose(kept.axes))
    except ValueError:  # not dense in that format
        if form == NCHW:
            return from_buffer(np.ascontiguousarray(a))
        return from_buffer(last_view(a.reshape(*a.shape[:2], 1, 1, -1)))


def _output(what: str, name: str, kept: _Norm, a: Array | None, form: int, dtype: Any) -> Any:
    if a is None:
        return NULL
    if a.shape != kept.shape or a.dtype != dtype:
        check_same(what, name, a, kept.shape, dtype)
    view = a if form == NCHW else a.transpose(kept.axes)
    if not view.flags.c_contiguous:
        raise ValueError(f"{what}: {name} must be laid out as the input, got strides {a.strides}")
    return from_buffer("char[]", view, True)


def _channels(what: str, name: str, kept: _Norm, a: Array | None, dtype: Any, out: bool) -> Any:
    """Values of the channels (C,): copied where they are not dense and only read."""
    if a is None:
        return NULL
    if a.shape != kept.channels or a.dtype != dtype:
        check_same(what, name, a, kept.channels, dtype)
    return from_buffer("char[]", a, True) if out else dense_pointer(a)


def _coefficients(what: str, kept: _Norm, a: Array, dtype: Any) -> Any:
    if a.shape != kept.coef or a.dtype != dtype:
        check_same(what, "coef", a, kept.coef, dtype)
    return dense_pointer(a)


def _stats(what: str, kept: _Norm, a: Array) -> Any:
    if a.shape != kept.coef or a.dtype != DOUBLE:
        check_same(what, "stats", a, kept.coef, DOUBLE)
    return from_buffer("double[]", a, True)


def norm_statistics(
    spec: NormSpec,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    running_mean: Array | None,
    running_var: Array | None,
    momentum: float,
    stats: Array,
    coef: Array,
) -> None:
    """Mean, biased variance and inverse deviation of every channel -> stats (3, sets * C), float64.

    coef (3, sets * C): centre, scale, shift. weight, bias, running statistics (C,): each may be
    None; the last are moved towards the average of the sets, the variance unbiased.
    """
    what = "norm_statistics"
    kept, code, dtype = _norm(spec), dtype_code(what, x), x.dtype
    form = _form(kept, x)
    if coef.shape != kept.coef or coef.dtype != dtype:
        check_same(what, "coef", coef, kept.coef, dtype)
    status = lib.fc_norm_statistics(
        code, kept.geometry[form], _input(what, "x", kept, x, form, dtype),
        _channels(what, "weight", kept, weight, dtype, False),
        _channels(what, "bias", kept, bias, dtype, False), eps,
        _channels(what, "running_mean", kept, running_mean, dtype, True),
        _channels(what, "running_var", kept, running_var, dtype, True), momentum,
        _stats(what, kept, stats), from_buffer("char[]", coef, True), thread_count(kept.parallel),
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
        _coefficients(what, kept, coef, dtype),
        _input(what, "residual", kept, residual, form, dtype), relu, limit,
        _output(what, "out", kept, out, form, dtype), thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)


def norm_backward(
    spec: NormSpec,
    grad_out: Array,
    x: Array,
    y: Array | None,
    relu: bool,
    weight: Array | None,
    stats: Array,
    coef: Array,
    constant: bool,
    out: Array | None,
    passed: Array | None,
    grad_weight: Array | None,
    grad_bias: Array | None,
    limit: float = inf,
) -> None:
    """Gradients of ``norm_apply`` with what ``norm_statistics`` left; each output may be None.

    d is grad_out, or with `relu` what of it passes: by the result `y`, needed where a residual was
    added, or by the value computed again. passed = d; grad_weight and grad_bias (C,) are the sums
    of d * xhat and d; out is the gradient of x, through the statistics unless `constant`. out or
    passed may be grad_out itself.
    """
    what = "norm_backward"
    kept, code, dtype = _norm(spec), dtype_code(what, grad_out), grad_out.dtype
    form = _form(kept, next((a for a in (out, passed) if a is not None), x))
    status = lib.fc_norm_backward(
        code, kept.geometry[form], _input(what, "grad_out", kept, grad_out, form, dtype),
        _input(what, "x", kept, x, form, dtype), _input(what, "y", kept, y, form, dtype),
        relu, limit, _channels(what, "weight", kept, weight, dtype, False),
        _stats(what, kept, stats), _coefficients(what, kept, coef, dtype), constant,
        _output(what, "out", kept, out, form, dtype),
        _output(what, "passed", kept, passed, form, dtype),
        _channels(what, "grad_weight", kept, grad_weight, dtype, True),
        _channels(what, "grad_bias", kept, grad_bias, dtype, True), thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)


norm_statistics.prepare = prepare_statistics(_norm, norm_statistics)  # type: ignore[attr-defined]
norm_apply.prepare = prepare_apply(_norm)  # type: ignore[attr-defined]
norm_backward.prepare = prepare_backward(_norm)  # type: ignore[attr-defined]

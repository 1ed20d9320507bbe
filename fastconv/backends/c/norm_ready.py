"""Normalisations made ready: what a repeated call need not ask again is asked once.

A call compares its operands with the geometry and calls C; those in another memory format than the
input go the long way round (``norm.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.backends.c.formats import dense_results, last_results
from fastconv.backends.c.library import (
    DTYPES,
    NULL,
    Array,
    check_status,
    from_buffer,
    lib,
    raise_difference,
    thread_count,
)
from fastconv.spec import NormSpec

Ready = Callable[..., Any]
Prepare = Callable[[NormSpec, Any, int], "Ready | None"]


def _small(what: str, dtype: Any, shape: tuple[int, ...], **given: Array | None) -> list[Any]:
    """Pointers to values of the channels; ValueError where one is not dense or not of the shape."""
    found = []
    for name, a in given.items():
        if a is None:
            found.append(NULL)
            continue
        if a.shape != shape or a.dtype != dtype:
            raise_difference(what, dtype, **{name: (a, shape)})
        found.append(from_buffer(a))
    return found


def prepare_statistics(kept_of: Callable[[NormSpec], Any], otherwise: Ready) -> Prepare:
    """``call(x, weight, bias, eps, running_mean, running_var, momentum)`` -> stats, coef."""
    what = "norm_statistics"

    def prepare(spec: NormSpec, dtype: Any, rank: int) -> Ready | None:
        kept, code = kept_of(spec), DTYPES.get(dtype)
        if code is None or 0 in spec.shape:
            return None
        shape, axes, size, channels = kept.shape, kept.axes, kept.coef, kept.channels
        (plain, last), new, run = kept.geometry, np.empty, lib.fc_norm_statistics

        def call(
            x: Array, weight: Array | None, bias: Array | None, eps: float,
            mean: Array | None, var: Array | None, momentum: float,
        ) -> tuple[Array, Array]:  # fmt: skip
            if x.shape != shape or x.dtype != dtype:
                raise_difference(what, dtype, x=(x, shape))
            stats, coef = new(size), new(size, dtype)
            geometry = plain if x.flags.c_contiguous else last
            try:
                a = from_buffer(x if geometry is plain else x.transpose(axes))
                w, b, m, v = _small(
                    what, dtype, channels, weight=weight, bias=bias, running_mean=mean,
                    running_var=var,
                )  # fmt: skip
            except ValueError:  # something is not dense, or not of the shape that it should be
                otherwise(spec, x, weight, bias, eps, mean, var, momentum, stats, coef)
                return stats, coef
            status = run(
                code, geometry, a, w, b, eps, m, v, momentum, from_buffer("double[]", stats),
                from_buffer(coef), thread_count(kept.parallel),
            )  # fmt: skip
            if status:
                check_status(status, what)
            return stats, coef

        return call

    return prepare


def prepare_apply(kept_of: Callable[[NormSpec], Any]) -> Prepare:
    """``call(x, coef, residual, relu, limit)`` -> y, laid out as x; None where x is not dense."""
    what = "norm_apply"

    def prepare(spec: NormSpec, dtype: Any, rank: int) -> Ready | None:
        kept, code = kept_of(spec), DTYPES.get(dtype)
        if code is None or 0 in spec.shape or rank not in (3, 4, 5):
            return None
        shape, axes, size = kept.shape, kept.axes, kept.coef
        (plain, last), run = kept.geometry, lib.fc_norm_apply
        new_plain, new_last = dense_results(shape, dtype), last_results(shape, dtype)

        def call(
            x: Array, coef: Array, residual: Array | None, relu: bool, limit: float
        ) -> Array | None:
            if x.shape != shape or coef.shape != size or not x.dtype == coef.dtype == dtype:
                raise_difference(what, dtype, x=(x, shape), coef=(coef, size))
            r = NULL
            try:
                if x.flags.c_contiguous:
                    geometry, new, a = plain, new_plain, from_buffer(x)
                else:
                    geometry, new, a = last, new_last, from_buffer(x.transpose(axes))
                if residual is not None:
                    if residual.shape != shape or residual.dtype != dtype:
                        raise_difference(what, dtype, residual=(residual, shape))
                    r = from_buffer(residual if geometry is plain else residual.transpose(axes))
                c = from_buffer(coef)
            except ValueError:  # not dense, or not of the shape that it should be
                return None
            y, out = new()
            threads = thread_count(kept.parallel)
            status = run(code, geometry, a, c, r, relu, limit, out, threads)
            if status:
                check_status(status, what)
            return y

        return call

    return prepare


def prepare_backward(kept_of: Callable[[NormSpec], Any]) -> Prepare:
    """``call`` as ``norm_backward``, for results that the caller has made; whether it ran.

    It did not where an operand is in another format than x, for the long way to copy it.
    """
    what = "norm_backward"

    def prepare(spec: NormSpec, dtype: Any, rank: int) -> Ready | None:
        kept, code = kept_of(spec), DTYPES.get(dtype)
        if code is None or 0 in spec.shape:
            return None
        shape, axes, channels = kept.shape, kept.axes, kept.channels
        (plain, last), run = kept.geometry, lib.fc_norm_backward

        def call(
            g: Array, x: Array, y: Array | None, relu: bool, weight: Array | None, stats: Array,
            coef: Array, constant: bool, out: Array | None, passed: Array | None,
            grad_weight: Array | None, grad_bias: Array | None, limit: float,
        ) -> bool:  # fmt: skip
            if g.shape != shape or g.dtype != dtype or x.shape != shape or x.dtype != dtype:
                return False
            lies = x.flags.c_contiguous

            def pointer(a: Array | None) -> Any:
                return NULL if a is None else from_buffer(a if lies else a.transpose(axes))

            try:
                arrays = [pointer(a) for a in (g, x, y, out, passed)]
                w, gw, gb = _small(
                    what, dtype, channels, weight=weight, grad_weight=grad_weight,
                    grad_bias=grad_bias,
                )  # fmt: skip
                s, c = from_buffer("double[]", stats), from_buffer(coef)
            except ValueError:  # one lies otherwise
                return False
            a, b, r, dx, dr = arrays
            status = run(
                code, plain if lies else last, a, b, r, relu, limit, w, s, c, constant, dx, dr, gw,
                gb, thread_count(kept.parallel),
            )  # fmt: skip
            if status:
                check_status(status, what)
            return True

        return call

    return prepare

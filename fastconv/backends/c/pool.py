"""Pooling and unpooling, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.backends.c.formats import (
    LAST,
    TO_LAST,
    bring_home,
    compute_target,
    dense_view,
    element_strides,
    last_pointer,
    last_results,
    last_view,
    output_pointer,
)
from fastconv.backends.c.library import (
    DTYPES,
    INT64,
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
from fastconv.caches import cached
from fastconv.spec import PoolSpec

UINT8 = np.dtype(np.uint8)


class _Pool:
    """What is kept of a pooling: shapes, window tables, one geometry per set of formats."""

    __slots__ = ("divisor", "geometry", "parallel", "windows", "x_shape", "y_shape")

    def __init__(
        self,
        x_shape: tuple[int, ...],
        y_shape: tuple[int, ...],
        windows: tuple[Array, ...] = (),
        divisor: float | None = None,
    ) -> None:
        self.x_shape, self.y_shape = x_shape, y_shape
        # Kept here: the structures only point to them.
        self.windows = [np.ascontiguousarray(w, np.int64) for w in windows]
        self.divisor = divisor or 0.0
        self.parallel = math.prod(x_shape) >= SERIAL_ELEMENTS
        self.geometry: dict[int, Any] = {}

    def at(self, x_form: int, y_form: int, index_form: int = 0) -> Any:
        """Return the ``fc_pool_geom *`` for these formats."""
        key = x_form + 2 * y_form + 4 * index_form
        g = self.geometry.get(key)
        if g is None:
            g = ffi.new("fc_pool_geom *")
            g.batch, g.channels = self.x_shape[:2]
            g.in_size, g.out_size = self.x_shape[2:], self.y_shape[2:]
            g.x_stride = element_strides(x_form, self.x_shape[1], self.x_shape[2:])
            g.y_stride = element_strides(y_form, self.y_shape[1], self.y_shape[2:])
            g.index_stride = element_strides(index_form, self.y_shape[1], self.y_shape[2:])
            for axis, table in enumerate(self.windows):
                g.windows[axis] = ffi.from_buffer("int64_t[]", table)
            g.divisor = self.divisor
            self.geometry[key] = g
        return g


def _pool(spec: PoolSpec) -> _Pool:
    kept = spec.cache.get("c")
    if kept is None:
        for axis, table in enumerate(spec.windows):
            if table.shape != (4, spec.out_size[axis]):
                raise ValueError(
                    f"windows[{axis}] must be (4, {spec.out_size[axis]}): {table.shape}"
                )
        kept = _Pool(spec.x_shape, spec.y_shape, spec.windows, spec.divisor_override)
        spec.cache["c"] = kept
    return kept


def max_pool_forward(spec: PoolSpec, x: Array, out: Array, indices: Array) -> None:
    """Maxima of x (N, C, *in) -> out (N, C, *out), and where they were -> indices (int64)."""
    what = "max_pool_forward"
    kept = _pool(spec)
    code = dtype_code(what, x)
    check_same(what, "x", x, kept.x_shape, x.dtype)
    check_same(what, "out", out, kept.y_shape, x.dtype)
    check_same(what, "indices", indices, kept.y_shape, INT64)
    if not out.size:
        return
    y, i = compute_target(what, out), compute_target(what, indices)
    status = lib.fc_max_pool_forward(
        code, kept.at(LAST, LAST, LAST), from_buffer(last_view(x)), output_pointer(what, y)[1],
        ffi.cast("int64_t *", output_pointer(what, i)[1]), thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)
    bring_home(y, out)
    bring_home(i, indices)


def _taps(what: str, kept: _Pool, taps: Array) -> Array:
    check_same(what, "taps", taps, kept.y_shape, UINT8)
    view = taps.transpose(0, 2, 3, 4, 1)
    if not view.flags.c_contiguous:
        raise ValueError(f"{what}: taps must be channels-last, got strides {taps.strides}")
    return view


def max_pool_taps_forward(spec: PoolSpec, x: Array, out: Array, taps: Array | None) -> None:
    """Maxima of x (N, C, *in) -> out (N, C, *out); numbers of their taps -> taps (uint8), if any.

    A tap's number is ``(kd * KH + kh) * KW + kw`` in its window, with `spec.taps` (KD, KH, KW).
    """
    what = "max_pool_taps_forward"
    kept, dtype = spec.cache.get("c") or _pool(spec), x.dtype
    code = DTYPES[dtype] if dtype in DTYPES else dtype_code(what, x)
    shapes = x.shape, out.shape
    wanted = spec.shapes.get(len(shapes[0])) or spec.shapes[5]
    if shapes != wanted or out.dtype != dtype:
        check_same(what, "x", x, wanted[0], dtype)
        check_same(what, "out", out, wanted[1], dtype)
    where = NULL if taps is None else from_buffer("uint8_t[]", _taps(what, kept, taps), True)
    if not out.size:
        return
    y = compute_target(what, out)
    status = lib.fc_max_pool_taps_forward(
        code, kept.at(LAST, LAST), last_pointer(x), output_pointer(what, y)[1], where,
        thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)
    bring_home(y, out)


max_pool_taps_forward.ranks = True  # type: ignore[attr-defined]


def _prepare(what: str, kernel: Callable[..., int], numbered: bool) -> Callable[..., Any]:
    """Return what makes a pooling ready for a geometry, a type and a rank.

    The call takes a channels-last x and gives the result, with what `numbered` poolings note of
    their taps or None; it gives None where x lies otherwise.
    """

    def prepare(spec: PoolSpec, dtype: Any, rank: int) -> Callable[..., Any] | None:
        kept, code = _pool(spec), DTYPES.get(dtype)
        x_shape, y_shape = spec.shapes.get(rank) or spec.shapes[5]
        if code is None or not math.prod(y_shape):
            return None
        if numbered and math.prod(spec.taps) > 256:  # more than a byte can number
            return None
        geometry, parallel, order = kept.at(LAST, LAST), kept.parallel, TO_LAST[rank]
        new, new_taps = last_results(y_shape, dtype), last_results(kept.y_shape, UINT8)

        def call(x: Array, keep: bool = False) -> Any:
            if x.shape != x_shape or x.dtype != dtype:
                check_same(what, "x", x, x_shape, dtype)
            try:
                a = from_buffer(x.transpose(order))
            except ValueError:
                return None
            out, y = new()
            threads = thread_count(True) if parallel else 1
            if numbered:
                taps, where = new_taps() if keep else (None, NULL)
                status = kernel(code, geometry, a, y, where, threads)
            else:
                status = kernel(code, geometry, a, y, threads)
            if status:
                check_status(status, what)
            return (out, taps) if numbered else out

        return call

    return prepare


max_pool_taps_forward.prepare = _prepare(  # type: ignore[attr-defined]
    "max_pool_taps_forward", lib.fc_max_pool_taps_forward, True
)


def _gather(
    what: str, kernel: Callable[..., int], spec: PoolSpec, grad_out: Array, out: Array, *places: Any
) -> None:
    """Gather grad_out (N, C, *out) into out (N, C, *in), through channels-last memory."""
    kept = _pool(spec)
    code = dtype_code(what, grad_out)
    check_same(what, "grad_out", grad_out, kept.y_shape, grad_out.dtype)
    check_same(what, "out", out, kept.x_shape, grad_out.dtype)
    if not grad_out.size:
        out[...] = 0
        return
    x = compute_target(what, out)
    status = kernel(
        code, kept.at(LAST, LAST), from_buffer(last_view(grad_out)), *places,
        output_pointer(what, x)[1], thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)
    bring_home(x, out)


def max_pool_taps_backward(spec: PoolSpec, grad_out: Array, taps: Array, out: Array) -> None:
    """Gradient of max pooling: grad_out and taps (N, C, *out) -> out (N, C, *in)."""
    what = "max_pool_taps_backward"
    where = from_buffer("uint8_t[]", _taps(what, _pool(spec), taps))
    _gather(what, lib.fc_max_pool_taps_backward, spec, grad_out, out, where)


def avg_pool_forward(spec: PoolSpec, x: Array, out: Array) -> None:
    """Averages of x (N, C, *in) -> out (N, C, *out)."""
    what = "avg_pool_forward"
    kept = _pool(spec)
    code = dtype_code(what, x)
    check_same(what, "x", x, kept.x_shape, x.dtype)
    check_same(what, "out", out, kept.y_shape, x.dtype)
    if not out.size:
        return
    y = compute_target(what, out)
    status = lib.fc_avg_pool_forward(
        code, kept.at(LAST, LAST), from_buffer(last_view(x)), output_pointer(what, y)[1],
        thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)
    bring_home(y, out)


avg_pool_forward.prepare = _prepare(  # type: ignore[attr-defined]
    "avg_pool_forward", lib.fc_avg_pool_forward, False
)


def avg_pool_backward(spec: PoolSpec, grad_out: Array, out: Array) -> None:
    """Gradient of averaging: grad_out (N, C, *out) -> out (N, C, *in)."""
    _gather("avg_pool_backward", lib.fc_avg_pool_backward, spec, grad_out, out)


def _by_index(
    what: str, kernel: int, kept: _Pool, a: Array, indices: Array, out: Array, gather: bool
) -> None:
    """Scatter y-sided `a` to x-sided `out` at the indices, or gather the other way."""
    code = dtype_code(what, a)
    y, x = (out, a) if gather else (a, out)
    check_same(what, "out" if gather else "values", y, kept.y_shape, a.dtype)
    check_same(what, "grad_out" if gather else "out", x, kept.x_shape, a.dtype)
    check_same(what, "indices", indices, kept.y_shape, INT64)
    if not a.size or not indices.size:
        out[...] = 0
        return
    a_form, a = dense_view(a)
    i_form, i = dense_view(indices)
    out_form, pointer = output_pointer(what, out)
    x_form, y_form = (a_form, out_form) if gather else (out_form, a_form)
    status = lib.fc_index_pool(
        kernel, code, kept.at(x_form, y_form, i_form), from_buffer(a),
        from_buffer("int64_t[]", i), pointer, thread_count(kept.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)


def max_pool_backward(spec: PoolSpec, grad_out: Array, indices: Array, out: Array) -> None:
    """Add grad_out (N, C, *out) at its indices into zeros -> out (N, C, *in)."""
    kernel = lib.FC_MAX_POOL_BACKWARD
    _by_index("max_pool_backward", kernel, _pool(spec), grad_out, indices, out, False)


@cached(256)
def _unpool(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> _Pool:
    if x_shape[:2] != y_shape[:2]:
        raise ValueError(f"max_unpool: batch and channels differ: {x_shape} and {y_shape}")
    return _Pool(x_shape, y_shape)


def max_unpool_forward(x: Array, indices: Array, out: Array) -> None:
    """Put x (N, C, *in) at its indices into zeros -> out (N, C, *out); the last one wins."""
    kernel = lib.FC_MAX_UNPOOL_FORWARD
    _by_index("max_unpool_forward", kernel, _unpool(out.shape, x.shape), x, indices, out, False)


def max_unpool_backward(grad_out: Array, indices: Array, out: Array) -> None:
    """Fetch grad_out (N, C, *out) at the indices -> out (N, C, *in)."""
    kernel, kept = lib.FC_MAX_UNPOOL_BACKWARD, _unpool(grad_out.shape, out.shape)
    _by_index("max_unpool_backward", kernel, kept, grad_out, indices, out, True)

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
    output_pointer,
)
from fastconv.backends.c.library import (
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
    type_code,
)
from fastconv.backends.kernel import Call, Kernel, kernel
from fastconv.caches import cached
from fastconv.memory import empty
from fastconv.spec import PoolSpec

UINT8 = np.dtype(np.uint8)


class _Pool:
    """What C's calls share of a pooling: shapes, window tables, a geometry per set of formats."""

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
    pool = spec.cache.get("c")
    if pool is None:
        for axis, table in enumerate(spec.windows):
            if table.shape != (4, spec.out_size[axis]):
                raise ValueError(
                    f"windows[{axis}] must be (4, {spec.out_size[axis]}): {table.shape}"
                )
        pool = _Pool(spec.x_shape, spec.y_shape, spec.windows, spec.divisor_override)
        spec.cache["c"] = pool
    return pool  # type: ignore[no-any-return]


@kernel("c", "max_pool_forward")
def max_pool_forward(spec: PoolSpec, dtype: Any, rank: int) -> Call:
    """Maxima of x (N, C, *in) -> out (N, C, *out), and where they were -> indices (int64)."""
    what = "max_pool_forward"
    pool, code = _pool(spec), type_code(what, dtype)

    def call(x: Array, out: Array, indices: Array) -> tuple[Array, Array]:
        check_same(what, "x", x, pool.x_shape, dtype)
        check_same(what, "out", out, pool.y_shape, dtype)
        check_same(what, "indices", indices, pool.y_shape, INT64)
        if not out.size:
            return out, indices
        y, i = compute_target(what, out), compute_target(what, indices)
        status = lib.fc_max_pool_forward(
            code, pool.at(LAST, LAST, LAST), last_pointer(x), output_pointer(what, y)[1],
            ffi.cast("int64_t *", output_pointer(what, i)[1]), thread_count(pool.parallel),
        )  # fmt: skip
        if status:
            check_status(status, what)
        bring_home(y, out)
        bring_home(i, indices)
        return out, indices

    return call


def _taps(what: str, pool: _Pool, taps: Array) -> Array:
    check_same(what, "taps", taps, pool.y_shape, UINT8)
    view = taps.transpose(0, 2, 3, 4, 1)
    if not view.flags.c_contiguous:
        raise ValueError(f"{what}: taps must be channels-last, got strides {taps.strides}")
    return view


def _forward(what: str, run: Callable[..., int], numbered: bool) -> Kernel:
    """Return a pooling that writes its result in the format of x.

    `numbered`: ``(x, out, taps, keep) -> out, taps``, with the numbers of the maxima's taps in
    bytes where `taps` is given or `keep` asks for it. Otherwise ``(x, out) -> out``.
    """

    def prepare(spec: PoolSpec, dtype: Any, rank: int) -> Call:
        pool, code = _pool(spec), type_code(what, dtype)
        x_shape, y_shape = spec.shapes.get(rank) or spec.shapes[5]
        geometry, parallel, order = pool.at(LAST, LAST), pool.parallel, TO_LAST[len(x_shape)]
        new, new_taps = last_results(y_shape, dtype), last_results(pool.y_shape, UINT8)
        nothing = not math.prod(y_shape)

        def call(
            x: Array, out: Array | None = None, taps: Array | None = None, keep: bool = False
        ) -> Any:
            if x.shape != x_shape or x.dtype != dtype:
                check_same(what, "x", x, x_shape, dtype)
            try:
                a = from_buffer(x.transpose(order))
            except ValueError:  # not channels-last, nor will the result be
                a = last_pointer(x)
                if out is None:
                    out = empty(y_shape, dtype)
            if out is None:
                target, y = new()
            else:
                check_same(what, "out", out, y_shape, dtype)
                target = compute_target(what, out)
                y = output_pointer(what, target)[1]
            threads = thread_count(True) if parallel else 1
            if not numbered:
                status = 0 if nothing else run(code, geometry, a, y, threads)
            else:
                where = NULL
                if taps is not None:
                    where = from_buffer("uint8_t[]", _taps(what, pool, taps), True)
                elif keep:
                    taps, where = new_taps()
                status = 0 if nothing else run(code, geometry, a, y, where, threads)
            if status:
                check_status(status, what)
            if out is None or target is out:
                out = target
            else:
                bring_home(target, out)
            return (out, taps) if numbered else out

        return call

    return kernel("c", what)(prepare)


#: A tap's number is ``(kd * KH + kh) * KW + kw`` in its window, with `spec.taps` (KD, KH, KW).
max_pool_taps_forward = _forward("max_pool_taps_forward", lib.fc_max_pool_taps_forward, True)
avg_pool_forward = _forward("avg_pool_forward", lib.fc_avg_pool_forward, False)


def _gather(
    what: str, run: Callable[..., int], pool: _Pool, code: int, g: Array, out: Array, *places: Any
) -> Array:
    """Gather g (N, C, *out) into out (N, C, *in), through channels-last memory."""
    check_same(what, "out", out, pool.x_shape, g.dtype)
    if not g.size:
        out[...] = 0
        return out
    x = compute_target(what, out)
    status = run(
        code, pool.at(LAST, LAST), last_pointer(g), *places, output_pointer(what, x)[1],
        thread_count(pool.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)
    bring_home(x, out)
    return out


@kernel("c", "max_pool_taps_backward")
def max_pool_taps_backward(spec: PoolSpec, dtype: Any, rank: int) -> Call:
    """Gradient of max pooling: grad_out and taps (N, C, *out) -> out (N, C, *in)."""
    what = "max_pool_taps_backward"
    pool, code = _pool(spec), type_code(what, dtype)

    def call(g: Array, taps: Array, out: Array) -> Array:
        check_same(what, "grad_out", g, pool.y_shape, dtype)
        where = from_buffer("uint8_t[]", _taps(what, pool, taps))
        return _gather(what, lib.fc_max_pool_taps_backward, pool, code, g, out, where)

    return call


@kernel("c", "avg_pool_backward")
def avg_pool_backward(spec: PoolSpec, dtype: Any, rank: int) -> Call:
    """Gradient of averaging: grad_out (N, C, *out) -> out (N, C, *in)."""
    what = "avg_pool_backward"
    pool, code = _pool(spec), type_code(what, dtype)

    def call(g: Array, out: Array) -> Array:
        check_same(what, "grad_out", g, pool.y_shape, dtype)
        return _gather(what, lib.fc_avg_pool_backward, pool, code, g, out)

    return call


@kernel("c", "max_pool_backward")
def max_pool_backward(spec: PoolSpec, dtype: Any, rank: int) -> Call:
    """Add grad_out (N, C, *out) at its indices into zeros -> out (N, C, *in)."""
    pool = _pool(spec)

    def call(g: Array, indices: Array, out: Array) -> Array:
        _by_index(
            "max_pool_backward", lib.FC_MAX_POOL_BACKWARD, pool, g, indices, out, gather=False
        )
        return out

    return call


def _by_index(
    what: str, number: int, pool: _Pool, a: Array, indices: Array, out: Array, gather: bool
) -> None:
    """Scatter y-sided `a` to x-sided `out` at the indices, or gather the other way."""
    code = dtype_code(what, a)
    y, x = (out, a) if gather else (a, out)
    check_same(what, "out" if gather else "values", y, pool.y_shape, a.dtype)
    check_same(what, "grad_out" if gather else "out", x, pool.x_shape, a.dtype)
    check_same(what, "indices", indices, pool.y_shape, INT64)
    if not a.size or not indices.size:
        out[...] = 0
        return
    a_form, a = dense_view(a)
    i_form, i = dense_view(indices)
    out_form, pointer = output_pointer(what, out)
    x_form, y_form = (a_form, out_form) if gather else (out_form, a_form)
    status = lib.fc_index_pool(
        number, code, pool.at(x_form, y_form, i_form), from_buffer(a),
        from_buffer("int64_t[]", i), pointer, thread_count(pool.parallel),
    )  # fmt: skip
    if status:
        check_status(status, what)


@cached(256)
def _unpool(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> _Pool:
    if x_shape[:2] != y_shape[:2]:
        raise ValueError(f"max_unpool: batch and channels differ: {x_shape} and {y_shape}")
    return _Pool(x_shape, y_shape)


def max_unpool_forward(x: Array, indices: Array, out: Array) -> None:
    """Put x (N, C, *in) at its indices into zeros -> out (N, C, *out); the last one wins."""
    number, pool = lib.FC_MAX_UNPOOL_FORWARD, _unpool(out.shape, x.shape)
    _by_index("max_unpool_forward", number, pool, x, indices, out, False)


def max_unpool_backward(grad_out: Array, indices: Array, out: Array) -> None:
    """Fetch grad_out (N, C, *out) at the indices -> out (N, C, *in)."""
    number, pool = lib.FC_MAX_UNPOOL_BACKWARD, _unpool(grad_out.shape, out.shape)
    _by_index("max_unpool_backward", number, pool, grad_out, indices, out, True)

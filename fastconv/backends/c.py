"""The compiled kernels: checks the arrays, hands their pointers and the geometry to C.

The only file that touches cffi.  A wrong type or shape would be reinterpreted silently down there,
so every array is compared with its specification here, once per call; geometry structures are built
once per (specification, memory formats) and kept in ``spec.cache``.  cffi releases the GIL during
the calls.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv import config
from fastconv.backends.openmp import short_spin
from fastconv.memory import empty
from fastconv.spec import ConvSpec, PoolSpec

try:
    with short_spin():
        from fastconv._fastconv import ffi, lib
except ImportError as error:
    raise ImportError(
        f"the C extension was not built ({error}); install a C compiler (gcc or clang) and "
        "install fastconv again"
    ) from error

Array = np.ndarray[Any, np.dtype[Any]]

_ISA_NAMES = ("generic", "avx2", "avx512")
_DTYPES = {np.dtype(np.float32): lib.FC_F32, np.dtype(np.float64): lib.FC_F64}
_INT64 = np.dtype(np.int64)
_NULL = ffi.NULL
_from_buffer = ffi.from_buffer

# Work below which a second thread costs more than it gains (about 30 microseconds).
_SERIAL_FLOPS = 2_000_000
_SERIAL_ELEMENTS = 30_000

_forked = False


def _after_fork() -> None:
    # libgomp's threads do not survive a fork, and waiting for them would hang.
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _check(status: int, what: str) -> None:
    if status == lib.FC_OK:
        return
    if status == lib.FC_NOMEM:
        raise MemoryError(f"{what}: not enough memory for scratch space")
    if status == lib.FC_OVERFLOW:
        raise OverflowError(f"{what}: sizes do not fit 64 bits")
    if status == lib.FC_RANGE:
        raise IndexError(f"{what}(): indices has elements outside the array they point into")
    raise NotImplementedError(f"{what}: no such kernel for instruction set {get_isa()!r}")


def _dtype(what: str, a: Array) -> int:
    try:
        return _DTYPES[a.dtype]
    except KeyError:
        raise TypeError(f"{what}: expected float32 or float64, got {a.dtype}") from None


def _differ(what: str, dtype: Any, **operands: tuple[Array, tuple[int, ...]]) -> None:
    for argument, (a, shape) in operands.items():
        _same(what, argument, a, shape, dtype)


def _same(what: str, argument: str, a: Array, shape: tuple[int, ...], dtype: Any) -> None:
    if a.shape != shape:
        raise ValueError(f"{what}: {argument} must have shape {shape}, got {a.shape}")
    if a.dtype != dtype:
        raise TypeError(f"{what}: {argument} must be {dtype}, got {a.dtype}")


# ---------------------------------------------------------------- memory formats

_NCHW, _LAST = 0, 1


def _dense(a: Array) -> tuple[int, Array]:
    """Return the format of a 5-D array and its C-contiguous view (a copy where it has none)."""
    if a.flags.c_contiguous:
        return _NCHW, a
    view = a.transpose(0, 2, 3, 4, 1)
    return _LAST, view if view.flags.c_contiguous else np.ascontiguousarray(view)


def _last(a: Array) -> Array:
    """Return the C-contiguous (N, D, H, W, C) view of a 5-D array, converting it if need be."""
    view = a.transpose(0, 2, 3, 4, 1)
    return view if view.flags.c_contiguous else to_channels_last(a).transpose(0, 2, 3, 4, 1)


def _target(what: str, a: Array) -> Array:
    """Return the array to compute into: `a`, or a channels-last one in place of a plain NCHW one.

    ``_finish`` brings the result home.
    """
    if a.flags.c_contiguous and a.shape[1] > 1 and math.prod(a.shape[2:]) > 1:
        if not a.flags.writeable:
            raise ValueError(f"{what}: out is read-only")
        return empty(a.shape, a.dtype, True)
    return a


def _finish(computed: Array, out: Array) -> None:
    """Move a channels-last result to its plain NCHW array."""
    if computed is not out:
        n, c, d, h, w = out.shape
        _transpose(computed.transpose(0, 2, 3, 4, 1), n, d * h * w, c, out)


def _output(what: str, a: Array) -> tuple[int, Any]:
    """Return the format of a 5-D array and the pointer to write it through."""
    if a.flags.c_contiguous:
        return _NCHW, _from_buffer("char[]", a, True)
    view = a.transpose(0, 2, 3, 4, 1)
    if not view.flags.c_contiguous:
        raise ValueError(f"{what}: out must be dense, NCHW or channels-last, got {a.strides}")
    return _LAST, _from_buffer("char[]", view, True)


def _strides(form: int, channels: int, size: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides N, C, D, H, W; where both formats agree, channels-last's are given."""
    d, h, w = size
    space = d * h * w
    if form == _LAST or channels == 1 or space == 1:
        return (space * channels, 1, h * w * channels, w * channels, channels)
    return (space * channels, space, h * w, w, 1)


# ---------------------------------------------------------------- convolution


class _Conv:
    """What is kept of a convolution: its shapes, whether threads pay, one geometry per format."""

    __slots__ = ("empty", "geometry", "parallel", "spec", "w_shape", "x_shape", "y_shape")

    def __init__(self, spec: ConvSpec) -> None:
        self.x_shape, self.w_shape, self.y_shape = spec.x_shape, spec.w_shape, spec.y_shape
        self.parallel = spec.flops >= _SERIAL_FLOPS
        self.empty = 0 in self.x_shape + self.w_shape + self.y_shape
        self.geometry: dict[int, Any] = {}
        self.spec = _geometry_fields(spec)

    def at(self, x_form: int, y_form: int) -> Any:
        """Return the ``fc_conv_geom *`` for these formats."""
        geometry = self.geometry.get(x_form + 2 * y_form)
        if geometry is None:
            geometry = ffi.new("fc_conv_geom *", self.spec)
            geometry.x_stride = _strides(x_form, self.x_shape[1], self.x_shape[2:])
            geometry.y_stride = _strides(y_form, self.y_shape[1], self.y_shape[2:])
            self.geometry[x_form + 2 * y_form] = geometry
        return geometry


def _geometry_fields(spec: ConvSpec) -> dict[str, Any]:
    names = (
        "batch", "in_channels", "out_channels", "groups", "in_size", "out_size",
        "kernel", "stride", "pad", "dilation",
    )  # fmt: skip
    return {name: getattr(spec, name) for name in names}


def _conv(spec: ConvSpec) -> _Conv:
    kept = spec.cache.get("c")
    if kept is None:
        kept = spec.cache["c"] = _Conv(spec)
    return kept


def _threads(parallel: bool) -> int:
    return config.get_num_threads() if parallel and not _forked else 1


def _run(
    what: str, kernel: int, code: int, kept: _Conv, forms: tuple[int, int], a: Any, b: Any,
    bias: Any, out: Any,
) -> None:  # fmt: skip
    threads = config.get_num_threads() if kept.parallel and not _forked else 1
    status = lib.fc_conv(kernel, code, kept.at(*forms), a, b, bias, out, threads)
    if status:
        _check(status, what)


def _weight(w: Array) -> Any:
    return _from_buffer(w if w.flags.c_contiguous else np.ascontiguousarray(w))


def _forward(algorithm: str, kernel: int) -> Callable[..., None]:
    what = f"conv_forward_{algorithm}"

    def run(
        spec: ConvSpec,
        x: Array,
        w: Array,
        bias: Array | None,
        out: Array,
        finish: tuple[float, float, Array | None] | None = None,
    ) -> None:
        kept, code, dtype = _conv(spec), _dtype(what, x), x.dtype
        xs, ws, ys = kept.x_shape, kept.w_shape, kept.y_shape
        if not (
            x.shape == xs and w.shape == ws and out.shape == ys and w.dtype == out.dtype == dtype
        ):
            _differ(what, dtype, x=(x, xs), w=(w, ws), out=(out, ys))
        b = _NULL
        if bias is not None:
            _same(what, "bias", bias, ws[:1], dtype)
            b = _weight(bias)
        if kept.empty:
            out[...] = 0 if bias is None else bias[:, None, None, None]
            return
        form, y = _output(what, out)
        if finish is None:
            _run(what, kernel, code, kept, (_LAST, form), _from_buffer(_last(x)), _weight(w), b, y)
            return
        slope, limit, residual = finish
        r = _NULL
        if residual is not None:
            _same(what, "residual", residual, ys, dtype)
            r = _from_buffer(_last(residual) if form else np.ascontiguousarray(residual))
        threads = _threads(kept.parallel)
        status = lib.fc_conv_finish(
            kernel, code, kept.at(_LAST, form), _from_buffer(_last(x)), _weight(w), b, r, slope,
            limit, y, threads,
        )  # fmt: skip
        if status:
            _check(status, what)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = (
        f"Convolution forward, {algorithm}: x, w, bias or None -> out; then, with finish = (slope, "
        "limit, residual or None), the epilogue."
    )
    run.finishes = True  # type: ignore[attr-defined]
    return run


def _backward_input(algorithm: str, kernel: int) -> Callable[..., None]:
    what = f"conv_backward_input_{algorithm}"

    def run(spec: ConvSpec, grad_out: Array, w: Array, out: Array) -> None:
        kept, code, dtype, g = _conv(spec), _dtype(what, grad_out), grad_out.dtype, grad_out
        xs, ws, ys = kept.x_shape, kept.w_shape, kept.y_shape
        if not (
            g.shape == ys and w.shape == ws and out.shape == xs and w.dtype == out.dtype == dtype
        ):
            _differ(what, dtype, grad_out=(g, ys), w=(w, ws), out=(out, xs))
        if kept.empty:
            out[...] = 0
            return
        form, x = _output(what, out)
        _run(what, kernel, code, kept, (form, _LAST), _from_buffer(_last(g)), _weight(w), _NULL, x)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = f"Convolution backward input, {algorithm}: grad_out, w -> out."
    return run


def _backward_weight(algorithm: str, kernel: int) -> Callable[..., None]:
    what = f"conv_backward_weight_{algorithm}"

    def run(spec: ConvSpec, grad_out: Array, x: Array, out: Array) -> None:
        kept, code, dtype, g = _conv(spec), _dtype(what, grad_out), grad_out.dtype, grad_out
        xs, ws, ys = kept.x_shape, kept.w_shape, kept.y_shape
        if not (
            g.shape == ys and x.shape == xs and out.shape == ws and x.dtype == out.dtype == dtype
        ):
            _differ(what, dtype, grad_out=(g, ys), x=(x, xs), out=(out, ws))
        if kept.empty:
            out[...] = 0
            return
        if not out.flags.c_contiguous:
            raise ValueError(f"{what}: out must be C-contiguous, got strides {out.strides}")
        dw = _from_buffer("char[]", out, True)
        a, b = _from_buffer(_last(g)), _from_buffer(_last(x))
        _run(what, kernel, code, kept, (_LAST, _LAST), a, b, _NULL, dw)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = f"Convolution backward weight, {algorithm}: grad_out, x -> out."
    return run


def _through_channels_last(run: Callable[..., None]) -> Callable[..., None]:
    """Let a kernel that is best at channels-last have an NCHW result, through a transpose."""

    def staged(spec: ConvSpec, *arrays: Any, **extra: Any) -> None:
        out = arrays[-1]
        if not out.flags.c_contiguous or out.transpose(0, 2, 3, 4, 1).flags.c_contiguous:
            run(spec, *arrays, **extra)
            return
        n, c, d, h, w = out.shape
        last = empty((n, d, h, w, c), out.dtype)
        run(spec, *arrays[:-1], last.transpose(0, 4, 1, 2, 3), **extra)
        if out.size:
            _transpose(last, n, d * h * w, c, out)

    staged.__name__ = staged.__qualname__ = run.__name__
    staged.__doc__ = run.__doc__
    staged.finishes = hasattr(run, "finishes")  # type: ignore[attr-defined]
    return staged


conv_forward_gemm = _forward("gemm", lib.FC_CONV_FORWARD_GEMM)
conv_backward_input_gemm = _backward_input("gemm", lib.FC_CONV_BACKWARD_INPUT_GEMM)
conv_backward_weight_gemm = _backward_weight("gemm", lib.FC_CONV_BACKWARD_WEIGHT_GEMM)
conv_forward_direct = _forward("direct", lib.FC_CONV_FORWARD_DIRECT)
conv_backward_input_direct = _backward_input("direct", lib.FC_CONV_BACKWARD_INPUT_DIRECT)
conv_forward_depthwise = _through_channels_last(
    _forward("depthwise", lib.FC_CONV_FORWARD_DEPTHWISE)
)
conv_backward_input_depthwise = _through_channels_last(
    _backward_input("depthwise", lib.FC_CONV_BACKWARD_INPUT_DEPTHWISE)
)
conv_backward_weight_depthwise = _backward_weight(
    "depthwise", lib.FC_CONV_BACKWARD_WEIGHT_DEPTHWISE
)
conv_forward_grouped = _through_channels_last(_forward("grouped", lib.FC_CONV_FORWARD_GROUPED))
conv_backward_input_grouped = _through_channels_last(
    _backward_input("grouped", lib.FC_CONV_BACKWARD_INPUT_GROUPED)
)
conv_backward_weight_grouped = _backward_weight("grouped", lib.FC_CONV_BACKWARD_WEIGHT_GROUPED)
conv_forward_winograd = _through_channels_last(_forward("winograd", lib.FC_CONV_FORWARD_WINOGRAD))
conv_backward_input_winograd = _through_channels_last(
    _backward_input("winograd", lib.FC_CONV_BACKWARD_INPUT_WINOGRAD)
)
conv_backward_weight_winograd = _backward_weight("winograd", lib.FC_CONV_BACKWARD_WEIGHT_WINOGRAD)
conv_backward_input_scatter = _backward_input("scatter", lib.FC_CONV_BACKWARD_INPUT_SCATTER)


def conv_backward_bias(spec: ConvSpec, grad_out: Array, out: Array) -> None:
    """Sum grad_out (N, K, *out) over all axes but its channels -> out (K,)."""
    what = "conv_backward_bias"
    kept = _conv(spec)
    code, dtype = _dtype(what, grad_out), grad_out.dtype
    _same(what, "grad_out", grad_out, kept.y_shape, dtype)
    _same(what, "out", out, (spec.out_channels,), dtype)
    if not grad_out.size:
        out[...] = 0
        return
    form, g = _dense(grad_out)
    threads = _threads(grad_out.size >= _SERIAL_ELEMENTS)
    pointer = _from_buffer("char[]", out, True)
    status = lib.fc_conv_backward_bias(code, kept.at(form, form), _from_buffer(g), pointer, threads)
    if status:
        _check(status, what)


# ---------------------------------------------------------------- pooling


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
        self.parallel = math.prod(x_shape) >= _SERIAL_ELEMENTS
        self.geometry: dict[int, Any] = {}

    def at(self, x_form: int, y_form: int, index_form: int = 0) -> Any:
        """Return the ``fc_pool_geom *`` for these formats."""
        key = x_form + 2 * y_form + 4 * index_form
        g = self.geometry.get(key)
        if g is None:
            g = ffi.new("fc_pool_geom *")
            g.batch, g.channels = self.x_shape[:2]
            g.in_size, g.out_size = self.x_shape[2:], self.y_shape[2:]
            g.x_stride = _strides(x_form, self.x_shape[1], self.x_shape[2:])
            g.y_stride = _strides(y_form, self.y_shape[1], self.y_shape[2:])
            g.index_stride = _strides(index_form, self.y_shape[1], self.y_shape[2:])
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
    code = _dtype(what, x)
    _same(what, "x", x, kept.x_shape, x.dtype)
    _same(what, "out", out, kept.y_shape, x.dtype)
    _same(what, "indices", indices, kept.y_shape, _INT64)
    if not out.size:
        return
    y, i = _target(what, out), _target(what, indices)
    status = lib.fc_max_pool_forward(
        code, kept.at(_LAST, _LAST, _LAST), _from_buffer(_last(x)), _output(what, y)[1],
        ffi.cast("int64_t *", _output(what, i)[1]), _threads(kept.parallel),
    )  # fmt: skip
    if status:
        _check(status, what)
    _finish(y, out)
    _finish(i, indices)


def avg_pool_forward(spec: PoolSpec, x: Array, out: Array) -> None:
    """Averages of x (N, C, *in) -> out (N, C, *out)."""
    what = "avg_pool_forward"
    kept = _pool(spec)
    code = _dtype(what, x)
    _same(what, "x", x, kept.x_shape, x.dtype)
    _same(what, "out", out, kept.y_shape, x.dtype)
    if not out.size:
        return
    y = _target(what, out)
    status = lib.fc_avg_pool_forward(
        code, kept.at(_LAST, _LAST), _from_buffer(_last(x)), _output(what, y)[1],
        _threads(kept.parallel),
    )  # fmt: skip
    if status:
        _check(status, what)
    _finish(y, out)


def avg_pool_backward(spec: PoolSpec, grad_out: Array, out: Array) -> None:
    """Gradient of averaging: grad_out (N, C, *out) -> out (N, C, *in)."""
    what = "avg_pool_backward"
    kept = _pool(spec)
    code = _dtype(what, grad_out)
    _same(what, "grad_out", grad_out, kept.y_shape, grad_out.dtype)
    _same(what, "out", out, kept.x_shape, grad_out.dtype)
    if not grad_out.size:
        out[...] = 0
        return
    x = _target(what, out)
    status = lib.fc_avg_pool_backward(
        code, kept.at(_LAST, _LAST), _from_buffer(_last(grad_out)), _output(what, x)[1],
        _threads(kept.parallel),
    )  # fmt: skip
    if status:
        _check(status, what)
    _finish(x, out)


def _by_index(
    what: str, kernel: int, kept: _Pool, a: Array, indices: Array, out: Array, gather: bool
) -> None:
    """Scatter y-sided `a` to x-sided `out` at the indices, or gather the other way."""
    code = _dtype(what, a)
    y, x = (out, a) if gather else (a, out)
    _same(what, "out" if gather else "values", y, kept.y_shape, a.dtype)
    _same(what, "grad_out" if gather else "out", x, kept.x_shape, a.dtype)
    _same(what, "indices", indices, kept.y_shape, _INT64)
    if not a.size or not indices.size:
        out[...] = 0
        return
    a_form, a = _dense(a)
    i_form, i = _dense(indices)
    out_form, pointer = _output(what, out)
    x_form, y_form = (a_form, out_form) if gather else (out_form, a_form)
    status = lib.fc_index_pool(
        kernel, code, kept.at(x_form, y_form, i_form), _from_buffer(a),
        _from_buffer("int64_t[]", i), pointer, _threads(kept.parallel),
    )  # fmt: skip
    if status:
        _check(status, what)


def max_pool_backward(spec: PoolSpec, grad_out: Array, indices: Array, out: Array) -> None:
    """Add grad_out (N, C, *out) at its indices into zeros -> out (N, C, *in)."""
    kernel = lib.FC_MAX_POOL_BACKWARD
    _by_index("max_pool_backward", kernel, _pool(spec), grad_out, indices, out, False)


@lru_cache(maxsize=256)
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


# ---------------------------------------------------------------- layout


def _transpose(a: Array, batch: int, rows: int, cols: int, out: Array) -> None:
    """Write out[b][c][r] = a[b][r][c]; only the element's size matters."""
    code = lib.FC_F32 if a.itemsize == 4 else lib.FC_F64
    threads = _threads(a.size >= _SERIAL_ELEMENTS)
    pointer = _from_buffer("char[]", out, True)
    _check(lib.fc_transpose(code, batch, rows, cols, _from_buffer(a), pointer, threads), "layout")


def to_channels_last(a: Array) -> Array:
    """Return a 5-D array with channels-last memory: `a` itself where it has that already."""
    n, c, d, h, w = a.shape
    last = a.transpose(0, 2, 3, 4, 1)
    if last.flags.c_contiguous:
        return a
    if a.dtype not in _DTYPES or not a.flags.c_contiguous:
        return np.ascontiguousarray(last).transpose(0, 4, 1, 2, 3)
    out = empty((n, d, h, w, c), a.dtype)
    _transpose(a, n, c, d * h * w, out)
    return out.transpose(0, 4, 1, 2, 3)


def to_contiguous(a: Array) -> Array:
    """Return a 5-D array with NCHW memory: `a` itself where it has that already."""
    if a.flags.c_contiguous:
        return a
    n, c, d, h, w = a.shape
    last = a.transpose(0, 2, 3, 4, 1)
    if a.dtype not in _DTYPES or not last.flags.c_contiguous:
        return np.ascontiguousarray(a)
    out = empty(a.shape, a.dtype)
    _transpose(last, n, d * h * w, c, out)
    return out


# ---------------------------------------------------------------- the buffer pool


def block(nbytes: int) -> Any:
    """Return a writable buffer of uninitialised memory that goes back to the pool by itself."""
    pointer = lib.fc_alloc(nbytes)
    if not pointer:
        raise MemoryError(f"cannot allocate {nbytes} bytes")
    return ffi.buffer(ffi.gc(pointer, lib.fc_free), nbytes)


def empty_cache() -> None:
    """Give the memory that waits in the pool back to the system."""
    lib.fc_empty_cache()


def memory_stats() -> dict[str, int]:
    """Bytes the pool has lent and keeps for later."""
    return {"in_use": lib.fc_memory_in_use(), "cached": lib.fc_memory_cached()}


def _limit_cache() -> None:
    text = os.environ.get("FASTCONV_CACHE_MB") or "1024"
    if not text.isdecimal() or int(text) >= 1 << 40:
        raise ValueError(f"FASTCONV_CACHE_MB must be a number of megabytes, got {text!r}")
    lib.fc_memory_limit(int(text) << 20)


_limit_cache()


def _keep_heap() -> None:
    # For the whole process, so those who set their heap themselves are left alone.
    text = os.environ.get("FASTCONV_HEAP", "")
    if text not in ("", "0", "1"):
        raise ValueError(f"FASTCONV_HEAP must be 0 or 1, got {text!r}")
    own = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
    if text == "1" or (not text and not any(name in os.environ for name in own)):
        lib.fc_keep_heap()


_keep_heap()

# ---------------------------------------------------------------- the machine


def isas() -> dict[str, bool]:
    """Instruction sets compiled in, weakest first, and whether this machine can run each."""
    count = lib.fc_isa_count()
    return {
        ffi.string(lib.fc_isa_name(i)).decode(): bool(lib.fc_isa_supported(i)) for i in range(count)
    }


def get_isa() -> str:
    """Name of the instruction set in use."""
    return ffi.string(lib.fc_isa_name(lib.fc_get_isa())).decode()


def set_isa(name: str) -> None:
    """Use another instruction set from now on, in every thread.

    Raises
    ------
    ValueError
        If it is unknown, not compiled in, or this machine cannot run it.
    """
    known = isas()
    if name not in known or not known[name]:
        able = [n for n, supported in known.items() if supported]
        raise ValueError(f"set_isa(): expected one of {able}, got {name!r}")
    _check(lib.fc_set_isa(list(known).index(name)), "set_isa")


def has_kernel(name: str) -> bool:
    """Whether a convolution kernel (``"conv_forward_gemm"``) is compiled in."""
    kernel = getattr(lib, f"FC_{name.upper()}", None)
    return kernel is not None and bool(lib.fc_conv_available(kernel, lib.FC_F32))


def fma_peak(dtype: Any = np.float32, seconds: float = 0.2) -> float:
    """FMA peak of one core in FLOP/s, measured now with the instruction set in use."""
    return lib.fc_fma_peak(_DTYPES[np.dtype(dtype)], seconds)


def stream(nbytes: int = 1 << 26, seconds: float = 0.2, threads: int = 1) -> float:
    """Copy bandwidth in bytes/s (read plus write), measured now on blocks of `nbytes`."""
    return lib.fc_stream(nbytes, seconds, 1 if _forked else threads)


def compiler() -> str:
    """Name and version of the compiler that built the extension."""
    return ffi.string(lib.fc_compiler()).decode()


def has_openmp() -> bool:
    """Whether the extension was built with OpenMP: without it every call is serial."""
    return bool(lib.fc_openmp())


if os.environ.get("FASTCONV_ISA") not in (None, "", *_ISA_NAMES):
    raise ValueError(
        f"FASTCONV_ISA must be one of {_ISA_NAMES}, got {os.environ['FASTCONV_ISA']!r}"
    )

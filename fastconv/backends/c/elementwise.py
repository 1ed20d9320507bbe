"""Functions of the elements of one or two arrays: one pass each, in any memory order."""

from __future__ import annotations

from collections.abc import Callable

from fastconv.backends.c.library import (
    DTYPES,
    Array,
    check_same,
    check_status,
    dtype_code,
    from_buffer,
    lib,
    thread_count,
)

#: A pass over fewer elements is over before a second thread has begun (about 20 microseconds).
SERIAL_PASS = 100_000


def _binary(what: str, kernel: int) -> Callable[..., None]:
    def run(a: Array, b: Array, out: Array, p: float = 0.0, q: float = 0.0) -> None:
        dtype, shape = a.dtype, a.shape
        if dtype not in DTYPES:
            dtype_code(what, a)
        if not (b.shape == out.shape == shape and b.dtype == out.dtype == dtype):
            check_same(what, "b", b, shape, dtype)
            check_same(what, "out", out, shape, dtype)
        size = a.size
        status = lib.fc_map(
            kernel, DTYPES[dtype], size, from_buffer(a), from_buffer(b), p, q,
            from_buffer("char[]", out, True), thread_count(size >= SERIAL_PASS),
        )  # fmt: skip
        if status:
            check_status(status, what)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = f"{what}: C-contiguous arrays a, b -> out, which may be one of them."
    return run


def _unary(what: str, kernel: int) -> Callable[..., None]:
    binary = _binary(what, kernel)

    def run(a: Array, out: Array, p: float = 0.0, q: float = 0.0) -> None:
        binary(a, a, out, p, q)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = f"{what}: C-contiguous array a -> out, which may be a."
    return run


add = _binary("add", lib.FC_MAP_ADD)
sub = _binary("sub", lib.FC_MAP_SUB)
mul = _binary("mul", lib.FC_MAP_MUL)
relu = _unary("relu", lib.FC_MAP_RELU)
leaky_relu = _unary("leaky_relu", lib.FC_MAP_LEAKY_RELU)
clamp = _unary("clamp", lib.FC_MAP_CLAMP)
relu_backward = _binary("relu_backward", lib.FC_MAP_RELU_BACKWARD)
leaky_relu_backward = _binary("leaky_relu_backward", lib.FC_MAP_LEAKY_RELU_BACKWARD)
clamp_backward = _binary("clamp_backward", lib.FC_MAP_CLAMP_BACKWARD)

"""Functions of the elements of one or two arrays: one pass each, in any memory order.

The gradients of the ReLU family also with the sums of their columns: those of a bias.
"""

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
sigmoid = _unary("sigmoid", lib.FC_MAP_SIGMOID)
tanh = _unary("tanh", lib.FC_MAP_TANH)
silu = _unary("silu", lib.FC_MAP_SILU)
relu_backward = _binary("relu_backward", lib.FC_MAP_RELU_BACKWARD)
leaky_relu_backward = _binary("leaky_relu_backward", lib.FC_MAP_LEAKY_RELU_BACKWARD)
clamp_backward = _binary("clamp_backward", lib.FC_MAP_CLAMP_BACKWARD)
sigmoid_backward = _binary("sigmoid_backward", lib.FC_MAP_SIGMOID_BACKWARD)
tanh_backward = _binary("tanh_backward", lib.FC_MAP_TANH_BACKWARD)
silu_backward = _binary("silu_backward", lib.FC_MAP_SILU_BACKWARD)


def _sums(what: str, kernel: int) -> Callable[..., None]:
    def run(g: Array, y: Array, out: Array, sums: Array, p: float = 0.0, q: float = 0.0) -> None:
        dtype, shape = g.dtype, g.shape
        code = dtype_code(what, g)
        if g.ndim != 2:
            raise ValueError(f"{what}: g must be a matrix, got shape {shape}")
        check_same(what, "y", y, shape, dtype)
        check_same(what, "out", out, shape, dtype)
        check_same(what, "sums", sums, shape[1:], dtype)
        status = lib.fc_activation_backward(
            kernel, code, *shape, from_buffer(g), from_buffer(y), p, q,
            from_buffer("char[]", out, True), from_buffer("char[]", sums, True),
            thread_count(g.size >= SERIAL_PASS),
        )  # fmt: skip
        if status:
            check_status(status, what)

    run.__name__ = run.__qualname__ = what
    run.__doc__ = f"{what}: C-contiguous matrices g, y -> out and the sums of its columns."
    return run


relu_backward_sums = _sums("relu_backward_sums", lib.FC_MAP_RELU_BACKWARD)
leaky_relu_backward_sums = _sums("leaky_relu_backward_sums", lib.FC_MAP_LEAKY_RELU_BACKWARD)
clamp_backward_sums = _sums("clamp_backward_sums", lib.FC_MAP_CLAMP_BACKWARD)

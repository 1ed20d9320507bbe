"""Local response normalisation of C-contiguous (outer, channels, inner) arrays."""

from __future__ import annotations

from fastconv.backends.c.library import (
    NULL,
    Array,
    check_same,
    check_status,
    dtype_code,
    ffi,
    from_buffer,
    lib,
    thread_count,
)

#: Fewer elements are done before a second thread has begun.
SERIAL_RESPONSE = 15_000


def _call(
    what: str,
    x: Array,
    grad: Array | None,
    window: tuple[int, int],
    scale: float,
    beta: float,
    k: float,
    out: Array,
) -> None:
    code = dtype_code(what, x)
    if x.ndim != 3:
        raise ValueError(f"{what}: expected (outer, channels, inner), got shape {x.shape}")
    check_same(what, "out", out, x.shape, x.dtype)
    if grad is not None:
        check_same(what, "the gradient", grad, x.shape, x.dtype)
    if min(window) < 0:
        raise ValueError(f"{what}: window must not be negative, got {window}")
    geometry = ffi.new("fc_response_geom *", (*x.shape, *window, scale, beta, k))
    status = lib.fc_local_response(
        code, geometry, from_buffer(x), NULL if grad is None else from_buffer(grad),
        from_buffer("char[]", out, True), thread_count(x.size >= SERIAL_RESPONSE),
    )  # fmt: skip
    if status:
        check_status(status, what)


def local_response(
    x: Array, window: tuple[int, int], scale: float, beta: float, k: float, out: Array
) -> None:
    """``x (k + scale · sum of x² from below to above the channel)^-beta``."""
    _call("local_response", x, None, window, scale, beta, k, out)


def local_response_backward(
    grad_out: Array,
    x: Array,
    window: tuple[int, int],
    scale: float,
    beta: float,
    k: float,
    out: Array,
) -> None:
    """The gradient of x."""
    _call("local_response_backward", x, grad_out, window, scale, beta, k, out)

"""Softmax, cross-entropy along the middle axis of C-contiguous (outer, classes, inner) arrays."""

from __future__ import annotations

from fastconv.backends.c.library import (
    INT64,
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

#: Fewer elements are done before a second thread has begun (about 30 microseconds).
SERIAL_SOFTMAX = 30_000


def _call(
    what: str,
    kind: int,
    a: Array,
    out: Array,
    b: Array | None = None,
    labels: Array | None = None,
    weight: Array | None = None,
    ignore: int = 0,
    grad: Array | None = None,
    loss: Array | None = None,
    sample: Array | None = None,
) -> None:
    code, dtype, shape = dtype_code(what, a), a.dtype, a.shape
    if len(shape) != 3:
        raise ValueError(f"{what}: expected (outer, classes, inner), got shape {shape}")
    outer, classes, inner = shape
    positions = outer * inner
    check_same(what, "out", out, shape, dtype)
    if b is not None:
        check_same(what, "the other operand", b, shape, dtype)
    if labels is not None:
        check_same(what, "labels", labels, (positions,), INT64)
    if weight is not None:
        check_same(what, "weight", weight, (classes,), dtype)
    step = 0
    if grad is not None:
        step = 1 if grad.ndim else 0
        check_same(what, "grad", grad, (positions,) if step else (), dtype)
    for name, given in (("loss", loss), ("sample", sample)):
        if given is not None:
            check_same(what, name, given, (positions,), dtype)
    geometry = ffi.new("fc_softmax_geom *", (outer, classes, inner, ignore, step))
    status = lib.fc_softmax(
        kind, code, geometry, from_buffer(a), NULL if b is None else from_buffer(b),
        NULL if labels is None else from_buffer("int64_t[]", labels),
        NULL if weight is None else from_buffer(weight),
        NULL if grad is None else from_buffer(grad), from_buffer("char[]", out, True),
        NULL if loss is None else from_buffer("char[]", loss, True),
        NULL if sample is None else from_buffer("char[]", sample, True),
        thread_count(a.size >= SERIAL_SOFTMAX),
    )  # fmt: skip
    if status:
        check_status(status, what)


def softmax(x: Array, out: Array) -> None:
    """``exp(x)`` over its sum along the classes."""
    _call("softmax", lib.FC_SOFTMAX, x, out)


def log_softmax(x: Array, out: Array) -> None:
    """``x`` less the logarithm of the sum of ``exp(x)``."""
    _call("log_softmax", lib.FC_LOG_SOFTMAX, x, out)


def softmax_backward(grad_out: Array, y: Array, out: Array) -> None:
    """``y * (g - sum(g * y))``, from the output y."""
    _call("softmax_backward", lib.FC_SOFTMAX_BACKWARD, grad_out, out, y)


def log_softmax_backward(grad_out: Array, y: Array, out: Array) -> None:
    """``g - exp(y) * sum(g)``, from the output y."""
    _call("log_softmax_backward", lib.FC_LOG_SOFTMAX_BACKWARD, grad_out, out, y)


def cross_entropy(
    x: Array,
    labels: Array,
    weight: Array | None,
    ignore: int,
    out: Array,
    loss: Array,
    sample: Array | None,
) -> None:
    """``softmax(x)`` -> out, the weighted losses and, where wanted, the weights of the labels."""
    _call(
        "cross_entropy", lib.FC_CROSS_ENTROPY, x, out, None, labels, weight, ignore, None, loss,
        sample,
    )  # fmt: skip


def cross_entropy_backward(
    p: Array, labels: Array, weight: Array | None, ignore: int, grad: Array, out: Array
) -> None:
    """``(p - [class == label]) * weight[label] * grad``; `grad` (positions,) or ()."""
    _call(
        "cross_entropy_backward", lib.FC_CROSS_ENTROPY_BACKWARD, p, out, None, labels, weight,
        ignore, grad,
    )  # fmt: skip

"""Steps of the optimisers over lists of parameters: one call for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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

#: Fewer elements are stepped over before a second thread has begun (about 20 microseconds).
SERIAL_STEP = 60_000


def _step(
    what: str,
    method: int,
    settings: Any,
    params: Sequence[Array],
    grads: Sequence[Array],
    kept: Sequence[Sequence[Array]],
    more: Sequence[tuple[float, float, bool]],
) -> None:
    if not params:
        return
    code, dtype, size = dtype_code(what, params[0]), params[0].dtype, 0
    rows = []
    for i, p in enumerate(params):
        shape = p.shape
        pointers = []
        for name, a in (("param", p), ("grad", grads[i]), *(("state", k[i]) for k in kept)):
            if a.shape != shape or a.dtype != dtype:
                check_same(what, name, a, shape, dtype)
            pointers.append(from_buffer("char[]", a, name != "grad"))
        size += p.size
        pointers += [NULL] * (5 - len(pointers))
        rows.append((p.size, pointers[0], pointers[1], pointers[2:], *more[i]))
    updates = ffi.new("fc_update[]", rows)
    threads = thread_count(size >= SERIAL_STEP)
    status = lib.fc_step(method, code, settings, len(rows), updates, threads)
    if status:
        check_status(status, what)


def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    velocities: Sequence[Array],
    first: Sequence[bool],
    rate: float,
    momentum: float,
    gain: float,
    decay: float,
    sign: float,
    nesterov: bool,
) -> None:
    """SGD over C-contiguous arrays; `velocities` is empty without momentum."""
    settings = ffi.new("fc_sgd *", (rate, momentum, gain, decay, sign, nesterov))
    kept = [velocities] if momentum else []
    more = [(0.0, 0.0, f) for f in first]
    _step("sgd_step", lib.FC_SGD, settings, params, grads, kept, more)


def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    means: Sequence[Array],
    squares: Sequence[Array],
    largest: Sequence[Array],
    rates: Sequence[float],
    scales: Sequence[float],
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    shrink: float,
    sign: float,
) -> None:
    """Adam over C-contiguous arrays; `largest` is empty without AMSGrad."""
    settings = ffi.new("fc_adam *", (beta1, beta2, eps, decay, shrink, sign))
    kept = [means, squares, largest] if largest else [means, squares]
    more = [(r, s, False) for r, s in zip(rates, scales, strict=True)]
    _step("adam_step", lib.FC_ADAM, settings, params, grads, kept, more)

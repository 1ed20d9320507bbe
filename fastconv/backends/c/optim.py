"""Steps of the optimisers over lists of parameters: one call for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
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


class _Updates:
    """The ``fc_update[]`` of parameters and what the method keeps, all but gradients and rates."""

    __slots__ = ("code", "columns", "count", "kept", "memory", "parallel", "rows")

    def __init__(self, what: str, params: Sequence[Array], kept: Sequence[Sequence[Array]]) -> None:
        self.code, dtype, size = dtype_code(what, params[0]), params[0].dtype, 0
        self.kept = kept
        rows = []
        for i, p in enumerate(params):
            pointers = []
            for name, a in (("param", p), *(("state", k[i]) for k in kept)):
                check_same(what, name, a, p.shape, dtype)
                pointers.append(from_buffer("char[]", a, True))
            pointers += [NULL] * (4 - len(pointers))
            rows.append((p.size, pointers[0], NULL, pointers[1:], 0.0, 0.0, False))
            size += p.size
        self.count, self.memory = len(rows), ffi.new("fc_update[]", rows)
        self.rows = [self.memory[i] for i in range(len(rows))]
        self.columns: dict[str, Sequence[Any]] = {}
        self.parallel = size >= SERIAL_STEP

    def put(self, name: str, values: Sequence[Any]) -> None:
        """Write a column, if it has changed."""
        if values != self.columns.get(name):
            self.columns[name] = values
            for row, value in zip(self.rows, values, strict=True):
                setattr(row, name, value)


def _updates(what: str, params: Sequence[Array], kept: Sequence[Sequence[Array]]) -> _Updates:
    """Those of the last step on these lists, where they are meant to last (ops.optim.Arrays)."""
    cache = getattr(params, "cache", None)
    if cache is None:
        return _Updates(what, params, kept)
    found: _Updates | None = cache.get("c")
    if found is None or not (len(kept) == len(found.kept) and all(map(is_, kept, found.kept))):
        found = cache["c"] = _Updates(what, params, kept)
    return found


def _step(
    what: str,
    method: int,
    settings: Any,
    params: Sequence[Array],
    grads: Sequence[Array],
    kept: Sequence[Sequence[Array]],
    **columns: Sequence[Any],
) -> None:
    if not params:
        return
    updates = _updates(what, params, kept)
    dtype, pointers = params[0].dtype, []
    for name, values in columns.items():
        updates.put(name, values)
    for row, p, g in zip(updates.rows, params, grads, strict=True):
        if g.shape != p.shape or g.dtype != dtype:
            check_same(what, "grad", g, p.shape, dtype)
        row.grad = pointer = from_buffer(g)
        pointers.append(pointer)
    threads = thread_count(updates.parallel)
    status = lib.fc_step(method, updates.code, settings, updates.count, updates.memory, threads)
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
    _step("sgd_step", lib.FC_SGD, settings, params, grads, kept, first=first)


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
    _step("adam_step", lib.FC_ADAM, settings, params, grads, kept, rate=rates, scale=scales)

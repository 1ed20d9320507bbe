"""The C library itself, and what every call of it needs: checks, status codes, threads."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastconv import config
from fastconv.backends.openmp import short_spin

try:
    with short_spin():
        from fastconv._fastconv import ffi, lib
except ImportError as error:
    raise ImportError(
        f"the C extension was not built ({error}); install a C compiler (gcc or clang) and "
        "install fastconv again"
    ) from error

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = {np.dtype(np.float32): lib.FC_F32, np.dtype(np.float64): lib.FC_F64}
INT64 = np.dtype(np.int64)
NULL = ffi.NULL
from_buffer = ffi.from_buffer

# Work below which a second thread costs more than it gains (about 30 microseconds).
SERIAL_FLOPS = 2_000_000
SERIAL_ELEMENTS = 30_000

_forked = False


def _after_fork() -> None:
    # libgomp's threads do not survive a fork, and waiting for them would hang.
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def check_status(status: int, what: str) -> None:
    """Raise what a status code other than FC_OK means."""
    if status == lib.FC_OK:
        return
    if status == lib.FC_NOMEM:
        raise MemoryError(f"{what}: not enough memory for scratch space")
    if status == lib.FC_OVERFLOW:
        raise OverflowError(f"{what}: sizes do not fit 64 bits")
    if status == lib.FC_RANGE:
        raise IndexError(f"{what}(): indices has elements outside the array they point into")
    raise NotImplementedError(f"{what}: no such kernel for instruction set {get_isa()!r}")


def dtype_code(what: str, a: Array) -> int:
    """Return C's number of the array's type; TypeError where it has none."""
    try:
        return DTYPES[a.dtype]
    except KeyError:
        raise TypeError(f"{what}: expected float32 or float64, got {a.dtype}") from None


def type_code(what: str, dtype: Any) -> int:
    """Return C's number of a type; TypeError where it has none."""
    code = DTYPES.get(dtype)
    if code is None:
        raise TypeError(f"{what}: expected float32 or float64, got {np.dtype(dtype)}")
    return code


def raise_difference(what: str, dtype: Any, **operands: tuple[Array, tuple[int, ...]]) -> None:
    """Name the operand whose shape or type differs."""
    for argument, (a, shape) in operands.items():
        check_same(what, argument, a, shape, dtype)


def check_same(what: str, argument: str, a: Array, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise unless the array has this shape and type."""
    if a.shape != shape:
        raise ValueError(f"{what}: {argument} must have shape {shape}, got {a.shape}")
    if a.dtype != dtype:
        raise TypeError(f"{what}: {argument} must be {dtype}, got {a.dtype}")


def get_isa() -> str:
    """Name of the instruction set in use."""
    return ffi.string(lib.fc_isa_name(lib.fc_get_isa())).decode()


def thread_count(parallel: bool) -> int:
    """Threads for a call; one where threads do not pay, or after a fork."""
    return config.get_num_threads() if parallel and not _forked else 1


def forked() -> bool:
    """Whether this process is a child after fork, which stays serial."""
    return _forked

"""How the kernels are compiled, called and kept safe: threads, the lock, a forked child.

A kernel is one Python function whose outer loop is a ``prange``. It is compiled twice at need: with
that loop spread over threads, and as a plain loop for one thread or for a forked child, whose copy
of the thread pool is dead. Both are cached on disk.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import types
from collections.abc import Callable
from typing import Any

import numba

from fastconv._locks import make_lock
from fastconv.backends.openmp import short_spin
from fastconv.config import get_num_threads

# Numba's layer over OpenMP, if it has one: loaded here, it starts no threads yet.
with short_spin(), contextlib.suppress(ImportError):
    importlib.import_module("numba.np.ufunc.omppool")

#: Fused multiply-add is allowed; sums are never reordered, NaN is never assumed away.
FASTMATH = {"contract"}


#: Only the ``prange`` becomes threads: array assignments inside stay plain loops, quick to compile.
PARALLEL = {
    "prange": True, "setitem": False, "numpy": False, "reduction": False, "comprehension": False,
    "inplace_binop": False, "stencil": False, "fusion": False,
}  # fmt: skip


class _State:
    """What a fork changes."""

    lock = make_lock()
    forked = False


def _after_fork() -> None:
    # The pool of threads is gone.
    _State.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """`function` as Numba's lazily compiled one, cached on disk where any cache can be written."""
    options = {"nogil": True, "fastmath": FASTMATH, **options}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the user's cache directory is writable
        return numba.njit(**options)(function)


def _renamed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A copy under another name: Numba's disk cache knows functions by name, not by options."""
    copy = types.FunctionType(function.__code__, function.__globals__, name)
    copy.__qualname__ = name
    copy.__module__ = function.__module__
    return copy


class Kernel:
    """Decorator: a function with a ``prange``, called with the configured number of threads.

    Numba's own thread pools end the process when two Python threads use them at once, so parallel
    calls hold a lock. Serial calls need none: the GIL is released and they run side by side.
    Options are Numba's: where the two compilations would contract different products of a formula,
    ``fastmath=False`` makes their results the same.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.__doc__ = function.__doc__
        self._parallel = compiled(function, parallel=PARALLEL, **options)
        self._serial = compiled(_renamed(function, f"{function.__name__}_serial"), **options)

    def __call__(self, *args: Any) -> Any:
        threads = min(get_num_threads(), numba.config.NUMBA_NUM_THREADS)
        if threads == 1 or _State.forked:
            return self._serial(*args)
        with _State.lock:
            before = numba.get_num_threads()
            numba.set_num_threads(threads)
            try:
                return self._parallel(*args)
            finally:
                numba.set_num_threads(before)

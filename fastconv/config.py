"""Switches: which backend and algorithm to use, and how many threads.

``backend``, ``algorithm``, ``precision``, ``autotune`` and ``fusion`` are per thread of Python and
nest; the thread count is the process's.  The environment sets the start: ``FASTCONV_BACKEND``,
``FASTCONV_ALGORITHM``, ``FASTCONV_PRECISION``, ``FASTCONV_AUTOTUNE``, ``FASTCONV_FUSION`` and
``FASTCONV_NUM_THREADS`` (``OMP_NUM_THREADS`` as the fallback).
"""

from __future__ import annotations

import os
import threading
from types import TracebackType

BACKENDS = ("c", "numba", "naive")
PRECISIONS = ("default", "exact")


class Switches:
    """What the switches come to: one object for each setting, so that it is a quick key."""

    __slots__ = ("algorithm", "autotuning", "backend", "exact")

    def __init__(self, backend: str, algorithm: str | None, autotuning: bool, exact: bool) -> None:
        self.backend, self.algorithm = backend, algorithm
        self.autotuning, self.exact = autotuning, exact


_settings: dict[tuple[str, str | None, bool, bool], Switches] = {}


class _Local(threading.local):
    backend: str | None = None
    algorithm: str | None = None
    autotune: bool | None = None
    precision: str | None = None
    fusion: bool | None = None
    switches: Switches | None = None  # what they come to, once it is asked


_local = _Local()


def _check_precision(name: object) -> str:
    if not isinstance(name, str) or name not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, got {name!r}")
    return str(name)


def _check_backend(name: object) -> str:
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {BACKENDS}, got {name!r}")
    return str(name)


def _settle() -> None:
    """Write what waits: under the switches that it was asked for with."""
    from fastconv import _later

    _later.settle()


class _Switch:
    """Sets one thread-local value for a ``with`` block."""

    __slots__ = ("_name", "_value", "_saved")

    def __init__(self, name: str, value: str | bool | None) -> None:
        self._name = name
        self._value = value
        self._saved: list[str | bool | None] = []

    def __enter__(self) -> None:
        _settle()
        self._saved.append(getattr(_local, self._name))
        setattr(_local, self._name, self._value)
        _local.switches = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _settle()
        setattr(_local, self._name, self._saved.pop())
        _local.switches = None


def backend(name: str) -> _Switch:
    """Use one backend inside a ``with`` block (in this thread).

    Parameters
    ----------
    name : {'c', 'numba', 'naive'}

    Raises
    ------
    ValueError
        If the name is unknown.
    RuntimeError
        If that backend cannot be used here, with the reason.
    """
    from fastconv import backends

    backends.load(_check_backend(name))
    return _Switch("backend", name)


def algorithm(name: str | None) -> _Switch:
    """Use one algorithm where it can run, inside a ``with`` block (in this thread).

    Parameters
    ----------
    name : str or None
        A candidate's name (``'gemm'``, ``'direct'``, ``'depthwise'``, …; ``explain`` lists them),
        or None for the planner's own choice.  Where the algorithm declines a shape, the planner
        chooses.

    Raises
    ------
    ValueError
        If no candidate has this name.
    """
    from fastconv import planner

    if name is not None and name not in planner.algorithms():
        raise ValueError(f"algorithm must be one of {planner.algorithms()} or None, got {name!r}")
    return _Switch("algorithm", name)


def precision(name: str) -> _Switch:
    """Say how exact convolutions in float32 are, inside a ``with`` block (in this thread).

    Parameters
    ----------
    name : {'default', 'exact'}
        ``'exact'`` leaves out Winograd, whose roundings are two to four times those of a direct
        sum, and computes convolutions of float32 and fully connected layers in float64, rounded
        once: an error of 3e-8 where direct sums have 3e-7 (docs/accuracy.md).  It goes before
        ``algorithm`` and ``autotune``, and takes several times as long, and twice the memory of a
        layer at a time.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return _Switch("precision", _check_precision(name))


def current_precision() -> str:
    """``'default'`` or ``'exact'``."""
    return _local.precision or _default_precision


def autotune(enabled: bool = True) -> _Switch:
    """Let measurements choose the algorithm inside a ``with`` block (in this thread), or not.

    The first time a convolution's geometry is met on the C backend with a type, an instruction set
    and a number of threads, every algorithm that can run it is timed, for a few calls each; the
    fastest is kept in memory and on disk (``FASTCONV_CACHE_DIR``, or the user's cache directory).
    ``FASTCONV_AUTOTUNE=1`` switches it on everywhere.  ``algorithm`` goes before it.  Since other
    threads may get another algorithm, results may then depend on their number, by roundings.

    Raises
    ------
    TypeError
        If `enabled` is not a bool.
    """
    if not isinstance(enabled, bool):
        raise TypeError(f"autotune(): expected True or False, got {enabled!r}")
    return _Switch("autotune", enabled)


def autotuning() -> bool:
    """Whether measurements choose the algorithm."""
    asked = _local.autotune
    return _default_autotune if asked is None else asked


def fusion(enabled: bool = True) -> _Switch:
    """Let operations join inside a ``with`` block (in this thread), or not.

    The result of a normalisation is then written together with what follows it, ``+ residual`` and
    a ReLU; inside modules that of a convolution as well, in inference with the batch norm too.
    One read and one write of memory are saved for each of them. With the C kernels results,
    gradients and errors are the same to the last bit; what differs is which operations ``grad_fn``
    names, and the strides of axes of size 1.
    ``FASTCONV_FUSION=0`` switches it off everywhere.

    Raises
    ------
    TypeError
        If `enabled` is not a bool.
    """
    if not isinstance(enabled, bool):
        raise TypeError(f"fusion(): expected True or False, got {enabled!r}")
    return _Switch("fusion", enabled)


def fusing() -> bool:
    """Whether operations may join."""
    asked = _local.fusion
    return _default_fusion if asked is None else asked


def _initial(name: str, default: bool) -> bool:
    text = os.environ.get(name, "")
    if text not in ("", "0", "1"):
        raise ValueError(f"{name} must be 0 or 1, got {text!r}")
    return text == "1" if text else default


_default_autotune = _initial("FASTCONV_AUTOTUNE", False)
_default_fusion = _initial("FASTCONV_FUSION", True)
_default_precision = _check_precision(os.environ.get("FASTCONV_PRECISION") or "default")


def current_backend() -> str:
    """Name of the backend that a call made now would use."""
    name = _local.backend or _default_backend
    return name or _find_default()


def current_algorithm() -> str | None:
    """Name of the algorithm asked for, or None."""
    if not _looked:
        _find_algorithm()
    return _local.algorithm or _default_algorithm


def switches() -> Switches:
    """Backend, algorithm, whether measurements choose it, and precision in one."""
    found = _local.switches
    if found is None:
        exact = current_precision() == "exact"
        setting = current_backend(), current_algorithm(), autotuning() and not exact, exact
        found = _local.switches = _settings.setdefault(setting, Switches(*setting))
    return found


_default_backend: str | None = None
_default_algorithm: str | None = None
_looked = False


def _find_algorithm() -> None:
    global _default_algorithm, _looked
    from fastconv import planner

    asked = os.environ.get("FASTCONV_ALGORITHM") or None
    if asked is not None and asked not in planner.algorithms():
        raise ValueError(f"FASTCONV_ALGORITHM must be one of {planner.algorithms()}, got {asked!r}")
    _default_algorithm = asked
    _looked = True


def _find_default() -> str:
    global _default_backend
    from fastconv import backends

    asked = os.environ.get("FASTCONV_BACKEND")
    if asked:
        if asked not in BACKENDS:
            raise ValueError(f"FASTCONV_BACKEND must be one of {BACKENDS}, got {asked!r}")
        backends.load(asked)
        _default_backend = asked
    else:
        _default_backend = backends.best()
    return _default_backend


# ---------------------------------------------------------------- threads


def available_cpus() -> int:
    """Processors this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _initial_threads() -> int:
    for variable in ("FASTCONV_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "").split(",")[0].strip()
        if not text:
            continue
        if text.isdecimal() and 1 <= int(text) <= MAX_THREADS:
            return int(text)
        if variable.startswith("FASTCONV"):
            raise ValueError(f"{variable} must be an int from 1 to {MAX_THREADS}, got {text!r}")
    return available_cpus()


#: More threads than this are refused.
MAX_THREADS = 1024
_threads = _initial_threads()


def set_num_threads(threads: int) -> None:
    """Set how many threads the kernels may use.

    Raises
    ------
    TypeError, ValueError
        If `threads` is not an int from 1 to 1024.
    """
    global _threads
    if isinstance(threads, bool) or not hasattr(threads, "__index__"):
        raise TypeError(f"set_num_threads(): expected an int, got {threads!r}")
    threads = threads.__index__()
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"set_num_threads(): expected 1 to {MAX_THREADS}, got {threads}")
    _threads = threads


def get_num_threads() -> int:
    """Threads the kernels may use."""
    return _threads


def _after_fork() -> None:
    # OpenMP's and Numba's thread pools do not survive a fork: the child stays serial.
    global _threads
    _threads = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

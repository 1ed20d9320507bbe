"""PyTorch's global settings, where this engine has no choice to make."""

from __future__ import annotations

from typing import Any

from . import dtypes
from ._once import say_once
from .functions._named import named
from .tensor_types import wanted


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Do nothing: results are the same, bit for bit, at every run and number of threads."""


def are_deterministic_algorithms_enabled() -> bool:
    """True: all algorithms are."""
    return True


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """False."""
    return False


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Do nothing: all algorithms are deterministic."""


def get_deterministic_debug_mode() -> int:
    """0: nothing is to be warned of."""
    return 0


_precision = "highest"


@named
def set_float32_matmul_precision(precision: str) -> None:
    """Note 'highest', 'high' or 'medium'; products of float32 are always of full precision."""
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise ValueError(
            "set_float32_matmul_precision: precision must be 'highest', 'high' or 'medium', "
            f"got {precision!r:.80}"
        )
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What was set last: 'highest' at first."""
    return _precision


@named
def set_default_device(device: Any) -> None:
    """Accept the CPU; RuntimeError for any other device."""
    if device is not None:
        dtypes.device(device)


def get_default_device() -> dtypes.device:
    """The CPU."""
    return dtypes.CPU


@named
def set_default_tensor_type(t: Any) -> None:
    """Set the default type by a type object or its name; RuntimeError for CUDA's."""
    found = wanted(t, "set_default_tensor_type")
    dtypes.set_default_dtype(found)


def set_num_interop_threads(threads: int) -> None:
    """Do nothing: operations run one after the other."""


def get_num_interop_threads() -> int:
    """1: operations run one after the other."""
    return 1


def set_flush_denormal(mode: bool) -> bool:
    """False: denormal numbers are kept; said once when they are asked to go."""
    if not isinstance(mode, (bool, int)):
        raise TypeError(f"set_flush_denormal: mode must be a bool, got {mode!r:.80}")
    if mode:
        say_once("set_flush_denormal has no effect: denormal numbers are kept")
    return False


_warns = False


@named
def set_warn_always(b: bool) -> None:
    """Note the setting: warnings that are given once stay so."""
    global _warns
    _warns = bool(b)


def is_warn_always_enabled() -> bool:
    """What was set."""
    return _warns


def set_autocast_enabled(*args: Any) -> None:
    """Do nothing: nothing is cast."""


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """False: nothing is cast."""
    return False


def get_autocast_dtype(device_type: str = "cpu") -> dtypes.dtype:
    """The default type: nothing is cast."""
    return dtypes.get_default_dtype()


def clear_autocast_cache() -> None:
    """Do nothing: nothing is cast."""


def compiled_with_cxx11_abi() -> bool:
    """True: for scripts that print it."""
    return True


def typename(obj: Any) -> str:
    """The full name of a tensor's type, of a type, or of an object's."""
    from .tensor import Tensor

    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def is_storage(obj: Any) -> bool:
    """Whether `obj` is what ``Tensor.storage()`` returns."""
    from .storage import Storage

    return isinstance(obj, Storage)

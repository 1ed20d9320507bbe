"""`autocast`: a block or a function in which nothing is cast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

from .._once import say_once

TEXT = "autocast has no effect: fastconv computes in the types of the tensors, float32 or float64"


class autocast(ContextDecorator):
    """A ``with`` block, or a decorated function, that computes as it would without; said once.

    Parameters
    ----------
    device_type : str
        "cpu", "cuda" and so on: all the same here.
    dtype : dtype, optional
    enabled : bool
        Without it nothing is said either.
    cache_enabled : bool, optional
    """

    def __init__(
        self,
        device_type: str = "cpu",
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise TypeError(f"autocast: device_type must be a str, got {device_type!r:.80}")
        self.device, self.fast_dtype = device_type, dtype
        if enabled:
            say_once(TEXT)

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str = "cpu", cast_inputs: Any = None
) -> Any:
    """Give the function back: nothing is cast."""
    return (lambda function: function) if fwd is None else fwd


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cpu") -> Any:
    """Give the function back: nothing is cast."""
    return (lambda function: function) if bwd is None else bwd


def is_autocast_available(device_type: str) -> bool:
    """False: nothing is cast."""
    return False


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """False: nothing is cast."""
    return False

"""Whether operations are recorded: a switch per thread, and the context managers that set it."""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ._decorate import decorated


class _Mode(threading.local):
    grad = True
    inference = False
    waits = False  # whether results of convolutions may wait: inside a module
    again = False  # whether all of them do, as in another run: inside a checkpoint
    second = False  # whether this is that other run: running statistics have moved already


mode = _Mode()


class _GradMode:
    """A context manager and decorator that sets the switch and puts it back."""

    __slots__ = ("value", "previous")
    inference = False

    def __init__(self, value: bool) -> None:
        self.value = value
        self.previous: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self.previous.append((mode.grad, mode.inference))
        mode.grad = self.value
        if self.inference:
            mode.inference = not self.value

    def __exit__(self, *exc: object) -> None:
        mode.grad, mode.inference = self.previous.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        value, kind = self.value, type(self)
        if inspect.isclass(function):
            warnings.warn(
                f"{kind.__name__}() decorates the class {function.__name__}: only making an "
                "instance is inside it; decorate __init__ or other methods instead",
                FutureWarning,
                stacklevel=2,
            )
        return decorated(lambda: _new_mode(kind, value), function)


def _new_mode(kind: type[_GradMode], value: bool) -> _GradMode:
    guard = object.__new__(kind)
    guard.value = value
    guard.previous = []
    return guard


class no_grad(_GradMode):
    """Do not record operations: ``with no_grad():``, ``@no_grad()`` or ``@no_grad``."""

    __slots__ = ()

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        guard = _new_mode(cls, False)
        return guard if function is None else guard(function)

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        pass


class enable_grad(_GradMode):
    """Record operations, also inside :class:`no_grad`."""

    __slots__ = ()

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        guard = _new_mode(cls, True)
        return guard if function is None else guard(function)

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        pass


class inference_mode(_GradMode):
    """As :class:`no_grad`; ``inference_mode(False)`` does nothing but switch recording on."""

    __slots__ = ()
    inference = True

    def __new__(cls, mode: Any = True) -> Any:
        if callable(mode):
            return _new_mode(cls, False)(mode)
        return _new_mode(cls, not mode)

    def __init__(self, mode: Any = True) -> None:
        pass


class set_grad_enabled(_GradMode):
    """Set the switch at once, as a function; as a context manager, put it back on leaving."""

    __slots__ = ()

    def __init__(self, mode: bool) -> None:  # the public name of the argument, as in PyTorch
        super().__init__(bool(mode))
        _set(self)

    def __enter__(self) -> None:
        mode.grad = self.value

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        mode.grad, mode.inference = self.previous.pop()
        kind = enable_grad if self.value else no_grad
        return _GradMode.__call__(_new_mode(kind, self.value), function)


def _set(guard: set_grad_enabled) -> None:
    guard.previous.append((mode.grad, mode.inference))
    mode.grad = guard.value


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return mode.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside :class:`inference_mode`."""
    return mode.inference


# NumPy warns about 1/0 and log(-1), PyTorch does not. np.errstate costs more than a small
# operation, so set the context variable behind it directly where NumPy has it (2.0 and later).
try:
    from numpy._core.umath import _extobj_contextvar, _make_extobj

    quiet: Callable[[], Any] = functools.partial(_extobj_contextvar.set, _make_extobj(all="ignore"))
    unquiet: Callable[[Any], Any] = _extobj_contextvar.reset
except ImportError:
    quiet = functools.partial(np.seterr, all="ignore")

    def unquiet(token: Any) -> Any:
        """Undo :func:`quiet`."""
        np.seterr(**token)

"""PyTorch's compiler by name: operations join by themselves (`fastconv.fusion`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._once import say_once

__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable",
    "is_compiling", "is_dynamo_compiling", "reset",
]  # fmt: skip


def compile(model: Any = None, **options: Any) -> Any:
    """Give the module or function back, as a decorator too; said once.

    Parameters
    ----------
    model : Module or callable, optional
    **options
        PyTorch's (`fullgraph`, `dynamic`, `backend`, `mode`, `options`, `disable`): no effect.
    """
    say_once("compile gives the module back as it is: fastconv joins operations as they run")
    return _same if model is None else model


def _same(function: Any) -> Any:
    return function


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, **_: Any) -> Any:
    """``@disable`` or ``@disable()``: the function itself."""
    return _same if fn is None else fn


def allow_in_graph(fn: Any) -> Any:
    """The function itself."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """The function itself."""
    return fn


def is_compiling() -> bool:
    """False."""
    return False


def is_dynamo_compiling() -> bool:
    """False."""
    return False


def cudagraph_mark_step_begin() -> None:
    """Do nothing."""


def reset() -> None:
    """Do nothing."""

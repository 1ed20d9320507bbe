"""TorchScript's names: there is no compiler of Python here, so they give back what they get."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, Final

from ._once import say_once
from .absent import missing

__all__ = [
    "Attribute", "Final", "annotate", "export", "fork", "freeze", "ignore", "interface",
    "is_scripting", "is_tracing", "isinstance", "optimize_for_inference", "script",
    "script_if_tracing", "script_method", "trace", "trace_module", "unused", "wait",
]  # fmt: skip

TEXT = "jit.{} gives the module or function back as it is: fastconv has no TorchScript"


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """Give a module, class or function back, as a decorator too; said once."""
    say_once(TEXT.format("script"))
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Give the module or function back; said once."""
    say_once(TEXT.format("trace"))
    return func


def trace_module(mod: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
    """Give the module back; said once."""
    say_once(TEXT.format("trace_module"))
    return mod


def freeze(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """Give the module back."""
    return mod


def optimize_for_inference(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """Give the module back."""
    return mod


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """``@ignore`` or ``@ignore(drop=True)``: the function itself."""
    return drop if callable(drop) else _same


def unused(fn: Any) -> Any:
    """The function itself."""
    return fn


def export(fn: Any) -> Any:
    """The function itself."""
    return fn


def script_method(fn: Any) -> Any:
    """The method itself."""
    return fn


def script_if_tracing(fn: Any) -> Any:
    """The function itself."""
    return fn


def interface(obj: Any) -> Any:
    """The class itself."""
    return obj


def _same(fn: Any) -> Any:
    return fn


def is_scripting() -> bool:
    """False."""
    return False


def is_tracing() -> bool:
    """False."""
    return False


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value."""
    return the_value


def Attribute(value: Any, type: Any = None) -> Any:
    """The value."""
    return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether `obj` is of a type, or of one of a tuple; of generic ones only the origin counts."""
    import builtins

    kinds: Any = target_type if builtins.isinstance(target_type, tuple) else (target_type,)
    return builtins.isinstance(obj, tuple(typing.get_origin(k) or k for k in kinds))


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of the call, which runs at once."""
    return func(*args, **kwargs)


def wait(future: Any) -> Any:
    """What :func:`fork` returned."""
    return future


def set_fusion_strategy(strategy: Any) -> None:
    """Do nothing: see fastconv.fusion."""


def __getattr__(name: str) -> Any:
    if name in ("ScriptModule", "RecursiveScriptModule"):
        from .nn import Module

        return Module
    raise missing(__name__, name)

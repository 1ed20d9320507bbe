"""Hooks around an optimiser's steps and states."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._hooks import HookDict, RemovableHandle

Hook = Callable[..., Any]


def table(optimizer: Any, name: str) -> HookDict:
    """A table of hooks that an optimiser has from the day of its first hook."""
    return optimizer.__dict__.setdefault(name, HookDict())  # type: ignore[no-any-return]


def hooks(optimizer: Any, name: str) -> list[Any]:
    """The hooks in a table."""
    found = optimizer.__dict__.get(name)
    return list(found.values()) if found else []


def around(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step`, a method of a subclass, with the hooks before and after it."""

    @functools.wraps(step)
    def hooked(self: Any, *args: Any, **kwargs: Any) -> Any:
        fields = self.__dict__
        if "_step_pre_hooks" not in fields and "_step_post_hooks" not in fields:
            return step(self, *args, **kwargs)
        if fields.get("_stepping"):  # a step that calls that of its base class
            return step(self, *args, **kwargs)
        fields["_stepping"] = True
        try:
            for hook in hooks(self, "_step_pre_hooks"):
                answer = hook(self, args, kwargs)
                if answer is not None:
                    if not (isinstance(answer, tuple) and len(answer) == 2):
                        raise RuntimeError(
                            "a step pre-hook must return None or (args, kwargs), "
                            f"got {answer!r:.80}"
                        )
                    args, kwargs = answer
            result = step(self, *args, **kwargs)
            for hook in hooks(self, "_step_post_hooks"):
                hook(self, args, kwargs)
        finally:
            fields["_stepping"] = False
        return result

    hooked.hooked = True  # type: ignore[attr-defined]
    return hooked


class OptimizerHooks:
    """What :class:`Optimizer` inherits."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        step = cls.__dict__.get("step")
        if callable(step) and not hasattr(step, "hooked"):
            cls.step = around(step)  # type: ignore[attr-defined]

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before a step; it may return both anew."""
        return table(self, "_step_pre_hooks").add(hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after a step."""
        return table(self, "_step_post_hooks").add(hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict`."""
        return table(self, "_state_pre_hooks").add(hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; what it returns replaces it."""
        return table(self, "_state_post_hooks").add(hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before a state is loaded; it may return another."""
        return table(self, "_load_pre_hooks").add(hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after a state is loaded."""
        return table(self, "_load_post_hooks").add(hook, prepend)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

"""Hooks: tables of them with handles, and those that fill ``.grad`` of an intermediate result.

A table's keys count up and are never used again, so that no hook takes another's place, whatever
becomes of its handle.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns: takes it away by `remove()`, or at the end of a `with`."""

    __slots__ = ("_hooks", "id")

    def __init__(self, hooks: HookDict) -> None:
        self._hooks = weakref.ref(hooks)
        self.id = next(_ids)
        while self.id in hooks:  # a table that another process has filled
            self.id = next(_ids)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class HookDict(OrderedDict[int, Any]):
    """Hooks by the number of their handle, in the order in which they are called."""

    def add(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Add a hook, last or first, and give its handle."""
        handle = RemovableHandle(self)
        self[handle.id] = hook
        if prepend:
            self.move_to_end(handle.id, last=False)
        return handle


class Retain:
    """The hook behind ``retain_grad``: holds its tensor weakly, as every node must."""

    __slots__ = ("ref",)

    def __init__(self, t: Any) -> None:
        self.ref = weakref.ref(t)

    def __call__(self, g: Any) -> None:
        t = self.ref()
        if t is not None:
            t._grad = g.clone() if t._grad is None else t._grad + g


class PostAccumulate:
    """In a leaf's table: a hook that is called with the leaf when its ``.grad`` is complete."""

    __slots__ = ("hook",)

    def __init__(self, hook: Callable[[Any], None]) -> None:
        self.hook = hook


def add_to_node(node: Any, nr: int, hook: Callable[[Any], Any]) -> RemovableHandle:
    """Call `hook` with the gradient of a node's result `nr`; the ones that fill ``.grad`` last."""
    if node.hooks is None:
        node.hooks = HookDict()
    hooks: HookDict = node.hooks
    handle = hooks.add((nr, hook))
    if type(hook) is not Retain:
        for key in [k for k, (_, h) in hooks.items() if type(h) is Retain]:
            hooks.move_to_end(key)
    return handle


def retained(t: Any) -> int | None:
    """The key of the hook that fills ``t.grad``, in the table of its node; None without one."""
    node = t._node
    if node is None or not node.hooks:
        return None
    for key, (_, hook) in node.hooks.items():
        if type(hook) is Retain and hook.ref() is t:
            return key
    return None


def keep_retained(t: Any, node: Any, nr: int = 0) -> None:
    """Before `node` becomes the history of `t`: let the gradient there fill ``.grad`` from now on.

    Other hooks stay with the value that they were registered for.
    """
    key = retained(t)
    if key is not None:
        _, hook = t._node.hooks.pop(key)
        add_to_node(node, nr, hook)

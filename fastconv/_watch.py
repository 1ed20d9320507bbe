"""Who watches operations run: nobody, or the recorder of a ``fastconv.profile()`` block."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

#: Set and cleared by fastconv.profiler; :class:`Op` and the engine look at it at every operation.
recorder: Any = None


class Passing:
    """A recorder that hands on to the one before it, a profiler, or just runs what it is given.

    Parameters
    ----------
    before : recorder or None
    """

    def __init__(self, before: Any) -> None:
        self.before = before
        own = SimpleNamespace(spent=0)
        self.inside: Any = own if before is None else before.inside
        self.events: list[Any] = [] if before is None else before.events

    def forward(self, cls: Any, ctx: Any, args: Sequence[Any]) -> Any:
        """Run an operation's ``forward``."""
        if self.before is not None:
            return self.before.forward(cls, ctx, args)
        return cls.forward(ctx, *args)

    def backward(self, node: Any, grads: Sequence[Any], retain: bool) -> Any:
        """Run a node of the graph."""
        if self.before is not None:
            return self.before.backward(node, grads, retain)
        return node.run(grads, retain)

    def measure(
        self, name: str, phase: str, args: Sequence[Any], call: Callable[..., Any], *given: Any
    ) -> Any:
        """Run what is no operation of its own."""
        if self.before is not None:
            return self.before.measure(name, phase, args, call, *given)
        return call(*given)


def whole(kind: str) -> Callable[[_F], _F]:
    """Mark a function that who records a network notes as one operation, `kind`.

    For what is made of other operations, or of NumPy, and has an operator of its own elsewhere.
    Recorders without a method ``whole(kind, function, args, kwargs)`` see what is inside.
    """

    def mark(function: _F) -> _F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            noted = getattr(recorder, "whole", None)
            if noted is None:
                return function(*args, **kwargs)
            return noted(kind, function, args, kwargs)

        return call  # type: ignore[return-value]

    return mark

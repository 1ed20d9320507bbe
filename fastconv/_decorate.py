"""Functions of every kind called inside a context manager.

What runs in pieces (generators, coroutines, asynchronous generators) is inside while it runs, and
outside while it waits: a switch is set at every step and put back when the step ends.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

Guard = Callable[[], AbstractContextManager[Any]]


def decorated(guard: Guard, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with everything that it runs inside a context manager of `guard`'s."""
    made: Callable[..., Any]
    if inspect.isgeneratorfunction(function):

        def made(*args: Any, **kwargs: Any) -> Any:
            return (yield from _steps(guard, function(*args, **kwargs)))

    elif inspect.iscoroutinefunction(function):

        async def made(*args: Any, **kwargs: Any) -> Any:
            return await _Guarded(guard, function(*args, **kwargs))

    elif inspect.isasyncgenfunction(function):
        made = _asynchronous(guard, function)

    else:

        def made(*args: Any, **kwargs: Any) -> Any:
            with guard():
                return function(*args, **kwargs)

    return made if inspect.isclass(function) else functools.wraps(function)(made)


def _steps(guard: Guard, running: Any) -> Generator[Any, Any, Any]:
    """What `running`, a generator or what is awaited like one, yields; each step inside `guard`."""
    try:
        with guard():
            value = running.send(None)
        while True:
            try:
                request = yield value
            except GeneratorExit:
                with guard():
                    running.close()
                raise
            except BaseException as error:
                with guard():
                    value = running.throw(error)
            else:
                with guard():
                    value = running.send(request)
    except StopIteration as end:
        return end.value


class _Guarded:
    """Awaits something, each step inside `guard`."""

    __slots__ = ("guard", "waited")

    def __init__(self, guard: Guard, waited: Any) -> None:
        self.guard, self.waited = guard, waited

    def __await__(self) -> Generator[Any, Any, Any]:
        return _steps(self.guard, self.waited.__await__())


def _asynchronous(
    guard: Guard, function: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """An asynchronous generator function, each step of what it runs inside `guard`."""

    async def made(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        running = function(*args, **kwargs)
        step: Any = running.asend(None)
        while True:
            try:
                value = await _Guarded(guard, step)
            except StopAsyncIteration:
                return
            try:
                request = yield value
            except GeneratorExit:
                await _Guarded(guard, running.aclose())
                raise
            except BaseException as error:
                step = running.athrow(error)
            else:
                step = running.asend(request)

    return made

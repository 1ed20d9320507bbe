"""Results that are written late, so that what happens to them next can be done in the same pass.

The tensor is then a :class:`fastconv._pending.Pending`, whose slot holds a :class:`Later` in place
of an array. Whoever reads ``_array`` has it written first, and finds an ordinary tensor from then
on. Operations that can join ask ``_later`` before they read.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

ndarray = np.ndarray


class Later:
    """A result that can be written at any time, from arrays that must not change before."""

    __slots__ = ()
    shape: tuple[int, ...]
    dtype: np.dtype
    owner: int | None = None  # the thread whose outermost module call writes it (see `settle`)

    def sources(self) -> tuple[ndarray | None, ...]:
        """The arrays it will be written from."""
        raise NotImplementedError

    def write(self) -> ndarray:
        """The values."""
        raise NotImplementedError

    def add(self, tensor: Any, other: Any, inplace: bool = False) -> Any:
        """The tensor ``tensor + other``, where `tensor` holds this; None if it cannot join."""
        return None

    def activate(self, tensor: Any, slope: float, limit: float, inplace: bool = False) -> Any:
        """The tensor ``min(v < 0 ? slope * v : v, limit)`` of v = `tensor`, which holds this.

        None if it cannot join.
        """
        return None

    def normalize(self, tensor: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: Any) -> Any:
        """Batch norm of `tensor` with constants, where it holds this; None if it cannot join."""
        return None

    def name(self) -> str:
        """What a profile calls it."""
        return type(self).__name__.removesuffix("Later")


class _Reference(weakref.ref):  # type: ignore[type-arg]
    """A reference that is equal to itself only: its tensor's hash is not asked for."""

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__  # type: ignore[assignment]


#: References to tensors that wait, and to some that are gone or written: whoever goes through them
#: drops those, and `wait` does it where they are more than this.
waiting: set[_Reference] = set()
MANY = 64


def wait(tensor: Any) -> None:
    """Let `tensor` be written before its sources change."""
    if len(waiting) > MANY:
        _pending()
    waiting.add(_Reference(tensor))


def _pending() -> list[tuple[Any, Later]]:
    """The tensors that wait, and what for."""
    found = []
    for ref in list(waiting):
        tensor: Any = ref()
        later = None if tensor is None else tensor._later
        if later is None:
            waiting.discard(ref)
        else:
            found.append((tensor, later))
    return found


def flush(tensor: Any) -> None:
    """Write what waits and reads the memory of `tensor`, which is about to change."""
    if not waiting:
        return
    array = tensor._array
    for late, later in _pending():
        if any(s is not None and np.may_share_memory(s, array) for s in later.sources()):
            late._array  # noqa: B018  (reading writes)


def settle() -> None:
    """Write what waits for this thread to leave the outermost module call."""
    if not waiting:
        return
    me = threading.get_ident()
    for late, later in _pending():
        if later.owner == me:
            late._array  # noqa: B018  (reading writes)

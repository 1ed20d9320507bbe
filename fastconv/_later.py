"""Results that are written late, so that what happens to them next can be done in the same pass.

The tensor is then a :class:`fastconv._pending.Pending`, whose slot holds a :class:`Later` in place
of an array. Whoever reads ``_array`` has it written first, and finds an ordinary tensor from then
on. Operations that can join ask ``_later`` before they read.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

ndarray = np.ndarray


class Later:
    """A result that can be written at any time, from arrays that must not change before."""

    __slots__ = ()
    shape: tuple[int, ...]
    dtype: np.dtype

    def sources(self) -> tuple[ndarray | None, ...]:
        """The arrays it will be written from."""
        raise NotImplementedError

    def write(self) -> ndarray:
        """The values."""
        raise NotImplementedError

    def add(self, tensor: Any, other: Any, inplace: bool = False) -> Any:
        """The tensor ``tensor + other``, where `tensor` holds this; None if it cannot join."""
        return None

    def relu(self, tensor: Any, inplace: bool = False) -> Any:
        """The tensor ``relu(tensor)``, where `tensor` holds this; None if it cannot join."""
        return None


_waiting: dict[int, Any] = {}  # id of a tensor -> KeyedRef to it


def _gone(ref: Any) -> None:
    key = ref.key
    if _waiting.get(key) is ref:
        del _waiting[key]


def wait(tensor: Any) -> None:
    """Let `tensor` be written before its sources change."""
    ref: Any = weakref.KeyedRef(tensor, _gone, id(tensor))
    _waiting[id(tensor)] = ref


def written(tensor: Any) -> None:
    """`tensor` waits no longer."""
    _waiting.pop(id(tensor), None)


def flush(tensor: Any) -> None:
    """Write what waits and reads the memory of `tensor`, which is about to change."""
    if not _waiting:
        return
    array = tensor._array
    for ref in list(_waiting.values()):
        waiting: Any = ref()
        later = None if waiting is None else waiting._later
        if later is not None and any(
            s is not None and np.may_share_memory(s, array) for s in later.sources()
        ):
            waiting._array  # noqa: B018  (reading writes)

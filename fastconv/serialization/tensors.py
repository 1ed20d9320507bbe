"""Tensors over memory that was read from a file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._changes import Memory
from ..autograd import expose, memory
from ..nn.parameter import Parameter
from ..tensor import Tensor, wrap
from .errors import Unreadable
from .kinds import Count, Kind
from .npy import MAX_RANK


class Storage:
    """A piece of memory that tensors are views of.

    Parameters
    ----------
    data : ndarray of uint8
        The bytes of the file.
    kind : Kind, optional
        Their type; None where each tensor names its own.
    big : bool
        Whether numbers begin with their highest byte.
    """

    def __init__(self, data: np.ndarray, kind: Kind | None, big: bool = False) -> None:
        self.data, self.kind, self.big = data, kind, big
        self._typed: dict[str, np.ndarray] = {}
        self._memories: dict[str, Memory] = {}

    def part(self, start: int, size: int) -> Storage:
        """A view of some elements."""
        item = 1 if self.kind is None else self.kind.itemsize
        total = len(self.data) // item
        if start < 0 or size < 0 or start + size > total:
            raise Unreadable(f"elements {start} to {start + size} of a storage of {total}")
        return Storage(self.data[start * item : (start + size) * item], self.kind, self.big)

    def values(self, kind: Kind) -> np.ndarray:
        """All elements as an array of one axis, always the same one."""
        found = self._typed.get(kind.name)
        if found is None:
            whole = len(self.data) // kind.itemsize * kind.itemsize
            found = self._typed[kind.name] = kind.values(self.data[:whole], self.big)
        return found

    def tensor(
        self, kind: Kind, offset: Any, size: Any, stride: Any, requires_grad: Any, count: Count
    ) -> Any:
        """A tensor over the storage; a NumPy array where no tensor has its type.

        Raises
        ------
        Unreadable
            When it would reach out of the storage.
        """
        array = strided(self.values(kind), offset, size, stride)
        count.add(kind)
        if not kind.tensor:
            return array
        tensor: Tensor = wrap(array)
        tensor._version_box[1] = self._memories.setdefault(kind.name, memory(tensor))
        if requires_grad:
            tensor.requires_grad = True
        return tensor


def strided(flat: np.ndarray, offset: Any, size: Any, stride: Any) -> np.ndarray:
    """A view of an array of one axis, after a check that it stays inside."""
    numbers = (offset, *size, *stride)
    if any(type(n) is not int or not 0 <= n < 1 << 62 for n in numbers):
        raise Unreadable(f"a tensor of size {size!r:.80}, stride {stride!r:.80}, at {offset!r:.20}")
    if len(size) != len(stride) or len(size) > MAX_RANK:
        raise Unreadable(f"a tensor of {len(size)} axes and {len(stride)} strides")
    if math.prod(size) == 0:
        return np.empty(size, flat.dtype)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if last >= len(flat):
        raise Unreadable(
            f"a tensor of size {size!r:.80} reaches element {last} of a storage of {len(flat)}"
        )
    item = flat.itemsize
    steps = tuple(s * item for s in stride)
    return np.ndarray(tuple(size), flat.dtype, flat, offset * item, steps)  # type: ignore[arg-type]


def parameter(data: Any, requires_grad: Any) -> Any:
    """A Parameter over a tensor; arrays that no tensor can hold stay arrays."""
    if isinstance(data, Tensor):
        return Parameter(data, requires_grad=bool(requires_grad))
    if not isinstance(data, np.ndarray):
        raise Unreadable(f"a parameter of a {type(data).__name__}")
    return data


def from_array(array: np.ndarray, kind: Kind, count: Count) -> Any:
    """A tensor over an array of a type's values, or the array."""
    count.add(kind)
    return expose(wrap(array)) if kind.tensor else array

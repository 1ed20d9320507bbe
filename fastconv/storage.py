"""What ``Tensor.storage()`` shows of a tensor's memory: its size and where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import dtypes
from .autograd import expose


class Storage:
    """The memory behind a tensor, which views of it share.

    Parameters
    ----------
    tensor : Tensor
    untyped : bool
        Whether the unit is a byte; otherwise an element.
    """

    __slots__ = ("_array", "_unit")

    def __init__(self, tensor: Any, untyped: bool = False) -> None:
        expose(tensor)
        array = tensor._array
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        flat = base.ravel(order="K") if base.flags.forc or base.size == 0 else base
        fits = flat.base is base or flat is base or not base.size
        self._array: np.ndarray = flat.reshape(-1) if fits else array.reshape(-1)
        self._unit = 1 if untyped else array.itemsize

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements; uint8 where the unit is a byte."""
        return dtypes.uint8 if self._unit == 1 else dtypes.from_numpy_dtype(self._array.dtype)

    @property
    def device(self) -> dtypes.device:
        """The CPU."""
        return dtypes.CPU

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._array.__array_interface__["data"][0])

    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._array.nbytes

    def size(self) -> int:
        """How many units there are."""
        return self._array.nbytes // self._unit

    def element_size(self) -> int:
        """Bytes of a unit."""
        return self._unit

    def tolist(self) -> list[Any]:
        """The units as Python numbers."""
        found = self._array.view(np.uint8) if self._unit == 1 else self._array
        return found.tolist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.size()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        return self.tolist()[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Storage):
            return NotImplemented
        return (self.data_ptr(), self.nbytes()) == (other.data_ptr(), other.nbytes())

    def __hash__(self) -> int:
        return hash((self.data_ptr(), self.nbytes()))

    def __repr__(self) -> str:
        return f"<storage of {self.size()} units of {self._unit} bytes>"

"""Tensors whose values are not written yet (see _later.py)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _watch, autograd, dtypes
from ._later import Later, wait
from .autograd import TensorBase
from .dtypes import Size
from .functions import shape as shapes
from .tensor import Tensor

_slot: Any = TensorBase.__dict__["_array"]


class Pending(Tensor):
    """A tensor whose slot for the array holds a :class:`Later`.

    It has the layout of a Tensor, and becomes one when its values are asked for: ordinary tensors
    pay nothing. Questions about type and shape are answered without writing.
    """

    __slots__ = ()

    @property
    def _array(self) -> np.ndarray:  # type: ignore[override]
        later = _slot.__get__(self)
        if not isinstance(later, Later):  # another thread was here
            return later  # type: ignore[no-any-return]
        if _watch.recorder is None:
            array = later.write()
        else:
            array = _watch.recorder.measure(later.name(), "forward", later.sources(), later.write)
        self._array = array
        return array

    @_array.setter
    def _array(self, value: Any) -> None:
        _slot.__set__(self, value)
        if isinstance(value, Later):
            wait(self)
        else:
            self.__class__ = Tensor  # type: ignore[assignment]

    @property
    def _later(self) -> Later | None:  # type: ignore[override]
        later = _slot.__get__(self)
        return later if isinstance(later, Later) else None

    def _is(self) -> Any:
        """What knows shape and type: the Later, or the array."""
        return _slot.__get__(self)

    @property
    def shape(self) -> Size:
        """The sizes of the axes."""
        return Size(self._is().shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._is().shape)

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return dtypes.from_numpy_dtype(self._is().dtype)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        found = self._is().shape
        return Size(found) if dim is None else found[shapes.axis(dim, len(found), "size")]

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self._is().shape)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._array  # noqa: B018  (from here on it is a Tensor)
        return Tensor.__reduce_ex__(self, protocol)


autograd._pending_class[0] = Pending

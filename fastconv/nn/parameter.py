"""Parameter: a Tensor that a Module registers when it is assigned as an attribute."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import TensorBase, changed, expose, memory, move, wrap
from ..dtypes import to_numpy_dtype
from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor to be trained.

    Parameters
    ----------
    data : Tensor or ndarray, optional
        Its memory is shared, not copied. Empty when not given.
    requires_grad : bool

    Raises
    ------
    RuntimeError
        When a gradient is required of a type that has none.
    """

    __slots__ = ()
    _copies_grad = False  # as in PyTorch

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = wrap(np.empty(0, dtype=np.float32))
        new: Parameter
        if isinstance(data, TensorBase):
            new = wrap(data._array, cls)
            new._version_box[1] = memory(data)
        else:
            new = expose(wrap(data, cls))
        new.requires_grad = requires_grad
        return new

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__(**options)


def _materialized(t: Any, shape: tuple[int, ...], kind: Any) -> None:
    move(t, np.empty(shape, t._array.dtype if kind is None else to_numpy_dtype(kind)))
    changed(t)


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known yet: empty until `materialize`."""

    __slots__ = ()

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        kind = to_numpy_dtype(float if dtype is None else dtype)
        return super().__new__(cls, wrap(np.empty(0, kind)), requires_grad)  # type: ignore[return-value]

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a `Parameter` of this shape, with uninitialised memory."""
        _materialized(self, tuple(shape), dtype)
        self.__class__ = Parameter  # type: ignore[assignment]

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        return "<UninitializedParameter>"


class UninitializedBuffer(Tensor):
    """A buffer whose shape is not known yet: empty until `materialize`."""

    __slots__ = ()

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None
    ) -> UninitializedBuffer:
        kind = to_numpy_dtype(float if dtype is None else dtype)
        return wrap(np.empty(0, kind), cls)  # type: ignore[no-any-return]

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a `Tensor` of this shape, with uninitialised memory."""
        _materialized(self, tuple(shape), dtype)
        self.__class__ = Tensor  # type: ignore[assignment]

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        return "<UninitializedBuffer>"


def is_lazy(t: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(t, (UninitializedParameter, UninitializedBuffer))

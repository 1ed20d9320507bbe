"""Parameter: a Tensor that a Module registers when it is assigned as an attribute."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import TensorBase, expose, memory, wrap
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

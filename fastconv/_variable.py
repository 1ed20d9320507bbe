"""`autograd.Variable`: what tensors with a gradient were called once."""

from __future__ import annotations

import warnings
from typing import Any

from .autograd import TensorBase, memory, wrap


class _Kind(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TensorBase)


class Variable(metaclass=_Kind):
    """A tensor over the same memory, without a graph; every Tensor is an instance.

    Parameters
    ----------
    data : Tensor
    requires_grad : bool
    volatile : bool, optional
        Without effect but a warning, as in PyTorch: use ``no_grad()``.
    """

    def __new__(cls, data: Any, requires_grad: bool = False, volatile: Any = None) -> Any:
        if not isinstance(data, TensorBase):
            raise TypeError(f"Variable(): data must be a Tensor, got {type(data).__name__}")
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with no_grad():` instead.",
                stacklevel=2,
            )
        t = wrap(data._array)
        t._version_box[1] = memory(data)
        t.requires_grad = requires_grad
        return t

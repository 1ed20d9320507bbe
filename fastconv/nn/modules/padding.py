"""Padding layers."""

from __future__ import annotations

from typing import Any

from ...spec import as_tuple
from ...tensor import Tensor
from .. import functional as F
from .module import Module


class _Pad(Module):
    """Add borders around the spatial axes.

    Parameters
    ----------
    padding : int or tuple of int
        (before, after) of the last axis, then of the one before it, and so on.
    """

    ndim: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = as_tuple(type(self).__name__, "padding", padding, 2 * self.ndim)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Add borders of one value around the spatial axes.

    Parameters
    ----------
    padding : int or tuple of int
        (before, after) of the last axis, then of the one before it, and so on.
    value : float
    """

    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    __doc__ = _Pad.__doc__

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    ndim = 1


class ConstantPad2d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    ndim = 2


class ConstantPad3d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    ndim = 3


class ZeroPad1d(_ZeroPad):
    __doc__ = _Pad.__doc__
    ndim = 1


class ZeroPad2d(_ZeroPad):
    __doc__ = _Pad.__doc__
    ndim = 2


class ZeroPad3d(_ZeroPad):
    __doc__ = _Pad.__doc__
    ndim = 3


class ReflectionPad1d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 1
    mode = "circular"


class CircularPad2d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 2
    mode = "circular"


class CircularPad3d(_Pad):
    __doc__ = _Pad.__doc__
    ndim = 3
    mode = "circular"

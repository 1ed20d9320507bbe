"""Checks of arguments that the families of functions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import TensorBase
from ...tensor import Tensor

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_F32, _F64 = FLOATS


def check_floats(function: str, /, **tensors: Any) -> None:
    """Raise TypeError unless all (None apart) are float32 or float64 Tensors of one dtype."""
    first: Any = None
    for name, t in tensors.items():
        if t is None:
            continue
        if not isinstance(t, TensorBase):
            raise TypeError(
                f"{function}(): argument '{name}' must be Tensor, not {type(t).__name__}"
            )
        kind = t.array.dtype
        if first is None:
            if kind != _F32 and kind != _F64:
                raise TypeError(
                    f"{function}(): {name} must be float32 or float64, "
                    f"got {kind} of shape {t.array.shape}"
                )
            first = name, kind
        elif kind != first[1]:
            raise TypeError(
                f"{function}(): {name} has dtype {kind} but {first[0]} has dtype {first[1]}"
            )


def check_tensor(function: str, name: str, t: Any) -> None:
    """Raise TypeError unless `t` is a Tensor."""
    if not isinstance(t, TensorBase):
        raise TypeError(f"{function}(): argument '{name}' must be Tensor, not {type(t).__name__}")


def check_shape(function: str, name: str, t: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `t` is None or has this shape."""
    if t is not None and t.array.shape != shape:
        raise ValueError(f"{function}(): {name} must have shape {shape}, got {t.array.shape}")


def axis_of(function: str, dim: Any, ndim: int) -> int:
    """`dim` counted from the front; IndexError when there is no such axis."""
    n = max(ndim, 1)
    if not -n <= dim < n:
        raise IndexError(
            f"{function}(): dimension out of range (expected to be in [{-n}, {n - 1}], "
            f"but got {dim})"
        )
    return dim % n

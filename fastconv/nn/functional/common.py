"""Checks of arguments that the families of functions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._grad_mode import mode
from ...autograd import TensorBase
from ...spec import as_int
from ...tensor import Tensor

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_F32, _F64 = FLOATS


def same_floats(input: Any, weight: Any, bias: Any) -> bool:
    """Whether these are float32 or float64 Tensors alike; where not, `check_floats` decides."""
    try:
        kind = input._array.dtype
        return (
            (kind is _F32 or kind is _F64)
            and weight._array.dtype is kind
            and (bias is None or bias._array.dtype is kind)
        )
    except AttributeError:
        return False


def check_floats(function: str, /, **tensors: Any) -> None:
    """Raise TypeError unless all are float32 or float64 Tensors of one dtype.

    None passes for what is optional: everything but `input` and `target`.
    """
    first: Any = None
    for name, t in tensors.items():
        if t is None and name != "input" and name != "target":
            continue
        if not isinstance(t, TensorBase):
            raise TypeError(
                f"{function}(): argument '{name}' must be Tensor, not {type(t).__name__}"
            )
        kind = t._array.dtype
        if first is None:
            if kind != _F32 and kind != _F64:
                raise TypeError(
                    f"{function}(): {name} must be float32 or float64, "
                    f"got {kind} of shape {t._array.shape}"
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


def check_all_floats(function: str, /, **tensors: Any) -> None:
    """`check_floats` of arguments that must all be given."""
    for name, t in tensors.items():
        check_tensor(function, name, t)
    check_floats(function, **tensors)


def check_shape(function: str, name: str, t: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `t` is None or has this shape."""
    if t is not None and t._array.shape != shape:
        raise ValueError(f"{function}(): {name} must have shape {shape}, got {t._array.shape}")


def check_constant(function: str, /, **tensors: Any) -> None:
    """Raise RuntimeError for a Tensor that requires a gradient where none would reach it."""
    for name, t in tensors.items():
        if t is not None and mode.grad and t.requires_grad:
            raise RuntimeError(
                f"{function}(): {name} of shape {t._array.shape} cannot require grad: the function "
                "is not differentiable with respect to it; use detach()"
            )


def check_weight(function: str, weight: Any) -> None:
    """Raise TypeError for None where a weight is needed."""
    if weight is None:
        check_tensor(function, "weight", weight)


def number(function: str, name: str, value: Any) -> float:
    """`value` as a float; TypeError for anything that is not a real number."""
    if type(value) is float:
        return value
    if isinstance(value, TensorBase) and value.requires_grad:
        raise TypeError(
            f"{function}(): {name} must be a number, and cannot be a Tensor that requires grad: no "
            "gradient would reach it"
        )
    if (
        hasattr(value, "__float__")
        and np.ndim(value) == 0
        and not isinstance(value, str | np.complexfloating)
    ):
        try:
            return float(value)
        except TypeError:
            pass  # a class
        except OverflowError:
            raise ValueError(f"{function}(): {name} must fit a float, got {value!r}") from None
    raise TypeError(
        f"{function}(): {name} must be a number, got {value!r} of type {type(value).__name__}"
    )


def axis_of(function: str, dim: Any, ndim: int) -> int:
    """`dim` counted from the front; IndexError when there is no such axis."""
    n = max(ndim, 1)
    dim = as_int(function, "dim", dim)
    if not -n <= dim < n:
        raise IndexError(
            f"{function}(): dimension out of range (expected to be in [{-n}, {n - 1}], "
            f"but got {dim})"
        )
    return dim % n

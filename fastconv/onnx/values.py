"""What flows along the edges of an ONNX graph here.

A value of type float32 or float64 is a :class:`fastconv.Tensor`, so that operators have their
gradients; everything else (integers, booleans, strings) is an ndarray, and a sequence is a list.
float16 and bfloat16 become float32 where they enter and are given back as what they were where
they leave.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import TensorBase, wrap
from .errors import OnnxError

Array = np.ndarray
#: Elements that an operator may make out of nothing (ConstantOfShape, Range, Tile, …).
MOST = 1 << 28
#: Element types of ONNX that are computed in float32: FLOAT16, BFLOAT16.
NARROW = (10, 16)


def value(a: Any) -> Any:
    """An ndarray, number or Tensor as a value; narrow floats become float32."""
    if isinstance(a, TensorBase):
        if a._array.dtype.kind != "f":
            return a._array
        return a if a._array.dtype != np.float16 else wrap(a._array.astype(np.float32))
    a = np.asarray(a)
    if a.dtype == np.float16 or a.dtype.name == "bfloat16":
        a = a.astype(np.float32)
    if a.dtype.kind == "f" and a.dtype.itemsize in (4, 8):
        return wrap(a)
    return a


def arr(v: Any) -> Array:
    """The ndarray of a value."""
    if isinstance(v, TensorBase):
        return v._array
    return v if type(v) is np.ndarray else np.asarray(v)


def ten(v: Any) -> Any:
    """The Tensor of a value of floating type.

    Raises
    ------
    OnnxError
        If it is of another type.
    """
    if isinstance(v, TensorBase):
        return v
    raise OnnxError(f"a tensor of type float32 or float64 is needed, got {_kind(v)}")


def _kind(v: Any) -> str:
    if v is None:
        return "none"
    return "a sequence" if isinstance(v, list) else str(np.asarray(v).dtype)


def is_tensor(v: Any) -> bool:
    """Whether a value is a Tensor."""
    return isinstance(v, TensorBase)


def ints(v: Any) -> tuple[int, ...]:
    """A 1-D value (or one number) as Python integers."""
    a = arr(v)
    if a.dtype.kind not in "iu" or a.ndim > 1:
        raise OnnxError(f"a list of integers is needed, got {a.dtype} of shape {a.shape}")
    return tuple(a.reshape(-1).tolist())


def number(v: Any) -> Any:
    """A value of one element as a Python number.

    Raises
    ------
    OnnxError
        If it has more.
    """
    a = arr(v)
    if a.size != 1:
        raise OnnxError(f"one number is needed, got shape {a.shape}")
    return a.reshape(()).item()


def axis(k: int, rank: int) -> int:
    """An axis counted from the front.

    Raises
    ------
    OnnxError
        If there is no such axis.
    """
    if not -rank <= k < max(rank, 1):
        raise OnnxError(f"axis {k} is out of range for {rank} axes")
    return k % rank if rank else 0


def axes(given: Any, rank: int) -> tuple[int, ...]:
    """Axes counted from the front; None means all of them."""
    if given is None:
        return tuple(range(rank))
    found = tuple([axis(int(k), rank) for k in given])
    if len(set(found)) != len(found):
        raise OnnxError(f"axes {tuple(given)} name an axis twice")
    return found


def along_axis(k: int, where: Any) -> tuple[Any, ...]:
    """The index that is `where` on axis k and everything on those before."""
    return (*(slice(None),) * k, where)


def room(shape: Any, source: int = 0) -> tuple[int, ...]:
    """A shape to be made from `source` elements, checked.

    Raises
    ------
    OnnxError
        If it has negative sizes, or more elements than `MOST` and than 64 times the source.
    """
    shape = tuple([int(n) for n in shape])
    if any(n < 0 for n in shape):
        raise OnnxError(f"sizes must not be negative, got {shape}")
    most = max(MOST, 64 * source)
    if math.prod(shape) > most:
        raise OnnxError(f"a result of shape {shape} has more than {most} elements")
    return shape

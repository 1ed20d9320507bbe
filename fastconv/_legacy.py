"""Small names of the top level: constants, queries, and constructors by type name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import creation, dtypes
from .autograd import TensorBase, wrap
from .functions import _promote
from .functions.shape import reshape, sizes

e = math.e
inf = math.inf
nan = math.nan
pi = math.pi
newaxis = None


def is_floating_point(input: Any) -> bool:
    """Whether the elements of `input` are floating point."""
    _promote.check_tensor(input, "input", "is_floating_point")
    return input._array.dtype.kind == "f"


def numel(input: Any) -> int:
    """The number of elements of `input`."""
    _promote.check_tensor(input, "input", "numel")
    return input._array.size


def detach(input: Any) -> Any:
    """The same memory without a graph."""
    _promote.check_tensor(input, "input", "detach")
    return input.detach()


def ravel(input: Any) -> Any:
    """The elements of `input` in one axis."""
    return reshape(input, -1)


def finfo(dtype: Any = None) -> np.finfo:
    """Limits of a floating-point type: ``eps``, ``max``, ``min``, ``tiny``, ``bits``."""
    return np.finfo(dtypes.to_numpy_dtype(dtypes.get_default_dtype() if dtype is None else dtype))


def iinfo(dtype: Any) -> np.iinfo:
    """Limits of an integer type: ``max``, ``min``, ``bits``."""
    return np.iinfo(dtypes.to_numpy_dtype(dtype))


def promote_types(type1: Any, type2: Any) -> dtypes.dtype:
    """The type that holds both."""
    a, b = dtypes.to_numpy_dtype(type1), dtypes.to_numpy_dtype(type2)
    return dtypes.from_numpy_dtype(_promote.promote_types(a, b))


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The type of the result of arithmetic on two Tensors or numbers."""
    return dtypes.from_numpy_dtype(_promote.result_dtype(tensor1, tensor2))


def _constructor(kind: dtypes.dtype, name: str) -> Callable[..., Any]:
    def construct(*args: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], (list, tuple, np.ndarray, TensorBase)):
            return creation.tensor(args[0], dtype=kind)
        return wrap(np.empty(sizes(args, name) if args else (0,), kind.dtype))

    construct.__name__ = construct.__qualname__ = name
    construct.__doc__ = f"A {kind.name} tensor: of data, or uninitialised of the given sizes."
    return construct


FloatTensor = _constructor(dtypes.float32, "FloatTensor")
DoubleTensor = _constructor(dtypes.float64, "DoubleTensor")
LongTensor = _constructor(dtypes.int64, "LongTensor")
IntTensor = _constructor(dtypes.int32, "IntTensor")
ByteTensor = _constructor(dtypes.uint8, "ByteTensor")
BoolTensor = _constructor(dtypes.bool, "BoolTensor")

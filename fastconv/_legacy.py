"""Small names of the top level: constants, queries, and type objects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import dtypes
from .functions import _promote
from .functions._named import named
from .functions.shape import reshape
from .tensor_types import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)

e = math.e
inf = math.inf
nan = math.nan
pi = math.pi
newaxis = None

__all__ = [
    "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor",
    "IntTensor", "LongTensor", "ShortTensor", "detach", "e", "finfo", "iinfo", "inf",
    "is_complex", "is_floating_point", "is_nonzero", "is_signed", "nan", "newaxis", "numel", "pi",
    "promote_types", "ravel", "result_type",
]  # fmt: skip


def is_floating_point(input: Any) -> bool:
    """Whether the elements of `input` are floating point."""
    _promote.check_tensor(input, "input", "is_floating_point")
    return input._array.dtype.kind == "f"


def is_complex(input: Any) -> bool:
    """False: there are no complex tensors."""
    _promote.check_tensor(input, "input", "is_complex")
    return False


def is_signed(input: Any) -> bool:
    """Whether the elements of `input` have a sign."""
    _promote.check_tensor(input, "input", "is_signed")
    return input._array.dtype.kind in "if"


@named
def is_nonzero(input: Any) -> bool:
    """Whether the only element of `input` is not zero."""
    _promote.check_tensor(input, "input", "is_nonzero")
    return bool(input)


def numel(input: Any) -> int:
    """The number of elements of `input`."""
    _promote.check_tensor(input, "input", "numel")
    return input._array.size


def detach(input: Any) -> Any:
    """The same memory without a graph."""
    _promote.check_tensor(input, "input", "detach")
    return input.detach()


@named
def ravel(input: Any) -> Any:
    """The elements of `input` in one axis."""
    return reshape(input, -1)


@named
def finfo(dtype: Any = None) -> np.finfo:
    """Limits of a floating-point type: ``eps``, ``max``, ``min``, ``tiny``, ``bits``."""
    return np.finfo(dtypes.to_numpy_dtype(dtypes.get_default_dtype() if dtype is None else dtype))


@named
def iinfo(dtype: Any) -> np.iinfo:
    """Limits of an integer type: ``max``, ``min``, ``bits``."""
    return np.iinfo(dtypes.to_numpy_dtype(dtype))


@named
def promote_types(type1: Any, type2: Any) -> dtypes.dtype:
    """The type that holds both."""
    a, b = dtypes.to_numpy_dtype(type1), dtypes.to_numpy_dtype(type2)
    return dtypes.from_numpy_dtype(_promote.promote_types(a, b))


@named
def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The type of the result of arithmetic on two Tensors or numbers."""
    return dtypes.from_numpy_dtype(_promote.result_dtype(tensor1, tensor2))

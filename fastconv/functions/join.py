"""Several tensors made one, along an axis that is there or a new one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from ..ops import join
from ._named import named
from ._promote import cast, check_tensor, numpy_names, result_dtype
from .shape import axis, reshape

ndarray = np.ndarray


class Cat(Op):
    @staticmethod
    def forward(ctx: Any, dim: int, *arrays: ndarray) -> ndarray:
        ctx.dim, ctx.sizes = dim, [a.shape[dim] for a in arrays]
        return join.concatenate(arrays, dim)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        return tuple(join.split(g, ctx.sizes, ctx.needs, ctx.dim))


class Stack(Op):
    @staticmethod
    def forward(ctx: Any, dim: int, *arrays: ndarray) -> ndarray:
        ctx.dim = dim
        return np.stack(arrays, dim)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        parts = np.moveaxis(g, ctx.dim, 0)
        return tuple([parts[i, ...] if need else None for i, need in enumerate(ctx.needs)])


def _tensors(tensors: Any, function: str) -> list[Any]:
    if not hasattr(tensors, "__iter__") or isinstance(tensors, (str, bytes, dict)):
        raise TypeError(f"{function}: tensors must be a sequence, got {type(tensors).__name__}")
    tensors = list(tensors)
    if not tensors:
        raise ValueError(f"{function}: expected at least one tensor")
    for i, x in enumerate(tensors):
        check_tensor(x, f"tensors[{i}]", function)
    kind = tensors[0]._array.dtype
    if any(x._array.dtype != kind for x in tensors):
        kind = result_dtype(*tensors)
        tensors = [cast(x, kind) for x in tensors]
    return tensors


@numpy_names
def cat(tensors: Any, dim: int = 0) -> Any:
    """Tensors joined along an existing axis.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of equal shapes but for axis `dim`; empty 1-D ones are left out.
    dim : int

    Raises
    ------
    ValueError
        If there are none, or shapes do not fit.
    """
    tensors = _tensors(tensors, "cat")
    used = [x for x in tensors if x._array.shape != (0,)] or tensors[:1]
    first = used[0]._array.shape
    if not first:
        raise ValueError("cat: tensors without axes cannot be joined; use stack")
    d = axis(dim, len(first), "cat")
    for i, x in enumerate(used):
        shape = x._array.shape
        if len(shape) != len(first) or shape[:d] + shape[d + 1 :] != first[:d] + first[d + 1 :]:
            raise ValueError(
                f"cat: shapes must be equal but for axis {d}, got {first} and {shape} (tensor {i})"
            )
    return Cat.apply(d, *used)


concat, concatenate = named(cat, "concat"), named(cat, "concatenate")


@numpy_names
def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape joined along a new axis.

    Raises
    ------
    ValueError
        If there are none, or their shapes differ.
    """
    tensors = _tensors(tensors, "stack")
    first = tensors[0]._array.shape
    for i, x in enumerate(tensors):
        if x._array.shape != first:
            raise ValueError(
                f"stack: shapes must be equal, got {first} and {x._array.shape} (tensor {i})"
            )
    return Stack.apply(axis(dim, len(first) + 1, "stack"), *tensors)


def _check_all(tensors: Any, name: str) -> None:
    """Raise TypeError unless these are Tensors in a sequence."""
    if not isinstance(tensors, (tuple, list)):
        raise TypeError(f"{name}: tensors must be a list or tuple, got {type(tensors).__name__}")
    for i, x in enumerate(tensors):
        check_tensor(x, f"tensors[{i}]", name)


@named
def vstack(tensors: Any) -> Any:
    """Tensors joined along axis 0, 1-D ones as rows."""
    _check_all(tensors, "vstack")
    return cat([x if x._array.ndim > 1 else reshape(x, 1, -1) for x in tensors], 0)


@named
def hstack(tensors: Any) -> Any:
    """Tensors joined along axis 1, or 0 if they are 1-D."""
    _check_all(tensors, "hstack")
    tensors = [x if x._array.ndim else reshape(x, 1) for x in tensors]
    return cat(tensors, 0 if tensors and tensors[0]._array.ndim == 1 else 1)

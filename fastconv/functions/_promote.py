"""Result types of mixed operands, and the sum that undoes broadcasting."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .. import dtypes
from ..autograd import Op, TensorBase, wrap
from ..ops.reduce import total
from ._named import retell

ndarray = np.ndarray
_P = ParamSpec("_P")
_R = TypeVar("_R")
_CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2}


def unbroadcast(g: ndarray, shape: tuple[int, ...]) -> ndarray:
    """Sum `g` over the axes along which an operand of `shape` was broadcast."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = tuple([i for i in range(g.ndim) if i < extra or (shape[i - extra] == 1 != g.shape[i])])
    out = total(g, axes, True) if axes else g
    return out.reshape(shape)


def promote_types(a: np.dtype, b: np.dtype) -> np.dtype:
    """The type that holds both; floating-point types win over all integer types."""
    if a == b:
        return a
    if a.kind == "f" != b.kind:
        return a
    if b.kind == "f" != a.kind:
        return b
    return np.promote_types(a, b)


def result_dtype(*operands: Any) -> np.dtype:
    """The type of an operation's result.

    Tensors with axes come before tensors without, and those before Python scalars: one that comes
    later only counts if its category (bool < integer < floating point) is higher.
    """
    ranks: list[np.dtype | None] = [None, None, None]
    for x in operands:
        if isinstance(x, TensorBase):
            rank, kind = (0 if x._array.ndim else 1), x._array.dtype
        elif isinstance(x, bool):
            rank, kind = 2, dtypes.bool.dtype
        elif isinstance(x, int):
            rank, kind = 2, dtypes.int64.dtype
        else:
            rank, kind = 2, dtypes.get_default_dtype().dtype
        known = ranks[rank]
        ranks[rank] = kind if known is None else promote_types(known, kind)
    best: np.dtype | None = None
    for kind_ in ranks:
        if kind_ is not None and (best is None or _CATEGORY[kind_.kind] > _CATEGORY[best.kind]):
            best = kind_
    if best is None:
        raise TypeError("no operands")
    return best


class Cast(Op):
    """A change of type."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, kind: np.dtype) -> ndarray:
        ctx.kind = a.dtype
        return a.astype(kind)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return g.astype(ctx.kind)


def cast(t: Any, kind: np.dtype) -> Any:
    """`t` with elements of type `kind`: itself if it has that type already."""
    return t if t._array.dtype == kind else Cast.apply(t, kind)


def operand(x: Any) -> Any:
    """`x` as a Tensor or Python scalar; NotImplemented if it is neither of them nor an array."""
    if isinstance(x, TensorBase) or type(x) in (int, float, bool):
        return x
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(x, ndarray):
        dtypes.from_numpy_dtype(x.dtype)
        return wrap(x)
    if isinstance(x, (int, float)):
        return x
    return NotImplemented


def promote(a: Any, b: Any, floating: bool = False) -> tuple[Any, Any]:
    """Two operands with their Tensors cast to the common type.

    Parameters
    ----------
    floating : bool
        Make integers the default floating-point type.
    """
    kind = result_dtype(a, b)
    if floating and kind.kind != "f":
        kind = dtypes.get_default_dtype().dtype
    if isinstance(a, TensorBase):
        a = cast(a, kind)
    if isinstance(b, TensorBase):
        b = cast(b, kind)
    return a, b


def to_float(t: Any) -> Any:
    """`t` itself if it is floating point, else cast to the default type."""
    return t if t._array.dtype.kind == "f" else Cast.apply(t, dtypes.get_default_dtype().dtype)


def numpy_names(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Accept NumPy's ``axis`` and ``keepdims`` for ``dim`` and ``keepdim``, as PyTorch does."""

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for flag in ("keepdim", "keepdims", "unbiased"):
                if type(kwargs.get(flag, False)) is not bool:
                    kwargs[flag] = flag_of(kwargs[flag], flag, function.__name__)
            if "axis" in kwargs and "dim" not in kwargs:
                kwargs["dim"] = kwargs.pop("axis")
            if "keepdims" in kwargs and "keepdim" not in kwargs:
                kwargs["keepdim"] = kwargs.pop("keepdims")
        try:
            return function(*args, **kwargs)  # type: ignore[call-arg]
        except Exception as error:
            retell(error, function.__name__, function, args, kwargs)

    return renamed  # type: ignore[return-value]


def flag_of(value: Any, name: str, function: str) -> bool | None:
    """A flag as a bool, from what stands for one; TypeError for anything else."""
    if value is None or isinstance(value, np.bool_) or (type(value) is int and value in (0, 1)):
        return None if value is None else bool(value)
    raise TypeError(f"{function}: {name} must be a bool, got {value!r:.80}")


def fitting(value: Any, kind: np.dtype, function: str, around: bool = True) -> Any:
    """A Python number that NumPy would not put into a type: integers wrap around, as in PyTorch.

    Raises
    ------
    TypeError
        For what is no number.
    ValueError
        For what 64 bits, or a float, cannot hold; without `around` for all that does not fit.
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, (int, float, np.generic)):
        raise TypeError(f"{function}: expected a number, got {value!r:.80}")
    if kind.kind in "iub" and isinstance(value, int) and around and -(2**63) <= value < 2**63:
        return np.asarray(value, np.int64).astype(kind)[()]
    try:
        return kind.type(value)
    except (OverflowError, ValueError):
        raise ValueError(f"{function}: {value!r:.80} does not fit {kind}") from None


def check_index(t: Any, name: str, function: str) -> None:
    """Raise TypeError unless `t` is a Tensor of integers."""
    check_tensor(t, name, function)
    if t._array.dtype.kind not in "iu":
        raise TypeError(f"{function}: {name} must be a tensor of integers, got {t._array.dtype}")


def check_tensor(t: Any, name: str, function: str) -> None:
    """Raise TypeError unless `t` is a Tensor."""
    if not isinstance(t, TensorBase):
        raise TypeError(f"{function}: {name} must be a Tensor, got {type(t).__name__}")

"""Comparisons, logic and tests of elements: results without gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import TensorBase, wrap
from ._named import named, retell
from ._promote import check_tensor, fitting, operand, result_dtype
from .elementwise import broadcasting, into


def _compare(
    ufunc: Any, name: str, doc: str | None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def operator(self: Any, other: Any) -> Any:
        a, b = self._array, operand(other)
        if b is NotImplemented:
            return NotImplemented
        if isinstance(b, TensorBase):
            if a.dtype != b._array.dtype:
                kind = result_dtype(self, b)
                a, b = a.astype(kind), b._array.astype(kind)
            else:
                b = b._array
        try:
            return wrap(ufunc(a, b))
        except OverflowError:
            return wrap(ufunc(a, fitting(b, a.dtype, name)))
        except ValueError as error:
            raise broadcasting(error, name, a, b) from None

    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        try:
            check_tensor(input, "input", name)
            result = operator(input, other)
            if result is NotImplemented:
                raise TypeError(
                    f"{name}: other must be a Tensor or a number, got {type(other).__name__}"
                )
            return into(out, result)
        except Exception as error:
            retell(error, name, function, (input, other), {"out": out})

    operator.__name__ = f"__{name}__"
    function.__name__ = function.__qualname__ = name
    operator.__doc__ = function.__doc__ = doc
    return operator, function


op_eq, eq = _compare(np.equal, "eq", "Where `input` and `other` are equal: a bool tensor.")
op_ne, ne = _compare(np.not_equal, "ne", "Where `input` and `other` differ: a bool tensor.")
op_lt, lt = _compare(np.less, "lt", "Where `input` is less than `other`: a bool tensor.")
op_le, le = _compare(np.less_equal, "le", "Where `input` is at most `other`: a bool tensor.")
op_gt, gt = _compare(np.greater, "gt", "Where `input` is greater than `other`: a bool tensor.")
op_ge, ge = _compare(np.greater_equal, "ge", "Where `input` is at least `other`: a bool tensor.")
_, logical_and = _compare(np.logical_and, "logical_and", "Where both are non-zero: a bool tensor.")
_, logical_or = _compare(np.logical_or, "logical_or", "Where either is non-zero: a bool tensor.")
_, logical_xor = _compare(
    np.logical_xor, "logical_xor", "Where just one is non-zero: a bool tensor."
)
_, not_equal = _compare(np.not_equal, "not_equal", ne.__doc__)
_, less = _compare(np.less, "less", lt.__doc__)
_, less_equal = _compare(np.less_equal, "less_equal", le.__doc__)
_, greater = _compare(np.greater, "greater", gt.__doc__)
_, greater_equal = _compare(np.greater_equal, "greater_equal", ge.__doc__)


def _bitwise(ufunc: Any, name: str, doc: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    operator = _compare(ufunc, name, doc)[0]

    def check(self: Any, other: Any) -> Any:
        for x in (self, other):
            if isinstance(x, TensorBase):
                kind = x._array.dtype.kind
            elif isinstance(x, (np.ndarray, np.generic)):
                kind = x.dtype.kind
            else:
                kind = "f" if isinstance(x, float) else "i"
            if kind == "f":
                raise TypeError(f"{name}: operands must be of integer or bool type")
        return operator(self, other)

    def checked(input: Any, other: Any, *, out: Any = None) -> Any:
        try:
            return into(out, check(input, other))
        except Exception as error:
            retell(error, name, checked, (input, other), {"out": out})

    check.__name__, checked.__name__ = f"__{name}__", name
    check.__doc__ = checked.__doc__ = doc
    return check, checked


op_and, bitwise_and = _bitwise(np.bitwise_and, "bitwise_and", "``input & other``.")
op_or, bitwise_or = _bitwise(np.bitwise_or, "bitwise_or", "``input | other``.")
op_xor, bitwise_xor = _bitwise(np.bitwise_xor, "bitwise_xor", "``input ^ other``.")
op_lshift, bitwise_left_shift = _bitwise(np.left_shift, "bitwise_left_shift", "``input << other``.")
op_rshift, bitwise_right_shift = _bitwise(
    np.right_shift, "bitwise_right_shift", "``input >> other``."
)


@named
def bitwise_not(input: Any) -> Any:
    """``~input``, of an integer or bool tensor."""
    check_tensor(input, "input", "bitwise_not")
    if input._array.dtype.kind == "f":
        raise TypeError("bitwise_not: input must be of integer or bool type")
    return wrap(np.invert(input._array))


def _test(ufunc: Any, name: str, doc: str) -> Callable[[Any], Any]:
    def function(input: Any) -> Any:
        check_tensor(input, "input", name)
        return wrap(ufunc(input._array))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


logical_not = _test(np.logical_not, "logical_not", "Where `input` is zero: a bool tensor.")
isnan = _test(np.isnan, "isnan", "Where `input` is NaN: a bool tensor.")
isinf = _test(np.isinf, "isinf", "Where `input` is infinite: a bool tensor.")
isfinite = _test(
    np.isfinite, "isfinite", "Where `input` is neither NaN nor infinite: a bool tensor."
)
signbit = _test(np.signbit, "signbit", "Where the sign of `input` is set: a bool tensor.")


@named
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and equal elements."""
    check_tensor(input, "input", "equal")
    check_tensor(other, "other", "equal")
    return bool(np.array_equal(input._array, other._array))


@named
def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Where ``|input - other| <= atol + rtol * |other|``: a bool tensor."""
    check_tensor(input, "input", "isclose")
    check_tensor(other, "other", "isclose")
    return wrap(np.isclose(input._array, other._array, rtol, atol, equal_nan))


@named
def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether ``|input - other| <= atol + rtol * |other|`` everywhere."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())

"""Arithmetic, comparison, logic, bits, trigonometry, rounding and casts of each element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv as T

from ...functions.erf import erf
from ..errors import OnnxError
from ..reading import TYPES
from ..registry import Node, operator
from ..values import Array, arr, is_tensor, number

Binary = Callable[[Any, Any], Any]


def _pair(name: str, tensors: Binary, arrays: Binary, since: int = 7, **more: Any) -> None:
    """An operator of two operands, broadcast; before version 7 only along a given axis."""

    def run(n: Node, a: Any, b: Any) -> Any:
        if is_tensor(a) or is_tensor(b):
            return tensors(a, b)
        return arrays(a, b)

    def old(n: Node, a: Any, b: Any) -> Any:
        return run(n, a, along(n, a, b))

    operator(name, since=since, **more)(run)
    operator(name, since=1, **more)(old)


def along(n: Node, a: Any, b: Any) -> Any:
    """The second operand of operators before version 7, lined up with attribute axis."""
    if not n.get("broadcast", 0):
        if arr(a).shape != arr(b).shape:
            raise OnnxError(f"shapes {arr(a).shape} and {arr(b).shape} differ, without broadcast=1")
        return b
    rank, own = arr(a).ndim, arr(b).ndim
    k = n.get("axis", rank - own)
    shape = (*arr(b).shape, *(1,) * (rank - own - k))
    return b.reshape(*shape) if is_tensor(b) else b.reshape(shape)


def _divide(a: Array, b: Array) -> Array:
    """Integer quotients, cut towards zero; by zero they are an error, as there is no value."""
    if (b == 0).any():
        raise OnnxError("integer division by zero")
    quotient = a // b
    if a.dtype.kind == "i":
        quotient = quotient + ((quotient < 0) & (quotient * b != a))
    return quotient.astype(a.dtype)


_pair("Add", lambda a, b: a + b, np.add, weights=(0, 1))
_pair("Sub", lambda a, b: a - b, np.subtract)
_pair("Mul", lambda a, b: a * b, np.multiply, weights=(0, 1))
_pair("Div", lambda a, b: a / b, _divide)


def _power(n: Node, a: Any, b: Any) -> Any:
    if is_tensor(a):
        if is_tensor(b) and b.dtype == a.dtype:
            exponents = arr(b)
            return a ** (number(b) if exponents.size == 1 and exponents.ndim <= a.ndim else b)
        return a ** T.from_numpy(arr(b).astype(arr(a).dtype))
    with np.errstate(all="ignore"):
        return np.power(a, arr(b).astype(np.float64) if is_tensor(b) else b).astype(a.dtype)


operator("Pow", since=7)(_power)
operator("Pow", since=1)(lambda n, a, b: _power(n, a, along(n, a, b)))


@operator("Mod", since=10)
def _mod(n: Node, a: Any, b: Any) -> Any:
    if n.get("fmod", 0):
        return T.fmod(a, b) if is_tensor(a) else np.fmod(a, b)
    if is_tensor(a):
        return T.remainder(a, b)
    if (b == 0).any():
        raise OnnxError("integer division by zero")
    return np.mod(a, b)


# -- one operand -----------------------------------------------------------------------------------


def _one(name: str, tensor: Callable[[Any], Any], array: Callable[[Any], Any] | None = None,
         since: int = 1) -> None:  # fmt: skip
    def run(n: Node, x: Any) -> Any:
        if is_tensor(x):
            return tensor(x)
        if array is None:
            raise OnnxError(f"float32 or float64 is needed, got {np.asarray(x).dtype}")
        return array(x)

    operator(name, since=since)(run)


for _name, _tensor, _array in (
    ("Abs", T.abs, np.abs),
    ("Neg", lambda x: -x, np.negative),
    ("Ceil", T.ceil, None),
    ("Floor", T.floor, None),
    ("Round", T.round, None),
    ("Sqrt", T.sqrt, None),
    ("Exp", T.exp, None),
    ("Log", T.log, None),
    ("Reciprocal", T.reciprocal, None),
    ("Sin", T.sin, None),
    ("Cos", T.cos, None),
    ("Tan", T.tan, None),
    ("Asin", T.asin, None),
    ("Acos", T.acos, None),
    ("Atan", T.atan, None),
    ("Sinh", T.sinh, None),
    ("Cosh", T.cosh, None),
    ("Asinh", T.asinh, None),
    ("Acosh", T.acosh, None),
    ("Atanh", T.atanh, None),
    ("Erf", T.erf, lambda x: erf(x.astype(np.float64)).astype(x.dtype)),
    ("Sign", T.sign, np.sign),
    ("Det", T.linalg.det, None),
):
    _one(_name, _tensor, _array)


@operator("IsNaN", since=9)
def _isnan(n: Node, x: Any) -> Array:
    return np.isnan(arr(x))


@operator("IsInf", since=10)
def _isinf(n: Node, x: Any) -> Array:
    a = arr(x)
    high = np.isposinf(a) & bool(n.get("detect_positive", 1))
    return high | (np.isneginf(a) & bool(n.get("detect_negative", 1)))


# -- several operands ------------------------------------------------------------------------------


def _many(name: str, tensors: Binary, arrays: Binary, mean: bool = False) -> None:
    def run(n: Node, *xs: Any) -> Any:
        if any(x is None for x in xs):
            raise OnnxError("an operand is left out")
        out = xs[0]
        for x in xs[1:]:
            out = tensors(out, x) if is_tensor(out) else arrays(out, x)
        return out / len(xs) if mean else out

    operator(name)(run)


_many("Sum", lambda a, b: a + b, np.add)
_many("Mean", lambda a, b: a + b, np.add, mean=True)
_many("Max", T.maximum, np.maximum)
_many("Min", T.minimum, np.minimum)


@operator("Where", since=9)
def _where(n: Node, condition: Any, a: Any, b: Any) -> Any:
    if is_tensor(a):
        return T.where(T.from_numpy(np.ascontiguousarray(condition)), a, b)
    return np.where(condition, a, b)


# -- comparison and logic --------------------------------------------------------------------------


def _plain(name: str, function: Binary, since: int = 7) -> None:
    operator(name, since=since)(lambda n, a, b: function(arr(a), arr(b)))
    operator(name, since=1)(lambda n, a, b: function(arr(a), arr(along(n, a, b))))


for _name, _function in (
    ("Equal", np.equal),
    ("Less", np.less),
    ("LessOrEqual", np.less_equal),
    ("Greater", np.greater),
    ("GreaterOrEqual", np.greater_equal),
    ("And", np.logical_and),
    ("Or", np.logical_or),
    ("Xor", np.logical_xor),
    ("BitwiseAnd", np.bitwise_and),
    ("BitwiseOr", np.bitwise_or),
    ("BitwiseXor", np.bitwise_xor),
):
    _plain(_name, _function)


operator("Not")(lambda n, x: np.logical_not(arr(x)))
operator("BitwiseNot", since=18)(lambda n, x: np.bitwise_not(arr(x)))


@operator("BitShift", since=11)
def _shift(n: Node, a: Any, b: Any) -> Array:
    a, b = arr(a), arr(b)
    direction = n.get("direction")
    if direction not in ("LEFT", "RIGHT"):
        raise OnnxError(f"direction must be LEFT or RIGHT, got {direction!r}")
    bits = 8 * a.dtype.itemsize
    wide = b >= bits
    b = np.where(wide, b.dtype.type(bits - 1), b)
    if direction == "RIGHT":  # of negative numbers the sign is left, of others nothing
        shifted = np.right_shift(a, b)
        return (np.where(wide, shifted >> 1, shifted)).astype(a.dtype)
    return np.where(wide, a.dtype.type(0), np.left_shift(a, b)).astype(a.dtype)


# -- types -----------------------------------------------------------------------------------------


def cast_to(x: Any, kind: int) -> Any:
    """A value with the elements of another ONNX type.

    float16 and bfloat16 are rounded to, and stay float32.
    """
    if kind not in TYPES:
        raise OnnxError(f"element type {kind} cannot be cast to: values can be "
                        f"{', '.join(TYPES.values())}")  # fmt: skip
    name = TYPES[kind]
    if is_tensor(x) and name in ("float32", "float64"):
        return x.to(T.float32 if name == "float32" else T.float64)
    a = arr(x)
    if name == "string":
        return _as_text(a)
    if a.dtype.kind in "OUS":
        return _from_text(a, name)
    with np.errstate(all="ignore"):
        if name == "bfloat16":
            import ml_dtypes  # comes with onnx

            return a.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float32)
        if name == "float16":
            return a.astype(np.float16).astype(np.float32)
        return a.astype(name)


def _as_text(a: Array) -> Array:
    def text(v: Any) -> str:
        if isinstance(v, (float, np.floating)):
            return str(int(v)) if float(v).is_integer() and abs(v) < 1e15 else str(v)
        return str(v)

    flat = [text(v) for v in a.reshape(-1)]
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(a.shape)


def _from_text(a: Array, name: str) -> Array:
    kind = "float32" if name in ("float16", "bfloat16") else name
    values = [float(v) for v in a.reshape(-1).astype(str)]
    return np.array(values).astype(kind).reshape(a.shape)


@operator("Cast", since=1)
def _cast(n: Node, x: Any) -> Any:
    to = n.get("to")
    if isinstance(to, str):  # before version 6
        names = {v.upper(): k for k, v in TYPES.items()} | {"FLOAT": 1, "DOUBLE": 11}
        to = names.get(to.upper(), 0)
    return cast_to(x, to)


@operator("CastLike", since=15)
def _cast_like(n: Node, x: Any, like: Any) -> Any:
    kind = n.get("_to", 0)
    if not kind:  # not known from the file: as the value is here
        name = arr(like).dtype.name
        kind = next((k for k, v in TYPES.items() if v == name), 8)
    return cast_to(x, kind)


@operator("BitCast", since=26)
def _bit_cast(n: Node, x: Any) -> Any:
    to, source = n.get("to"), n.get("_from", 0)
    if to not in TYPES or TYPES[to] in ("string", "bfloat16"):
        raise OnnxError(f"element type {to} cannot be made of bits")
    a = arr(x)
    if source == 10:
        a = a.astype(np.float16)
    if a.dtype.itemsize != np.dtype(TYPES[to]).itemsize or source == 16:
        raise OnnxError(f"{a.dtype} and {TYPES[to]} differ in size")
    return np.ascontiguousarray(a).view(TYPES[to]).reshape(a.shape)


operator("Identity")(lambda n, x: x)

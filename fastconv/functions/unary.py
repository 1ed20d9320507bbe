"""Functions of one tensor, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _watch
from .._grad_mode import mode, quiet, unquiet
from ..autograd import Op, TensorBase, wrap
from ..ops import elementwise as ops
from ..ops import select
from ..spec.arguments import as_int
from ._named import named, retell
from ._promote import cast, check_tensor, fitting, operand, result_dtype, to_float, unbroadcast
from .elementwise import into

ndarray = np.ndarray


class Unary(Op):
    """y = f(x), with the derivative computed from ``keep``: "x", "y" or "" for neither."""

    f: Callable[..., Any]
    d: Callable[..., Any]
    keep = "y"

    @staticmethod
    def forward(ctx: Any, x: ndarray) -> Any:
        y = ctx.f(x)
        if ctx.keep:
            if type(y) is not ndarray:
                y = np.asarray(y)
            ctx.saved = (x if ctx.keep == "x" else y,)
        return y

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return ctx.d(g, *ctx.saved)


def _masked(g: ndarray, keep: ndarray) -> ndarray:
    """`g` where `keep`, zero elsewhere (also where `g` is infinite)."""
    return select.keep(g, keep)


def direction(x: ndarray) -> ndarray:
    """-1, 0 or 1 by the sign of each element; 0 for NaN; bools as they are."""
    if x.dtype.kind == "b":
        return x.copy()
    y = np.sign(x)
    if x.dtype.kind == "f":
        y = np.where(np.isnan(y), x.dtype.type(0), y)
    return y


class Neg(Unary):
    f, d, keep = np.negative, staticmethod(lambda g: -g), ""


class Abs(Unary):
    f, d, keep = np.absolute, staticmethod(lambda g, x: g * direction(x)), "x"


class Exp(Unary):
    f, d = np.exp, staticmethod(lambda g, y: g * y)


class Exp2(Unary):
    f, d = np.exp2, staticmethod(lambda g, y: g * y * g.dtype.type(np.log(2.0)))


class Expm1(Unary):
    f, d = np.expm1, staticmethod(lambda g, y: g * (y + 1))


class Log(Unary):
    f, d, keep = np.log, staticmethod(lambda g, x: g / x), "x"


class Log2(Unary):
    f, d, keep = np.log2, staticmethod(lambda g, x: g / (x * g.dtype.type(np.log(2.0)))), "x"


class Log10(Unary):
    f, d, keep = np.log10, staticmethod(lambda g, x: g / (x * g.dtype.type(np.log(10.0)))), "x"


class Log1p(Unary):
    f, d, keep = np.log1p, staticmethod(lambda g, x: g / (x + 1)), "x"


class Sqrt(Unary):
    f, d = np.sqrt, staticmethod(lambda g, y: g / (y + y))


class Rsqrt(Unary):
    f = staticmethod(lambda x: np.reciprocal(np.sqrt(x)))
    d = staticmethod(lambda g, y: g * (y * y * y) * g.dtype.type(-0.5))


class Square(Unary):
    f, d, keep = np.square, staticmethod(lambda g, x: g * (x + x)), "x"


class Reciprocal(Unary):
    f, d = np.reciprocal, staticmethod(lambda g, y: -g * y * y)


class Sin(Unary):
    f, d, keep = np.sin, staticmethod(lambda g, x: g * np.cos(x)), "x"


class Cos(Unary):
    f, d, keep = np.cos, staticmethod(lambda g, x: -g * np.sin(x)), "x"


class Tan(Unary):
    f, d = np.tan, staticmethod(lambda g, y: g * (1 + y * y))


class Asin(Unary):
    f, d, keep = np.arcsin, staticmethod(lambda g, x: g / np.sqrt(1 - x * x)), "x"


class Acos(Unary):
    f, d, keep = np.arccos, staticmethod(lambda g, x: -g / np.sqrt(1 - x * x)), "x"


class Atan(Unary):
    f, d, keep = np.arctan, staticmethod(lambda g, x: g / (1 + x * x)), "x"


class Sinh(Unary):
    f, d, keep = np.sinh, staticmethod(lambda g, x: g * np.cosh(x)), "x"


class Cosh(Unary):
    f, d, keep = np.cosh, staticmethod(lambda g, x: g * np.sinh(x)), "x"


class Tanh(Unary):
    f, d = staticmethod(ops.tanh), staticmethod(ops.tanh_backward)


class Sigmoid(Unary):
    f, d = staticmethod(ops.sigmoid), staticmethod(ops.sigmoid_backward)


class Relu(Unary):
    overwrites = True

    @staticmethod
    def forward(ctx: Any, x: ndarray, inplace: bool = False) -> ndarray:
        y = ops.relu(x, x if inplace else None)
        if type(y) is not ndarray:
            y = np.asarray(y)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        (y,) = ctx.saved
        return ops.relu_backward(g, y, ctx.owned)


def rectified(input: Any) -> Any:
    """The ReLU of a floating-point Tensor; without a graph and a watcher, nothing but that."""
    if mode.grad or _watch.recorder is not None:
        return Relu.of((input,), (input._array,))
    token = quiet()
    try:
        return wrap(ops.relu(input._array))
    finally:
        unquiet(token)


class Erf(Unary):
    keep = "x"

    @staticmethod
    def f(x: ndarray) -> ndarray:
        from .erf import erf

        return erf(x)

    @staticmethod
    def d(g: ndarray, x: ndarray) -> ndarray:
        return g * np.exp(-x * x) * g.dtype.type(2 / np.sqrt(np.pi))


class Erfc(Unary):
    keep = "x"

    @staticmethod
    def f(x: ndarray) -> ndarray:
        from .erf import erfc

        return erfc(x)

    @staticmethod
    def d(g: ndarray, x: ndarray) -> ndarray:
        return g * np.exp(-x * x) * g.dtype.type(-2 / np.sqrt(np.pi))


class _Step(Unary):
    """Constant between jumps: the gradient is zero."""

    d, keep = staticmethod(lambda g: np.zeros_like(g)), ""


class Floor(_Step):
    f = np.floor


class Ceil(_Step):
    f = np.ceil


class Trunc(_Step):
    f = np.trunc


class Round(_Step):
    f = np.rint  # halves to even, as PyTorch


class Sign(_Step):
    f = staticmethod(direction)


def _public(op: type[Unary], name: str, doc: str, floating: bool = True) -> Callable[..., Any]:
    def function(input: Any, *, out: Any = None) -> Any:
        if not isinstance(input, TensorBase):
            raise TypeError(f"{name}: input must be a Tensor, got {type(input).__name__}")
        try:
            result = op.apply(to_float(input) if floating else input)
            return result if out is None else into(out, result)
        except Exception as error:
            retell(error, name, function, (input,), {"out": out})

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc}\n\n    Parameters\n    ----------\n    input : Tensor\n\n"
        "    Returns\n    -------\n    Tensor\n"
    )
    return function


neg = _public(Neg, "neg", "``-input``.", False)
negative = _public(Neg, "negative", "``-input``.", False)
exp = _public(Exp, "exp", "The exponential of each element.")
exp2 = _public(Exp2, "exp2", "Two to the power of each element.")
expm1 = _public(Expm1, "expm1", "``exp(input) - 1``, exact near zero.")
log = _public(Log, "log", "The natural logarithm of each element.")
log2 = _public(Log2, "log2", "The base-2 logarithm of each element.")
log10 = _public(Log10, "log10", "The base-10 logarithm of each element.")
log1p = _public(Log1p, "log1p", "``log(1 + input)``, exact near zero.")
sqrt = _public(Sqrt, "sqrt", "The square root of each element.")
rsqrt = _public(Rsqrt, "rsqrt", "One over the square root of each element.")
square = _public(Square, "square", "The square of each element.", False)
reciprocal = _public(Reciprocal, "reciprocal", "``1 / input``.")
sin = _public(Sin, "sin", "The sine of each element.")
cos = _public(Cos, "cos", "The cosine of each element.")
tan = _public(Tan, "tan", "The tangent of each element.")
asin = _public(Asin, "asin", "The inverse sine of each element.")
arcsin = _public(Asin, "arcsin", "The inverse sine of each element.")
acos = _public(Acos, "acos", "The inverse cosine of each element.")
arccos = _public(Acos, "arccos", "The inverse cosine of each element.")
atan = _public(Atan, "atan", "The inverse tangent of each element.")
arctan = _public(Atan, "arctan", "The inverse tangent of each element.")
sinh = _public(Sinh, "sinh", "The hyperbolic sine of each element.")
cosh = _public(Cosh, "cosh", "The hyperbolic cosine of each element.")
tanh = _public(Tanh, "tanh", "The hyperbolic tangent of each element.")
erf = _public(Erf, "erf", "The error function of each element.")
erfc = _public(Erfc, "erfc", "``1 - erf(input)``, right to the last digits where that is small.")
sigmoid = _public(Sigmoid, "sigmoid", "``1 / (1 + exp(-input))``.")
_relu = _public(Relu, "relu", "``max(input, 0)``; NaN stays NaN.", False)


def relu(input: Any, *, out: Any = None) -> Any:
    if out is None and isinstance(input, TensorBase) and input._later is not None:
        joined = input._later.activate(input, 0, math.inf)
        if joined is not None:
            return joined
    return _relu(input, out=out)


relu.__doc__ = _relu.__doc__


def relu_(self: Any) -> Any:
    """In-place version of :func:`relu`; returns the tensor itself."""
    if self._later is not None:
        joined = self._later.activate(self, 0, math.inf, True)
        if joined is not None:
            return joined
    return Relu.apply_(self, True)


_abs = _public(Abs, "abs", "The absolute value of each element.", False)
_sign = _public(Sign, "sign", "-1, 0 or 1 by the sign of each element.", False)
_floor = _public(Floor, "floor", "The largest integer not above each element.", False)
_ceil = _public(Ceil, "ceil", "The smallest integer not below each element.", False)
_trunc = _public(Trunc, "trunc", "Each element without its fraction.", False)
_round = _public(Round, "round", "The nearest integer, halves to even.", False)
abs = _abs
absolute = _public(Abs, "absolute", "The absolute value of each element.", False)
sign = _sign
floor, ceil, trunc = _floor, _ceil, _trunc


@named
def round(input: Any, *, decimals: int = 0, out: Any = None) -> Any:
    """The nearest number with `decimals` decimals, halves to even."""
    decimals = as_int("round", "decimals", decimals)
    if not -300 <= decimals <= 300:
        raise ValueError(f"round: decimals must be within ±300, got {decimals}")
    if decimals == 0:
        return _round(input, out=out)
    scale = 10.0**decimals
    return into(out, _round(input * scale) / scale)


def _limit(value: Any, kind: np.dtype) -> Any:
    """A limit in the array's type: the type's own where it is beyond."""
    try:
        return kind.type(value)
    except (TypeError, ValueError):
        return fitting(value, kind, "clamp")
    except OverflowError:
        if isinstance(value, float):
            return fitting(value, kind, "clamp")
        if kind.kind == "f":
            return kind.type(math.copysign(math.inf, value))
        info = np.iinfo(kind)
        return kind.type(info.min if value < 0 else info.max)


class Clamp(Op):
    @staticmethod
    def forward(ctx: Any, x: ndarray, low: Any, high: Any) -> ndarray:
        if ctx.needs[0]:
            ctx.save(x, low, high)
        y = x if low is None else np.maximum(x, _limit(low, x.dtype))
        if high is not None:
            y = np.minimum(y, _limit(high, x.dtype))
        return y.copy() if y is x else y

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        x, low, high = ctx.saved
        inside = np.ones(x.shape, bool) if low is None else x >= low
        if high is not None:
            inside = inside & (x <= high)
        return _masked(g, inside)


class ClampBetween(Op):
    """:class:`Clamp` with arrays for bounds, broadcast, where these are Tensors.

    x has the gradient at its bounds too. Where the bounds are in the wrong order the upper one is
    the result.
    """

    @staticmethod
    def forward(ctx: Any, x: ndarray, low: Any, high: Any) -> ndarray:
        y = x if low is None else np.maximum(x, low)
        if high is not None:
            y = np.minimum(y, high)
        ctx.save(x, low, high)
        return y.copy() if y is x else y

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        x, low, high = ctx.saved
        inside = np.ones(g.shape, bool)
        below = above = None
        if low is not None:
            inside, below = inside & (x >= low), x < low
        if high is not None:
            inside, above = inside & (x <= high), x > high
        if below is not None and above is not None:
            below, above = below & (low < high), above | (high < low)
        masks: list[tuple[Any, ndarray]] = [(inside, x)]
        masks += [(m, b) for m, b in ((below, low), (above, high)) if type(b) is ndarray]
        return tuple(
            [
                unbroadcast(_masked(g, np.broadcast_to(mask, g.shape)), operand.shape)
                if need
                else None
                for need, (mask, operand) in zip(ctx.needs, masks, strict=True)
            ]
        )


def clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Any:
    """Each element moved into [min, max].

    Parameters
    ----------
    input : Tensor
    min, max : number or Tensor, optional
        At least one.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If neither `min` nor `max` is given.
    """
    try:
        check_tensor(input, "input", "clamp")
        if min is None and max is None:
            raise ValueError("clamp: at least one of min and max must be given")
        if isinstance(min, TensorBase) or isinstance(max, TensorBase):
            kind = result_dtype(input, *[operand(b) for b in (min, max) if b is not None])
            low, high = (
                cast(b, kind)
                if isinstance(b, TensorBase)
                else None
                if b is None
                else np.asarray(b, kind)[()]
                for b in (min, max)
            )
            return into(out, ClampBetween.apply(cast(input, kind), low, high))
        bounds = [operand(b) for b in (min, max) if b is not None]
        x = cast(input, result_dtype(input, *bounds))
        return into(out, Clamp.apply(x, min, max))
    except Exception as error:
        retell(error, "clamp", clamp, (input, min, max), {"out": out})


clip = named(clamp, "clip")


@named
def clamp_min(input: Any, min: Any) -> Any:
    """Each element, at least `min`."""
    return clamp(input, min=min)


@named
def clamp_max(input: Any, max: Any) -> Any:
    """Each element, at most `max`."""
    return clamp(input, max=max)


class NanToNum(Op):
    @staticmethod
    def forward(ctx: Any, x: ndarray, nan: float, posinf: Any, neginf: Any) -> ndarray:
        if ctx.needs[0]:
            ctx.save(np.isfinite(x))
        return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return _masked(g, ctx.saved[0])


@named
def nan_to_num(input: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """NaN and infinities replaced by numbers: by default zero and the largest of the type."""
    check_tensor(input, "input", "nan_to_num")
    for name, value in (("nan", nan), ("posinf", posinf), ("neginf", neginf)):
        if value is not None and not isinstance(value, (int, float, np.number)):
            raise TypeError(f"nan_to_num: {name} must be a number, got {value!r:.80}")
    return NanToNum.apply(input, 0.0 if nan is None else nan, posinf, neginf)


def _number(value: Any, kind: np.dtype) -> Any:
    try:
        return kind.type(value)
    except (OverflowError, TypeError, ValueError):
        return fitting(value, kind, "where")


class Where(Op):
    @staticmethod
    def forward(ctx: Any, condition: ndarray, a: Any, b: Any, kind: np.dtype) -> ndarray:
        ctx.shapes = [x.shape for x in (a, b) if type(x) is ndarray]
        ctx.which = [i for i, x in enumerate((a, b)) if type(x) is ndarray]
        ctx.saved = (condition,)
        return np.where(
            condition,
            a if type(a) is ndarray else _number(a, kind),
            b if type(b) is ndarray else _number(b, kind),
        )

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        (condition,) = ctx.saved
        zero = g.dtype.type(0)
        return tuple(
            [
                None
                if not need
                else unbroadcast(
                    np.where(condition, zero, g) if i else np.where(condition, g, zero), shape
                )
                for need, i, shape in zip(ctx.needs, ctx.which, ctx.shapes, strict=True)
            ]
        )


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Elements of `input` where `condition` holds, of `other` elsewhere.

    Parameters
    ----------
    condition : Tensor of bool
    input, other : Tensor or number, optional
        Broadcast against `condition`. Without them, the indices where `condition` holds, as a
        tuple.

    Returns
    -------
    Tensor, or tuple of Tensor
    """
    try:
        check_tensor(condition, "condition", "where")
        mask = condition._array
        if input is None and other is None:
            from .index import nonzero

            return nonzero(condition, as_tuple=True)
        if mask.dtype.kind not in "bu":
            raise TypeError(f"where: condition must be a bool tensor, got {mask.dtype}")
        if mask.dtype.kind == "u":
            mask = mask != 0
        a, b = operand(input), operand(other)
        if a is NotImplemented or b is NotImplemented:
            raise TypeError(
                "where: input and other must be Tensors or numbers, got "
                f"{type(input).__name__} and {type(other).__name__}"
            )
        kind = result_dtype(a, b)
        a = cast(a, kind) if isinstance(a, TensorBase) else a
        b = cast(b, kind) if isinstance(b, TensorBase) else b
        return Where.apply(mask, a, b, kind)
    except Exception as error:
        retell(error, "where", where, (condition, input, other), {})

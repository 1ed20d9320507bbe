"""Arithmetic and functions of each element, with broadcasting and type promotion."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .._grad_mode import mode, quiet, unquiet
from ..autograd import Op, TensorBase, changed, forget, move, wrap
from ..ops import elementwise as ops
from ._named import named, retell
from ._promote import (
    cast,
    check_tensor,
    fitting,
    operand,
    promote,
    result_dtype,
    unbroadcast,
)

ndarray = np.ndarray


class Binary(Op):
    """y = ufunc(a, b), broadcast; either of a and b may be a Python scalar, but not both.

    ``da(g, a, b)`` and ``db(g, a, b)`` are the gradients before the broadcast is undone. `a_in`
    and `b_in` say whether (da, db) read a and b, so that nothing else is saved.
    """

    ufunc: Any
    large: Any = None  # the same with kernels for large arrays
    da: Callable[..., Any]
    db: Callable[..., Any]
    a_in = (False, False)
    b_in = (False, False)
    floating = False

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        needs = ctx.needs
        if True in needs:
            if len(needs) == 1:
                needs = (needs[0], False) if type(a) is ndarray else (False, needs[0])
            ctx.wants = na, nb = needs
            ctx.shapes = getattr(a, "shape", None), getattr(b, "shape", None)
            a_in, b_in = ctx.a_in, ctx.b_in
            keep_a = (na and a_in[0]) or (nb and a_in[1])
            keep_b = (na and b_in[0]) or (nb and b_in[1])
            if keep_a or keep_b:
                ctx.saved = (a if keep_a else None, b if keep_b else None)
        compute = ctx.large or ctx.ufunc
        try:
            return compute(a, b)
        except ValueError as error:
            raise broadcasting(error, type(ctx).__name__.lower(), a, b) from None
        except OverflowError:  # a number that does not fit the array's type
            name = type(ctx).__name__.lower()
            if type(a) is ndarray:
                return compute(a, fitting(b, a.dtype, name))
            return compute(fitting(a, b.dtype, name), b)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        a, b = ctx.saved or (None, None)
        (na, nb), (sa, sb) = ctx.wants, ctx.shapes
        ga = unbroadcast(ctx.da(g, a, b), sa) if na else None
        gb = unbroadcast(ctx.db(g, a, b), sb) if nb else None
        if sa is None:
            return gb
        return ga if sb is None else (ga, gb)


def broadcasting(error: ValueError, name: str, a: Any, b: Any) -> ValueError:
    """What to raise for operands that do not fit each other; other errors as they are."""
    if "broadcast" not in str(error):
        return error
    shapes = f"{getattr(a, 'shape', ())} and {getattr(b, 'shape', ())}"
    return ValueError(f"{name}: shapes {shapes} cannot be broadcast to a common one")


class Add(Binary):
    ufunc = np.add
    large = staticmethod(ops.add)
    da = staticmethod(lambda g, a, b: g)
    db = staticmethod(lambda g, a, b: g)


class Sub(Binary):
    ufunc = np.subtract
    large = staticmethod(ops.sub)
    da = staticmethod(lambda g, a, b: g)
    db = staticmethod(lambda g, a, b: -g)


class Mul(Binary):
    ufunc = np.multiply
    large = staticmethod(ops.mul)
    da = staticmethod(lambda g, a, b: ops.mul(g, b))
    db = staticmethod(lambda g, a, b: ops.mul(g, a))
    a_in = (False, True)
    b_in = (True, False)


class Div(Binary):
    ufunc = np.true_divide
    da = staticmethod(lambda g, a, b: g / b)
    db = staticmethod(lambda g, a, b: -g * (a / b) / b)
    a_in = (False, True)
    b_in = (True, True)
    floating = True


class Remainder(Binary):
    ufunc = np.remainder
    da = staticmethod(lambda g, a, b: g)
    db = staticmethod(lambda g, a, b: -g * np.floor_divide(a, b))
    a_in = (False, True)
    b_in = (False, True)


def _pow_da(g: ndarray, a: Any, b: Any) -> ndarray:
    if not isinstance(b, ndarray):
        return np.zeros_like(g) if b == 0 else g * (b * np.power(a, b - 1))
    return g * np.where(b == 0, g.dtype.type(0), b * np.power(a, b - 1))


def _pow_db(g: ndarray, a: Any, b: Any) -> ndarray:
    a = np.asarray(a, g.dtype)
    value = np.power(a, b) * np.log(a)
    return g * np.where((a == 0) & (b >= 0), g.dtype.type(0), value)


class Pow(Binary):
    ufunc = np.power
    da = staticmethod(_pow_da)
    db = staticmethod(_pow_db)
    a_in = (True, True)
    b_in = (True, True)


class Fmod(Binary):
    ufunc = np.fmod
    da = staticmethod(lambda g, a, b: g)
    db = staticmethod(lambda g, a, b: -g * np.trunc(np.true_divide(a, b)))
    a_in = (False, True)
    b_in = (False, True)


class FloorDivide(Binary):
    ufunc = np.floor_divide
    da = staticmethod(lambda g, a, b: np.zeros_like(g))
    db = staticmethod(lambda g, a, b: np.zeros_like(g))


class TruncDivide(FloorDivide):
    ufunc: Any = staticmethod(lambda a, b: np.trunc(np.true_divide(a, b)))
    floating = True


class Maximum(Binary):
    """A tie sends half of the gradient each way; where one is NaN, both get all of it."""

    ufunc = np.maximum
    da = staticmethod(lambda g, a, b: g * _share(a < b, a == b, g.dtype))
    db = staticmethod(lambda g, a, b: g * _share(a > b, a == b, g.dtype))
    a_in = b_in = (True, True)


class Minimum(Binary):
    """A tie sends half of the gradient each way; where one is NaN, both get all of it."""

    ufunc = np.minimum
    da = staticmethod(lambda g, a, b: g * _share(a > b, a == b, g.dtype))
    db = staticmethod(lambda g, a, b: g * _share(a < b, a == b, g.dtype))
    a_in = b_in = (True, True)


def _share(lost: ndarray, tied: ndarray, kind: np.dtype) -> ndarray:
    return 1 - lost.astype(kind) - tied.astype(kind) * kind.type(0.5)


class Atan2(Binary):
    ufunc = np.arctan2
    da = staticmethod(lambda g, a, b: g * _turn(b, np.hypot(a, b)))
    db = staticmethod(lambda g, a, b: -g * _turn(a, np.hypot(a, b)))
    a_in = b_in = (True, True)
    floating = True


def _turn(side: Any, radius: Any) -> Any:
    """side / radius², without overflow; 0 where the radius is."""
    return np.where(radius == 0, np.zeros_like(radius), side / radius / radius)


def _add_late(a: Any, b: Any) -> Any:
    """``a + b``, one of which is not written yet; None if they cannot join."""
    joined = None if a._later is None else a._later.add(a, b)
    return b._later.add(b, a) if joined is None and b._later is not None else joined


def binary(op: type[Binary], a: Any, b: Any) -> Any:
    """Apply `op` to Tensors, scalars and arrays; NotImplemented for anything else."""
    if isinstance(b, TensorBase):
        if isinstance(a, TensorBase):
            if op is Add and (a._later is not None or b._later is not None):
                joined = _add_late(a, b)
                if joined is not None:
                    return joined
            x, y = a._array, b._array
            if x.dtype is y.dtype and x.dtype.kind == "f":
                return op.of((a, b), (x, y))
        elif b._array.dtype.kind == "f" and type(a) in (int, float):
            return op.of((b,), (a, b._array))
    elif type(b) in (int, float) and isinstance(a, TensorBase) and a._array.dtype.kind == "f":
        return op.of((a,), (a._array, b))
    a, b = operand(a), operand(b)
    if a is NotImplemented or b is NotImplemented:
        return NotImplemented
    if not isinstance(a, TensorBase) and not isinstance(b, TensorBase):
        a = wrap(np.asarray(fitting(a, result_dtype(a), op.__name__.lower())))
    a, b = promote(a, b, op.floating)
    if (a if isinstance(a, TensorBase) else b)._array.dtype.kind != "f":
        _check_integers(op, a, b)
        if op is Pow and not isinstance(b, TensorBase) and b < 0:
            raise RuntimeError(f"pow: integers to negative integer powers are not allowed, got {b}")
    return op.apply(a, b)


def _check_integers(op: type[Binary], a: Any, b: Any) -> None:
    values = b._array if isinstance(b, TensorBase) else b
    if op in (FloorDivide, Remainder, Fmod):
        if np.any(np.equal(values, 0)):
            raise RuntimeError(f"{op.__name__}: integer division by zero")
    elif op is Sub and (a if isinstance(a, TensorBase) else b)._array.dtype.kind == "b":
        raise TypeError("subtraction of bool tensors is not supported; use ^ or logical_xor")


def operator(op: type[Binary], swapped: bool = False) -> Callable[[Any, Any], Any]:
    """The method behind a Python operator."""
    if swapped:
        return lambda self, other: binary(op, other, self)
    return lambda self, other: binary(op, self, other)


def inplace(op: type[Binary], target: Any, other: Any) -> Any:
    """``target = op(target, other)``, written into the memory of `target`."""
    other = operand(other)
    if other is NotImplemented:
        return NotImplemented
    is_tensor = isinstance(other, TensorBase)
    if op is Add and is_tensor and target._later is not None:
        joined = target._later.add(target, other, True)
        if joined is not None:
            return joined
    array, kind = target._array, target._array.dtype
    if op.floating or not is_tensor or other._array.dtype != kind:
        result = result_dtype(target, other)
        if kind.kind != "f" and (
            op.floating or result.kind == "f" or kind.kind == "b" != result.kind
        ):
            if result.kind != "f" and op.floating:
                result = dtypes.get_default_dtype().dtype
            raise RuntimeError(
                f"{op.__name__}: a result of type {result} cannot be put into a tensor of {kind}"
            )
    if mode.grad and (target.requires_grad or (is_tensor and other.requires_grad)):
        return op.apply_(target, cast(other, kind) if is_tensor else other)
    values = other._array if is_tensor else other
    if kind.kind != "f":
        _check_integers(op, target, other)
    forget(target)
    token = quiet()
    try:
        op.ufunc(array, values, out=array, casting="unsafe")  # of one category, see above
    except ValueError as error:
        raise broadcasting(error, f"{op.__name__.lower()}_", array, values) from None
    except OverflowError:
        values = fitting(values, kind, op.__name__.lower())
        op.ufunc(array, values, out=array, casting="unsafe")
    finally:
        unquiet(token)
    changed(target)
    return target


def _public(op: type[Binary], name: str, doc: str) -> Callable[..., Any]:
    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        try:
            result = binary(op, input, other)
            if result is NotImplemented:
                raise TypeError(
                    f"{name}: arguments must be Tensors or numbers, got {type(input).__name__} and "
                    f"{type(other).__name__}"
                )
            return into(out, result)
        except Exception as error:
            retell(error, name, function, (input, other), {"out": out})

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{doc}\n\n    Parameters\n    ----------\n    input, other : Tensor or number\n"
        "        Broadcast against each other; the result has their common type.\n"
        "    out : Tensor, optional\n        Where to put the result.\n\n"
        "    Returns\n    -------\n    Tensor\n"
    )
    return function


def _public_(op: type[Binary], name: str) -> Callable[..., Any]:
    def function(self: Any, other: Any) -> Any:
        try:
            result = inplace(op, self, other)
        except Exception as error:
            retell(error, name, function, (self, other), {})
        if result is NotImplemented:
            raise TypeError(
                f"{name}: other must be a Tensor or a number, got {type(other).__name__}"
            )
        return result

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"In-place version of :func:`{name[:-1]}`; returns the tensor itself."
    return function


def into(out: Any, result: Any) -> Any:
    """Put `result` into the tensor `out`, if one is given."""
    if out is None:
        return result
    check_tensor(out, "out", "out=")
    if out.requires_grad and mode.grad:
        raise RuntimeError("out= tensors cannot require grad")
    if out._array.shape != result._array.shape:
        changed(out)
        move(out, np.empty(result._array.shape, out._array.dtype))
    forget(out)
    out._array[...] = result._array
    changed(out)
    return out


mul = _public(Mul, "mul", "``input * other``.")
multiply = _public(Mul, "multiply", "``input * other``.")
remainder = _public(Remainder, "remainder", "``input % other``: the sign is that of `other`.")
fmod = _public(Fmod, "fmod", "The remainder of division, with the sign of `input`.")
maximum = _public(Maximum, "maximum", "The larger of two elements; NaN if either is NaN.")
minimum = _public(Minimum, "minimum", "The smaller of two elements; NaN if either is NaN.")
floor_divide = _public(FloorDivide, "floor_divide", "``input // other``, rounded down.")
atan2 = _public(Atan2, "atan2", "The angle of the point (other, input).")
arctan2 = _public(Atan2, "arctan2", "The angle of the point (other, input).")
_add = _public(Add, "add", "``input + other``.")
_sub = _public(Sub, "sub", "``input - other``.")
_div = _public(Div, "div", "``input / other``.")
_pow = _public(Pow, "pow", "``input ** other``.")
mul_ = _public_(Mul, "mul_")
multiply_ = _public_(Mul, "multiply_")
remainder_ = _public_(Remainder, "remainder_")
floor_divide_ = _public_(FloorDivide, "floor_divide_")
_add_ = _public_(Add, "add_")
_sub_ = _public_(Sub, "sub_")
_div_ = _public_(Div, "div_")
pow_ = _public_(Pow, "pow_")


def _times(other: Any, alpha: Any) -> Any:
    if isinstance(alpha, (str, bytes, complex)) or not hasattr(alpha, "__float__"):
        raise TypeError(f"alpha must be a number, got {alpha!r:.80}")
    return mul(other, alpha)


def add(input: Any, other: Any, *, alpha: float = 1, out: Any = None) -> Any:
    """``input + alpha * other``, broadcast, of the common type."""
    try:
        return _add(input, other if alpha == 1 else _times(other, alpha), out=out)
    except Exception as error:
        retell(error, "add", add, (input, other), {"alpha": alpha, "out": out})


def sub(input: Any, other: Any, *, alpha: float = 1, out: Any = None) -> Any:
    """``input - alpha * other``, broadcast, of the common type."""
    try:
        return _sub(input, other if alpha == 1 else _times(other, alpha), out=out)
    except Exception as error:
        retell(error, "sub", sub, (input, other), {"alpha": alpha, "out": out})


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """``input / other``; integers become floating point.

    Parameters
    ----------
    rounding_mode : {None, "floor", "trunc"}
        Round the quotient down, or towards zero.
    """
    try:
        if rounding_mode is None:
            return _div(input, other, out=out)
        if rounding_mode == "floor":
            return floor_divide(input, other, out=out)
        if rounding_mode != "trunc":
            raise ValueError(
                f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}"
            )
        a, b = operand(input), operand(other)
        quotient = binary(TruncDivide, a, b)
        return into(out, cast(quotient, result_dtype(a, b)))
    except Exception as error:
        retell(error, "div", div, (input, other), {"rounding_mode": rounding_mode, "out": out})


def pow(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """``input ** exponent``, broadcast, of the common type."""
    return _pow(input, exponent, out=out)


def add_(self: Any, other: Any, *, alpha: float = 1) -> Any:
    """In place: ``self += alpha * other``."""
    try:
        return _add_(self, other if alpha == 1 else _times(other, alpha))
    except Exception as error:
        retell(error, "add_", add_, (self, other), {"alpha": alpha})


def sub_(self: Any, other: Any, *, alpha: float = 1) -> Any:
    """In place: ``self -= alpha * other``."""
    try:
        return _sub_(self, other if alpha == 1 else _times(other, alpha))
    except Exception as error:
        retell(error, "sub_", sub_, (self, other), {"alpha": alpha})


def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """In place: ``self /= other``."""
    try:
        if rounding_mode is None:
            return _div_(self, other)
        return copy_(self, div(self, other, rounding_mode=rounding_mode))
    except Exception as error:
        retell(error, "div_", div_, (self, other), {"rounding_mode": rounding_mode})


subtract, divide = named(sub, "subtract"), named(div, "divide")
true_divide = _public(Div, "true_divide", "``input / other``.")


class Copy(Op):
    """An array overwritten by another, broadcast."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, b: Any) -> ndarray:
        ctx.shape = getattr(b, "shape", None)
        a[...] = b
        return a

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        zero = np.zeros_like(g) if ctx.needs[0] else None
        return (
            zero
            if ctx.shape is None
            else (zero, unbroadcast(g, ctx.shape) if ctx.needs[1] else None)
        )


def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Overwrite with `src`, broadcast and cast to this type; returns the tensor itself."""
    try:
        check_tensor(src, "src", "copy_")
        if mode.grad and (self.requires_grad or src.requires_grad):
            return Copy.apply_(self, cast(src, self._array.dtype))
        forget(self)
        np.copyto(self._array, src._array, casting="unsafe")
        changed(self)
        return self
    except Exception as error:
        retell(error, "copy_", copy_, (self, src, non_blocking), {})


def fill_(self: Any, value: Any) -> Any:
    """Overwrite every element with `value`; returns the tensor itself."""
    if isinstance(value, TensorBase):
        if value._array.ndim:
            raise ValueError(
                f"fill_: value must be a number or have no axes, got shape {value._array.shape}"
            )
        return copy_(self, value)
    if mode.grad and self.requires_grad:
        return Copy.apply_(self, value)
    forget(self)
    try:
        self._array.fill(value)
    except (OverflowError, TypeError, ValueError):
        self._array.fill(fitting(value, self._array.dtype, "fill_", around=False))
    changed(self)
    return self


def zero_(self: Any) -> Any:
    """Overwrite every element with zero; returns the tensor itself."""
    return fill_(self, 0)


@named
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """``input + value * tensor1 * tensor2``."""
    return add(input, mul(tensor1, tensor2), alpha=value)


@named
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """``input + value * tensor1 / tensor2``."""
    return add(input, div(tensor1, tensor2), alpha=value)


@named
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``."""
    return add(input, mul(weight, sub(end, input)))


def inplace_of(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The in-place method of a function whose result has the shape of its first argument."""

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if not mode.grad or not self.requires_grad:
                return copy_(self, function(self, *args, **kwargs))
            return Assign.apply_(self, function(_as_input(self), *args, **kwargs))
        except Exception as error:
            retell(error, name, function, (self, *args), kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place version of :func:`{name[:-1]}`; returns the tensor itself."
    return method


class Assign(Op):
    """The result of an out-of-place operation on a tensor, put back into it."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, b: ndarray) -> ndarray:
        if b.shape != a.shape:
            raise ValueError(
                f"in-place result of shape {b.shape} does not fit the tensor's {a.shape}"
            )
        return b

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        return np.zeros_like(g) if ctx.needs[0] else None, g


def _as_input(t: Any) -> Any:
    """The present value and history of `t`, which an in-place result is about to replace."""
    alias = wrap(t._array.copy())
    alias._node, alias._nr, alias._requires = t.grad_fn, t._nr, t._requires
    return alias

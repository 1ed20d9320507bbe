"""Gradients of what works element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...autograd import Op
from .. import activation as act
from .. import elementwise as ew
from .. import more
from .. import unary as un
from .._promote import Cast, cast
from ..index import MaskedFill, Put
from . import argument, constant, fit, formula, result, rule

LN2, LN10 = math.log(2.0), math.log(10.0)


def masked(g: Any, keep: Any) -> Any:
    """`g` where `keep` (an array) holds, zero elsewhere."""
    return un.where(constant(keep), g, 0.0)


class Gate(Op):
    """g where `open` holds, slope · g elsewhere; `open` came from y, which gets a zero gradient."""

    @staticmethod
    def forward(ctx: Any, g: Any, y: Any, open: Any, slope: float) -> Any:
        ctx.open, ctx.slope, ctx.shape = open, slope, y.shape
        return np.where(open, g, slope * g if slope else g.dtype.type(0))

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        zero = np.zeros(ctx.shape, g.dtype) if ctx.needs[1] else None
        return np.where(ctx.open, g, ctx.slope * g if ctx.slope else g.dtype.type(0)), zero


@rule(Gate)
def _gate(node: Any, g: Any) -> Any:
    zero = constant(np.zeros(node.shape, g._array.dtype)) if node.needs[1] else None
    return gated(g, None, node.open, node.slope), zero


def gated(g: Any, y: Any, open: Any, slope: float = 0.0) -> Any:
    """The gradient through a function of slope 1 where `open` holds, and `slope` elsewhere.

    `y` is the Tensor that decides where, if there is one.
    """
    return Gate.apply(g, constant(np.zeros(())) if y is None else y, open, slope)


# --- two operands ---

#: Gradients of (a, b) before the broadcast is undone.
BINARY: dict[type[Op], tuple[Any, Any]] = {
    ew.Add: (lambda g, a, b: g, lambda g, a, b: g),
    ew.Sub: (lambda g, a, b: g, lambda g, a, b: -g),
    ew.Mul: (lambda g, a, b: g * b, lambda g, a, b: g * a),
    ew.Div: (lambda g, a, b: g / b, lambda g, a, b: -g * (a / b) / b),
    ew.Atan2: (
        lambda g, a, b: g * b / (a * a + b * b),
        lambda g, a, b: -g * a / (a * a + b * b),
    ),
    ew.Remainder: (lambda g, a, b: g, lambda g, a, b: -g * ew.div(a, b, rounding_mode="floor")),
    ew.Fmod: (lambda g, a, b: g, lambda g, a, b: -g * ew.div(a, b, rounding_mode="trunc")),
    ew.FloorDivide: (lambda g, a, b: g * 0, lambda g, a, b: g * 0),
    more.Hypot: (
        lambda g, a, b: g * a / more.hypot(a, b),
        lambda g, a, b: g * b / more.hypot(a, b),
    ),
    more.LogAddExp: (lambda g, a, b: g * un.sigmoid(a - b), lambda g, a, b: g * un.sigmoid(b - a)),
}


def _larger(g: Any, a: Any, b: Any) -> Any:
    x, y = _values(a), _values(b)
    return g * constant(((x > y) + 0.5 * (x == y)).astype(g._array.dtype))


def _values(a: Any) -> Any:
    return getattr(a, "_array", a)


BINARY[ew.Maximum] = (_larger, lambda g, a, b: _larger(g, b, a))
BINARY[ew.Minimum] = (lambda g, a, b: _larger(g, b, a), _larger)


def _pow_a(g: Any, a: Any, b: Any) -> Any:
    if not hasattr(b, "_array"):
        return g * 0 if b == 0 else g * (b * ew.pow(a, b - 1))
    zero = constant(b._array == 0)
    # where the exponent is 0 the derivative is 0, whatever the base
    return un.where(zero, 0.0, g * b * ew.pow(a, un.where(zero, 1.0, b - 1)))


def _pow_b(g: Any, a: Any, b: Any) -> Any:
    if not hasattr(a, "_array"):
        a = constant(np.asarray(a, g._array.dtype))
    zero = constant(np.broadcast_to((a._array == 0) & (_values(b) >= 0), g._array.shape))
    base = un.where(zero, 1.0, a)
    return un.where(zero, 0.0, g * ew.pow(base, b) * un.log(base))


BINARY[ew.Pow] = (_pow_a, _pow_b)


@rule(ew.Binary)
def _binary(node: Any, g: Any) -> Any:
    a, b = node.saved or (None, None)
    (na, nb), (sa, sb) = node.wants, node.shapes
    if type(a) is np.ndarray:
        a = argument(node, 0, a)
    if type(b) is np.ndarray:
        b = argument(node, 0 if sa is None else 1, b)
    da, db = next(BINARY[kind] for kind in type(node).__mro__ if kind in BINARY)
    ga = fit(da(g, a, b), sa) if na else None
    gb = fit(db(g, a, b), sb) if nb else None
    if sa is None:
        return gb
    return ga if sb is None else (ga, gb)


# --- one operand ---

#: Gradients from the argument or the result, whichever the operation saves.
UNARY: dict[type[Op], Any] = {
    un.Neg: lambda g: -g,
    un.Abs: lambda g, x: g * un.sign(x),
    un.Exp: lambda g, y: g * y,
    un.Exp2: lambda g, y: g * y * LN2,
    un.Expm1: lambda g, y: g * (y + 1),
    un.Log: lambda g, x: g / x,
    un.Log2: lambda g, x: g / (x * LN2),
    un.Log10: lambda g, x: g / (x * LN10),
    un.Log1p: lambda g, x: g / (x + 1),
    un.Sqrt: lambda g, y: g / (y + y),
    un.Rsqrt: lambda g, y: g * (y * y * y) * -0.5,
    un.Square: lambda g, x: g * (x + x),
    un.Reciprocal: lambda g, y: -g * y * y,
    un.Sin: lambda g, x: g * un.cos(x),
    un.Cos: lambda g, x: -g * un.sin(x),
    un.Tan: lambda g, y: g * (1 + y * y),
    un.Asin: lambda g, x: g * un.rsqrt(1 - x * x),
    un.Acos: lambda g, x: -g * un.rsqrt(1 - x * x),
    un.Atan: lambda g, x: g / (1 + x * x),
    un.Sinh: lambda g, x: g * un.cosh(x),
    un.Cosh: lambda g, x: g * un.sinh(x),
    un.Tanh: lambda g, y: g * (1 - y * y),
    more.Asinh: lambda g, x: g * un.rsqrt(x * x + 1),
    more.Acosh: lambda g, x: g * un.rsqrt(x * x - 1),
    more.Atanh: lambda g, x: g / (1 - x * x),
    un.Sigmoid: lambda g, y: g * y * (1 - y),
    un.Erf: lambda g, x: g * un.exp(-x * x) * (2 / math.sqrt(math.pi)),
    un.Erfc: lambda g, x: g * un.exp(-x * x) * (-2 / math.sqrt(math.pi)),
    un.Relu: lambda g, y: gated(g, y, y._array > 0),
    un._Step: lambda g: g * 0,
}


@rule(un.Unary)
def _unary(node: Any, g: Any) -> Any:
    function = next(UNARY[kind] for kind in type(node).__mro__ if kind in UNARY)
    if not node.keep:
        return function(g)
    (saved,) = node.saved
    t = argument(node, 0, saved) if node.keep == "x" else result(node, saved)
    return function(g, t)


@rule(Cast)
def _cast(node: Any, g: Any) -> Any:
    return cast(g, node.kind)


@rule(un.Clamp)
def _clamp(node: Any, g: Any) -> Any:
    x, low, high = node.saved
    inside = np.ones(x.shape, bool) if low is None else x >= low
    return gated(g, argument(node, 0, x), inside if high is None else inside & (x <= high))


@rule(un.ClampBetween)
def _clamp_between(node: Any, g: Any) -> Any:
    x, low, high = node.saved
    inside = np.ones(g._array.shape, bool)
    below = above = None
    if low is not None:
        inside, below = inside & (x >= low), x < low
    if high is not None:
        inside, above = inside & (x <= high), x > high
    if below is not None and above is not None:
        below, above = below & (low < high), above | (high < low)
    masks: list[tuple[Any, Any]] = [(inside, x)]
    masks += [(m, b) for m, b in ((below, low), (above, high)) if type(b) is np.ndarray]
    return tuple(
        [
            fit(gated(g, None, np.broadcast_to(mask, g._array.shape)), operand.shape)
            if need
            else None
            for need, (mask, operand) in zip(node.needs, masks, strict=True)
        ]
    )


@rule(un.NanToNum)
def _nan_to_num(node: Any, g: Any) -> Any:
    return masked(g, node.saved[0])


@rule(un.Where)
def _where(node: Any, g: Any) -> Any:
    (condition,) = node.saved
    return tuple(
        [
            fit(masked(g, ~condition if i else condition), shape) if need else None
            for need, i, shape in zip(node.needs, node.which, node.shapes, strict=True)
        ]
    )


@rule(MaskedFill)
def _masked_fill(node: Any, g: Any) -> Any:
    ga = fit(masked(g, ~node.mask), node.shape) if node.needs[0] else None
    if not node.tensor:
        return ga
    return ga, masked(g, node.mask).sum() if node.needs[1] else None


@rule(ew.Copy)
def _copy(node: Any, g: Any) -> Any:
    zero = g * 0 if node.needs[0] else None
    if node.shape is None:
        return zero
    return zero, fit(g, node.shape) if node.needs[1] else None


@rule(ew.Assign)
def _assign(node: Any, g: Any) -> Any:
    return g * 0 if node.needs[0] else None, g


@rule(Put)
def _put(node: Any, g: Any) -> Any:
    mask = np.ones(g._array.shape, bool)
    mask[node.index] = False
    rest = masked(g, mask) if node.needs[0] else None
    if node.value_shape is None:
        return rest
    value = None
    if node.needs[1]:
        part, shape = g[node.index], node.value_shape
        while len(shape) > part._array.ndim:  # leading ones of the value
            shape = shape[1:]
        value = fit(part, shape).reshape(node.value_shape)
    return rest, value


# --- activations ---


@rule(act.LeakyRelu)
def _leaky_relu(node: Any, g: Any) -> Any:
    (saved,) = node.saved
    if node.slope < 0:
        return gated(g, None, saved, node.slope)
    return gated(g, result(node, saved), saved > 0, node.slope)


@rule(act.Hardtanh)
def _hardtanh(node: Any, g: Any) -> Any:
    (y,) = node.saved
    return gated(g, result(node, y), (y > node.low) & (y < node.high))


@rule(act.Threshold)
def _threshold(node: Any, g: Any) -> Any:
    return masked(g, node.saved[0])


@rule(act.Hardsigmoid)
def _hardsigmoid(node: Any, g: Any) -> Any:
    return masked(g / 6, node.saved[0])


@rule(act.Hardswish)
def _hardswish(node: Any, g: Any) -> Any:
    (x,) = node.saved
    t = argument(node, 0, x)
    inner = un.where(constant(x < 3), g * (t / 3 + 0.5), g)
    return masked(inner, ~(x <= -3))


@rule(act.Elu)
def _elu(node: Any, g: Any) -> Any:
    (x,) = node.saved
    slope = un.exp(un.clamp(argument(node, 0, x), max=0) * node.inner)
    slope = slope * (node.alpha * node.scale * node.inner)
    return un.where(constant(x > 0), g * node.scale, g * slope)


FORMULAS: dict[type[Op], Any] = {
    act.Silu: lambda node: lambda x: x * un.sigmoid(x),
    act.Gelu: lambda node: lambda x: x * 0.5 * (1 + un.erf(x * math.sqrt(0.5))),
    act.GeluTanh: lambda node: (
        lambda x: 0.5 * x * (1 + un.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    ),
    act.Mish: lambda node: lambda x: x * un.tanh(-un.log(un.sigmoid(-x))),
    act.LogSigmoid: lambda node: lambda x: un.clamp(x, max=0) - un.log1p(un.exp(-un.abs(x))),
}


@rule(*FORMULAS)
def _by_formula(node: Any, g: Any) -> Any:
    return formula(node, FORMULAS[type(node)](node), (node.saved[0],), g)


@rule(act.Softplus)
def _softplus_rule(node: Any, g: Any) -> Any:
    (x,) = node.saved
    t = argument(node, 0, x)
    above = constant(x * node.beta > node.threshold)
    return un.where(above, g, g * un.sigmoid(t * node.beta))


@rule(act.Prelu)
def _prelu(node: Any, g: Any) -> Any:
    x, slope = node.saved
    positive = x > 0
    gx = gw = None
    if node.needs[0]:
        w = argument(node, 1, slope.reshape(node.shape)).reshape(slope.shape)
        gx = un.where(constant(positive), g, g * w)
    if node.needs[1]:
        part = masked(g * argument(node, 0, x), ~positive)
        gw = fit(part, slope.shape if slope.ndim == x.ndim else (1, *slope.shape))
        gw = gw.reshape(node.shape)
    return gx, gw


@rule(act.Softmax)
def _softmax(node: Any, g: Any) -> Any:
    y = result(node, node.saved[0])
    return y * (g - (g * y).sum(node.axis, keepdim=True))


@rule(act.LogSoftmax)
def _log_softmax(node: Any, g: Any) -> Any:
    y = result(node, node.saved[0])
    return g - un.exp(y) * g.sum(node.axis, keepdim=True)


@rule(act.Dropout)
def _dropout(node: Any, g: Any) -> Any:
    return g * constant(node.saved[0])

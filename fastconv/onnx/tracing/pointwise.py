"""Rules of operations on each element, and of reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .record import Call, Value
from .writer import Writer, rule

_BINARY = {"Add": "Add", "Sub": "Sub", "Mul": "Mul", "Div": "Div", "Pow": "Pow"}
_UNARY = {
    "Neg": "Neg", "Abs": "Abs", "Exp": "Exp", "Log": "Log", "Sqrt": "Sqrt", "Sin": "Sin",
    "Cos": "Cos", "Tan": "Tan", "Asin": "Asin", "Acos": "Acos", "Atan": "Atan", "Sinh": "Sinh",
    "Cosh": "Cosh", "Asinh": "Asinh", "Acosh": "Acosh", "Atanh": "Atanh", "Tanh": "Tanh",
    "Sigmoid": "Sigmoid", "Relu": "Relu", "Erf": "Erf", "Floor": "Floor", "Ceil": "Ceil",
    "Round": "Round", "Sign": "Sign", "Reciprocal": "Reciprocal",
}  # fmt: skip


def operands(w: Writer, call: Call, twin: Call) -> tuple[str, str, Value]:
    """Names of both, one of which may be a number, and the one that is not."""
    a, b = call.args[:2]
    like = a if isinstance(a, Value) else b
    return w.name(a, twin.args[0], like), w.name(b, twin.args[1], like), like


@rule(*_BINARY)
def _binary(w: Writer, call: Call, twin: Call) -> str:
    a, b, _ = operands(w, call, twin)
    return w.node(_BINARY[call.kind], [a, b])  # type: ignore[no-any-return]


@rule("Maximum", "Minimum")
def _extreme(w: Writer, call: Call, twin: Call) -> Any:
    a, b, _ = operands(w, call, twin)
    return w.node("Max" if call.kind == "Maximum" else "Min", [a, b])


@rule("Fmod")
def _fmod(w: Writer, call: Call, twin: Call) -> Any:
    a, b, _ = operands(w, call, twin)
    return w.node("Mod", [a, b], fmod=1)


@rule("FloorDivide", "Remainder")
def _floor_divide(w: Writer, call: Call, twin: Call) -> Any:
    a, b, like = operands(w, call, twin)
    if like.dtype.kind != "f":
        raise w.fail("integers are not written")
    quotient = w.node("Floor", [w.node("Div", [a, b])])
    if call.kind == "FloorDivide":
        return quotient
    return w.node("Sub", [a, w.node("Mul", [quotient, b])])


@rule(*_UNARY)
def _unary(w: Writer, call: Call, twin: Call) -> Any:
    return w.node(_UNARY[call.kind], [first(w, call, twin)])


def first(w: Writer, call: Call, twin: Call) -> str:
    """The name of the first argument."""
    return w.name(call.args[0], twin.args[0])


def scalar(w: Writer, call: Call, value: float) -> str:
    """A number in the type of the first argument."""
    return w.constant(np.asarray(value, call.args[0].dtype))


@rule("Rsqrt")
def _rsqrt(w: Writer, call: Call, twin: Call) -> Any:
    return w.node("Reciprocal", [w.node("Sqrt", [first(w, call, twin)])])


@rule("Square")
def _square(w: Writer, call: Call, twin: Call) -> Any:
    x = first(w, call, twin)
    return w.node("Mul", [x, x])


@rule("Exp2", "Log2", "Log10", "Log1p", "Expm1")
def _based(w: Writer, call: Call, twin: Call) -> Any:
    x, kind = first(w, call, twin), call.kind
    if kind == "Exp2":
        return w.node("Exp", [w.node("Mul", [x, scalar(w, call, math.log(2))])])
    if kind == "Expm1":
        return w.node("Sub", [w.node("Exp", [x]), scalar(w, call, 1)])
    if kind == "Log1p":
        return w.node("Log", [w.node("Add", [x, scalar(w, call, 1)])])
    base = math.log(2 if kind == "Log2" else 10)
    return w.node("Mul", [w.node("Log", [x]), scalar(w, call, 1 / base)])


@rule("Trunc")
def _trunc(w: Writer, call: Call, twin: Call) -> Any:
    x = first(w, call, twin)
    return w.node("Mul", [w.node("Sign", [x]), w.node("Floor", [w.node("Abs", [x])])])


# -- activations -----------------------------------------------------------------------------------


@rule("Clamp", "Hardtanh", "ClampBetween")
def _clip(w: Writer, call: Call, twin: Call) -> Any:
    x, low, high = call.args[:3]
    if any(isinstance(v, Value) and v.shape for v in (low, high)):
        y = first(w, call, twin)
        y = y if low is None else w.node("Max", [y, w.name(low, twin.args[1], x)])
        return y if high is None else w.node("Min", [y, w.name(high, twin.args[2], x)])
    return w.node(
        "Clip",
        [first(w, call, twin), w.name(low, twin.args[1], x), w.name(high, twin.args[2], x)],
    )


@rule("LeakyRelu")
def _leaky(w: Writer, call: Call, twin: Call) -> Any:
    return w.node("LeakyRelu", [first(w, call, twin)], alpha=float(call.args[1]))


@rule("Threshold")
def _threshold(w: Writer, call: Call, twin: Call) -> Any:
    x = first(w, call, twin)
    above = w.node("Greater", [x, scalar(w, call, call.args[1])])
    return w.node("Where", [above, x, scalar(w, call, call.args[2])])


@rule("Elu")
def _elu(w: Writer, call: Call, twin: Call) -> Any:
    x, (alpha, scale, inner) = first(w, call, twin), (*call.args[1:], 1, 1)[:3]
    if inner != 1:
        if scale != 1 or abs(inner * alpha - 1) > 1e-12:
            raise w.fail(f"alpha {alpha}, scale {scale} and inner {inner} are no ONNX operator's")
        return w.node("Celu", [x], alpha=float(alpha))
    if scale != 1:
        return w.node("Selu", [x], alpha=float(alpha), gamma=float(scale))
    return w.node("Elu", [x], alpha=float(alpha))


@rule("Silu")
def _silu(w: Writer, call: Call, twin: Call) -> Any:
    x = first(w, call, twin)
    return w.node("Mul", [x, w.node("Sigmoid", [x])])


@rule("Gelu", "GeluTanh")
def _gelu(w: Writer, call: Call, twin: Call) -> Any:
    x, tanh = first(w, call, twin), call.kind == "GeluTanh"
    if w.opset >= 20:
        return w.node("Gelu", [x], approximate="tanh" if tanh else "none")
    if tanh:
        cube = w.node("Mul", [w.node("Mul", [x, x]), x])
        inner = w.node("Add", [x, w.node("Mul", [cube, scalar(w, call, 0.044715)])])
        share = w.node("Tanh", [w.node("Mul", [inner, scalar(w, call, math.sqrt(2 / math.pi))])])
    else:
        share = w.node("Erf", [w.node("Mul", [x, scalar(w, call, math.sqrt(0.5))])])
    whole = w.node("Mul", [x, w.node("Add", [share, scalar(w, call, 1)])])
    return w.node("Mul", [whole, scalar(w, call, 0.5)])


@rule("Softplus")
def _softplus(w: Writer, call: Call, twin: Call) -> Any:
    x, beta = first(w, call, twin), call.args[1]
    if beta == 1:
        return w.node("Softplus", [x])
    inner = w.node("Softplus", [w.node("Mul", [x, scalar(w, call, beta)])])
    return w.node("Div", [inner, scalar(w, call, beta)])


@rule("Mish")
def _mish(w: Writer, call: Call, twin: Call) -> Any:
    x = first(w, call, twin)
    return w.node("Mul", [x, w.node("Tanh", [w.node("Softplus", [x])])])


@rule("Hardswish")
def _hardswish(w: Writer, call: Call, twin: Call) -> Any:
    return w.node("HardSwish", [first(w, call, twin)])


@rule("Hardsigmoid")
def _hardsigmoid(w: Writer, call: Call, twin: Call) -> Any:
    return w.node("HardSigmoid", [first(w, call, twin)], alpha=1 / 6, beta=0.5)


@rule("LogSigmoid")
def _log_sigmoid(w: Writer, call: Call, twin: Call) -> Any:
    return w.node("Neg", [w.node("Softplus", [w.node("Neg", [first(w, call, twin)])])])


@rule("Prelu")
def _prelu(w: Writer, call: Call, twin: Call) -> Any:
    x, weight = call.args[:2]
    slope = w.name(weight, twin.args[1])
    if len(x.shape) > 2 or weight.array.size == 1:
        rest = [1] * max(0, len(x.shape) - 2)
        shape = [-1, *rest] if weight.array.size > 1 else [1] * len(x.shape)
        slope = w.node("Reshape", [slope, w.ints(*shape)])
    return w.node("PRelu", [first(w, call, twin), slope])


@rule("Softmax", "LogSoftmax")
def _softmax(w: Writer, call: Call, twin: Call) -> Any:
    return w.node(call.kind, [first(w, call, twin)], axis=int(call.args[1]))


@rule("Dropout")
def _dropout(w: Writer, call: Call, twin: Call) -> Any:
    raise w.fail("it drops elements at random; an export is of evaluation: call model.eval()")


# -- choices and types -----------------------------------------------------------------------------


@rule("Where")
def _where(w: Writer, call: Call, twin: Call) -> Any:
    condition, a, b, kind = call.args
    like = next((v for v in (a, b) if isinstance(v, Value)), None)
    if like is None:
        like = Value("constant", None, np.empty(0, kind))
    return w.node(
        "Where",
        [w.name(condition, twin.args[0]), w.name(a, twin.args[1], like),
         w.name(b, twin.args[2], like)],
    )  # fmt: skip


@rule("MaskedFill")
def _masked_fill(w: Writer, call: Call, twin: Call) -> Any:
    a, value, mask = call.args
    return w.node(
        "Where",
        [w.name(mask, twin.args[2]), w.name(value, twin.args[1], a), first(w, call, twin)],
    )


@rule("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "NotEqual", "And", "Or")
def _compare(w: Writer, call: Call, twin: Call) -> Any:
    a, b = call.args[:2]
    if isinstance(b, Value) and a.dtype != b.dtype:
        raise w.fail(f"a comparison of {a.dtype} with {b.dtype}; make them alike first")
    kind, other = call.kind, b
    if not isinstance(b, Value) and a.dtype.kind in "iu" and b != int(b):
        raise w.fail(f"a comparison of {a.dtype} with {b}; make them alike first")
    if kind in ("And", "Or") and a.dtype.kind != "b":
        raise w.fail(f"bits of {a.dtype}: only booleans are written")
    y = w.node(
        "Equal" if kind == "NotEqual" else kind,
        [first(w, call, twin), w.name(other, twin.args[1], a)],
    )
    return w.node("Not", [y]) if kind == "NotEqual" else y


@rule("Not")
def _not(w: Writer, call: Call, twin: Call) -> Any:
    if call.args[0].dtype.kind != "b":
        raise w.fail(f"bits of {call.args[0].dtype}: only booleans are written")
    return w.node("Not", [first(w, call, twin)])


@rule("ArgMax", "ArgMin")
def _arg(w: Writer, call: Call, twin: Call) -> Any:
    *given, named = call.args[1:]
    dim, keep = (*given, None, False)[:2] if given else (None, False)
    dim, keep = named.get("dim", dim), named.get("keepdim", keep)
    if dim is None:
        raise w.fail("without a dim, over all elements, is not written")
    return w.node(call.kind, [first(w, call, twin)], axis=int(dim), keepdims=int(bool(keep)))


@rule("Cast")
def _cast(w: Writer, call: Call, twin: Call) -> Any:
    kind = w.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(call.args[1]))
    return w.node("Cast", [first(w, call, twin)], to=kind)


# -- reductions ------------------------------------------------------------------------------------


def _dims(call: Call, dims: Any) -> tuple[int, ...]:
    return tuple(range(len(call.args[0].shape))) if dims is None else tuple(dims)


@rule("Sum", "Mean", "Prod", "LogSumExp", "Norm2")
def _reduction(w: Writer, call: Call, twin: Call) -> Any:
    kinds = {"Sum": "ReduceSum", "Mean": "ReduceMean", "Prod": "ReduceProd",
             "LogSumExp": "ReduceLogSumExp", "Norm2": "ReduceL2"}  # fmt: skip
    _, dims, keep = call.args[:3]
    kind, x = call.kind, first(w, call, twin)
    if kind == "Mean" and _dims(call, dims) == tuple(range(2, len(call.args[0].shape))) and keep:
        return w.node("GlobalAveragePool", [x])
    return w.reduce(kinds[kind], x, _dims(call, dims), bool(keep))


@rule("Extreme")
def _reduce_extreme(w: Writer, call: Call, twin: Call) -> Any:
    _, f, dims, keep = call.args
    kind = "ReduceMax" if f is np.maximum else "ReduceMin"
    return w.reduce(kind, first(w, call, twin), _dims(call, dims), bool(keep))


@rule("Var")
def _var(w: Writer, call: Call, twin: Call) -> Any:
    x, dims, correction, keep, root = call.args
    sizes, others = ([t.args[0].shape[d] for d in dims] for t in (call, twin))
    name = first(w, call, twin)
    centred = w.node("Sub", [name, w.reduce("ReduceMean", name, dims, True)])
    total = w.reduce("ReduceSum", w.node("Mul", [centred, centred]), dims, bool(keep))
    if sizes == others:
        count = scalar(w, call, max(math.prod(sizes) - correction, 0))
    else:
        rest = w.node(
            "Sub", [w.cast(w.product(sizes, others), x.dtype), scalar(w, call, correction)]
        )
        count = w.node("Squeeze", [w.node("Max", [rest, scalar(w, call, 0)]), w.ints(0)])
    y = w.node("Div", [total, count])
    return w.node("Sqrt", [y]) if root else y


@rule("CumSum")
def _cumsum(w: Writer, call: Call, twin: Call) -> Any:
    return w.node("CumSum", [first(w, call, twin), w.constant(np.asarray(call.args[1], np.int64))])

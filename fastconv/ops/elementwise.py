"""The passes over all elements of large activations: sums, products, the ReLU family.

Each takes arrays of one floating-point type and shape.  Dense arrays go through the kernels as one
run of memory, in whatever order their axes are, and the result lies alike; of a plain and a
channels-last array, the plain one is copied into the other's order first.  Anything else, and
arrays that are over before a kernel is called, is NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import planner
from fastconv.memory import empty, empty_like, is_last
from fastconv.ops.layout import FROM_LAST, TO_LAST, Array, alike
from fastconv.ops.select import keep, select

#: With fewer elements NumPy's sum of two arrays is quicker: it lacks threads, not speed.
SMALL_SUM = 50_000
#: With fewer elements NumPy's ReLU, two passes, is as quick.
SMALL = 4_000

_ORDERS = {2: ((1, 0), (1, 0)), **{n: (TO_LAST[n], FROM_LAST[n]) for n in TO_LAST}}
_FLOATS = "fd"


def _run(
    name: str, a: Array, b: Array | None, out: Array | None, *parameters: float
) -> Array | None:
    """The kernel's result; None for what is NumPy's: small, of other types, in other memory."""
    if a.size < SMALL or a.dtype.char not in _FLOATS or (b is not None and a.dtype != b.dtype):
        return None
    back: Any = None
    if b is not None and a.strides != b.strides:
        if out is None and not b.flags.c_contiguous:
            a = alike(b, a)
        b = alike(a, b)
    flat_b = b
    flat_out = out
    if a.flags.c_contiguous:
        if b is not None and not b.flags.c_contiguous:
            return None
        if out is not None and not out.flags.c_contiguous:
            return None
    else:
        if a.ndim not in _ORDERS:
            return None
        order, back = _ORDERS[a.ndim]
        a = a.transpose(order)
        if not a.flags.c_contiguous:
            return None
        if b is not None:
            flat_b = b.transpose(order)
            if not flat_b.flags.c_contiguous:
                return None
        if out is not None:
            flat_out = out.transpose(order)
            if not flat_out.flags.c_contiguous:
                return None
    if flat_out is None:
        flat_out = empty(a.shape, a.dtype)
    if flat_b is None:
        planner.kernel(name)(a, flat_out, *parameters)
    else:
        planner.kernel(name)(a, flat_b, flat_out, *parameters)
    if out is not None:
        return out
    return flat_out if back is None else flat_out.transpose(back)


def _arithmetic(name: str, ufunc: Any) -> Callable[..., Any]:
    def compute(a: Any, b: Any) -> Any:
        if (
            type(a) is np.ndarray
            and type(b) is np.ndarray
            and a.size >= SMALL_SUM
            and a.shape == b.shape
            and a.dtype == b.dtype
        ):
            out = _run(name, a, b, None)
            if out is not None:
                return out
        return ufunc(a, b)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"numpy.{ufunc.__name__} of arrays or scalars."
    return compute


add = _arithmetic("add", np.add)
sub = _arithmetic("sub", np.subtract)
mul = _arithmetic("mul", np.multiply)


def adds_alike(a: Array | None, b: Array) -> bool:
    """Whether `add` of a dense array, laid out as `a`, and `b` gives an array laid out so.

    None stands for channels-last memory. Otherwise the layout of the sum is that of `b`, or NumPy's
    choice.
    """
    if a is not None and not is_last(a):
        return a.flags.c_contiguous and b.flags.c_contiguous
    if b.transpose((0, *range(2, b.ndim), 1)).flags.c_contiguous:
        return True
    return b.flags.c_contiguous and b.size >= SMALL_SUM


def add_as(a: Array, b: Array) -> Array:
    """``a + b``, laid out as `a`, which is dense in some order of its axes."""
    if a.strides == b.strides or a.shape != b.shape or a.dtype != b.dtype:
        return np.asarray(add(a, b))
    out = empty_like(a) if a.flags.c_contiguous or is_last(a) else np.empty_like(a)
    if a.size < SMALL_SUM or _run("add", a, b, out) is None:
        np.add(a, b, out=out)
    return out


def add_into(a: Array, b: Array) -> Array:
    """``a += b``, where the sum has the type and shape of `a`; otherwise a new array."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.asarray(np.add(a, b))
    if a.size < SMALL_SUM or _run("add", a, b, a) is None:
        np.add(a, b, out=a)
    return a


def relu(x: Array, out: Array | None = None) -> Any:
    """``max(x, 0)``; NaN stays NaN."""
    y = _run("relu", x, None, out)
    if y is not None:
        return y
    zero = _ZEROS.get(x.dtype.char)
    return np.maximum(x, x.dtype.type(0) if zero is None else zero, out=out)


#: Quicker for NumPy to take than scalars.
_ZEROS = {char: np.zeros((), char) for char in _FLOATS}


def relu_backward(g: Array, y: Array, over: bool = False) -> Array:
    """`g` where the output y is not 0 (or is NaN), 0 elsewhere.

    `over`, here and below: the result may be written over `g`, so that no memory is fetched for it.
    """
    out = _run("relu_backward", g, y, g if over else None)
    if out is not None:
        return out
    return keep(g, ~(y <= 0))


def leaky_relu(x: Array, slope: float, out: Array | None = None) -> Array:
    """`x` where positive, ``slope * x`` elsewhere."""
    y = _run("leaky_relu", x, None, out, slope)
    if y is not None:
        return y
    y = select(x > 0, x, x * slope)
    if out is None:
        return y
    out[...] = y
    return out


def leaky_relu_backward(g: Array, y: Array, slope: float, over: bool = False) -> Array:
    """`g` where the output y is positive, ``slope * g`` elsewhere; a slope of at least 0."""
    out = _run("leaky_relu_backward", g, y, g if over else None, slope)
    if out is not None:
        return out
    return select(y > 0, g, g * slope)


def clamp(x: Array, low: float, high: float, out: Array | None = None) -> Array:
    """`x` limited to [low, high]; NaN stays NaN."""
    y = _run("clamp", x, None, out, low, high)
    if y is not None:
        return y
    return np.clip(x, low, high, out=out)


def clamp_backward(g: Array, y: Array, low: float, high: float, over: bool = False) -> Array:
    """`g` where the output y lies inside (low, high), 0 elsewhere."""
    out = _run("clamp_backward", g, y, g if over else None, low, high)
    if out is not None:
        return out
    return keep(g, (y > low) & (y < high))


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, without overflow."""
    y = _run("sigmoid", x, None, None)
    if y is not None:
        return y
    e = np.exp(-np.abs(x))
    return select(np.asarray(x > 0), np.ones_like(e), e) / (1 + e)


def sigmoid_backward(g: Array, y: Array) -> Array:
    """``g y (1 - y)``, from the output y."""
    out = _run("sigmoid_backward", g, y, None)
    if out is not None:
        return out
    return g * (y * (1 - y))


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    y = _run("tanh", x, None, None)
    if y is not None:
        return y
    return np.asarray(np.tanh(x))


def tanh_backward(g: Array, y: Array) -> Array:
    """``g (1 - y²)``, from the output y."""
    out = _run("tanh_backward", g, y, None)
    if out is not None:
        return out
    return g * (1 - y * y)


def silu(x: Array) -> Array:
    """``x / (1 + exp(-x))``."""
    y = _run("silu", x, None, None)
    if y is not None:
        return y
    return x * sigmoid(x)


def silu_backward(g: Array, x: Array) -> Array:
    """``g s (1 + x (1 - s))``, s the sigmoid of the input x."""
    out = _run("silu_backward", g, x, None)
    if out is not None:
        return out
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))

"""What a convolution's result becomes on its way out: residual and activation; and the way back.

The C kernels do it while the result is in cache; in the other backends it is a pass of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import planner
from fastconv.memory import empty
from fastconv.ops import elementwise
from fastconv.ops.layout import FROM_LAST, TO_LAST, Array

#: Slope below zero and upper limit.
ACTIVATIONS = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0), "leaky_relu": (0.01, math.inf)}
NONE = (1.0, math.inf)


def activation_of(name: str, activation: Any) -> tuple[float, float]:
    """Return slope and limit of an activation: None, a name, or ``("leaky_relu", slope)``.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if activation is None:
        return NONE
    if isinstance(activation, tuple) and len(activation) == 2 and activation[0] == "leaky_relu":
        slope = activation[1]
        if isinstance(slope, (int, float)) and not isinstance(slope, bool):
            return float(slope), math.inf
    elif isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    raise ValueError(
        f"{name}(): activation must be None, one of {sorted(ACTIVATIONS)} or "
        f"('leaky_relu', slope), got {activation!r}"
    )


def activate(y: Array, slope: float, limit: float) -> Array:
    """The activation of y as a new array."""
    if slope:
        return elementwise.leaky_relu(y, slope)
    return elementwise.relu(y) if limit == math.inf else elementwise.clamp(y, 0.0, limit)


def backward(g: Array, y: Array, slope: float, limit: float, over: bool = False) -> Array:
    """What the activation with the output y lets through of the gradient g; a slope of at least 0.

    There is either a slope or a limit. `over` g if that is allowed.
    """
    if slope:
        return elementwise.leaky_relu_backward(g, y, slope, over)
    if limit == math.inf:
        return elementwise.relu_backward(g, y, over)
    return elementwise.clamp_backward(g, y, 0.0, limit, over)


def backward_sums(
    g: Array, y: Array, slope: float, limit: float, over: bool = False
) -> tuple[Array, Array] | None:
    """`backward` and its sum over all but the channels, in one pass, `over` g if that is allowed.

    Of arrays (N, C, *spatial) in channels-last memory; None for others.
    """
    g, y = g.transpose(TO_LAST[y.ndim]), y.transpose(TO_LAST[y.ndim])
    if not (g.flags.c_contiguous and y.flags.c_contiguous and y.size and g.dtype == y.dtype):
        return None
    name, parameters = "relu_backward_sums", (0.0, limit)
    if slope:
        name, parameters = "leaky_relu_backward_sums", (slope, 0.0)
    elif limit != math.inf:
        name = "clamp_backward_sums"
    out, sums = g if over else empty(y.shape, y.dtype), np.empty(y.shape[-1], y.dtype)
    rows = (-1, len(sums))
    planner.kernel(name)(g.reshape(rows), y.reshape(rows), out.reshape(rows), sums, *parameters)
    return out.transpose(FROM_LAST[y.ndim]), sums

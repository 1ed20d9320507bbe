"""The exact results of a convolution, from plain loops: C's, or the naive backend's without it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import backends
from fastconv.ops.layout import as_5d
from fastconv.spec import ConvSpec

__all__ = ["reference"]

Array = np.ndarray[Any, np.dtype[Any]]


def reference(
    op: str, spec: ConvSpec, a: Array, b: Array | None = None, bias: Array | None = None
) -> Array:
    """The result of `op` on float64 operands of any strides, with three spatial axes.

    Parameters
    ----------
    op : {'conv_forward', 'conv_backward_input', 'conv_backward_weight', 'conv_backward_bias'}
    spec : ConvSpec
    a, b : ndarray
        The two operands: x and w; the gradient and w; the gradient and x; the gradient alone.
    bias : ndarray, (K,)
        Forward only.
    """
    a = as_5d(a)
    if b is None:
        return a.sum(axis=(0, 2, 3, 4))
    b = as_5d(b)
    shapes = dict(zip("xwy", spec.shapes[5]))
    if op == "conv_forward":
        out = np.zeros(shapes["y"])
        if bias is not None:
            out += bias.reshape(-1, 1, 1, 1)
        x, w, y = a, b, out
    elif op == "conv_backward_input":
        out = np.zeros(shapes["x"])
        x, w, y = out, b, a
    else:
        out = np.zeros(shapes["w"])
        x, w, y = b, out, a
    if 0 in x.shape:
        return out
    if backends.why_not("c") is None:
        backends.load("c").reference_conv(op, spec, x, w, y)
        return out
    naive = backends.load("naive")
    if op == "conv_forward":
        naive.conv_forward(spec, a, b, bias, out)
    else:
        getattr(naive, op)(spec, a, b, out)
    return out

"""Activation functions in the graph.

What is saved is never the input where an operation has an in-place form: that overwrites it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Op
from ..ops import elementwise as ops
from ..ops import softmax as soft
from ..ops.reduce import total
from ..ops.select import keep, select
from .erf import erf

Array = np.ndarray


class LeakyRelu(Op):
    """x where positive, slope · x elsewhere; backward from the output if slope >= 0."""

    overwrites = True
    copies_output = True  # as Hardtanh

    @staticmethod
    def forward(ctx: Any, x: Array, slope: float, inplace: bool = False) -> Array:
        ctx.slope = slope
        if slope < 0:
            ctx.save(x > 0)
            return select(x > 0, x, x * slope)
        y = ops.leaky_relu(x, slope, x if inplace else None)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (kept,) = ctx.saved
        if ctx.slope < 0:
            return select(kept, g, g * ctx.slope)
        return ops.leaky_relu_backward(g, kept, ctx.slope, ctx.owned)


class Hardtanh(Op):
    """x limited to [low, high]; backward from the output."""

    overwrites = True
    copies_output = True  # PyTorch's keeps its input, and lets the output be changed

    @staticmethod
    def forward(ctx: Any, x: Array, low: float, high: float, inplace: bool = False) -> Array:
        y = ops.clamp(x, low, high, x if inplace else None)
        ctx.low, ctx.high = low, high
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (y,) = ctx.saved
        return ops.clamp_backward(g, y, ctx.low, ctx.high, ctx.owned)


class Threshold(Op):
    """x where above the threshold, a constant elsewhere."""

    @staticmethod
    def forward(ctx: Any, x: Array, threshold: float, value: float) -> Array:
        above = ~(x <= threshold)  # NaN stays
        ctx.save(above)
        return select(above, x, np.full_like(x, value))

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (above,) = ctx.saved
        return keep(g, above)


class Elu(Op):
    """scale · x where positive, scale · alpha · (exp(x · inner) - 1) elsewhere."""

    copies_output = True  # as Hardtanh

    @staticmethod
    def forward(ctx: Any, x: Array, alpha: float, scale: float = 1, inner: float = 1) -> Array:
        y = np.expm1(np.minimum(x, 0) * inner)
        y *= alpha * scale
        ctx.alpha, ctx.scale, ctx.inner = alpha, scale, inner
        ctx.save(x)  # from the result, what is far below zero could not be told apart
        return select(x > 0, x * scale, y)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (x,) = ctx.saved
        slope = np.exp(np.minimum(x, 0) * ctx.inner)
        slope *= ctx.alpha * ctx.scale * ctx.inner
        return g * select(x > 0, np.full_like(slope, ctx.scale), slope)


class Silu(Op):
    """x · sigmoid(x)."""

    @staticmethod
    def forward(ctx: Any, x: Array, inplace: bool = False) -> Array:
        ctx.save(x.copy(order="K") if inplace else x)
        return ops.silu(x)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (x,) = ctx.saved
        return ops.silu_backward(g, x)


class Gelu(Op):
    """x · Φ(x), with Φ the normal distribution function, exact."""

    @staticmethod
    def forward(ctx: Any, x: Array) -> Array:
        half = x.dtype.type(0.5)
        share = half * (1 + erf(x * x.dtype.type(math.sqrt(0.5))))
        ctx.save(x, share)
        return x * share

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        x, share = ctx.saved
        density = np.exp(-0.5 * x * x) * x.dtype.type(1 / math.sqrt(2 * math.pi))
        return g * (share + x * density)


class GeluTanh(Op):
    """GELU with Φ approximated through tanh (Hendrycks, Gimpel 2016)."""

    @staticmethod
    def forward(ctx: Any, x: Array) -> Array:
        t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
        ctx.save(x, t)
        return 0.5 * x * (1 + t)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        x, t = ctx.saved
        inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner)


class Softplus(Op):
    """log(1 + exp(beta · x)) / beta; x itself where beta · x is above the threshold."""

    @staticmethod
    def forward(ctx: Any, x: Array, beta: float, threshold: float) -> Array:
        ctx.beta, ctx.threshold = beta, threshold
        ctx.save(x)
        z = x * beta
        smooth = np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0)
        return select(z > threshold, x, smooth / beta)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (x,) = ctx.saved
        z = x * ctx.beta
        return select(z > ctx.threshold, g, g * ops.sigmoid(z))


class Mish(Op):
    """x · tanh(softplus(x))."""

    @staticmethod
    def forward(ctx: Any, x: Array, inplace: bool = False) -> Array:
        t = np.tanh(np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0))
        ctx.save(x.copy(order="K") if inplace else x, t)
        return x * t

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        x, t = ctx.saved
        return g * (t + x * (1 - t * t) * ops.sigmoid(x))


class Hardswish(Op):
    """x · clip(x + 3, 0, 6) / 6."""

    @staticmethod
    def forward(ctx: Any, x: Array, inplace: bool = False) -> Array:
        ctx.save(x.copy(order="K") if inplace else x)
        # 6 · (1 / 6) is exactly 1, so that what is past 3 stays as it is
        return x * (np.clip(x + 3, 0, 6) * x.dtype.type(1 / 6))

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (x,) = ctx.saved
        inner = select(x >= 3, g, g * (x / 3 + 0.5))  # NaN stays
        return keep(inner, ~(x <= -3))


class Hardsigmoid(Op):
    """clip(x + 3, 0, 6) / 6."""

    @staticmethod
    def forward(ctx: Any, x: Array) -> Array:
        ctx.save((x > -3) & (x < 3))
        return np.clip(x + 3, 0, 6) / 6

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (inside,) = ctx.saved
        return keep(g / 6, inside)


class LogSigmoid(Op):
    """-log(1 + exp(-x)) without overflow."""

    @staticmethod
    def forward(ctx: Any, x: Array) -> Array:
        ctx.save(x)
        return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (x,) = ctx.saved
        return g * ops.sigmoid(-x)


class Prelu(Op):
    """x where positive, weight · x elsewhere; weight (1,) or one per channel (axis 1)."""

    @staticmethod
    def forward(ctx: Any, x: Array, weight: Array) -> Array:
        shape = (-1, *([1] * (x.ndim - 2))) if weight.size > 1 else (1,) * x.ndim
        slope = weight.reshape(shape)
        ctx.save(x, slope)
        ctx.shape = weight.shape
        return select(x > 0, x, x * slope)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, slope = ctx.saved
        gx = select(x > 0, g, g * slope) if ctx.needs[0] else None
        gw = None
        if ctx.needs[1]:
            part = g * np.minimum(x, 0)
            axes = tuple(i for i in range(x.ndim) if i != 1 or slope.size == 1)
            gw = np.asarray(total(part, axes)).reshape(ctx.shape)
        return gx, gw


class Softmax(Op):
    """exp(x) / sum of exp(x) along an axis; backward from the output."""

    @staticmethod
    def forward(ctx: Any, x: Array, axis: int) -> Array:
        ctx.axis = axis
        y = soft.softmax(x, axis)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (y,) = ctx.saved
        return soft.softmax_backward(g, y, ctx.axis)


class LogSoftmax(Op):
    """x - log of the sum of exp(x) along an axis; backward from the output."""

    @staticmethod
    def forward(ctx: Any, x: Array, axis: int) -> Array:
        ctx.axis = axis
        y = soft.log_softmax(x, axis)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (y,) = ctx.saved
        return soft.log_softmax_backward(g, y, ctx.axis)


class Dropout(Op):
    """x · mask, where the mask holds 0 or 1 / (1 - p)."""

    @staticmethod
    def forward(ctx: Any, x: Array, mask: Array, inplace: bool = False) -> Array:
        ctx.save(mask)
        return np.multiply(x, mask, out=x) if inplace else ops.mul(x, mask)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (mask,) = ctx.saved
        return ops.mul(g, mask)

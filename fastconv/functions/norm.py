"""Normalisation in the graph, each one node with its derivative by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from ..ops import norm as ops
from ..spec import NormSpec

Array = np.ndarray


class Normalize(Op):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel of x (N, C, *).

    With `stats` = (mean, var) these are constants (evaluation). Without, they are those of what
    shares them (`spec`), and `seen(mean, var)` is called with them. weight and bias (C,) may each
    be None. Backward computes the normalised input anew.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        spec: NormSpec,
        stats: tuple[Array, Array] | None,
        eps: float,
        seen: Any = None,
    ) -> Array:
        ctx.constant = stats is not None
        if stats is None:
            mean, var = ops.statistics(spec, x)
            if seen is not None:
                seen(mean, var)
        else:
            mean, var = (a.astype(np.float64) for a in stats)
        inverse = 1 / np.sqrt(var + eps)
        coef = ops.coefficients(spec, mean, inverse, weight, bias, x.dtype)
        ctx.spec, ctx.mean, ctx.inverse = spec, mean, inverse
        ctx.weighted, ctx.biased = weight is not None, bias is not None
        ctx.save(x, weight)
        return ops.apply(spec, x, coef)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, weight = ctx.saved
        needs = (ctx.needs[0], True in ctx.needs[1:], False)
        gx, gw, gb, _ = ops.backward(
            ctx.spec, g, x, None, ctx.mean, ctx.inverse, weight, ctx.constant, needs
        )
        grads = [gx]
        if ctx.weighted:
            grads.append(gw)
        if ctx.biased:
            grads.append(gb)
        return tuple(grads)


class BatchNorm(Normalize):
    """Statistics of each channel over the batch."""


class GroupNorm(Normalize):
    """Statistics of groups of channels of each image."""


class LayerNorm(Normalize):
    """Statistics of each row, the rows being the channels of one image."""


class LocalResponse(Op):
    """x / (k + alpha · average of x² over `size` neighbouring channels)^beta, as AlexNet."""

    @staticmethod
    def forward(ctx: Any, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
        ctx.size, ctx.alpha, ctx.beta = size, alpha, beta
        base = neighbours(x * x, size, size // 2)
        base *= alpha / size
        base += k
        y = x * base**-beta
        ctx.save(x, base)
        return y

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        x, base = ctx.saved
        power = base**-ctx.beta
        # d y_j / d x_i = power_j · δ_ij - 2 alpha beta / size · x_i · x_j · power_j / base_j
        reach = neighbours(g * x * power / base, ctx.size, (ctx.size - 1) // 2)
        reach *= x
        reach *= -2 * ctx.alpha * ctx.beta / ctx.size
        reach += g * power
        return reach


def neighbours(a: Array, size: int, before: int) -> Array:
    """For each channel the sum of `size` channels, from `before` below it; outside is zero."""
    channels = a.shape[1]
    total = np.zeros_like(a)
    for offset in range(-before, size - before):
        low, high = max(0, -offset), min(channels, channels - offset)
        if low < high:
            total[:, low:high] += a[:, low + offset : high + offset]
    return total

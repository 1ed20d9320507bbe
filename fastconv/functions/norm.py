"""Normalisation in the graph, each one node with its derivative by hand.

Large arrays are worked on in blocks that fit the cache, so that the several passes of the formulas
read them from memory once or twice; sums are added up in float64 over blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from .layout import Channels, channels_last

Array = np.ndarray


def moments(form: Channels, centred: Array) -> tuple[Array, Array, Array]:
    """The batch's mean and biased variance (C,), and what `centred` has been shifted by.

    `centred` receives the array minus a guess at its mean from a sample of it: the sums of that
    and of its square do not cancel, and one pass is enough.
    """
    flat = form.flat
    sample = flat[:: max(1, len(flat) // 64)]
    per_channel = sample.size // form.channels
    shift = form.total(sample) / per_channel
    guess = form.vector(shift)
    first, second = np.zeros(form.channels), np.zeros(form.channels)
    for block, part in form.blocks(flat, centred):
        np.subtract(block, guess, out=part)
        first += form.total(part)
        second += form.total(part * part)
    shift = shift.astype(flat.dtype).astype(np.float64)
    first /= form.count
    return shift + first, np.maximum(second / form.count - first * first, 0), shift


class BatchNorm(Op):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel of x (N, C, *).

    With `stats` = (mean, var) these are constants (evaluation). Without, they are the batch's, and
    `seen(mean, var, count)` is called with them. weight and bias (C,) may each be None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        stats: tuple[Array, Array] | None,
        eps: float,
        seen: Any,
    ) -> Array:
        form = Channels(x, channels_last(x))
        flat = form.flat
        y = np.empty_like(flat)
        if stats is None:
            mean, var, shift = moments(form, y)
            if seen is not None:
                seen(mean, var, form.count)
            source = y
        else:
            mean, var = (a.astype(np.float64) for a in stats)
            shift, source = np.zeros_like(mean), flat
        inverse = 1 / np.sqrt(var + eps)
        scale = inverse if weight is None else inverse * weight
        offset = (shift - mean) * scale
        if bias is not None:
            offset += bias
        factor, offset = form.vector(scale), form.vector(offset)
        for block, part in form.blocks(source, y):
            np.multiply(block, factor, out=part)
            part += offset
        ctx.batch, ctx.mean, ctx.inverse, ctx.last = stats is None, mean, inverse, form.last
        ctx.weighted, ctx.biased = weight is not None, bias is not None
        ctx.save(x, weight)
        return form.back(y)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, weight = ctx.saved
        form = Channels(x, ctx.last)
        flat, upstream = form.flat, form.like(g)
        mean = form.vector(ctx.mean)
        rounded = ctx.mean.astype(x.dtype)
        total, along = np.zeros(form.channels), np.zeros(form.channels)
        for gb, xb in form.blocks(upstream, flat):
            total += form.total(gb)
            part = xb - mean
            part *= gb
            along += form.total(part)
        along -= total * (ctx.mean - rounded)
        grads: list[Array | None] = [None]
        if ctx.needs[0]:
            scale = ctx.inverse if weight is None else ctx.inverse * weight
            gx = np.empty_like(flat)
            factor = form.vector(scale)
            if ctx.batch:
                slope = -scale * ctx.inverse**2 * along / form.count
                level = -scale * total / form.count - slope * (ctx.mean - rounded)
                slope, level = form.vector(slope), form.vector(level)
                for gb, xb, part in form.blocks(upstream, flat, gx):
                    np.subtract(xb, mean, out=part)
                    part *= slope
                    part += level
                    part += gb * factor
            else:
                np.multiply(upstream, factor, out=gx)
            grads[0] = form.back(gx)
        if ctx.weighted:
            grads.append((along * ctx.inverse).astype(x.dtype))
        if ctx.biased:
            grads.append(total.astype(x.dtype))
        return tuple(grads)


class Standardize(Op):
    """(x - mean) / sqrt(var + eps) over the last axis of x (..., L)."""

    @staticmethod
    def forward(ctx: Any, x: Array, eps: float) -> Array:
        y = x - x.mean(axis=-1, keepdims=True, dtype=np.float64).astype(x.dtype)
        var = np.einsum("...i,...i->...", y, y)[..., None] / x.shape[-1]
        ctx.inverse = (1 / np.sqrt(var + eps)).astype(x.dtype)
        y *= ctx.inverse
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (y,) = ctx.saved
        length = y.shape[-1]
        along = np.einsum("...i,...i->...", g, y)[..., None] / length
        gx = g - g.mean(axis=-1, keepdims=True)
        gx -= y * along
        gx *= ctx.inverse
        return gx


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

"""Normalisation in the graph, each one node with its derivative by hand.

Large arrays are worked on in blocks that fit the cache, so that the several passes of the formulas
read them from memory once or twice; sums are added up in float64 over blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import Op
from .layout import by_channel, channels_last, from_channel

Array = np.ndarray
BLOCK = 1 << 15


def blocks(*flats: Array) -> Iterator[tuple[Array, ...]]:
    """The same rows of several arrays of one shape, a cache-sized number at a time."""
    first = flats[0]
    rows = len(first)
    step = max(1, BLOCK // max(1, first.size // max(1, rows)))
    for start in range(0, rows, step):
        yield tuple(a[start : start + step] for a in flats)


def channel_sum(block: Array) -> Array:
    """The sums (C,) of a block (M, C) or (N, C, L)."""
    if block.ndim == 2:
        return block.sum(axis=0)
    return block.sum(axis=2).sum(axis=0)


def moments(flat: Array, vector: tuple[int, ...], centred: Array) -> tuple[Array, Array]:
    """Mean and biased variance (C,) in float64; `centred` receives flat - mean."""
    channels = vector[0]
    count = flat.size // channels
    total = np.zeros(channels)
    for (block,) in blocks(flat):
        total += channel_sum(block)
    mean = total / count
    shift = mean.astype(flat.dtype)
    square, left = np.zeros(channels), np.zeros(channels)
    for block, part in blocks(flat, centred):
        np.subtract(block, shift.reshape(vector), out=part)
        square += channel_sum(part * part)
        left += channel_sum(part)
    # what rounding the mean to the array's type left over
    rest = left / count
    return shift + rest, square / count - rest * rest


class BatchNorm(Op):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel of x (N, C, *).

    With `stats` = (mean, var) these are constants (evaluation). Without, they are the batch's, and
    `seen(mean, var, count)` is called with them. weight and bias (C,) come together or not at all.
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
        ctx.last = x.ndim == 2 or channels_last(x)
        flat, vector = by_channel(x, ctx.last)
        y = np.empty_like(flat)
        if stats is None:
            mean, var = moments(flat, vector, y)
            if seen is not None:
                seen(mean, var, flat.size // vector[0])
        else:
            mean, var = stats
        inverse = 1 / np.sqrt(var.astype(np.float64) + eps)
        scale = inverse if weight is None else inverse * weight
        shift = np.zeros_like(inverse) if bias is None else bias.astype(np.float64)
        factor = scale.astype(x.dtype).reshape(vector)
        if stats is None:  # y holds x - mean, with the mean rounded
            rounded = mean.astype(x.dtype)
            offset = (shift - (mean - rounded) * scale).astype(x.dtype).reshape(vector)
            for (part,) in blocks(y):
                part *= factor
                part += offset
        else:
            offset = (shift - mean * scale).astype(x.dtype).reshape(vector)
            for block, part in blocks(flat, y):
                np.multiply(block, factor, out=part)
                part += offset
        ctx.batch, ctx.mean, ctx.inverse = stats is None, mean, inverse
        ctx.weighted, ctx.biased = weight is not None, bias is not None
        ctx.save(x, weight)
        return from_channel(y, x.shape)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, weight = ctx.saved
        flat, vector = by_channel(x, ctx.last)
        upstream, _ = by_channel(g, ctx.last)
        channels = vector[0]
        count = flat.size // channels
        mean = ctx.mean.astype(x.dtype).reshape(vector)
        total, along = np.zeros(channels), np.zeros(channels)
        for gb, xb in blocks(upstream, flat):
            total += channel_sum(gb)
            part = xb - mean
            part *= gb
            along += channel_sum(part)
        along -= total * (ctx.mean - mean.reshape(-1))
        grads: list[Array | None] = [None]
        if ctx.needs[0]:
            scale = ctx.inverse if weight is None else ctx.inverse * weight
            gx = np.empty_like(flat)
            factor = scale.astype(x.dtype).reshape(vector)
            if ctx.batch:
                slope = -scale * ctx.inverse**2 * along / count
                level = -scale * total / count - slope * (ctx.mean - mean.reshape(-1))
                slope = slope.astype(x.dtype).reshape(vector)
                level = level.astype(x.dtype).reshape(vector)
                for gb, xb, part in blocks(upstream, flat, gx):
                    np.subtract(xb, mean, out=part)
                    part *= slope
                    part += level
                    part += gb * factor
            else:
                np.multiply(upstream, factor, out=gx)
            grads[0] = from_channel(gx, x.shape)
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

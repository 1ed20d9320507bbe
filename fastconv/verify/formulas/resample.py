"""Resizing of images, padding, and the shuffling of pixels."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from fastconv.verify.formulas.conv import Results, table, tuple_of
from fastconv.verify.formulas.pool import adaptive_avg_pool
from fastconv.verify.formulas.tape import V, einsum, gather, permute, reshape

Array = np.ndarray

#: The coefficient of cubic convolution.
CUBIC = Fraction(-3, 4)


def _cubic(t: Fraction) -> Fraction:
    """Keys' kernel at distance t."""
    a, t = CUBIC, abs(t)
    if t <= 1:
        return ((a + 2) * t - (a + 3)) * t * t + 1
    if t < 2:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return Fraction(0)


def _dyadic(f: Fraction) -> bool:
    return f.denominator & (f.denominator - 1) == 0 and f.denominator <= 64


def weights(n: int, m: int, scale: Fraction, mode: str, align: bool) -> V:
    """Return the (m, n) matrix that resizes an axis of n to m.

    Parameters
    ----------
    n, m : int
        Sizes before and after.
    scale : Fraction
        Steps of the input for one of the output where corners are not aligned.
    mode : str
        ``"nearest"``, ``"nearest-exact"``, ``"linear"`` or ``"cubic"``.
    align : bool
        Whether the first and last positions coincide.

    Notes
    -----
    The nearest modes are defined in float32, whatever the elements' type: where the exact place is
    the border of two elements, the rounding of the scale and of the product says which is meant.
    """
    matrix = np.zeros((m, n))
    errors = np.zeros((m, n))
    if align:
        scale = Fraction(n - 1, m - 1) if m > 1 else Fraction(0)
    for i in range(m):
        if mode.startswith("nearest"):
            half = 0.5 if mode == "nearest-exact" else 0.0
            at32 = np.float32(i + half) * np.float32(float(scale))
            matrix[i, min(n - 1, math.floor(at32))] = 1.0
            continue
        at = i * scale if align else (i + Fraction(1, 2)) * scale - Fraction(1, 2)
        if mode == "linear":
            at = min(max(at, Fraction(0)), Fraction(n - 1))
        low = math.floor(at)
        taps = range(low, low + 2) if mode == "linear" else range(low - 1, low + 3)
        if at == low and not _dyadic(scale):  # rounded, it may lie just before
            taps = range(taps.start - 1, taps.stop)
        for tap in taps:
            share = max(1 - abs(at - tap), Fraction(0)) if mode == "linear" else _cubic(at - tap)
            place = min(max(tap, 0), n - 1)
            matrix[i, place] += float(share)
            if not _dyadic(scale):
                # the coordinate is rounded, and the slope of the kernel is at most 2
                errors[i, place] += 4.0 * (abs(float(at)) + 2.0)
            elif mode == "cubic":
                errors[i, place] += 8.0
    return V(matrix, errors)


def interpolate(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """Each spatial axis in turn times its matrix."""
    x = operands["input"]
    ndim = x.a.ndim - 2
    sizes = x.shape[2:]
    mode, align = options.get("mode", "nearest"), bool(options.get("align_corners"))
    factor, wanted = options.get("scale_factor"), options.get("size")
    if wanted is not None:
        outs = tuple_of(wanted, ndim)
        scales = [Fraction(n, m) for n, m in zip(sizes, outs)]
    else:
        factors = [Fraction(str(f)) for f in tuple_of(factor, ndim)]  # as written: 1.6 is 8/5
        outs = tuple(math.floor(n * f) for n, f in zip(sizes, factors))
        scales = [1 / f for f in factors]
        if options.get("recompute_scale_factor"):
            scales = [Fraction(n, m) for n, m in zip(sizes, outs)]
    if mode == "area":
        return adaptive_avg_pool(ndim, operands, {"output_size": outs})
    kind = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    matrices = [weights(n, m, s, kind, align) for n, m, s in zip(sizes, outs, scales)]
    return {"y": _resized(x, matrices)}


def _chain(x: V, matrices: list[V]) -> V:
    """x with each of its last axes multiplied by a matrix, one after the other."""
    for axis, matrix in enumerate(matrices, x.a.ndim - len(matrices)):
        m, n = matrix.shape
        before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        flat = einsum("bna,mn->bma", reshape(x, (before, n, after)), matrix)
        x = reshape(flat, (*x.shape[:axis], m, *x.shape[axis + 1 :]))
    return x


def _resized(x: V, matrices: list[V]) -> V:
    """The same, with an error for any order of the axes: what cancels in one may not in another."""
    a = _chain(V(x.a), [V(m.a) for m in matrices]).a
    sizes = _chain(V(np.abs(x.a), x.e), [V(np.abs(m.a), m.e) for m in matrices])
    back = [V(m.a.T, m.e.T) for m in matrices]
    return V(a, sizes.e, ((x, lambda g: _resized(g, back)),))


def _source(mode: str, n: int, before: int, after: int) -> Array:
    """Return where each position of a padded axis comes from, -1 for nowhere."""
    at = np.arange(-before, n + after)
    if mode == "circular":
        return at % n
    if mode == "replicate":
        return np.clip(at, 0, n - 1)
    if mode == "reflect":
        period = max(1, 2 * (n - 1))
        at = np.abs(at) % period
        return np.where(at < n, at, period - at)
    return np.where((at >= 0) & (at < n), at, -1)


def pad(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """The last axes made wider, or narrower where a width is negative."""
    x, widths = operands["input"], tuple(options["pad"])
    mode, value = options.get("mode", "constant"), options.get("value") or 0.0
    ndim = len(widths) // 2
    lead, sizes = x.shape[: x.a.ndim - ndim], x.shape[x.a.ndim - ndim :]
    pairs = [(widths[2 * i], widths[2 * i + 1]) for i in range(ndim)][::-1]
    columns = [_source(mode, n, *pair)[None, :] for n, pair in zip(sizes, pairs)]
    index = table(columns, sizes)[0]
    y = gather(reshape(x, (*lead, math.prod(sizes))), index, float(value))
    return {"y": reshape(y, (*lead, *[c.shape[1] for c in columns]))}


def pixel_shuffle(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """(..., C r r, H, W) to (..., C, H r, W r)."""
    x, r = operands["input"], options["upscale_factor"]
    *lead, c, h, w = x.shape
    n = math.prod(lead)
    y = permute(reshape(x, (n, c // (r * r), r, r, h, w)), (0, 1, 4, 2, 5, 3))
    return {"y": reshape(y, (*lead, c // (r * r), h * r, w * r))}


def pixel_unshuffle(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """(..., C, H r, W r) to (..., C r r, H, W)."""
    x, r = operands["input"], options["downscale_factor"]
    *lead, c, h, w = x.shape
    n = math.prod(lead)
    y = permute(reshape(x, (n, c, h // r, r, w // r, r)), (0, 1, 3, 5, 2, 4))
    return {"y": reshape(y, (*lead, c * r * r, h // r, w // r))}

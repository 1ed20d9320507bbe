"""Normalisation on ndarrays (N, C, *spatial), forward and backward.

A channel's statistics become coefficients, with which one pass writes the result: in float64, from
means and inverse deviations (sets * C,). Results are laid out as their input.

    y = (x - mean) * inverse * weight + bias = (x - centre) * scale + shift

where `centre` is the mean as a number of the array's type, so that a large mean costs no accuracy.
"""

from __future__ import annotations

from math import inf

import numpy as np

from fastconv import plan
from fastconv.memory import empty_like
from fastconv.ops.layout import Array
from fastconv.spec import NormSpec


def statistics(spec: NormSpec, x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of what shares its statistics: float64 (sets * C,) each."""
    mean, var = np.empty((2, spec.sets * spec.channels))
    if not x.size:
        mean.fill(0)
        var.fill(0)
        return mean, var
    plan.choose("norm_statistics", spec)(spec, x, mean, var)
    if spec.pool > 1:
        m = mean.reshape(-1, spec.pool)
        together = m.mean(1, keepdims=True)
        m -= together
        var = var.reshape(-1, spec.pool)
        var[:] = (var + m * m).mean(1, keepdims=True)
        m[:] = together
    return mean, var.reshape(-1)


def coefficients(
    spec: NormSpec,
    mean: Array,
    inverse: Array,
    weight: Array | None,
    bias: Array | None,
    dtype: np.dtype,
) -> Array:
    """Centre, scale and shift (3, sets * C) of the map from x to y."""
    coef = np.empty((3, mean.size), dtype)
    coef[0] = mean
    scale = inverse if weight is None else inverse * _each(spec, weight)
    coef[1] = scale
    shift = coef[0] - mean
    shift *= scale
    if bias is not None:
        shift += _each(spec, bias)
    coef[2] = shift
    return coef


def _each(spec: NormSpec, a: Array) -> Array:
    """Values of the channels (C,) for every set: (sets * C,)."""
    return a if spec.sets == 1 else np.tile(a, spec.sets)


def apply(
    spec: NormSpec,
    x: Array,
    coef: Array,
    residual: Array | None = None,
    relu: bool = False,
    limit: float = inf,
) -> Array:
    """y = (x - centre) * scale + shift, then + residual, then min(max(y, 0), limit)."""
    y = empty_like(x)
    if x.size:
        plan.choose("norm_apply", spec)(spec, x, coef, residual, relu, y, limit)
    return y


def backward(
    spec: NormSpec,
    g: Array,
    x: Array,
    y: Array | None,
    mean: Array,
    inverse: Array,
    weight: Array | None,
    constant: bool,
    needs: tuple[bool, bool, bool],
    limit: float = inf,
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    """Gradients of x, weight, bias and the residual.

    Parameters
    ----------
    g : ndarray
        Gradient of the result.
    y : ndarray, optional
        The result, where it went through a ReLU.
    constant : bool
        Whether the statistics did not come from x.
    needs : tuple of bool
        Whether the gradients of x, of weight or bias, and of the residual are wanted.
    limit : float
        Where the ReLU was cut off.
    """
    wants_x, wants_affine, wants_residual = needs
    coef = np.zeros((4, mean.size), x.dtype)
    coef[0] = mean
    scale = inverse if weight is None else inverse * _each(spec, weight)
    coef[1] = scale
    total = along = None
    if x.size and (wants_affine or (wants_x and not constant)):
        total, along = np.empty((2, mean.size))
        plan.choose("norm_backward_sums", spec)(spec, g, x, y, coef[0], total, along, limit)
        off = mean - coef[0]
        along -= total * off
        if wants_x and not constant:
            # dx = inverse * (e - mean(e) - xhat * mean(e * xhat)), with e = d * weight,
            # xhat = (x - mean) * inverse and means over what shares its statistics
            level, slope = scale * total, scale * along
            if spec.pool > 1:
                for a in (level, slope):
                    a.reshape(-1, spec.pool)[:] = a.reshape(-1, spec.pool).sum(1, keepdims=True)
            slope *= inverse * inverse / -spec.count
            level /= -spec.count
            level -= slope * off
            coef[2] = slope
            coef[3] = level
    gx = empty_like(x) if wants_x else None
    passed = empty_like(x) if wants_residual and y is not None else None
    if x.size and (wants_x or passed is not None):
        kernel = plan.choose("norm_backward_apply", spec)
        kernel(spec, g, None if constant else x, y, coef, gx, passed, limit)
    weight_grad = bias_grad = None
    if wants_affine:
        if total is None or along is None:
            total, along = np.zeros((2, mean.size))
        along *= inverse
        if spec.sets > 1:
            along = along.reshape(spec.sets, -1).sum(0)
            total = total.reshape(spec.sets, -1).sum(0)
        weight_grad, bias_grad = along.astype(x.dtype), total.astype(x.dtype)
    return gx, weight_grad, bias_grad, g if wants_residual and y is None else passed

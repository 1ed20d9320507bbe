"""Normalisation on ndarrays (N, C, *spatial), forward and backward.

A channel's statistics become coefficients, with which one pass writes the result: in float64, from
means and inverse deviations (sets * C,). Results are laid out as their input.

    y = (x - mean) * inverse * weight + bias = (x - centre) * scale + shift

where `centre` is the mean as a number of the array's type, so that a large mean costs no accuracy.
"""

from __future__ import annotations

from math import inf

import numpy as np

from fastconv import planner
from fastconv.memory import empty, empty_like, laid_out_alike
from fastconv.ops.layout import Array
from fastconv.planner import ready
from fastconv.spec import NormSpec


def statistics(
    spec: NormSpec,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    running: tuple[Array | None, Array | None] = (None, None),
    momentum: float = 0.0,
) -> tuple[Array, Array]:
    """Statistics of x and the coefficients of the map.

    Returns
    -------
    stats : ndarray
        (3, sets * C), float64: mean, biased variance, 1 / sqrt(variance + eps).
    coef : ndarray
        (3, sets * C), of the array's type: centre, scale, shift.
    """
    if x.size:
        call = ready("norm_statistics", spec, x.dtype, x.ndim)
        return call(x, weight, bias, eps, *running, momentum)  # type: ignore[no-any-return]
    size = (3, spec.sets * spec.channels)
    return np.zeros(size), np.zeros(size, x.dtype)


def constants(
    spec: NormSpec,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    dtype: np.dtype,
) -> tuple[Array, Array]:
    """What `statistics` returns, for a mean and variance that are given."""
    stats = np.empty((3, mean.size))
    stats[0], stats[1] = mean, var
    stats[2] = 1 / np.sqrt(stats[1] + eps)
    return stats, coefficients(spec, stats[0], stats[2], weight, bias, dtype)


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
    if not x.size:
        return empty_like(x)
    return ready("norm_apply", spec, x.dtype, x.ndim)(x, coef, residual, relu, None, limit)  # type: ignore[no-any-return]


def backward(
    spec: NormSpec,
    g: Array,
    x: Array,
    y: Array | None,
    relu: bool,
    weight: Array | None,
    stats: Array,
    coef: Array,
    constant: bool,
    needs: tuple[bool, bool, bool],
    limit: float = inf,
    spare: bool = False,
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    """Gradients of x, weight, bias and the residual.

    Parameters
    ----------
    g : ndarray
        Gradient of the result.
    y : ndarray, optional
        The result, where a residual was added and it went through a ReLU.
    relu : bool
        Whether it went through a ReLU.
    stats, coef : ndarray
        As from `statistics`.
    constant : bool
        Whether the statistics did not come from x.
    needs : tuple of bool
        Whether the gradients of x, of weight or bias, and of the residual are wanted.
    limit : float
        Where the ReLU was cut off.
    spare : bool
        Whether g may be overwritten: written where it lies, a gradient needs no memory of its own.
    """
    wants_x, wants_affine, wants_residual = needs
    gx = passed = weight_grad = bias_grad = None
    if wants_residual and not relu:
        passed, spare = g, False
    at = g if spare and laid_out_alike(g, x) else None
    if wants_residual and relu:
        passed, at = empty_like(x) if at is None else at, None
    if wants_x:
        gx = empty_like(x) if at is None else at
    if wants_affine:
        weight_grad, bias_grad = (np.zeros(spec.channels, x.dtype) for _ in range(2))
    if x.size and (wants_x or wants_affine or passed is not g):
        ready("norm_backward", spec, x.dtype, x.ndim)(
            g, x, y, relu, weight, stats, coef, constant, gx, passed if relu else None,
            weight_grad, bias_grad, limit,
        )  # fmt: skip
    return gx, weight_grad, bias_grad, passed


def rows(x: Array, length: int) -> Array:
    """The elements as C-contiguous (rows, length), copied only where they lie otherwise."""
    return np.ascontiguousarray(x).reshape(x.size // length if length else 0, length)


def layer_norm(
    x: Array, length: int, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array]:
    """Layer norm over the last `length` elements of x in C order; weight, bias (length,) or None.

    Returns
    -------
    y, stats : ndarray
        The result, and (2, rows) in float64 what backward needs: mean, 1 / sqrt(variance + eps).
    """
    given = rows(x, length)
    y, stats = empty(given.shape, x.dtype), np.empty((2, given.shape[0]))
    if x.size:
        planner.kernel("layer_norm")(given, weight, bias, eps, y, stats)
    return y.reshape(x.shape), stats


def layer_norm_backward(
    g: Array,
    x: Array,
    length: int,
    weight: Array | None,
    stats: Array,
    needs: tuple[bool, bool, bool],
    spare: bool = False,
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of x, weight and bias, as far as `needs` wants them; `spare`: g may be changed."""
    gy, given = rows(g, length), rows(x, length)
    gx = weight_grad = bias_grad = None
    if needs[0]:
        gx = gy if spare and laid_out_alike(g, x) else empty(gy.shape, gy.dtype)
    if needs[1]:
        weight_grad = np.zeros(length, x.dtype)
    if needs[2]:
        bias_grad = np.zeros(length, x.dtype)
    if x.size and any(needs):
        planner.kernel("layer_norm_backward")(gy, given, weight, stats, gx, weight_grad, bias_grad)
    return None if gx is None else gx.reshape(x.shape), weight_grad, bias_grad

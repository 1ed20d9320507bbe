"""Normalisation by moments of the batch, of groups of channels, and of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.verify.formulas import tape
from fastconv.verify.formulas.conv import Results
from fastconv.verify.formulas.tape import (
    V,
    absolute,
    gather,
    lift,
    mean,
    permute,
    power,
    reshape,
    sqrt,
    total,
    where,
)


def _standard(x: V, axes: tuple[int, ...], eps: float) -> tuple[V, V, V]:
    """Return x with mean 0 and variance 1 over some axes, and the moments."""
    centre = mean(x, axes, keepdims=True)
    away = x - centre
    variance = mean(away * away, axes, keepdims=True)
    return away / sqrt(variance + eps), centre, variance


def _scaled(y: V, operands: dict[str, Any], shape: tuple[int, ...]) -> V:
    if operands.get("weight") is not None:
        y = y * reshape(operands["weight"], shape)
    if operands.get("bias") is not None:
        y = y + reshape(operands["bias"], shape)
    return y


def _channels(x: V) -> tuple[int, ...]:
    return (x.shape[1], *[1] * (x.a.ndim - 2))


def _running(
    operands: dict[str, Any], centre: V, variance: V, terms: int, momentum: float
) -> Results:
    """Running statistics after this batch; the variance is that of the sample."""
    found: Results = {}
    for name, now in (("running_mean", centre), ("running_var", variance)):
        before = operands.get(name)
        if before is not None:
            if name == "running_var":
                now = now * (terms / (terms - 1.0))
            found[name] = (1 - momentum) * before + momentum * now
    return found


def batch_norm(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x, eps = operands["input"], options.get("eps", 1e-5)
    shape = _channels(x)
    if not options.get("training", False):
        centre = reshape(operands["running_mean"], shape)
        away = x - centre
        if tape.rounds():  # folded into a product and a sum, as others do, it loses digits of both
            away.e = away.e + np.abs(x.a) + np.abs(centre.a)
        y = away / sqrt(reshape(operands["running_var"], shape) + eps)
        return {"y": _scaled(y, operands, shape)}
    axes = (0, *range(2, x.a.ndim))
    y, centre, variance = _standard(x, axes, eps)
    flat = (x.shape[1],)
    terms = x.a.size // x.shape[1]
    moved = _running(
        operands,
        reshape(centre, flat),
        reshape(variance, flat),
        terms,
        options.get("momentum", 0.1),
    )
    return {"y": _scaled(y, operands, shape), **moved}


def instance_norm(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x, eps = operands["input"], options.get("eps", 1e-5)
    shape = _channels(x)
    if not options.get("use_input_stats", True):
        return batch_norm(operands, {"eps": eps})
    axes = tuple(range(2, x.a.ndim))
    y, centre, variance = _standard(x, axes, eps)
    flat = (x.shape[0], x.shape[1])
    moved = _running(
        operands,
        mean(reshape(centre, flat), (0,)),
        mean(reshape(variance, flat), (0,)),
        int(np.prod(x.shape[2:])),
        options.get("momentum", 0.1),
    )
    return {"y": _scaled(y, operands, shape), **moved}


def layer_norm(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x = operands["input"]
    shape = tuple(options["normalized_shape"])
    axes = tuple(range(x.a.ndim - len(shape), x.a.ndim))
    y, _, _ = _standard(x, axes, options.get("eps", 1e-5))
    return {"y": _scaled(y, operands, shape)}


def group_norm(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x, groups = operands["input"], options["num_groups"]
    rows = x.a.size // max(1, x.shape[0] * groups)
    y, _, _ = _standard(reshape(x, (x.shape[0], groups, rows)), (2,), options.get("eps", 1e-5))
    return {"y": _scaled(reshape(y, x.shape), operands, _channels(x))}


def local_response_norm(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """x / (k + alpha * mean of the squares of ``size`` neighbouring channels)^beta."""
    x, size = operands["input"], options["size"]
    alpha, beta = options.get("alpha", 1e-4), options.get("beta", 0.75)
    k = options.get("k", 1.0)
    channels = x.shape[1]
    order = (0, *range(2, x.a.ndim), 1)
    back = tuple(int(i) for i in np.argsort(order))
    last = permute(x, order)
    index = np.arange(channels)[None, :] - size // 2 + np.arange(size)[:, None]
    index = np.where((index >= 0) & (index < channels), index, -1)
    squares = total(gather(last * last, index), (-2,)) / float(size)
    y = last * power(k + alpha * squares, -beta)
    return {"y": permute(y, back)}


def normalize(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """x over its norm along an axis, or over ``eps`` if that is larger."""
    x, p = operands["input"], float(options.get("p", 2.0))
    axis, eps = options.get("dim", 1), options.get("eps", 1e-12)
    if p == 2.0:
        norm = sqrt(total(x * x, (axis,), keepdims=True))
    else:
        norm = power(total(power(absolute(x), p), (axis,), keepdims=True), 1.0 / p)
    return {"y": lift(x) / where(norm.a > eps, norm, eps)}

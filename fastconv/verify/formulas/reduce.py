"""Reductions over axes, and softmax along one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.verify.formulas.conv import Results
from fastconv.verify.formulas.tape import (
    V,
    absolute,
    einsum,
    exp,
    lift,
    log,
    mean,
    permute,
    pick,
    power,
    reshape,
    sqrt,
    total,
    where,
)

Array = np.ndarray


def _axes(x: V, options: dict[str, Any]) -> tuple[int, ...]:
    dim = options.get("dim")
    if dim is None:
        return tuple(range(x.a.ndim))
    return tuple(d % x.a.ndim for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))


def sum_(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x = operands["input"]
    return {"y": total(x, _axes(x, options), options.get("keepdim", False))}


def mean_(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x = operands["input"]
    return {"y": mean(x, _axes(x, options), options.get("keepdim", False))}


def var(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """The sum of squared distances from the mean over n - correction."""
    x = operands["input"]
    axes = _axes(x, options)
    terms = math.prod(x.shape[axis] for axis in axes)
    away = x - mean(x, axes, keepdims=True)
    squares = total(away * away, axes, options.get("keepdim", False))
    return {"y": squares / lift(float(terms - options.get("correction", 1)))}


def _root(x: V) -> V:
    """The square root, of slope zero at zero."""
    zero = x.a == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, x)))


def std(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    return {"y": _root(var(operands, options)["y"])}


def norm(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """(sum of |x|^p)^(1/p)."""
    x, p = operands["input"], float(options.get("p", 2))
    axes, keep = _axes(x, options), options.get("keepdim", False)
    if p == 1:
        return {"y": total(absolute(x), axes, keep)}
    if p == 2:
        return {"y": _root(total(x * x, axes, keep))}
    return {"y": power(total(power(absolute(x), p), axes, keep), 1.0 / p)}


def _shifted(x: V, axes: tuple[int, ...]) -> tuple[V, Array]:
    """x less its largest value; where that is infinite, x itself."""
    top = np.max(x.a, axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    return x - top, top


def logsumexp(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x = operands["input"]
    axes, keep = _axes(x, options), options.get("keepdim", False)
    away, top = _shifted(x, axes)
    y = log(total(exp(away), axes, True)) + top
    if not keep:
        y = reshape(y, tuple(n for i, n in enumerate(y.shape) if i not in axes))
    return {"y": y}


def softmax(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x = operands["input"]
    axes = (options["dim"] % x.a.ndim,)
    powers = exp(_shifted(x, axes)[0])
    return {"y": powers / total(powers, axes, True)}


def softmin(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    return softmax({"input": -operands["input"]}, options)


def log_softmax(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    x = operands["input"]
    axes = (options["dim"] % x.a.ndim,)
    away = _shifted(x, axes)[0]
    return {"y": away - log(total(exp(away), axes, True))}


def cumsum(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """Sums of everything up to each place: a product with a triangle of ones."""
    x, axis = operands["input"], options["dim"] % operands["input"].a.ndim
    n = x.shape[axis]
    before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    triangle = V(np.tril(np.ones((n, n))))
    y = einsum("bna,mn->bma", reshape(x, (before, n, after)), triangle)
    return {"y": reshape(y, x.shape)}


def amax(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """The largest value; a gradient is shared evenly by equal ones."""
    x = operands["input"]
    axes, keep = _axes(x, options), options.get("keepdim", False)
    top = np.max(x.a, axes, keepdims=True)
    equal = (x.a == top).astype(np.float64)
    share = equal / np.sum(equal, axes, keepdims=True)
    return {"y": total(where(equal > 0, x, 0.0) * share, axes, keep)}


def amin(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    return {"y": -amax({"input": -operands["input"]}, options)["y"]}


def max_(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """The largest value along one axis, the first of equal ones, and where it is."""
    x, axis = operands["input"], options["dim"] % operands["input"].a.ndim
    order = (*[i for i in range(x.a.ndim) if i != axis], axis)
    last = permute(x, order)
    index = np.argmax(last.a, -1)
    return {"y": pick(last, index), "indices": index}

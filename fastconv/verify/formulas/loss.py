"""Losses as their definitions read, with weights, ignored targets and every reduction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.verify.formulas.conv import Results
from fastconv.verify.formulas.reduce import log_softmax
from fastconv.verify.formulas.tape import (
    V,
    absolute,
    exp,
    lift,
    log,
    log1p,
    mean,
    permute,
    pick,
    total,
    where,
)

Array = np.ndarray


def _reduced(losses: V, options: dict[str, Any]) -> Results:
    how = options.get("reduction", "mean")
    if how == "none":
        return {"y": losses}
    axes = tuple(range(losses.a.ndim))
    return {"y": total(losses, axes) if how == "sum" else mean(losses, axes)}


def _classes_last(x: V) -> V:
    """(N, C, ...) to (N, ..., C)."""
    if x.a.ndim == 1:
        return x
    return permute(x, (0, *range(2, x.a.ndim), 1))


def nll_loss(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """Minus the value at the target, times the weight of its class."""
    x = _classes_last(operands["input"])
    return _at_target(x, operands, options, 0.0)


def _at_target(
    x: V, operands: dict[str, Any], options: dict[str, Any], smoothing: float
) -> Results:
    target: Array = operands["target"]
    classes = x.shape[-1]
    kept = target != options.get("ignore_index", -100)
    safe = np.where(kept, target, 0)
    weight: Any = operands.get("weight")
    w = np.ones(classes) if weight is None else weight.a
    shares = np.where(kept, w[safe], 0.0)
    losses = -(pick(x, safe) * shares)
    if smoothing:
        even = -total(x * w, (-1,)) / float(classes)
        losses = (1.0 - smoothing) * losses + smoothing * where(kept, even, 0.0)
    if options.get("reduction", "mean") == "mean":
        return {"y": total(losses, tuple(range(losses.a.ndim))) / lift(np.sum(shares))}
    return _reduced(losses, options)


def cross_entropy(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """Minus the log of the probability of the target: a class, or a probability for each."""
    x = _classes_last(operands["input"])
    logs = log_softmax({"input": x}, {"dim": -1})["y"]
    smoothing = options.get("label_smoothing", 0.0)
    target = operands["target"]
    if not isinstance(target, V):
        return _at_target(logs, operands, options, smoothing)
    share = _classes_last(target) * (1.0 - smoothing) + smoothing / logs.shape[-1]
    if operands.get("weight") is not None:
        share = share * operands["weight"]
    losses = -total(logs * share, (-1,))
    if options.get("reduction", "mean") == "mean":  # over the batch, whatever the weights
        return {"y": total(losses, tuple(range(losses.a.ndim))) / float(losses.a.size)}
    return _reduced(losses, options)


def mse_loss(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    away = operands["input"] - operands["target"]
    return _reduced(away * away, options)


def l1_loss(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    return _reduced(absolute(operands["input"] - operands["target"]), options)


def smooth_l1_loss(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """d^2 / (2 beta) below beta, |d| - beta / 2 beyond."""
    away, beta = operands["input"] - operands["target"], options.get("beta", 1.0)
    size = absolute(away)
    if beta == 0:
        return _reduced(size, options)
    return _reduced(
        where(size.a < beta, 0.5 * away * away / lift(beta), size - 0.5 * beta), options
    )


def huber_loss(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """d^2 / 2 up to delta, delta (|d| - delta / 2) beyond."""
    away, delta = operands["input"] - operands["target"], options.get("delta", 1.0)
    size = absolute(away)
    return _reduced(where(size.a < delta, 0.5 * away * away, delta * (size - 0.5 * delta)), options)


def binary_cross_entropy(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """Minus t log p + (1 - t) log(1 - p), each logarithm at least -100."""
    p, t = operands["input"], operands["target"]

    def bounded(x: V) -> V:
        low = x.a < math.exp(-100)
        return where(low, -100.0, log(where(low, 1.0, x)))

    losses = -(t * bounded(p) + (1.0 - t) * bounded(1.0 - p))
    if operands.get("weight") is not None:
        losses = losses * operands["weight"]
    return _reduced(losses, options)


def softplus(x: V) -> V:
    """log(1 + e^x) without overflow."""
    positive = where(x.a > 0, x, 0.0)
    return positive + log1p(exp(-where(x.a > 0, x, -x)))


def binary_cross_entropy_with_logits(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """The same of a sigmoid's argument; ``pos_weight`` p multiplies the first term.

    (1 - t) x + (1 + (p - 1) t) log(1 + e^-x), which has one logarithm, and loses digits of x.
    """
    x, t = operands["input"], operands["target"]
    first: Any = 1.0
    if operands.get("pos_weight") is not None:
        first = 1.0 + (operands["pos_weight"] - 1.0) * t
    losses = (1.0 - t) * x + first * softplus(-x)
    if operands.get("weight") is not None:
        losses = losses * operands["weight"]
    return _reduced(losses, options)


def kl_div(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """t (log t - x), zero where t is; ``batchmean`` divides the sum by the first axis."""
    x, t = operands["input"], operands["target"]
    if options.get("log_target", False):
        losses = exp(t) * (t - x)
    else:
        zero = t.a <= 0
        losses = where(zero, 0.0, t * (log(where(zero, 1.0, t)) - x))
        losses = where(zero, -(t * x), losses)
    if options.get("reduction") == "batchmean":
        return {"y": total(losses, tuple(range(losses.a.ndim))) / float(losses.shape[0])}
    return _reduced(losses, options)


def poisson_nll_loss(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """e^x - t x, or x - t log(x + eps), with Stirling's term for t > 1 where asked."""
    x, t = operands["input"], operands["target"]
    if options.get("log_input", True):
        losses = exp(x) - t * x
    else:
        losses = x - t * log(x + options.get("eps", 1e-8))
    if options.get("full", False):
        large = t.a > 1
        safe = where(large, t, 2.0)
        losses = losses + where(large, safe * log(safe) - safe + 0.5 * log(2 * math.pi * safe), 0.0)
    return _reduced(losses, options)


def hinge_embedding_loss(operands: dict[str, Any], options: dict[str, Any]) -> Results:
    """x where the target is 1, max(0, margin - x) where it is -1."""
    x, t = operands["input"], operands["target"]
    away = options.get("margin", 1.0) - x
    losses = where(t.a == 1, x, where(away.a > 0, away, 0.0))
    return _reduced(losses, options)

"""Gradients of losses, by the formula of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import _sequence
from .. import loss as ls
from ..activation import Softmax
from ..ctc import CTC
from ..gather import gather
from ..join import cat, stack
from ..reduce import logsumexp
from ..unary import abs as _abs
from ..unary import clamp, exp, log, log1p, where
from . import argument, constant, formula, linear, result, rule


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.mean()


def _soft_minus(x: Any) -> Any:
    """-log sigmoid(x)."""
    return log1p(exp(-_abs(x))) + clamp(-x, min=0)


def _smooth_l1(x: Any, t: Any, beta: float) -> Any:
    d = _abs(x - t)
    small = constant(d._array < beta)
    return where(small, 0.5 * d * d / beta if beta else d * 0, d - 0.5 * beta)


def _huber(x: Any, t: Any, delta: float) -> Any:
    d = _abs(x - t)
    return where(constant(d._array <= delta), 0.5 * d * d, delta * (d - 0.5 * delta))


def _binary(x: Any, t: Any) -> Any:
    high, low = clamp(log(x), min=-100), clamp(log1p(-x), min=-100)
    return (t - 1) * low - t * high


def _binary_logits(x: Any, t: Any, pos: Any) -> Any:
    if pos is None:
        return (1 - t) * x + _soft_minus(x)
    return (1 - t) * x + (1 + (constant(pos) - 1) * t) * _soft_minus(x)


def _kl(x: Any, t: Any, log_target: bool) -> Any:
    if log_target:
        return exp(t) * (t - x)
    zero = constant(t._array == 0)
    return where(zero, 0.0, t * log(where(zero, 1.0, t))) - t * x


POINTWISE: dict[Any, Any] = {
    ls.SquaredError: lambda x, t: (x - t) * (x - t),
    ls.AbsoluteError: lambda x, t: _abs(x - t),
    ls.SmoothL1: _smooth_l1,
    ls.Huber: _huber,
    ls.BinaryCrossEntropy: _binary,
    ls.BinaryCrossEntropyLogits: _binary_logits,
    ls.KlDiv: _kl,
}


@rule(ls.PointwiseLoss)
def _pointwise(node: Any, g: Any) -> Any:
    value = next(POINTWISE[kind] for kind in type(node).__mro__ if kind in POINTWISE)

    def function(x: Any, t: Any) -> Any:
        return _reduced(value(x, t, *node.params), node.reduction)

    return formula(node, function, node.saved, g)


def _chosen(shape: tuple[int, ...], labels: Any, sample: Any) -> Any:
    """A constant (N, C, *) with the weight of each sample at its class."""
    rows = np.zeros((labels.size, shape[1]), sample.dtype)
    rows[np.arange(labels.size), labels] = sample
    return constant(np.ascontiguousarray(ls.scores_like(rows, shape)))


def _each(g: Any, divisor: Any, shape: tuple[int, ...]) -> Any:
    """The gradient of each sample's loss, with an axis of size 1 for the classes."""
    if g._array.ndim == 0:
        g = g.reshape((1,) * len(shape))
        return g if divisor is None else g / float(divisor)
    return g.unsqueeze(1)


def _probabilities(node: Any, p: Any) -> Any:
    """The softmax `p` (N, C, *) of the scores that `node` got, at its place in the graph."""
    soft: Any = Softmax()
    soft.axis, soft.saved, soft.needs = 1, (p,), (True,)
    soft.edges, soft.seq = [node.edges[0]], next(_sequence)
    return result(soft, p)


@rule(ls.CrossEntropy)
def _cross_entropy(node: Any, g: Any) -> Any:
    saved, labels = node.saved
    p = node.columns.result(saved)
    shape, weight, kept = p.shape, node.weight, labels != node.ignore
    safe = np.where(kept, labels, 0)
    sample = (kept if weight is None else np.where(kept, weight[safe], 0)).astype(p.dtype)
    spread = constant(sample.reshape(shape[0], 1, *shape[2:]))
    divisor = node.divisor if node.mean else None
    soft = _probabilities(node, p)
    return _each(g, divisor, shape) * (soft * spread - _chosen(shape, safe, sample))


@rule(ls.SmoothedCrossEntropy)
def _smoothed(node: Any, g: Any) -> Any:
    (saved,) = node.saved
    shape, kept = node.shape, node.kept
    p = np.ascontiguousarray(ls.scores_like(saved, shape))
    classes, share = shape[1], node.smoothing / shape[1]
    each = (shape[0], 1, *shape[2:])
    weight = np.ones(classes, p.dtype) if node.weight is None else node.weight
    main = np.where(kept, node.sample, 0).astype(p.dtype) * (1 - node.smoothing)
    even = np.where(kept, share, 0).astype(p.dtype)
    onto = constant((main + even * weight.sum()).reshape(each).astype(p.dtype))
    less = even.reshape(each) * weight.reshape(1, classes, *(1,) * (len(shape) - 2))
    fixed = constant(less.astype(p.dtype)) + _chosen(shape, node.labels, main)
    return _each(g, node.divisor, shape) * (_probabilities(node, p) * onto - fixed)


@rule(ls.NllLoss)
def _nll(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: _nll_forward(node, t))


def _nll_forward(node: Any, t: Any) -> Any:
    shape = node.shape
    picked = -(t * _chosen(shape, node.labels, np.where(node.kept, node.sample, 0))).sum(1)
    picked = picked.reshape(node.target_shape)
    if node.reduction == "none":
        return picked
    total = picked.sum()
    return total if node.divisor is None else total / float(node.divisor)


@rule(ls.Stirling)
def _stirling(node: Any, g: Any) -> Any:
    (t,) = node.saved
    small = constant(t <= 1)
    safe = where(small, 2.0, argument(node, 0, t))
    return where(small, 0.0, g * (log(safe) + 0.5 / safe))


#: The logarithm of no path: -inf has no gradient.
NEVER = -1e30


@rule(CTC)
def _ctc(node: Any, g: Any) -> Any:
    x = node.saved[0]
    _, inputs, _, _, _, impossible, zero_infinity = node.known
    (by_paths,) = formula(node, lambda t: _ctc_loss(node, t), (x,), g)
    # what PyTorch adds to the gradient of log-probabilities: that of their softmax
    read = (np.arange(len(x))[:, None] < inputs)[:, :, None]
    added = exp(argument(node, 0, x)) * g.reshape(1, -1, 1)
    found = where(constant(read), by_paths + added, 0.0)
    return where(constant(impossible[:, None]), 0.0 if zero_infinity else np.nan, found)


def _ctc_loss(node: Any, x: Any) -> Any:
    """The loss from Tensors, step by step."""
    states, inputs, targets, skip, *_ = node.known
    count, length = states.shape
    kind = x._array.dtype
    y = gather(x, 2, constant(np.broadcast_to(states, (x.shape[0], count, length)).copy()))
    none = constant(np.full((count, 2), NEVER, kind))
    skip = constant(skip)
    alpha = where(constant(np.arange(length) < 2), y[0], NEVER)
    for t in range(1, x.shape[0]):
        before = cat([none, alpha], 1)
        two = where(skip, before[:, :length], NEVER)
        onward = logsumexp(stack([alpha, before[:, 1 : length + 1], two]), 0) + y[t]
        alpha = where(constant((inputs > t)[:, None]), onward, alpha)
    ends = np.arange(length) - 2 * targets[:, None]
    last = (ends == 0) | ((ends == -1) & (targets[:, None] > 0))
    return -logsumexp(where(constant(last), alpha, NEVER), 1)

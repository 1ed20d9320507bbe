"""Steps of optimisers as they are written down, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastconv.verify.formulas.tape import V, lift, sqrt, where

Array = np.ndarray
Steps = Callable[[V, list[Array], dict[str, Any]], Iterator[V]]


def _gradient(p: V, g: Array, options: dict[str, Any]) -> V:
    """The gradient to descend: turned round to maximise, with the decay of the weights."""
    found = lift(-g if options.get("maximize", False) else g)
    decay = options.get("weight_decay", 0.0)
    return found + decay * p if decay else found


def sgd(p: V, grads: list[Array], options: dict[str, Any]) -> Iterator[V]:
    rate, momentum = options["lr"], options.get("momentum", 0.0)
    velocity: V | None = None
    for g in grads:
        d = _gradient(p, g, options)
        if momentum:
            kept = 1.0 - options.get("dampening", 0.0)
            velocity = d if velocity is None else momentum * velocity + kept * d
            d = d + momentum * velocity if options.get("nesterov", False) else velocity
        p = p - rate * d
        yield p


def adam(p: V, grads: list[Array], options: dict[str, Any], apart: bool = False) -> Iterator[V]:
    """Adam; with ``apart`` the decay is not part of the gradient (AdamW)."""
    rate, eps = options.get("lr", 1e-3), options.get("eps", 1e-8)
    first, second = options.get("betas", (0.9, 0.999))
    decay = options.get("weight_decay", 1e-2 if apart else 0.0)
    m, v = lift(np.zeros(p.shape)), lift(np.zeros(p.shape))
    top = lift(np.zeros(p.shape))
    for step, g in enumerate(grads, 1):
        if apart:
            p = (1.0 - rate * decay) * p
            d = _gradient(p, g, {"maximize": options.get("maximize", False)})
        else:
            d = _gradient(p, g, options)
        m = first * m + (1.0 - first) * d
        v = second * v + (1.0 - second) * (d * d)
        used = v
        if options.get("amsgrad", False):
            top = where(v.a > top.a, v, top)
            used = top
        root = sqrt(where(used.a > 0, used, 0.0)) if np.all(used.a > 0) else _root(used)
        root = root / float(np.sqrt(1.0 - second**step)) + eps
        p = p - (rate / (1.0 - first**step)) * m / root
        yield p


def _root(x: V) -> V:
    """The square root, without the slope at zero."""
    safe = where(x.a > 0, x, 1.0)
    return where(x.a > 0, sqrt(safe), 0.0)


def adamw(p: V, grads: list[Array], options: dict[str, Any]) -> Iterator[V]:
    return adam(p, grads, options, apart=True)


def rmsprop(p: V, grads: list[Array], options: dict[str, Any]) -> Iterator[V]:
    rate, alpha = options.get("lr", 1e-2), options.get("alpha", 0.99)
    eps, momentum = options.get("eps", 1e-8), options.get("momentum", 0.0)
    square, average = lift(np.zeros(p.shape)), lift(np.zeros(p.shape))
    velocity = lift(np.zeros(p.shape))
    for g in grads:
        d = _gradient(p, g, options)
        square = alpha * square + (1.0 - alpha) * (d * d)
        used = square
        if options.get("centered", False):
            average = alpha * average + (1.0 - alpha) * d
            used = square - average * average
        change = d / (_root(used) + eps)
        if momentum:
            velocity = momentum * velocity + change
            change = velocity
        p = p - rate * change
        yield p


def adagrad(p: V, grads: list[Array], options: dict[str, Any]) -> Iterator[V]:
    rate, decay = options.get("lr", 1e-2), options.get("lr_decay", 0.0)
    eps = options.get("eps", 1e-10)
    square = lift(np.full(p.shape, options.get("initial_accumulator_value", 0.0)))
    for step, g in enumerate(grads):
        d = _gradient(p, g, options)
        square = square + d * d
        p = p - (rate / (1.0 + step * decay)) * d / (_root(square) + eps)
        yield p


def adadelta(p: V, grads: list[Array], options: dict[str, Any]) -> Iterator[V]:
    rate, rho, eps = options.get("lr", 1.0), options.get("rho", 0.9), options.get("eps", 1e-6)
    square, moved = lift(np.zeros(p.shape)), lift(np.zeros(p.shape))
    for g in grads:
        d = _gradient(p, g, options)
        square = rho * square + (1.0 - rho) * (d * d)
        change = sqrt(moved + eps) / sqrt(square + eps) * d
        moved = rho * moved + (1.0 - rho) * (change * change)
        p = p - rate * change
        yield p


STEPS: dict[str, Steps] = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adamw,
    "RMSprop": rmsprop,
    "Adagrad": adagrad,
    "Adadelta": adadelta,
}

"""Steps of the optimisers, element by element, over lists of arrays that are changed in place."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")


@_quiet
def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    velocities: Sequence[Array],
    first: Sequence[bool],
    rate: float,
    momentum: float,
    gain: float,
    decay: float,
    sign: float,
    nesterov: bool,
) -> None:
    """``d = sign g + decay p; v = momentum v + gain d`` (at first d), and ``p -= rate v``.

    Nesterov: ``p -= rate (d + momentum v)``; without momentum ``p -= rate d``.
    """
    for i, p in enumerate(params):
        for at in np.ndindex(p.shape):
            d = sign * float(grads[i][at])
            if decay:
                d += decay * float(p[at])
            if momentum:
                v = d if first[i] else momentum * float(velocities[i][at]) + gain * d
                velocities[i][at] = v
                d = d + momentum * v if nesterov else v
            p[at] = float(p[at]) - rate * d


@_quiet
def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    means: Sequence[Array],
    squares: Sequence[Array],
    largest: Sequence[Array],
    rates: Sequence[float],
    scales: Sequence[float],
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    shrink: float,
    sign: float,
) -> None:
    """``d = sign g + decay p; m = beta1 m + (1 - beta1) d; s = beta2 s + (1 - beta2) d²``.

    Then ``p = shrink p - rate m / (scale sqrt(s) + eps)``; `largest`, if any, takes the place of s
    as the largest s so far.
    """
    for i, p in enumerate(params):
        for at in np.ndindex(p.shape):
            d = sign * float(grads[i][at])
            if decay:
                d += decay * float(p[at])
            m = beta1 * float(means[i][at]) + (1 - beta1) * d
            s = beta2 * float(squares[i][at]) + (1 - beta2) * (d * d)
            means[i][at], squares[i][at] = m, s
            if largest:
                s = max(s, float(largest[i][at]))
                largest[i][at] = s
            root = scales[i] * sqrt(s) + eps if s >= 0 else float("nan")
            quotient = m / root if root else np.float64(m) / 0.0
            p[at] = shrink * float(p[at]) - rates[i] * quotient

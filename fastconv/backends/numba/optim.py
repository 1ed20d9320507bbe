"""Steps of the optimisers: one pass over each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.layout import flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel

Array = NDArray[Any]


@partial(Kernel, fastmath=False)
def _sgd(p, g, v, first, rate, momentum, gain, decay, sign, nesterov):
    for i in prange(p.size):
        d = sign * g[i]
        if decay != 0:
            d += decay * p[i]
        if momentum != 0:
            speed = d
            if not first:
                speed = momentum * v[i] + gain * d
            v[i] = speed
            if nesterov:
                d += momentum * speed
            else:
                d = speed
        p[i] -= rate * d


@partial(Kernel, fastmath=False)
def _adam(p, g, m, s, most, rate, scale, beta1, beta2, other1, other2, eps, decay, shrink, sign):
    for i in prange(p.size):
        d = sign * g[i]
        if decay != 0:
            d += decay * p[i]
        mean = beta1 * m[i] + other1 * d
        square = beta2 * s[i] + other2 * (d * d)
        m[i] = mean
        s[i] = square
        if most.size:
            square = max(square, most[i])
            most[i] = square
        p[i] = shrink * p[i] - rate * (mean / (scale * np.sqrt(square) + eps))


def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    velocities: Sequence[Array],
    first: Sequence[bool],
    *settings: Any,
) -> None:
    """SGD over C-contiguous arrays; `velocities` is empty without momentum."""
    *numbers, nesterov = settings
    for i, p in enumerate(params):
        values = [p.dtype.type(x) for x in numbers]
        v = velocities[i] if velocities else p
        g = flat_copy_if_needed(grads[i])
        _sgd(p.reshape(-1), g, v.reshape(-1), bool(first[i]), *values, bool(nesterov))


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
    *others: float,
) -> None:
    """Adam over C-contiguous arrays; `largest` is empty without AMSGrad."""
    for i, p in enumerate(params):
        numbers = (rates[i], scales[i], beta1, beta2, 1 - beta1, 1 - beta2, *others)
        most = largest[i].reshape(-1) if largest else np.empty(0, p.dtype)
        g, values = flat_copy_if_needed(grads[i]), [p.dtype.type(x) for x in numbers]
        _adam(p.reshape(-1), g, means[i].reshape(-1), squares[i].reshape(-1), most, *values)

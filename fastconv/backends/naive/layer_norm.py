"""Layer norm as plain loops over the rows of a (rows, length) array."""

from __future__ import annotations

from math import fsum, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_quiet = np.errstate(all="ignore")


def _mean(values: list[float]) -> float:
    """The mean, without rounding errors where it is finite."""
    return (fsum(values) if all(map(isfinite, values)) else sum(values)) / len(values)


@_quiet
def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float, out: Array, stats: Array
) -> None:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` -> out, of each row.

    stats (2, rows): mean and 1 / sqrt(variance + eps).
    """
    rows, length = x.shape
    for r in range(rows):
        values = [float(v) for v in x[r]]
        m = _mean(values)
        variance = _mean([(v - m) ** 2 for v in values])
        stats[:, r] = m, 1 / np.sqrt(variance + eps)
        for j in range(length):
            v = (values[j] - m) * stats[1, r]
            v *= 1 if weight is None else float(weight[j])
            out[r, j] = v + (0 if bias is None else float(bias[j]))


@_quiet
def layer_norm_backward(
    grad_out: Array,
    x: Array,
    weight: Array | None,
    stats: Array,
    out: Array | None,
    grad_weight: Array | None,
    grad_bias: Array | None,
) -> None:
    """With xhat the normalised x and e = grad_out * weight:

    ``grad_weight = sum of grad_out * xhat``, ``grad_bias = sum of grad_out`` over the rows, and
    ``out = (e - mean of e - xhat * mean of e * xhat) * inverse`` with means over the row.
    """
    rows, length = x.shape
    sums = np.zeros((2, length))
    for r in range(rows):
        m, inverse = stats[:, r]
        g, xhat = grad_out[r].astype(float), (x[r].astype(float) - m) * inverse
        sums += g * xhat, g
        e = [g[j] * (1 if weight is None else float(weight[j])) for j in range(length)]
        level, slope = _mean(e), _mean([e[j] * xhat[j] for j in range(length)])
        for j in range(length if out is not None else 0):
            out[r, j] = (e[j] - level - xhat[j] * slope) * inverse  # type: ignore[index]
    if grad_weight is not None:
        grad_weight[:] = sums[0]
    if grad_bias is not None:
        grad_bias[:] = sums[1]

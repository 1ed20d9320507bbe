"""How far a floating-point result may be from the exact one: by type, depth and algorithm.

The roundings of a sum of n products are a random walk of steps up to eps / 2 of the partial sums,
which themselves grow like the root of n: a standard deviation of eps * sqrt(n) / 4.9 of the
root-mean-square result. Allowed are about ten of them, since the largest of many results is looked
at, and those are the large ones. An algorithm that computes with transformed data multiplies that
by its growth factor.

The root-mean-square result is that of the exact results where there are many. Few results can be
small by chance, all of them 0 even, while the products that they are sums of are not, and the
roundings come from those: n products of independent operands have a root-mean-square sum of sqrt(n)
times the operands' root-mean-squares. ``typical`` is that figure, and the larger of the two counts.
Where operands recur (strides of 0) the products add up instead, to n times.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["EXACT", "GROWTH", "allowed", "error_of", "root_mean_square", "typical"]

#: Error of an algorithm relative to that of direct summation.
GROWTH = {
    "direct": 1.0,
    "gemm": 1.0,
    "depthwise": 1.0,
    "grouped": 1.0,
    "flat": 1.0,
    "scatter": 1.0,
    "whole": 1.0,
    "winograd": 8.0,
}

#: Algorithms that are exact on small integers.
EXACT = frozenset(GROWTH) - {"winograd"}


def root_mean_square(a: np.ndarray) -> float:
    """Root of the mean of the squares, in float64; 0 of nothing."""
    return math.sqrt(float(np.mean(np.square(a, dtype=np.float64)))) if a.size else 0.0


def typical(a: np.ndarray, b: np.ndarray, depth: int) -> float:
    """Root-mean-square of sums of `depth` products of the elements of two operands."""
    recur = any(0 in t.strides for t in (a, b))
    return (depth if recur else math.sqrt(depth)) * root_mean_square(a) * root_mean_square(b)


def allowed(
    dtype: Any, depth: int, algorithm: str, expected: np.ndarray, scale: float = 0.0
) -> float:
    """Largest absolute error allowed in a result.

    Parameters
    ----------
    dtype : dtype
        That it was computed in.
    depth : int
        Products summed into an element.
    algorithm : str
        One of ``GROWTH``.
    expected : ndarray
        The exact values.
    scale : float
        Their ``typical`` root-mean-square, which counts where they are smaller themselves.
    """
    scale = max(scale, root_mean_square(expected))
    return GROWTH[algorithm] * float(np.finfo(dtype).eps) * (8.0 + 2.0 * math.sqrt(depth)) * scale


def error_of(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute error; infinite where `actual` is not a number."""
    if not actual.size:
        return 0.0
    error = float(np.max(np.abs(actual.astype(np.float64) - expected)))
    return math.inf if math.isnan(error) else error

"""How far a floating-point result may be from the exact one: by type, depth and algorithm.

The roundings of a sum of n products are a random walk of steps up to eps / 2 of the partial sums,
which themselves grow like the root of n: a standard deviation of eps * sqrt(n) / 4.9 of the
root-mean-square result. Allowed are about ten of them, since the largest of many results is looked
at, and those are the large ones. An algorithm that computes with transformed data multiplies that
by its growth factor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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
    "winograd6": 34.0,  # the transforms enlarge the sums' errors 4.3 times as much (both axes)
}

#: Algorithms that are exact on small integers.
EXACT = frozenset(GROWTH) - {"winograd", "winograd6"}


def allowed(dtype: Any, depth: int, algorithm: str, expected: np.ndarray) -> float:
    """Largest absolute error allowed in a result whose exact value is `expected`."""
    scale = (
        math.sqrt(float(np.mean(np.square(expected, dtype=np.float64)))) if expected.size else 0.0
    )
    return GROWTH[algorithm] * float(np.finfo(dtype).eps) * (8.0 + 2.0 * math.sqrt(depth)) * scale


def assert_close(
    actual: np.ndarray, expected: np.ndarray, dtype: Any, depth: int, algorithm: str, what: str = ""
) -> None:
    """Fail, with the error in units of the allowed one, where `actual` is too far off."""
    assert actual.shape == expected.shape, what
    if not actual.size:
        return
    error = float(np.max(np.abs(actual.astype(np.float64) - expected)))
    limit = allowed(dtype, depth, algorithm, expected)
    assert error <= limit, f"{what}: error {error:.3g} is {error / limit:.3g} times what is allowed"

"""How far a floating-point result may be from the exact one: by type, depth and algorithm.

Rounding errors of a sum of `depth` products behave like a random walk, so the error grows with the root
of the depth, relative to the root-mean-square of the results. An algorithm that computes with transformed
data multiplies that by its growth factor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: Error of an algorithm relative to that of direct summation.
GROWTH = {"direct": 1.0, "gemm": 1.0, "depthwise": 1.0, "winograd": 8.0}

#: Algorithms that are exact on small integers.
EXACT = frozenset(GROWTH) - {"winograd"}


def allowed(dtype: Any, depth: int, algorithm: str, expected: np.ndarray) -> float:
    """Largest absolute error allowed in a result whose exact value is `expected`."""
    scale = math.sqrt(float(np.mean(np.square(expected, dtype=np.float64)))) if expected.size else 0.0
    return GROWTH[algorithm] * float(np.finfo(dtype).eps) * (4.0 + math.sqrt(depth)) * scale


def assert_close(
    actual: np.ndarray, expected: np.ndarray, dtype: Any, depth: int, algorithm: str, what: str = ""
) -> None:
    """Fail, with the error in units of what is allowed, where `actual` is too far from `expected`."""
    assert actual.shape == expected.shape, what
    if not actual.size:
        return
    error = float(np.max(np.abs(actual.astype(np.float64) - expected)))
    limit = allowed(dtype, depth, algorithm, expected)
    assert error <= limit, f"{what}: error {error:.3g} is {error / limit:.3g} times what is allowed"

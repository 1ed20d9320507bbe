"""The error function on arrays, which NumPy does not have."""

from __future__ import annotations

import functools
import math

import numpy as np

LIMIT = 6.0  # erfc(6) = 2e-17: beyond it erf is 1 in float64
DEGREE = 24
TERMS = 13  # 0.25**13 / 13! / 27 = 9e-20


@functools.lru_cache(maxsize=1)
def coefficients() -> np.ndarray:
    """Polynomial P with erfc(x) = t · exp(P(s) - x²), t = 2 / (2 + x), 0 <= x <= LIMIT.

    s maps t to [-1, 1]. Interpolated at Chebyshev points from the C library's scalar erfc.
    """
    from numpy.polynomial import chebyshev

    least = 2 / (2 + LIMIT)

    def exponent(s: np.ndarray) -> np.ndarray:
        t = least + (s + 1) * (1 - least) / 2
        x = 2 / t - 2
        return np.array([math.log(math.erfc(v) / w) + v * v for v, w in zip(x, t, strict=True)])

    return chebyshev.chebinterpolate(exponent, DEGREE)


def erf(x: np.ndarray) -> np.ndarray:
    """erf of each element, to a few units in float64's last place; NaN stays NaN."""
    from numpy.polynomial import chebyshev

    size = np.minimum(np.abs(x, dtype=np.float64), LIMIT)
    t = 2 / (2 + size)
    least = 2 / (2 + LIMIT)
    s = (t - least) * (2 / (1 - least)) - 1
    square = size * size
    result = np.asarray(1 - t * np.exp(chebyshev.chebval(s, coefficients()) - square))
    small = size < 0.5  # 1 - erfc would cancel: the Taylor series instead
    series = np.zeros_like(square)
    for n in reversed(range(TERMS)):
        series = series * square + (-1) ** n / (math.factorial(n) * (2 * n + 1))
    np.copyto(result, 2 / math.sqrt(math.pi) * size * series, where=small)
    return np.asarray(np.copysign(result, x), x.dtype)

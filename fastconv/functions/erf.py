"""The error function on arrays, which NumPy does not have."""

from __future__ import annotations

import functools
import math

import numpy as np

LIMIT = 6.0  # erfc(6) = 2e-17: beyond it erf is 1 in float64
DEGREE = 24
TERMS = 13  # 0.25**13 / 13! / 27 = 9e-20
LAST = 28.0  # erfc(28) is 0 in float64
FAR_TERMS = 30  # of the asymptotic series beyond LIMIT: 59!! / 72**30 = 6e-17


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
        head = x.astype(np.float32).astype(np.float64)  # its square is exact
        grown = np.array([math.erfc(v) for v in x]) * np.exp(head * head)
        return np.log(grown * np.exp((x - head) * (x + head)) / t)

    return chebyshev.chebinterpolate(exponent, DEGREE)


def _near(size: np.ndarray) -> np.ndarray:
    """erfc(x) exp(x²) of 0 <= x <= LIMIT."""
    from numpy.polynomial import chebyshev

    t = 2 / (2 + size)
    least = 2 / (2 + LIMIT)
    s = (t - least) * (2 / (1 - least)) - 1
    return t * np.exp(chebyshev.chebval(s, coefficients()))


def _far(size: np.ndarray) -> np.ndarray:
    """erfc(x) exp(x²) of x >= LIMIT, by the asymptotic series."""
    inverse = 1 / (2 * size * size)
    series = np.ones_like(inverse)
    for n in reversed(range(1, FAR_TERMS)):
        series = 1 - (2 * n - 1) * inverse * series
    return series / (size * math.sqrt(math.pi))


def _series(size: np.ndarray) -> np.ndarray:
    """Erf of 0 <= x < 0.5, where 1 - erfc would cancel, by Taylor's series."""
    square = size * size
    series = np.zeros_like(square)
    for n in reversed(range(TERMS)):
        series = series * square + (-1) ** n / (math.factorial(n) * (2 * n + 1))
    return 2 / math.sqrt(math.pi) * size * series


def erf(x: np.ndarray) -> np.ndarray:
    """erf of each element, to a few units in float64's last place; NaN stays NaN."""
    size = np.minimum(np.abs(x, dtype=np.float64), LIMIT)
    result = np.asarray(1 - _near(size) * np.exp(-size * size))
    np.copyto(result, _series(size), where=size < 0.5)
    return np.asarray(np.copysign(result, x), x.dtype)


def erfc(x: np.ndarray) -> np.ndarray:
    """1 - erf of each element, to a few units in float64's last place, however small it is."""
    size = np.minimum(np.abs(x, dtype=np.float64), LAST)
    result = np.where(size > LIMIT, _far(np.maximum(size, LIMIT)), _near(np.minimum(size, LIMIT)))
    head = size.astype(np.float32).astype(np.float64)  # its square is exact
    result = np.asarray(result * np.exp(-head * head) * np.exp(-(size - head) * (size + head)))
    np.copyto(result, 1 - _series(size), where=size < 0.5)
    return np.asarray(np.where(x < 0, 2 - result, result), x.dtype)

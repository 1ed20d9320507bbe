"""Sums, products and running sums along the middle axis of (outer, length, inner) arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_quiet = np.errstate(all="ignore")


def _sum(values: list[float]) -> float:
    """Without rounding errors where it is finite."""
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def _product(values: list[float]) -> float:
    total = 1.0
    for v in values:
        total *= v
    return total


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _reduction(
    term: Callable[[float, float, float], float],
    join: Callable[[list[float]], float],
    doc: str,
) -> Callable[..., None]:
    @_quiet
    def run(
        x: Array,
        out: Array,
        other: Array | None = None,
        centre: Array | None = None,
        divisor: float = 1.0,
    ) -> None:
        for o, i in np.ndindex(out.shape):
            c = 0.0 if centre is None else float(centre[o, i])
            terms = []
            for k in range(x.shape[1]):
                b = 0.0 if other is None else float(other[o, k, i])
                terms.append(term(float(x[o, k, i]), c, b))
            out[o, i] = np.float64(join(terms)) / divisor

    run.__doc__ = f"{doc}, over `divisor` -> out (outer, inner)."
    return run


sums = _reduction(lambda v, c, b: v, _sum, "The sum of x")
sums_of_squares = _reduction(lambda v, c, b: (v - c) * (v - c), _sum, "The sum of (x - centre)²")
sums_of_products = _reduction(lambda v, c, b: v * b, _sum, "The sum of x * other")
sums_of_exps = _reduction(lambda v, c, b: _exp(v - c), _sum, "The sum of exp(x - centre)")
products = _reduction(lambda v, c, b: v, _product, "The product of x")


def _running(start: float, join: Callable[[float, float], float], doc: str) -> Callable[..., None]:
    @_quiet
    def run(x: Array, out: Array, back: bool = False) -> None:
        rows: Iterable[int] = range(x.shape[1])
        order = list(rows)[::-1] if back else list(rows)
        for o, i in np.ndindex(x.shape[0], x.shape[2]):
            total = start
            for k in order:
                total = join(total, float(x[o, k, i]))
                out[o, k, i] = total

    run.__doc__ = f"{doc} -> out; with `back` from the end on."
    return run


running_sums = _running(0.0, lambda a, b: a + b, "Sums of all elements up to each")
running_products = _running(1.0, lambda a, b: a * b, "Products of all elements up to each")

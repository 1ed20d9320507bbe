"""Sums, products and running sums along the middle axis of (outer, length, inner) arrays.

Terms are taken and added in float64: of blocks of rows side by side, then of the blocks in order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.runtime import Kernel, compiled

Array = NDArray[Any]
SUM, SQUARES, PRODUCTS, EXPS, PRODUCT = range(5)
#: Rows of a block: the terms of a chain.
ROWS = 512
#: Elements of a run of memory that are taken as a row.
LANES = 16


@partial(compiled, fastmath=False)
def _term(kind, v, c, b):
    if kind == SQUARES:
        return (v - c) * (v - c)
    if kind == PRODUCTS:
        return v * b
    if kind == EXPS:
        return np.exp(v - c)
    return v


@Kernel
def _columns(kind, x, other, centre, part):
    """part (outer, blocks, inner): the sums, or products, of blocks of rows of x."""
    outer, blocks, inner = part.shape
    for task in prange(outer * blocks):
        o, block = task // blocks, task % blocks
        sums = part[o, block]
        for k in range(block * ROWS, min(x.shape[1], (block + 1) * ROWS)):
            for i in range(inner):
                b = np.float64(other[o, k, i]) if kind == PRODUCTS else 0.0
                c = centre[o, i] if centre.size else 0.0
                term = _term(kind, np.float64(x[o, k, i]), c, b)
                sums[i] = sums[i] * term if kind == PRODUCT else sums[i] + term


def _blocks(kind: int, x: Array, other: Array | None, centre: Array | None) -> Array:
    """The sums over blocks of rows, (outer, blocks, inner)."""
    outer, length, inner = x.shape
    part = np.full((outer, max(1, -(-length // ROWS)), inner), float(kind == PRODUCT))
    nothing = np.empty((0, 0))
    _columns(kind, x, x if other is None else other, nothing if centre is None else centre, part)
    return part


def _reduction(kind: int, doc: str) -> Callable[..., None]:
    def run(
        x: Array,
        out: Array,
        other: Array | None = None,
        centre: Array | None = None,
        divisor: float = 1.0,
    ) -> None:
        outer, length, inner = x.shape
        join: Any = np.multiply.reduce if kind == PRODUCT else np.add.reduce
        with np.errstate(all="ignore"):
            if inner == 1 and length >= 4 * LANES:  # a run as rows of several elements
                full = length // LANES * LANES
                shape = outer, full // LANES, LANES
                head, tail = x[:, :full].reshape(shape), x[:, full:]
                others: tuple[Any, Any] = (None, None)
                if other is not None:
                    others = other[:, :full].reshape(shape), other[:, full:]
                wide = None if centre is None else np.repeat(centre, LANES, axis=1)
                parts = [
                    join(_blocks(kind, head, others[0], wide), axis=1),
                    join(_blocks(kind, tail, others[1], centre), axis=1),
                ]
                total = join(np.concatenate(parts, axis=1), axis=1, keepdims=True)
            else:
                total = join(_blocks(kind, x, other, centre), axis=1)
            out[...] = total / divisor

    run.__doc__ = f"{doc}, over `divisor` -> out (outer, inner)."
    return run


sums = _reduction(SUM, "The sum of x")
sums_of_squares = _reduction(SQUARES, "The sum of (x - centre)²")
sums_of_products = _reduction(PRODUCTS, "The sum of x * other")
sums_of_exps = _reduction(EXPS, "The sum of exp(x - centre)")
products = _reduction(PRODUCT, "The product of x")


@Kernel
def _run(product, x, out, back):
    outer, length, inner = x.shape
    for o in prange(outer):
        sums = np.full(inner, float(product))
        for k in range(length):
            row = length - 1 - k if back else k
            for i in range(inner):
                v = np.float64(x[o, row, i])
                sums[i] = sums[i] * v if product else sums[i] + v
                out[o, row, i] = sums[i]


def running_sums(x: Array, out: Array, back: bool = False) -> None:
    """Sums of all elements up to each -> out; with `back` from the end on."""
    _run(0, x, out, back)


def running_products(x: Array, out: Array, back: bool = False) -> None:
    """Products of all elements up to each -> out; with `back` from the end on."""
    _run(1, x, out, back)

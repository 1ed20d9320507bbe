"""Numba scalar: the loops of rung 1, compiled.

The types are known, so a product is a few machine instructions instead of a dozen trips through
the interpreter. Rounding must be that of the loop as written, so each addition waits for the one
before.
"""

import numba
import numpy as np


# [page
@numba.njit(cache=True)
def loops(C, K, H, W, x, w, y):
    """Rung 1, its sum in float32."""
    for k in range(K):
        for i in range(H):
            for j in range(W):
                total = np.float32(0)
                for c in range(C):
                    for r in range(3):
                        for s in range(3):
                            total += x[c, i + r, j + s] * w[k, c, r, s]
                y[k, i, j] = total


def conv(layer, x, w, y, threads):
    """Compile at the first call."""
    loops(*layer, x, w, y)


# page]
def traffic(layer):
    """An operand and a weight per product."""
    return 8 * layer.products


def limits(layer, machine):
    """A chain of additions, 3 cycles each on this kind of core."""
    return {"latency of additions": 3 * layer.products / machine.clock}

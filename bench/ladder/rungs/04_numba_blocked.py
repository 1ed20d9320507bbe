"""Numba parallel and blocked: four output channels share what they read, rows go to the threads.

The innermost loop runs along neighbouring outputs, so LLVM makes vectors of it; a load of x serves
four products. The rows of outputs are independent: prange hands them to the threads.
"""

import numba
import numpy as np

THREADED = True


# [page
@numba.njit(parallel=True, fastmath={"contract"}, cache=True)
def blocked(C, K, H, W, x, w, y):
    """Rows of four output channels at a time."""
    for i in numba.prange(H):
        sums = np.empty((4, W), np.float32)
        for k in range(0, K, 4):
            k1, k2, k3 = min(k + 1, K - 1), min(k + 2, K - 1), min(k + 3, K - 1)
            sums[:] = 0
            for c in range(C):
                for r in range(3):
                    for s in range(3):
                        row = x[c, i + r, s : s + W]
                        w0, w1 = w[k, c, r, s], w[k1, c, r, s]
                        w2, w3 = w[k2, c, r, s], w[k3, c, r, s]
                        for j in range(W):
                            sums[0, j] += w0 * row[j]
                            sums[1, j] += w1 * row[j]
                            sums[2, j] += w2 * row[j]
                            sums[3, j] += w3 * row[j]
            for m in range(min(4, K - k)):
                y[k + m, i] = sums[m]


def conv(layer, x, w, y, threads):
    """Run on so many threads."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    blocked(*layer, x, w, y)


# page]
def traffic(layer):
    """For four products: one load of x, four loads and stores of sums."""
    return (4 + 4 * 8) / 4 * layer.products


def limits(layer, machine):
    """What the core can read of it in a second."""
    return {
        "FMA peak": layer.flops / machine.peak,
        "loads and stores": traffic(layer) / machine.l1,
    }

"""Naive Python: six loops, one product at a time.

The definition: an output is the sum, over all input channels and the 3×3 window above it, of input
times weight. Everything else on the ladder must give the same numbers.
"""


# [page
def conv(layer, x, w, y, threads):
    """y[k][i][j] = sum over c, r, s of x[c][i + r][j + s] * w[k][c][r][s]."""
    C, K, H, W = layer
    x, w = x.tolist(), w.tolist()
    for k in range(K):
        for i in range(H):
            for j in range(W):
                total = 0.0
                for c in range(C):
                    for r in range(3):
                        for s in range(3):
                            total += x[c][i + r][j + s] * w[k][c][r][s]
                y[k, i, j] = total


# page]
def traffic(layer):
    """An operand and a weight per product."""
    return 8 * layer.products


def limits(layer, machine):
    """A product is about 12 steps of the interpreter, a step some 20 cycles."""
    return {"the interpreter": layer.products * 12 * 20 / machine.clock}

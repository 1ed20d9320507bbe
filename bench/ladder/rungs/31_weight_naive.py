"""Backward weight, as defined: a weight's gradient is a sum over all outputs that used it."""

DIRECTION = "backward weight"


# [page
def conv(layer, g, x, dw, threads):
    """dw[k][c][r][s] = sum over i, j of g[k][i][j] * x[c][i + r][j + s]."""
    C, K, H, W = layer
    g, x = g.tolist(), x.tolist()
    for k in range(K):
        for c in range(C):
            for r in range(3):
                for s in range(3):
                    total = 0.0
                    for i in range(H):
                        for j in range(W):
                            total += g[k][i][j] * x[c][i + r][j + s]
                    dw[k, c, r, s] = total


# page]
def limits(layer, machine):
    """As rung 1: about 12 steps of the interpreter for a product, of 20 cycles each."""
    return {"the interpreter": layer.products * 12 * 20 / machine.clock}

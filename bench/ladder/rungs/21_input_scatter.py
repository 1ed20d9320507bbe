"""Backward input, as defined: every gradient goes back to the inputs that its output read."""

DIRECTION = "backward input"


# [page
def conv(layer, g, w, dx, threads):
    """dx[c][i + r][j + s] += g[k][i][j] * w[k][c][r][s]."""
    C, K, H, W = layer
    g, w = g.tolist(), w.tolist()
    sums = [[[0.0] * (W + 2) for _ in range(H + 2)] for _ in range(C)]
    for k in range(K):
        for i in range(H):
            for j in range(W):
                for c in range(C):
                    for r in range(3):
                        for s in range(3):
                            sums[c][i + r][j + s] += g[k][i][j] * w[k][c][r][s]
    dx[:] = sums


# page]
def limits(layer, machine):
    """As rung 1: about 12 steps of the interpreter for a product, of 20 cycles each."""
    return {"the interpreter": layer.products * 12 * 20 / machine.clock}

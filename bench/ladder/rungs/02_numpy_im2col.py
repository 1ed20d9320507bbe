"""NumPy im2col: the convolution becomes one product of matrices, and a BLAS computes it.

Every output's 9C inputs are copied into a column of a matrix (9C × HW); the weights are a matrix
(K × 9C) as they lie. The product is someone else's kernel: the rungs from 5 on rebuild it.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


# [page
def conv(layer, x, w, y, threads):
    """y (K, HW) = w (K, 9C) @ columns (9C, HW)."""
    C, K, H, W = layer
    windows = sliding_window_view(x, (3, 3), axis=(1, 2))  # (C, H, W, 3, 3), nothing copied
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(9 * C, H * W)  # here it is
    np.matmul(w.reshape(K, 9 * C), columns, out=y.reshape(K, H * W))


# page]
def traffic(layer):
    """Columns written and read; inside the product a BLAS has a tile like rung 8's."""
    return 8 * 9 * layer.C * layer.H * layer.W + 4 * layer.products / 14


def limits(layer, machine):
    """A BLAS near the peak, and the columns through memory."""
    columns = 4 * 9 * layer.C * layer.H * layer.W
    return {
        "FMA peak": layer.flops / machine.peak,
        "writing the columns": 2 * columns / machine.memory,
    }

"""Backward input by Winograd: being a convolution, it runs on rung 13 as it is."""

import numpy as np

from bench.ladder.rung import RUNGS, Layer, load

DIRECTION = "backward input"
LAYOUT = "channels-last"
EXACT = False
THREADED = True
FORWARD = load(RUNGS / "13_fused_winograd.py")


# [page
def conv(layer, g, w, dx, threads):
    """dx = the convolution of g, two rows and columns of zeros around it, with w turned."""
    C, K, H, W = layer
    padded = np.pad(g, ((2, 2), (2, 2), (0, 0)))
    turned = np.ascontiguousarray(w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))  # (C, K, 3, 3)
    FORWARD.conv(Layer(K, C, H + 2, W + 2), padded, turned, dx, threads)


# page]


def limits(layer, machine):
    """Those of the forward rung, for the turned layer."""
    C, K, H, W = layer
    return FORWARD.limits(Layer(K, C, H + 2, W + 2), machine)

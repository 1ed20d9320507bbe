"""Backward weight is a GEMM over the pixels: nine of them, one for each tap.

dw[:, :, r, s] (K × C) = g (K × HW) · x shifted by (r, s) (HW × C). With the channels side by side,
both operands are read as they lie: a step of the depth is one pixel, 6 channels of g times 64 of x.
"""

from bench.ladder.rung import kernel

DIRECTION = "backward weight"
LAYOUT = "channels-last"
THREADED = True
conv = kernel(__file__)

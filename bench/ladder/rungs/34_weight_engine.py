"""Backward weight, the engine's kernel."""

import fastconv
from bench.ladder.rung import RUNGS, load
from fastconv import planner
from fastconv.spec import conv_spec

DIRECTION = "backward weight"
LAYOUT = "channels-last"
EXACT = False
THREADED = True


# [page
def conv(layer, g, x, dw, threads):
    """What ``fastconv.ops.conv_backward_weight`` calls, writing into dw."""
    C, K, H, W = layer
    spec = conv_spec((1, C, H + 2, W + 2), (K, C, 3, 3))
    fastconv.set_num_threads(threads)
    kernel = planner.choose("conv_backward_weight", spec, g.dtype)
    g, x = (image.transpose(2, 0, 1)[None, :, None] for image in (g, x))
    kernel(spec, g, x, dw[:, :, None])


# page]
def limits(layer, machine):
    """As rung 33."""
    return load(RUNGS / "33_weight_winograd.py").limits(layer, machine)

"""Backward input, the engine's kernel."""

import fastconv
from bench.ladder.rung import RUNGS, load
from fastconv import planner
from fastconv.spec import conv_spec

DIRECTION = "backward input"
LAYOUT = "channels-last"
EXACT = False
THREADED = True


# [page
def conv(layer, g, w, dx, threads):
    """What ``fastconv.ops.conv_backward_input`` calls, writing into dx."""
    C, K, H, W = layer
    spec = conv_spec((1, C, H + 2, W + 2), (K, C, 3, 3))
    fastconv.set_num_threads(threads)
    kernel = planner.choose("conv_backward_input", spec, g.dtype)
    g, dx = (image.transpose(2, 0, 1)[None, :, None] for image in (g, dx))
    kernel(spec, g, w[:, :, None], dx)


# page]
def limits(layer, machine):
    """As rung 23."""
    return load(RUNGS / "23_input_winograd.py").limits(layer, machine)

"""The engine: the kernel that fastconv itself runs for this layer.

Rung 13's algorithm at points chosen for a smaller rounding error; tails, borders, strides,
dilations and both types come with it, and one of three instruction sets.
"""

import fastconv
from bench.ladder.rung import RUNGS, load
from fastconv import planner
from fastconv.spec import conv_spec

LAYOUT = "channels-last"
EXACT = False
THREADED = True


# [page
def conv(layer, x, w, y, threads):
    """What ``fastconv.ops.conv_forward`` calls, writing into y."""
    C, K, H, W = layer
    spec = conv_spec((1, C, H + 2, W + 2), (K, C, 3, 3))
    fastconv.set_num_threads(threads)
    kernel = planner.choose("conv_forward", spec, x.dtype)
    kernel(spec, nchw(x), w[:, :, None], None, nchw(y))


def nchw(image):
    """(H, W, C) as (1, C, 1, H, W): another shape for the same memory."""
    return image.transpose(2, 0, 1)[None, :, None]


# page]
def traffic(layer):
    """As rung 13."""
    return load(RUNGS / "13_fused_winograd.py").traffic(layer)


def limits(layer, machine):
    """As rung 13."""
    return load(RUNGS / "13_fused_winograd.py").limits(layer, machine)

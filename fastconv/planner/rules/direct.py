"""The image read as it lies."""

from __future__ import annotations

import math

from fastconv.planner.rules.base import Rule, Spec
from fastconv.spec import ConvSpec

# Thresholds: one thread, AVX-512.

#: Reading the image as it lies pays where lines are long, a panel of weights stays in L2, and few
#: columns share what would be packed: 64 columns of a 7x7 stem run at 1.15 of the GEMM's speed, 32
#: of a 3x3 one at 1.4, 128 at 1.1.
DIRECT_LINE = 8
DIRECT_DEPTH = 1600
DIRECT_COLUMNS = 256


def direct_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.kernel[2] > 1 and spec.groups > 1:
        return f"{spec.groups} groups: a pixel holds other channels too"
    if spec.kernel[2] > 1 and spec.dilation[2] > 1:
        return f"dilation {spec.dilation[2]} along W: taps are not neighbours"
    return None


def direct_slow(direction: str) -> Rule:
    def avoid(spec: Spec) -> str | None:
        if not isinstance(spec, ConvSpec):
            return None
        if spec.kernel == (1, 1, 1):
            return "kernel 1: the GEMM reads the input as it lies too"
        channels, columns, line = spec.in_channels, spec.out_channels, spec.out_size[2]
        if direction == "conv_backward_input":
            channels, columns = columns, channels
            line = spec.in_size[2] // spec.stride[2]
        if line < DIRECT_LINE:
            return f"lines of {line} positions, worth it from {DIRECT_LINE} on"
        if channels * math.prod(spec.kernel) > DIRECT_DEPTH:
            return f"depth {channels * math.prod(spec.kernel)}, worth it to {DIRECT_DEPTH}"
        if columns > DIRECT_COLUMNS:
            return f"{columns} columns share what is packed, worth it to {DIRECT_COLUMNS}"
        return None

    return avoid

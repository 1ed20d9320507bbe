"""Gradients of images of few channels, scattered line by line."""

from __future__ import annotations

from fastconv.planner.rules.base import Spec
from fastconv.spec import ConvSpec

# Thresholds: one thread, AVX-512.

#: Backward input with 3 channels is at 3 to 8 of the GEMM's speed in the scattered form, with
#: LeNet's 6 at 3.5.
SCATTER_CHANNELS = 8
#: A scattered line's copy holds its padding too: this much, or four times the line, is fine.
SCATTER_REACH = 1024


def scatter_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    reach = (spec.out_size[2] - 1) * spec.stride[2] + (spec.kernel[2] - 1) * spec.dilation[2] + 1
    if reach > 4 * spec.in_size[2] + SCATTER_REACH:
        return f"lines of {reach} positions with their padding, for {spec.in_size[2]} that count"
    return None


def scatter_slow(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return None
    channels = spec.in_channels // spec.groups
    if channels > SCATTER_CHANNELS:
        return f"{channels} input channels per group, worth it to {SCATTER_CHANNELS}"
    if spec.groups > 1 or spec.kernel == (1, 1, 1):
        return "several groups or kernel 1: nothing to put side by side"
    return None

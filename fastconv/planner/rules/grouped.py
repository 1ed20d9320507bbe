"""Depthwise convolutions, and those of few channels per group."""

from __future__ import annotations

from fastconv.planner.rules.base import Rule, Spec
from fastconv.planner.rules.winograd import winograd_only, winograd_slow
from fastconv.spec import ConvSpec

# Thresholds: one thread, AVX-512.

#: Where Winograd pays, groups of this many channels in and out go there: with 16 it is at 1.0 to
#: 1.7 of the grouped kernel's speed, with 16 to 8 at 0.6 to 1.1, with 8 at 0.3 to 0.6.
GROUPED_BELOW = 16
#: More channels per group than this are left to the GEMM: with 32 it is at 0.9 to 1.2 of the
#: grouped kernel's speed, with 48 at 1.0 to 1.1, with 64 at 1.2 to 1.4.
GROUPED_MOST = 32
#: Backward weight, whose lanes are input channels, takes whole vectors of 16 from 16 on: 20 or 24
#: leave many empty, and the GEMM is at 1.2 to 1.3 of the grouped kernel's speed.
GROUPED_LANES = 16


def depthwise_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.in_channels != spec.groups:
        return f"{spec.in_channels // spec.groups} input channels per group, needs 1"
    if spec.groups == 1:
        return "one group: nothing to vectorise over channels"
    return None


def grouped_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.groups == 1:
        return "one group: nothing to put side by side"
    if spec.in_channels == spec.groups:
        return "1 input channel per group, needs more"
    return None


def grouped_slow(direction: str) -> Rule:
    slow = winograd_slow(direction)

    def avoid(spec: Spec) -> str | None:
        if not isinstance(spec, ConvSpec):
            return None
        channels, columns = spec.in_channels // spec.groups, spec.out_channels // spec.groups
        if max(channels, columns) > GROUPED_MOST:
            return f"{channels} to {columns} channels per group, worth it to {GROUPED_MOST}"
        weight = direction == "conv_backward_weight"
        if weight and channels > GROUPED_LANES and channels % GROUPED_LANES:
            return f"{channels} channels per group leave lanes empty, GEMM is faster"
        if min(channels, columns) < GROUPED_BELOW or winograd_only(spec) or slow(spec):
            return None
        return f"{channels} channels per group, Winograd is faster from {GROUPED_BELOW} on"

    return avoid

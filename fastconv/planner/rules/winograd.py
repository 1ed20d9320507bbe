"""Where Winograd can run, and where its transforms pay."""

from __future__ import annotations

import math

from fastconv.planner.rules.base import Rule, Spec
from fastconv.spec import ConvSpec

# Thresholds: one thread, AVX-512; `python -m bench.thresholds` measures around them.

#: Winograd must save this factor of the products: 1x2 and 1x4 save 1.6 and run at 1.0 to 1.3 of the
#: GEMM's speed, 1x7 1.75 (1.3 to 1.4), 1x3 2 (1.6), 2x2, 4x4 and 4x4/2 2.4 to 2.6 (1.2 to 2.0), 5x5
#: 3.3 (2.0), 3x3 3.6 to 4 (2.5).
WINOGRAD_GAIN = 1.4
#: … and with single taps this factor, and have this many tiles, forward and backward input: 3x3/2
#: saves 1.78 and runs at 1.0 to 1.6 with 64 tiles and more, at 1.1 to 1.3 with 49, at 0.9 to 1.1
#: with 32. Its backward weight (0.7 to 1.16) is left to the GEMM.
WINOGRAD_SINGLE_GAIN = 1.7
WINOGRAD_SINGLE_TILES = 48
#: … and sum this many products per transformed element (channels times groups of taps): with 8 it
#: is at 0.8 to 1.1 of the GEMM's speed, with 12 at 1.0 to 1.7, with 16 at 1.8.
WINOGRAD_DEPTH = 12
#: Backward weight has that many input channels and output channels per group instead: 12 to 12 are
#: at 0.7 to 1.1, 16 to 64 at 2.3.
WINOGRAD_CHANNELS = 16
#: Fewer channels have to be gathered tap by tap, which only many outputs pay for: LeNet's 6 to 16
#: run at 0.4 of the direct kernel's speed.
WINOGRAD_COLUMNS = 48
#: … and only what saves more, from so many channels: 3 to 64 in 7x7/2 run at 1.1 of the direct
#: kernel's speed where the core has one FMA unit of 64 bytes, at 0.75 where it has two (copies and
#: transforms cost the same, products half); 8 to 64 in 5x5 at 1.1, 12 to 64 in 3x3 at 1.1.
WINOGRAD_FEW_GAIN = 2
WINOGRAD_FEW_CHANNELS = 8
#: Fewer results per position are sums along the depth for the GEMM: 64 to 3 channels run at 0.7 of
#: the direct kernel's speed, 32 to 1 at 0.3.
WINOGRAD_RESULTS = 8
#: Forward and backward input turn K*C*9 weights into K*C*36 first: 4 tiles are at 1.2 to 1.6 of
#: the GEMM's speed with 64 to 512 channels (weights kept or not: transforms stay in L2), 1 tile of
#: 512 channels at 0.8.
WINOGRAD_TILES = 4
#: The same for backward weight, which transforms sums back: 4 tiles are at 1.0 to 1.2 with 64 to
#: 512 channels, 1 tile of 512 channels at 0.5. What saves less than the second figure needs twice
#: as many: 4x4/2 is at 0.8 with 4 tiles, at 1.2 with 8.
WINOGRAD_WEIGHT_TILES = 4
WINOGRAD_WEIGHT_GAIN = 3
WINOGRAD_APART = 2**31  # far from where indices would overflow


def _winograd_axes(spec: ConvSpec) -> list[int]:
    """Axes that Winograd transforms: the last two with several taps."""
    return [i for i in (2, 1, 0) if spec.kernel[i] > 1][:2]


def winograd_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if not _winograd_axes(spec):
        return "kernel 1: nothing to save"
    apart = [math.lcm(spec.stride[i], spec.dilation[i]) for i in _winograd_axes(spec)]
    if max(apart) > WINOGRAD_APART:
        return f"inputs of a tile {max(apart)} positions apart, at most {WINOGRAD_APART}"
    return None


def winograd_weight_only(spec: Spec) -> str | None:
    reason = winograd_only(spec)
    if reason or not isinstance(spec, ConvSpec):
        return reason
    for axis in _winograd_axes(spec):
        stride, size = spec.stride[axis], spec.in_size[axis]
        for tap in range(spec.kernel[axis]):
            start = tap * spec.dilation[axis] - spec.pad[axis]  # of the first output's input
            first = max(0, -(start // stride))  # the first output whose input is not before 0
            if first >= spec.out_size[axis] or start + first * stride >= size:
                return f"tap {tap} meets padding only: its gradient is zero, not nearly"
    return None


def winograd_slow(direction: str) -> Rule:
    def avoid(spec: Spec) -> str | None:
        if not isinstance(spec, ConvSpec):
            return None
        try:  # its groups of taps and its tiles are known where they are made, in C
            from fastconv.backends.c.winograd import winograd_facts
        except ImportError:
            return "no C extension to ask what it saves"
        gain, tiles, groups, single = winograd_facts(spec, direction)
        enough = WINOGRAD_SINGLE_GAIN if single else WINOGRAD_GAIN
        if single and direction == "conv_backward_weight":
            enough = WINOGRAD_WEIGHT_GAIN
        if gain < enough:
            return f"saves a factor of {gain:.2g}, worth it from {enough} on"
        channels = spec.in_channels // spec.groups
        columns = spec.out_channels // spec.groups
        least = WINOGRAD_SINGLE_TILES if single else WINOGRAD_TILES
        if direction == "conv_backward_weight":
            least = WINOGRAD_WEIGHT_TILES * (1 if gain >= WINOGRAD_WEIGHT_GAIN else 2)
            if min(channels, columns) < WINOGRAD_CHANNELS:
                return (
                    f"{channels} to {columns} channels per group, worth it from "
                    f"{WINOGRAD_CHANNELS} on"
                )
        else:
            if direction == "conv_backward_input":
                channels, columns = columns, channels
            depth = channels * groups
            if columns < WINOGRAD_RESULTS:
                return f"{columns} results per position, worth it from {WINOGRAD_RESULTS} on"
            if depth < WINOGRAD_DEPTH:
                return f"sums {depth} products per element, worth it from {WINOGRAD_DEPTH} on"
            if channels < WINOGRAD_CHANNELS and columns < WINOGRAD_COLUMNS:
                return f"{channels} to {columns} channels, worth it from {WINOGRAD_COLUMNS} on"
            if channels < WINOGRAD_FEW_CHANNELS:
                return f"{channels} channels to sum over, worth it from {WINOGRAD_FEW_CHANNELS} on"
            if channels < WINOGRAD_CHANNELS and gain < WINOGRAD_FEW_GAIN:
                return f"saves a factor of {gain:.2g}, worth it from {WINOGRAD_FEW_GAIN} on"
        if tiles < least:
            return f"{tiles} tiles of 4x4 outputs, worth it from {least} on"
        return None

    return avoid

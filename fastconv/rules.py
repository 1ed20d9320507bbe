"""What each kernel of a convolution can run, and where another one is faster.

A rule takes a spec and returns None, or the reason why not as text, which ``explain`` prints. Rules
named ``…_only`` say what a kernel cannot run; ``…_slow`` what another one does better.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from fastconv.spec import ConvSpec, NormSpec, PoolSpec

Spec = ConvSpec | PoolSpec | NormSpec
#: Returns why a kernel should not run a geometry, or None where it may.
Rule = Callable[[Spec], "str | None"]

# Thresholds: one thread, AVX-512; `python -m bench.thresholds` measures around Winograd's.

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
#: Reading the image as it lies pays where lines are long, a panel of weights stays in L2, and few
#: columns share what would be packed: 64 columns of a 7x7 stem run at 1.15 of the GEMM's speed, 32
#: of a 3x3 one at 1.4, 128 at 1.1.
DIRECT_LINE = 8
DIRECT_DEPTH = 1600
DIRECT_COLUMNS = 256
#: Taps further apart, or longer strides, would spread mostly padding.
FLAT_REACH = 32
FLAT_STRIDE = 4
#: Flat tiles are worth it where rows share their lines, with few input channels: 1 to 6 run at 5 of
#: the direct kernel's speed, 3 to 16 at 1.5, 8 to 32 at 1.1, 16 to 16 at 0.6.
FLAT_ROWS = 4
FLAT_CHANNELS = 8
FLAT_PAIRS = 300
#: Without tiles for the taps along H: 7x7/2 with 1 to 16 at 1.3 to 1.5, with 3 to 6 at 0.8 to 1.4.
FLAT_KERNELS = (3, 5)
FLAT_PAIRS_APART = 16
#: Unpadded lines suit the direct kernel: 5x5 at 14, 4 to 6 channels at 1.3, 3 to 12 at 0.9.
FLAT_PAIRS_UNPADDED = 32
#: Spreading each phase of a stride costs as much as the products of 3 to 6 channels (at 0.8 to
#: 1.1); whole vectors of this many outputs spread nothing: 3 to 16 at 1.2 forward, backward weight
#: 4 to 32 at 1.2.
FLAT_LANES = 16
FLAT_PAIRS_STRIDED = 12
FLAT_PAIRS_STRIDED_WHOLE = (64, 128)
#: Backward weight loads a line for fewer products: 3 to 12 at 1.1 to 1.5, 4 to 20 at 0.8 to 1.2.
FLAT_PAIRS_PARTLY = 40
#: Backward input with 3 channels is at 3 to 8 of the GEMM's speed in the scattered form, with
#: LeNet's 6 at 3.5.
SCATTER_CHANNELS = 8
#: A scattered line's copy holds its padding too: this much, or four times the line, is fine.
SCATTER_REACH = 1024

#: Where Winograd pays, groups of this many channels in and out go there: with 16 it is at 1.0 to
#: 1.7 of the grouped kernel's speed, with 16 to 8 at 0.6 to 1.1, with 8 at 0.3 to 0.6.
GROUPED_BELOW = 16
#: More channels per group than this are left to the GEMM: with 32 it is at 0.9 to 1.2 of the
#: grouped kernel's speed, with 48 at 1.0 to 1.1, with 64 at 1.2 to 1.4.
GROUPED_MOST = 32
#: Backward weight, whose lanes are input channels, takes whole vectors of 16 from 16 on: 20 or 24
#: leave many empty, and the GEMM is at 1.2 to 1.3 of the grouped kernel's speed.
GROUPED_LANES = 16


def never(spec: Spec) -> str | None:
    """No reason against it."""
    return None


def depthwise_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.in_channels != spec.groups:
        return f"{spec.in_channels // spec.groups} input channels per group, needs 1"
    if spec.groups == 1:
        return "one group: nothing to vectorise over channels"
    return None


def _winograd_axes(spec: ConvSpec) -> list[int]:
    """Axes that Winograd transforms: the last two with several taps."""
    return [i for i in (2, 1, 0) if spec.kernel[i] > 1][:2]


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


def whole_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.groups > 1:
        return f"{spec.groups} groups: no single matrix"
    alone = spec.kernel == spec.in_size and set(spec.dilation) == {1}
    if not alone or any(spec.pad) or spec.out_size != (1, 1, 1):
        return f"kernel {spec.kernel} does not cover the input {spec.in_size} once, unpadded"
    return None


def whole_slow(spec: Spec) -> str | None:
    if isinstance(spec, ConvSpec) and spec.kernel == (1, 1, 1):
        return "kernel 1: already a matrix product"
    return None


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


def flat_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.groups > 1:
        return f"{spec.groups} groups: weights do not recur along a row"
    reach = max((k - 1) * d for k, d in zip(spec.kernel, spec.dilation, strict=True))
    if reach > FLAT_REACH:
        return f"taps {reach} apart, at most {FLAT_REACH}"
    if max(spec.stride) > FLAT_STRIDE:
        return f"stride {max(spec.stride)}, at most {FLAT_STRIDE}"
    return None


def flat_slow(direction: str) -> Rule:
    weight = direction == "conv_backward_weight"

    def avoid(spec: Spec) -> str | None:
        if not isinstance(spec, ConvSpec):
            return None
        channels, columns, rows = spec.in_channels, spec.out_channels, spec.out_size[1]
        if rows < FLAT_ROWS:
            return f"{rows} rows share their lines, worth it from {FLAT_ROWS} on"
        if channels > FLAT_CHANNELS:
            return f"{channels} input channels, worth it to {FLAT_CHANNELS}"
        whole, strided = columns % FLAT_LANES == 0, spec.stride[2] > 1
        most = FLAT_PAIRS
        if spec.kernel[1] not in FLAT_KERNELS or spec.dilation[1] > 1 or spec.stride[1] > 2:
            most = FLAT_PAIRS_APART
        elif strided and channels > 1:
            most = FLAT_PAIRS_STRIDED_WHOLE[weight] if whole else FLAT_PAIRS_STRIDED
        elif weight and not whole:
            most = FLAT_PAIRS_PARTLY
        elif not weight and not spec.pad[2]:
            most = FLAT_PAIRS_UNPADDED
        if channels * columns > most:
            return f"{channels} to {columns} channels, worth it to {most} pairs"
        return None

    return avoid


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

"""First layers: rows flattened into the depth of the product."""

from __future__ import annotations

from fastconv.planner.rules.base import Rule, Spec
from fastconv.spec import ConvSpec

# Thresholds: one thread, AVX-512.

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

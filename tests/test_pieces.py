"""Weight gradients of so many pixels that they are summed in pieces (csrc/core/pieces.h)."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends, ops
from fastconv.verify import Declined, parse
from fastconv.verify.run import check

#: Images, slices, rows and pixels as pieces; strides, dilation and padding at the cuts.
SHAPES = {
    "images": "n=5 size=200x130 out=200x130 kernel=3x3 pad=1x1",
    "rows": "size=301x260 out=301x260 kernel=3x3 pad=1x1",
    "rows, batch": "n=2 size=270x260 out=270x260 kernel=3x3 pad=1x1",
    "rows of a stride": "size=521x524 out=261x262 kernel=3x3 pad=1x1 stride=2x2",
    "rows, dilated": "size=300x250 out=300x250 kernel=3x3 pad=4x4 dilation=4x4",
    "rows of 1x1": "size=257x300 out=257x300 kernel=1x1",
    "rows of 1x1, every other": "size=513x600 out=257x300 kernel=1x1 stride=2x2",
    "padding alone at both ends": "size=3x220 out=403x220 kernel=3x3 pad=201x1",
    "pixels": "size=90001 out=90001 kernel=5 pad=2",
    "pixels of a stride": "size=200003 out=66667 kernel=7 pad=2 stride=3",
    "slices": "size=9x100x99 out=9x100x99 kernel=3x3x3 pad=1x1x1",
    "rows of two slices": "size=3x300x299 out=1x298x297 kernel=3x3x3",
}
CHANNELS = {
    "gemm": "c=3 k=4", "winograd": "c=16 k=16", "flat": "c=1 k=4",
    "depthwise": "c=16 k=16 g=16", "grouped": "c=16 k=16 g=4",
}  # fmt: skip


@pytest.mark.parametrize("algorithm", CHANNELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_add_up_exactly(shape: str, algorithm: str) -> None:
    """Small integers, beside plain double loops; no piece is refused where the whole is not."""
    best = [name for name, able in backends.load("c").isas().items() if able][-1]
    text = f"conv op=backward_weight on=c/{algorithm} {CHANNELS[algorithm]} {SHAPES[shape]}"
    problem = parse(f"{text} isa={best} a=last b=last to=plain threads=2")
    try:
        assert check(problem) is None
    except Declined as declined:
        pytest.skip(str(declined))


@pytest.mark.parametrize(
    "channels, size, groups",
    [((3, 8), (2, 3, 1024, 1024), 1), ((16, 16), (1, 16, 1450, 1450), 1),
     ((16, 16), (1, 16, 1450, 1450), 16), ((16, 16), (1, 16, 1450, 1450), 4),
     ((1, 1), (1, 1, 1450, 1450), 1), ((2, 2), (1, 2, 2_100_000), 1)],
)  # fmt: skip
@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7])
def test_two_million_equal_terms(
    value: float, channels: tuple[int, int], size: tuple[int, ...], groups: int
) -> None:
    """The worst case of a float32 sum: one chain of additions is 2.5e-4 to 3e-3 off."""
    x = np.full(size, value, np.float32)
    dy = np.full((size[0], channels[1], *size[2:]), 0.3, np.float32)
    kernel = (1,) * (len(size) - 2)
    shape = (channels[1], channels[0] // groups, *kernel)
    got = ops.conv_backward_weight(dy, x, shape, groups=groups)
    want = float(np.float32(value)) * float(np.float32(0.3)) * (dy.size / channels[1])
    assert np.abs(got / want - 1).max() < 4e-6
    with fc.algorithm("gemm"):
        got = ops.conv_backward_weight(dy, x, shape, groups=groups)
    assert np.abs(got / want - 1).max() < 4e-6

"""Results do not depend on the number of threads: the same bits, on values that round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends, planner
from fastconv.nn import functional as F
from tests.shapes import Shape
from tests.test_kernels import DIRECTIONS, DTYPES, Variant, _cases, _real, run, using

COUNTS = (1, 2, 3, 5)
#: Where work is cut anew for more threads: few images and rows, much to sum up, large kernels, few
#: channels, several phases and groups of taps.
SHAPES = (
    Shape("9x7 to few channels", "", 1, 24, 8, (20, 20), (9, 7), transposed=True),
    Shape("9x9 from one channel", "", 1, 1, 20, (31, 29), (9, 9), padding=4),
    Shape("7x7 / 2 from 3 channels", "", 2, 3, 32, (41, 23), (7, 7), stride=2, padding=3),
    Shape("11x3 / 3 from 2 channels, dilation 2", "", 1, 2, 17, (40, 31), (11, 3), stride=3,
          padding=(10, 2), dilation=(2, 1)),
    Shape("5x3x3 from 2 channels", "", 1, 2, 16, (7, 9, 11), (5, 3, 3), padding=1),
    Shape("1-D, 31 taps from 4 channels", "", 1, 4, 24, (200,), (31,), padding=15),
    Shape("1x1 of 1300 channels", "", 1, 1300, 40, (7, 5), (1, 1)),
    Shape("rows of 2100", "", 5, 2100, 33, (1,), (1,)),
    Shape("few weights, many rows", "", 2, 8, 8, (57, 43), (1, 1)),
    Shape("3x3, many channels", "", 1, 320, 48, (9, 8), (3, 3), padding=1),
    Shape("5x5 / 2 of 96 channels", "", 1, 96, 64, (15, 17), (5, 5), stride=2, padding=2),
    Shape("7x7 / 2 of 80 channels", "", 1, 80, 80, (29, 30), (7, 7), stride=2, padding=3),
    Shape("6x6 / 2 up, 128 channels", "", 1, 128, 96, (13, 12), (6, 6), stride=2, padding=2,
          transposed=True),
    Shape("3x3x3 of 32 channels", "", 1, 32, 16, (9, 8, 10), (3, 3, 3), padding=1),
    Shape("3x3 of 7 channels", "", 3, 7, 13, (19, 22), (3, 3), padding=1),
    Shape("depthwise 7x7", "", 1, 35, 35, (23, 29), (7, 7), padding=3, groups=35),
    Shape("depthwise 3x3 / 4", "", 2, 48, 48, (33, 31), (3, 3), stride=4, padding=1, groups=48),
    Shape("groups of 8", "", 1, 32, 48, (17, 21), (3, 3), padding=1, groups=4),
)  # fmt: skip


CASES = [case.values for case in _cases(SHAPES)]


@pytest.mark.parametrize(("shape", "op", "variant"), _cases(SHAPES))
def test_convolution(shape: Shape, op: str, variant: Variant) -> None:
    spec = shape.spec()
    for dtype in DTYPES:
        values = {name: a.astype(dtype) for name, a in _real(spec).items()}
        results = []
        for threads in COUNTS:
            what = f"{op} {variant} {np.dtype(dtype)} {threads} threads {spec}"
            with using(op, variant, threads) as function:
                results.append(run(op, function, spec, values, dtype, "channels_last", what))
            assert np.array_equal(results[0], results[-1]), what


def _values(shape: tuple[int, ...]) -> Any:
    return fc.tensor(np.random.default_rng(sum(shape)).standard_normal(shape).astype("f"))


#: What takes an image (5, 21, 40, 37) and sums something up, forward or back; p makes a parameter.
OPERATIONS = {
    "batch_norm": lambda x, p: F.batch_norm(x, None, None, p(21), p(21), training=True),
    "group_norm": lambda x, p: F.group_norm(x, 7, p(21), p(21)),
    "layer_norm": lambda x, p: F.layer_norm(x, (37,), p(37), p(37)),
    "softmax": lambda x, p: F.softmax(x, 1),
    "log_softmax": lambda x, p: F.log_softmax(x, 3),
    "max_pool2d": lambda x, p: F.max_pool2d(x, 3, 2, 1),
    "avg_pool2d": lambda x, p: F.avg_pool2d(x, 3, 1, 1),
    "adaptive_avg_pool2d": lambda x, p: F.adaptive_avg_pool2d(x, (7, 5)),
    "interpolate": lambda x, p: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
    "bias": lambda x, p: F.conv2d(x, _values((9, 21, 1, 1)), p(9)),
    "bias and relu": lambda x, p: F.conv2d(x, _values((9, 21, 1, 1)), p(9)).relu(),
    "linear": lambda x, p: F.linear(x, _values((64, 37)), p(64)),
    "silu": lambda x, p: F.silu(x),
}


@pytest.mark.parametrize("backend", ["c", "numba"])
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels-last"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name: str, last: bool, backend: str) -> None:
    if backends.why_not(backend):
        pytest.skip(f"{backend} is not available")
    results = []
    before = fc.get_num_threads()
    try:
        for threads in COUNTS:
            fc.set_num_threads(threads)
            with fc.backend(backend):
                x = _values((5, 21, 40, 37))
                if last:
                    x = x.contiguous(memory_format=fc.channels_last)
                x.requires_grad_()
                leaves = [x]

                def parameter(n: int, leaves: list[Any] = leaves) -> Any:
                    leaves.append(_values((n,)).requires_grad_())
                    return leaves[-1]

                y = OPERATIONS[name](x, parameter)
                (y * y.detach()).sum().backward()
                results.append([y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)])
            for a, b in zip(results[0], results[-1], strict=True):
                np.testing.assert_array_equal(a, b, f"{name} {threads} threads")
    finally:
        fc.set_num_threads(before)


def test_all_directions_are_crossed() -> None:
    """Every kernel that there is runs at least one of the shapes."""
    for op in DIRECTIONS:
        ran = {
            (v.values[2].backend, v.values[2].algorithm)
            for v in _cases(SHAPES)
            if v.values[1] == op
        }
        have = {(c.backend, c.algorithm) for c in planner.candidates(op) if c.backend != "naive"}
        assert have - ran <= {("c", "whole")}, op

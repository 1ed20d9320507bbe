"""The planner: which candidate runs, what the switches change, what explain says."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import backends, ops, planner
from fastconv.spec import conv_spec
from tests.shapes import SHAPES

DIRECTIONS = ("conv_forward", "conv_backward_input", "conv_backward_weight")
LAYER = conv_spec((2, 64, 28, 28), (64, 64, 3, 3), padding=1)
needs_c = pytest.mark.skipif(backends.why_not("c") is not None, reason="no C extension")


@pytest.mark.parametrize("backend", backends.ORDER)
def test_every_candidate_is_a_kernel_of_its_backend(backend):
    if backends.why_not(backend):
        pytest.skip(backends.why_not(backend))
    module = backends.load(backend)
    for op in planner.CANDIDATES:
        for candidate in planner.candidates(op, backend):
            if op in planner.PLAIN:
                assert callable(getattr(module, op))
            else:
                found = planner.find(backend, op, candidate.algorithm)
                assert (found.backend, found.operation) == (backend, op)


@pytest.mark.parametrize("backend", backends.ORDER)
@pytest.mark.parametrize("algorithm", [None, "direct", "gemm", "winograd", "depthwise"])
def test_every_backend_runs_every_shape(backend, algorithm):
    for shape in SHAPES:
        for op in DIRECTIONS:
            spec = shape.spec()
            chosen = planner.pick(op, spec, backend, algorithm)
            assert chosen.backend == backend
            assert chosen.decline(spec) is None


@needs_c
@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        (LAYER, "winograd"),
        (conv_spec((4, 64, 16, 16), (64, 64, 4, 4), stride=2, padding=1), "winograd"),
        (conv_spec((1, 64, 14, 14), (64, 64, 1, 1)), "gemm"),
        (conv_spec((1, 64, 14, 14), (64, 1, 3, 3), padding=1, groups=64), "depthwise"),
    ],
    ids=["3x3", "4x4/2", "1x1", "depthwise"],
)
def test_choice_in_c(spec, algorithm):
    assert planner.pick("conv_forward", spec, "c").algorithm == algorithm


@needs_c
@pytest.mark.parametrize(
    ("kernel", "stride", "channels", "products"),
    [
        (3, 1, 16, 36 / 144),
        (2, 1, 16, 25 / 64),
        (4, 2, 16, 100 / 256),  # 2 + 2 taps
        (3, 2, 16, 81 / 144),  # 2 + 1
        (3, 2, 24, 100 / 144),  # 2 + 2: no whole vectors
        (5, 1, 16, 121 / 400),  # 3 + 2
        (7, 2, 16, 256 / 784),  # 2 + 2 and 3
    ],
)
def test_winograd_gain(kernel, stride, channels, products):
    spec = conv_spec(
        (1, channels, 64 * stride, 64 * stride), (16, channels, kernel, kernel), stride=stride,
        padding=(kernel - 1) // 2,
    )  # fmt: skip
    size = spec.out_size[2]
    gain = backends.load("c").winograd_facts(spec, "conv_forward").gain
    assert gain == pytest.approx(1 / products, rel=0.05 if size % 4 else 1e-9)


@needs_c
@pytest.mark.parametrize(("kernel", "groups"), [(4, [2, 2]), (3, [1, 2]), (5, [2, 3])])
def test_taps_of_the_phases_of_a_stride(kernel, groups):
    spec = conv_spec((3, 16, 32, 32), (16, 16, kernel, kernel), stride=2, padding=1)
    facts = backends.load("c").winograd_facts(spec, "conv_backward_input")
    assert facts.gain == pytest.approx((kernel / sum(1 + (n - 1) / 4 for n in groups)) ** 2)
    assert facts.single == (1 in groups) and facts.groups == 1
    tiles = -(-spec.out_size[1] // 4) * -(-spec.out_size[2] // 4)
    assert facts.tiles == 3 * tiles


@needs_c
@pytest.mark.parametrize("algorithm", ["direct", "gemm"])
def test_direct_sums_are_exact_on_integers(algorithm):
    generator = np.random.default_rng(0)
    x = generator.integers(-3, 4, LAYER.x_shape[:2] + LAYER.in_size[1:]).astype(np.float32)
    w = generator.integers(-3, 4, LAYER.w_shape[:2] + LAYER.kernel[1:]).astype(np.float32)
    with fastconv.backend("c"), fastconv.algorithm(algorithm):
        y = ops.conv_forward(x, w, padding=1)
        gx = ops.conv_backward_input(y, w, x.shape, padding=1)
        gw = ops.conv_backward_weight(y, x, w.shape, padding=1)
        wide = ops.conv_forward(x.astype(np.float64), w.astype(np.float64), padding=1)
    assert all((a == np.rint(a)).all() for a in (y, gx, gw))
    assert (y == wide).all()


def test_switches_nest_and_end():
    with fastconv.algorithm("gemm"):
        with fastconv.algorithm(None):
            assert fastconv.config.current_algorithm() is None
        assert fastconv.config.current_algorithm() == "gemm"
    assert fastconv.config.current_algorithm() is None
    for name in ("fft", "winograd6"):  # tiles of 6x6 outputs are not there any more
        with pytest.raises(ValueError, match=rf"algorithm must be one of .*'winograd'.*'{name}'"):
            fastconv.algorithm(name)


def test_explain_names_every_candidate_and_a_reason():
    text = str(fastconv.explain("conv2d", (2, 64, 28, 28), (64, 64, 3, 3), padding=1))
    for op in DIRECTIONS:
        part = text.split(f"{op}:\n")[1].split(":\n")[0]
        lines = [line.split() for line in part.splitlines()]
        for candidate in planner.candidates(op):
            (verdict,) = [v for v in lines if v[0] == f"{candidate.backend}/{candidate.algorithm}"]
            assert len(verdict) > 1
        assert sum(v[1:] == ["chosen"] for v in lines) == 1


def test_explain_of_an_unknown_operation():
    with pytest.raises(ValueError, match=r"op must be one of .*got 'conv4d'"):
        fastconv.explain("conv4d", (1, 1, 1, 1), (1, 1, 1, 1))

"""What is not finite stays where it belongs: Winograd gives way to the GEMM, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends, memory, nn, ops
from fastconv.nn import functional as F
from fastconv.packed import Packed
from tests.guarded import fenced
from tests.shapes import Shape
from tests.test_kernels import DIRECTIONS, DTYPES, Variant, _cases, _real, run, using

pytestmark = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C backend")

#: Ways through Winograd: whole and ragged channels, tails of tiles, groups of taps, phases of a
#: stride, slabs of slices, few tiles, dW in blocks, in parts and in chunks.
SHAPES = (
    Shape("3x3", "", 2, 16, 32, (12, 13), (3, 3), padding=1),
    Shape("3x3 ragged", "", 1, 21, 19, (9, 10), (3, 3), padding=1),
    Shape("2x2 outputs, dilated", "", 1, 16, 16, (8, 8), (3, 3), padding=2, dilation=2),
    Shape("5x5", "", 1, 16, 16, (11, 9), (5, 5), padding=2),
    Shape("4x4 / 2", "", 1, 16, 32, (14, 12), (4, 4), stride=2, padding=1),
    Shape("1-D", "", 2, 16, 16, (30,), (3,), padding=1),
    Shape("3x3x3", "", 1, 16, 16, (5, 6, 7), (3, 3, 3), padding=1),
    Shape("two groups", "", 1, 32, 32, (9, 9), (3, 3), padding=1, groups=2),
    Shape("256 to 272", "", 1, 256, 272, (7, 6), (3, 3), padding=1),
    Shape("parts", "", 4, 16, 16, (50, 46), (3, 3), padding=1),
)
OPERANDS = {DIRECTIONS[0]: "xwb", DIRECTIONS[1]: "gw", DIRECTIONS[2]: "gx"}
WINOGRAD = [case for case in _cases(SHAPES) if case.values[2].algorithm.startswith("winograd")]


@pytest.fixture(autouse=True)
def _memory_of_nan() -> Iterator[None]:
    """Let scratch be full of NaN: what is not written must not count."""
    arrays = [memory.empty((1 << n,), np.float64) for n in range(14, 21) for _ in range(6)]
    for a in arrays:
        a.fill(np.nan)
    arrays.clear()
    yield
    fc.empty_cache()


def _placed(a: np.ndarray, value: float) -> np.ndarray:
    """A copy with the value at one place, neither at the edge nor in the middle."""
    a = a.copy()
    a[tuple(min(n - 1, n // 3 + 1) for n in a.shape)] = value
    return a


@pytest.mark.parametrize(("shape", "op", "variant"), WINOGRAD)
def test_as_the_gemm(shape: Shape, op: str, variant: Variant) -> None:
    spec, gemm = shape.spec(), variant._replace(algorithm="gemm")
    exact = _real(spec)
    for dtype in DTYPES:
        huge = float(np.finfo(dtype).max) / 16  # transforms of it can be beyond the largest
        plain = {name: a.astype(dtype) for name, a in exact.items()}
        with using(op, variant) as function, using(op, gemm) as other:
            finite = [
                run(op, f, spec, plain, dtype, "channels_last", op) for f in (function, other)
            ]
            assert np.isfinite(finite[0]).all()
            assert not np.array_equal(*finite), "finite values went to the GEMM"
            for name in OPERANDS[op]:
                for value in (np.inf, -np.inf, np.nan, huge):
                    values = {**plain, name: _placed(plain[name], value)}
                    got, want = (_run(op, f, spec, values, dtype) for f in (function, other))
                    what = f"{op} {variant} {name} {value}"
                    if value != huge:
                        np.testing.assert_array_equal(got, want, what)
                        continue
                    assert np.isfinite(got).all() and np.isfinite(want).all(), what
                    scale = float(abs(want).max())
                    np.testing.assert_allclose(got, want, 0, 1e-4 * scale, err_msg=what)


def _run(op: str, function: Any, spec: Any, values: dict[str, Any], dtype: Any) -> Any:
    """As the harness's ``run``, with operands that may be NaN."""
    given = [fenced(values[name]) for name in OPERANDS[op]]
    shape = {"f": spec.y_shape, "i": spec.x_shape, "w": spec.w_shape}
    out = np.empty(shape[{"forward": "f", "input": "i", "weight": "w"}[op.split("_")[-1]]], dtype)
    with np.errstate(all="ignore"):
        function(spec, *given, out)
    return out


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("operand", ["x", "w", "bias"])
@pytest.mark.parametrize("packs", [False, True], ids=["", "packed"])
@pytest.mark.parametrize("ready", [False, True], ids=["", "ready"])
def test_forward_fused_and_packed(dtype: Any, operand: str, packs: bool, ready: bool) -> None:
    """Every way in: with an epilogue or none, weights kept or not, asked once or each time."""
    spec = SHAPES[0].spec()
    exact = {name: a.astype(dtype) for name, a in _real(spec).items()}
    x4, w4 = (exact[name][:, :, 0] for name in "xw")
    last = lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)  # noqa: E731
    y_shape = spec.shapes[4][2]
    generator = np.random.default_rng(3)
    residual = last(generator.standard_normal(y_shape).astype(dtype))
    coef = generator.standard_normal((3, spec.out_channels)).astype(dtype)
    module = backends.load("c")
    for finish in (None, (0.0, 6.0, residual, None), (0.25, np.inf, None, coef),
                   (0.0, np.inf, residual, coef)):  # fmt: skip
        values = {"x": x4, "w": w4, "bias": exact["b"]}
        values[operand] = _placed(values[operand], np.inf)
        x, w, b = last(values["x"]), values["w"], values["bias"]
        want = np.empty(y_shape, dtype).transpose(0, 2, 3, 1)
        want = np.empty(want.shape, dtype).transpose(0, 3, 1, 2)
        module.conv_forward_gemm(spec, x, w, b, want, finish)
        function = module.conv_forward_winograd
        store = Packed(w) if packs else None
        for _ in range(2):  # packed now, and found
            if ready:
                got = function.prepare(spec, np.dtype(dtype), 4)(x, w, b, None, finish, store)
            else:
                got = np.empty_like(want)
                function(spec, x, w, b, got, finish=finish, packed=store)
            np.testing.assert_array_equal(got, want)
        assert np.isfinite(want).any()


@pytest.mark.parametrize("packs", [False, True], ids=["", "packed"])
def test_backward_input_packed(packs: bool) -> None:
    spec = SHAPES[4].spec()
    exact = {name: a.astype("f") for name, a in _real(spec).items()}
    module = backends.load("c")
    g = _placed(exact["g"], np.nan)
    want, got = (np.empty(spec.x_shape, "f") for _ in range(2))
    module.conv_backward_input_gemm(spec, g, exact["w"], want)
    for _ in range(2):
        store = Packed(exact["w"]) if packs else None
        module.conv_backward_input_winograd(spec, g, exact["w"], got, packed=store)
        np.testing.assert_array_equal(got, want)


def test_counts() -> None:
    """One infinity touches what a direct sum touches: 9 positions of 16 channels, a row of dW."""
    x = np.random.default_rng(0).standard_normal((1, 16, 14, 14)).astype("f")
    w = np.random.default_rng(1).standard_normal((16, 16, 3, 3)).astype("f")
    x[0, 5, 6, 6] = np.inf
    with fc.algorithm("winograd"):
        y = ops.conv_forward(x, w, padding=1)
        assert (~np.isfinite(y)).sum() == 144
        layer = nn.Conv2d(16, 16, 3, padding=1)
        out = layer(fc.tensor(x, requires_grad=True))
        out.backward(fc.zeros(*out.shape) + 1)
        touched = ~np.isfinite(layer.weight.grad.numpy())
    assert touched.sum() == 16 * 9 and touched[:, 5].all()
    with fc.no_grad(), fc.algorithm("winograd"):
        inside = F.conv2d(fc.tensor(np.nan_to_num(x, posinf=1.0)), layer.weight, padding=1)
    assert np.isfinite(inside.numpy()).all()

"""Residual and activation in a convolution's epilogue, fused or not, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import backends, ops, planner
from fastconv.ops import conv
from fastconv.ops.layout import as_5d
from fastconv.spec import conv_spec

ACTIVATIONS = {
    None: lambda v: v,
    "relu": lambda v: np.maximum(v, 0),
    "relu6": lambda v: np.clip(v, 0, 6),
    ("leaky_relu", 0.25): lambda v: np.where(v < 0, v / 4, v),
}
#: Small integers, so that every path but Winograd is exact: name -> x, w, arguments.
CASES = {
    "3x3": ((2, 16, 9, 10), (32, 16, 3, 3), {"padding": 1}),
    "ragged": ((1, 5, 9, 10), (7, 5, 3, 3), {"padding": 1, "stride": 2}),
    "1x1": ((2, 16, 5, 5), (48, 16, 1, 1), {}),
    "depthwise": ((2, 20, 9, 10), (20, 1, 3, 3), {"padding": 1, "groups": 20}),
    "1d": ((2, 6, 40), (20, 6, 5), {"dilation": 2}),
}
ALGORITHMS = sorted({c.algorithm for c in planner.candidates("conv_forward", "c")})


def integers(shape: tuple[int, ...], seed: int, dtype: type, last: bool) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)
    if last:
        values = np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1)
    return values


@pytest.mark.skipif(backends.why_not("c") is not None, reason="the C extension is not built")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("last", [False, True])
def test_every_algorithm(algorithm: str, case: str, dtype: type, last: bool) -> None:
    x_shape, w_shape, arguments = CASES[case]
    x, w = integers(x_shape, 0, dtype, last), integers(w_shape, 1, dtype, False)
    b = integers(w_shape[:1], 2, dtype, False)
    for isa, able in backends.load("c").isas().items():
        if not able:
            continue
        before = backends.load("c").get_isa()
        backends.load("c").set_isa(isa)
        try:
            with fastconv.algorithm(algorithm):
                plain = ops.conv_forward(x, w, b, **arguments)
                residual = integers(plain.shape, 3, dtype, not last)
                for activation, apply in ACTIVATIONS.items():
                    for extra in (None, residual):
                        y = ops.conv_forward(
                            x, w, b, **arguments, activation=activation, residual=extra
                        )
                        expected = apply(plain if extra is None else plain + extra)
                        np.testing.assert_array_equal(y, expected)
        finally:
            backends.load("c").set_isa(before)


@pytest.mark.parametrize("backend", ["numba", "naive"])
def test_other_backends(backend: str) -> None:
    if backends.why_not(backend):
        pytest.skip(f"{backend} is not available")
    x, w = (
        integers((1, 3, 6, 6), 0, np.float32, False),
        integers((4, 3, 3, 3), 1, np.float32, False),
    )
    with fastconv.backend(backend):
        plain = ops.conv_forward(x, w)
        for activation, apply in ACTIVATIONS.items():
            y = ops.conv_forward(x, w, activation=activation, residual=plain)
            np.testing.assert_array_equal(y, apply(plain + plain))


@pytest.mark.parametrize("backend", ["c", "numba", "naive"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("last", [False, True])
def test_coefficients(backend: str, case: str, last: bool) -> None:
    """(y - centre) * scale + shift of each channel comes first, in both formats."""
    if backends.why_not(backend):
        pytest.skip(f"{backend} is not available")
    x_shape, w_shape, arguments = CASES[case]
    x, w = integers(x_shape, 0, np.float32, last), integers(w_shape, 1, np.float32, False)
    coef, b = (
        integers((3, w_shape[0]), 2, np.float32, False),
        integers(w_shape[:1], 3, np.float32, False),
    )
    coef[1] = 2.0 ** coef[1]  # exact products: rounded alike with and without FMA
    spec = conv_spec(x_shape, w_shape, **arguments, ndim=x.ndim - 2, name="test")
    x5, w5 = as_5d(x), as_5d(w)
    for algorithm in ALGORITHMS if backend == "c" else [None]:
        with fastconv.backend(backend), fastconv.algorithm(algorithm):
            plain = conv.forward(spec, x5, w5, b)
            centre, scale, shift = (a[:, None, None, None] for a in coef)
            residual = integers(plain.shape, 4, np.float32, False)
            want = np.clip((plain - centre) * scale + shift + residual, 0, 6)
            got = conv.forward(spec, x5, w5, b, last, (0.0, 6.0), residual, None, coef)
            np.testing.assert_array_equal(got, want)


def test_nan_and_infinity() -> None:
    x = np.array([np.nan, np.inf, -np.inf, -1.0, 7.0], np.float32).repeat(20).reshape(1, 1, 100)
    one = np.ones((1, 1, 1), np.float32)
    for activation, expected in (("relu", (np.inf, 0, 0, 7)), ("relu6", (6, 0, 0, 6))):
        y = ops.conv_forward(x, one, activation=activation).reshape(5, 20)
        assert np.isnan(y[0]).all()
        np.testing.assert_array_equal(y[1:], np.array(expected, np.float32)[:, None].repeat(20, 1))


def test_wrong_arguments() -> None:
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32)
    for activation in ("gelu", 3, ("leaky_relu",), ("leaky_relu", "a"), ("relu", 1.0)):
        with pytest.raises(ValueError, match="activation"):
            ops.conv_forward(x, w, activation=activation)
    with pytest.raises(ValueError, match="residual"):
        ops.conv_forward(x, w, residual=np.ones((1, 1, 3, 3), np.float32))
    with pytest.raises(TypeError, match="residual"):
        ops.conv_forward(x, w, residual=np.ones((1, 1, 2, 2)))

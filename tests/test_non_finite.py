"""Every elementwise function and loss, with its gradients, at NaN, infinities, zeros and limits.

PyTorch's values, but where :data:`BETTER` says why ours are others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv.nn import functional as F

DTYPES = [np.float32, np.float64]


def special(dtype: Any) -> np.ndarray:
    """Values at which something may go wrong, and some ordinary ones."""
    f = np.finfo(dtype)
    large = np.sqrt(f.max) * 0.9, f.max ** (2 / 3)
    both = [np.inf, 0.0, f.max, f.tiny, f.smallest_subnormal, 0.5, 1, 2, 3, 6, 20, 21, 100, *large]
    return np.array([np.nan, *both, *[-v for v in both], 1e-3], dtype)


UNARY: dict[str, Callable[[Any, Any], Any]] = {}
for _name in (
    "abs", "neg", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt",
    "square", "reciprocal", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "erf", "sigmoid", "relu", "floor", "ceil", "trunc", "round", "sign", "nan_to_num",
):  # fmt: skip
    UNARY[_name] = lambda lib, x, f=_name: getattr(lib, f)(x)
for _name in (
    "leaky_relu", "relu6", "hardtanh", "elu", "selu", "celu", "silu", "gelu", "mish", "hardswish",
    "hardsigmoid", "softplus", "softsign", "tanhshrink", "logsigmoid",
):  # fmt: skip
    UNARY[_name] = lambda lib, x, f=_name: getattr(lib.nn.functional, f)(x)
UNARY |= {
    "gelu tanh": lambda lib, x: lib.nn.functional.gelu(x, approximate="tanh"),
    "threshold": lambda lib, x: lib.nn.functional.threshold(x, 0.1, 20.0),
    "leaky_relu -0.5": lambda lib, x: lib.nn.functional.leaky_relu(x, -0.5),
    "leaky_relu 0": lambda lib, x: lib.nn.functional.leaky_relu(x, 0.0),
    "hardtanh 0 5": lambda lib, x: lib.nn.functional.hardtanh(x, 0.0, 5.0),
    "celu 2": lambda lib, x: lib.nn.functional.celu(x, 2.0),
    "elu -0.5": lambda lib, x: lib.nn.functional.elu(x, -0.5),
    "softplus 2 10": lambda lib, x: lib.nn.functional.softplus(x, 2.0, 10.0),
    "clamp": lambda lib, x: lib.clamp(x, -1, 1),
    "clamp min": lambda lib, x: lib.clamp(x, min=0.0),
    **{f"x ** {p}": lambda lib, x, p=p: x**p for p in (0, 1, 2, 3, -1, -2, 2.5)},
    **{f"{p} ** x": lambda lib, x, p=p: p**x for p in (0, 1, 2, -1, 0.5)},
}

BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {}
for _name in ("add", "sub", "mul", "div", "atan2", "maximum", "minimum", "pow"):
    BINARY[_name] = lambda lib, x, y, f=_name: getattr(lib, f)(x, y)
for _name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss",
              "binary_cross_entropy_with_logits"):  # fmt: skip
    BINARY[_name] = lambda lib, x, y, f=_name: getattr(lib.nn.functional, f)(x, y, reduction="none")


def _loss(name: str, **options: Any) -> Callable[[Any, Any, Any], Any]:
    return lambda lib, x, y: getattr(lib.nn.functional, name)(x, y, reduction="none", **options)


BINARY |= {
    "kl_div log": _loss("kl_div", log_target=True),
    "poisson full": _loss("poisson_nll_loss", full=True),
    "poisson plain": _loss("poisson_nll_loss", log_input=False, full=True),
    "smooth_l1 0.3": _loss("smooth_l1_loss", beta=0.3),
    "huber 2": _loss("huber_loss", delta=2.0),
    "hinge": lambda lib, x, y: lib.nn.functional.hinge_embedding_loss(
        x, lib.sign(y.detach()), reduction="none"
    ),
    "div floor": lambda lib, x, y: lib.div(x, y, rounding_mode="floor"),
    "div trunc": lambda lib, x, y: lib.div(x, y, rounding_mode="trunc"),
    "where": lambda lib, x, y: lib.where(x > 0, x, y),
    "lerp": lambda lib, x, y: lib.lerp(x, y, 0.3),
    "clamp min tensor": lambda lib, x, y: lib.clamp(x, min=y),
    "clamp max tensor": lambda lib, x, y: lib.clamp(x, max=y),
    "clamp both": lambda lib, x, y: lib.clamp(x, y, lib.zeros_like(x)),
    "clamp wrong order": lambda lib, x, y: lib.clamp(x, y + 1, y),
    "prelu": lambda lib, x, y: lib.nn.functional.prelu(x.reshape(1, -1, 1), y),
}


def far(values: tuple[np.ndarray, ...]) -> np.ndarray:
    """Whether a point is so near the origin, or far from it, that its squares are not normal."""
    radius = np.hypot(values[0].astype(np.float64), values[1].astype(np.float64))
    f = np.finfo(values[0].dtype)
    return (radius < 10 * np.sqrt(f.tiny)) | ((radius > np.sqrt(f.max) / 10) & (radius < np.inf))


#: Result or gradient: where ours may differ (of the operands and PyTorch's values), and why.
BETTER: dict[tuple[str, str], Callable[..., Any]] = {
    # PyTorch's vectors and what is left over at their end do not agree at NaN and at large values
    **{
        (name, part): lambda v, p: np.isnan(v[0])
        for name in ("elu", "selu", "celu", "celu 2", "elu -0.5", "hardswish")
        for part in ("g0",)
    },
    ("hardswish", "y"): lambda v, p: v[0] > 1e18,  # x itself, where PyTorch overflows
    ("gelu", "y"): lambda v, p: np.abs(v[0]) > 1e18,  # x itself, where PyTorch overflows
    ("gelu tanh", "g0"): lambda v, p: np.abs(v[0]) > 1e18,  # 1, where PyTorch overflows
    # PyTorch's denominator, a sum of squares, is 0 or infinite
    ("atan2", "g0"): lambda v, p: far(v),
    ("atan2", "g1"): lambda v, p: far(v),
    # the slope of t log t, and of Stirling's term where it is left out, which PyTorch has as NaN
    ("kl_div", "g1"): lambda v, p: np.isnan(p) & (np.isinf(v[1]) | (v[1] == 0)),
    ("kl_div log", "g1"): lambda v, p: np.isnan(p) & (v[1] >= 100),  # inf - inf in another order
    ("poisson full", "g1"): lambda v, p: np.isnan(p),
    ("poisson plain", "g1"): lambda v, p: np.isnan(p),
}

#: Where differences of a few units in the last place of 1 are roundings: 1 - y², constants.
ROUNDED = {"expm1", "gelu", "gelu tanh", "hardsigmoid", "kl_div log", "mish", "tanh", "tanhshrink"}


def run(lib: Any, f: Any, operands: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The result and the gradients for ones."""
    tensors = [lib.tensor(a, requires_grad=True) for a in operands]
    y = f(lib, *tensors)
    if y.requires_grad:
        y.backward(lib.ones_like(y))
    found = {"y": y.detach().numpy()}
    found.update((f"g{i}", t.grad.numpy()) for i, t in enumerate(tensors) if t.grad is not None)
    return found


def compare(name: str, f: Any, operands: list[np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    kind = operands[0].dtype.type
    theirs, ours = run(torch, f, operands), run(fc, f, operands)
    assert theirs.keys() == ours.keys()
    relative = 2e-5 if kind is np.float32 else 1e-12
    absolute = np.finfo(kind).tiny * 4
    if name in ROUNDED:  # PyTorch has 1 / 6 in float32
        absolute = 1e-7 if name == "hardsigmoid" else np.finfo(kind).eps * 8
    for part, expected in theirs.items():
        found = ours[part]
        assert found.dtype == expected.dtype and found.shape == expected.shape
        with np.errstate(all="ignore"):
            close = np.abs(found - expected) <= relative * np.abs(expected) + absolute
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        same |= np.isfinite(found) & np.isfinite(expected) & close
        excused = BETTER.get((name, part))
        if excused is not None:
            same |= excused(tuple(operands), expected).reshape(same.shape)
        where = np.flatnonzero(~same)[:5]
        values = [(*(a.ravel()[i] for a in operands if a.size == same.size), expected.ravel()[i],
                   found.ravel()[i]) for i in where]  # fmt: skip
        assert not len(where), f"{name} {part}: (operands, PyTorch's, ours) {values}"


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("many", [1, 200], ids=["few", "many"])  # NumPy's, and the kernels
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, many: int, dtype: Any) -> None:
    compare(name, UNARY[name], [np.tile(special(dtype), many)])


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str, dtype: Any) -> None:
    values = special(dtype)
    operands = [a.ravel() for a in np.meshgrid(values, values)]
    compare(name, BINARY[name], operands)


# the same without PyTorch


def gradient(f: Callable[[Any], Any], *values: float) -> list[float]:
    x = fc.tensor(values, requires_grad=True)
    f(x).sum().backward()
    return x.grad.tolist()


def test_gradients_at_nan() -> None:
    nan = float("nan")
    assert gradient(fc.abs, nan, -2, 0, 3) == [0, -1, 0, 1]
    assert gradient(lambda x: fc.nn.functional.l1_loss(x, x.detach() * 0), nan, -2) == [0, -0.5]
    for f in (fc.nn.functional.hardswish, fc.nn.functional.elu, fc.nn.functional.selu):
        slopes = gradient(f, nan, -9, 9)
        assert np.isnan(slopes[0]) and np.isfinite(slopes[1:]).all()
    assert gradient(lambda x: fc.maximum(x, fc.ones(3)), nan, 0, 2) == [1, 0, 1]


def test_gradient_far_below_zero() -> None:
    F = fc.nn.functional
    np.testing.assert_allclose(gradient(F.elu, -20.0, -60.0), np.exp([-20.0, -60.0]), rtol=1e-5)
    in_place = gradient(lambda x: F.elu(x * 1, inplace=True), -20.0, -60.0)
    np.testing.assert_allclose(in_place, np.exp([-20.0, -60.0]), rtol=1e-5)


def test_gradient_of_atan2_near_the_origin() -> None:
    x, y = (fc.tensor([v], requires_grad=True) for v in (1e-30, 0.0))
    fc.atan2(x, y).backward()
    assert x.grad.item() == 0 and y.grad.item() == pytest.approx(-1e30)
    x, y = (fc.tensor([v], requires_grad=True) for v in (0.0, 0.0))
    fc.atan2(x, y).backward()
    assert x.grad.item() == y.grad.item() == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "abs", "exp", "sign"])
def test_every_position(name: str, dtype: Any) -> None:
    """One special value among ordinary ones changes nothing but itself, in vectors and tails."""
    f = getattr(fc, name)
    rng = np.random.default_rng(0)
    plain = rng.standard_normal(4111).astype(dtype)
    expected = f(fc.tensor(plain)).numpy()
    for value in special(dtype)[:3]:
        for at in (0, 1, 15, 16, 17, 2048, 4095, 4096, 4110):
            x = plain.copy()
            x[at] = value
            found = f(fc.tensor(x)).numpy().copy()
            np.testing.assert_array_equal(found[at], f(fc.tensor(x[at : at + 1])).numpy()[0])
            found[at] = expected[at]
            np.testing.assert_array_equal(found, expected)


# power pooling


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("p", [np.inf, -np.inf])
def test_lp_pool_of_infinite_order(p: float, rank: int, dtype: Any) -> None:
    F = fc.nn.functional
    x = fc.tensor(
        np.random.default_rng(rank).standard_normal((2, 3, *[6] * rank)), dtype=fc.float64
    )
    x = x.to(getattr(fc, np.dtype(dtype).name)).requires_grad_()
    y = getattr(F, f"lp_pool{rank}d")(x, p, 2)
    windows = np.abs(x.detach().numpy())
    for axis in range(2, 2 + rank):
        shape = windows.shape
        split = windows.reshape(*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :])
        windows = (np.max if p > 0 else np.min)(split, axis + 1)
    np.testing.assert_array_equal(y.detach().numpy(), windows)
    y.sum().backward()
    assert np.count_nonzero(x.grad.numpy()) == y.numel()
    chosen = x.grad.numpy() != 0
    np.testing.assert_array_equal(x.grad.numpy()[chosen], np.sign(x.detach().numpy())[chosen])
    ops = functools.partial(fc.ops.lp_pool_backward, norm_type=p, kernel_size=2)
    np.testing.assert_array_equal(ops(np.ones_like(windows), x.detach().numpy()), x.grad.numpy())


def test_lp_pool_of_1_2_3_4() -> None:
    x = fc.tensor([[[1.0, 2, 3, 4]]])
    F = fc.nn.functional
    assert F.lp_pool1d(x, float("-inf"), 2).tolist() == [[[1, 3]]]
    assert F.lp_pool1d(x, float("inf"), 2).tolist() == [[[2, 4]]]
    assert F.lp_pool1d(x, float("inf"), 3, 2, ceil_mode=True).tolist() == [[[3, 4]]]
    assert F.lp_pool1d(-x, float("-inf"), 2).tolist() == [[[1, 3]]]


@pytest.mark.parametrize("p", [2.33, 0.5, 1.5])
def test_lp_pool_of_negative_values(p: float) -> None:
    x = fc.tensor([[[-1.0, 2, -3, -4]]], dtype=fc.float64, requires_grad=True)
    y = fc.nn.functional.lp_pool1d(x, p, 2)
    expected = [(1 + 2**p) ** (1 / p), (3**p + 4**p) ** (1 / p)]
    np.testing.assert_allclose(y.detach().numpy().ravel(), expected)
    assert fc.autograd.gradcheck(lambda t: fc.nn.functional.lp_pool1d(t, p, 2), [x])


@pytest.mark.parametrize("layout", ["plain", "channels_last"])
@pytest.mark.parametrize("backend", ["c", "numba", "naive"])
def test_norms_of_numbers_whose_squares_overflow(layout: str, backend: str) -> None:
    """±1e30 in float32: mean 0, deviation 1e30, so ±1."""
    from fastconv import backends

    if backends.why_not(backend):
        pytest.skip(backends.why_not(backend))
    sign = np.where(np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4) % 2, 1, -1).astype(np.float32)
    x = fc.tensor(sign * np.float32(1e30))
    if layout == "channels_last":
        x = x.contiguous(memory_format=fc.channels_last)
    with fc.backend(backend):
        for y in (
            F.batch_norm(x, None, None, training=True),
            F.instance_norm(x),
            F.group_norm(x, 3),
            F.layer_norm(x, (4,)),
        ):
            np.testing.assert_allclose(y.numpy(), sign, rtol=1e-5)

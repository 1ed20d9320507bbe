"""Special functions: values against SciPy or formulas, values and gradients against PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import special

KINDS = ["float32", "float64"]
TOLERANCE = {"float32": dict(rtol=5e-6, atol=1e-6), "float64": dict(rtol=1e-12, atol=1e-14)}

WIDE = np.concatenate([np.linspace(-9, 9, 61), [0.0, 1e-8, -1e-5, 25.0, -25.0]])
SHARE = np.concatenate([np.linspace(0.02, 0.98, 25), [1e-6, 0.5, 1 - 1e-6]])
POSITIVE = np.concatenate([np.linspace(0.05, 6, 30), [1e-7, 50.0]])
NEAR = np.concatenate([np.linspace(-0.9, 4, 30), [1e-7, -1e-7, 0.0]])
ROWS = np.random.default_rng(0).standard_normal((4, 6)) * 3

#: Name, the call, its operands, SciPy's name or a formula of arrays.
CASES: dict[str, tuple[Any, tuple[np.ndarray, ...], Any]] = {
    "entr": (lambda m, x: m.entr(x), (POSITIVE,), lambda x: -x * np.log(x)),
    "erf": (lambda m, x: m.erf(x), (WIDE,), np.vectorize(math.erf)),
    "erfc": (lambda m, x: m.erfc(x), (WIDE,), np.vectorize(math.erfc)),
    "exp2": (lambda m, x: m.exp2(x), (WIDE,), lambda x: 2.0**x),
    "expit": (lambda m, x: m.expit(x), (WIDE,), lambda x: 1 / (1 + np.exp(-x))),
    "expm1": (lambda m, x: m.expm1(x), (WIDE,), np.expm1),
    "log1p": (lambda m, x: m.log1p(x), (NEAR,), np.log1p),
    "log_softmax": (lambda m, x: m.log_softmax(x, 1), (ROWS,), "log_softmax"),
    "softmax": (lambda m, x: m.softmax(x, 1), (ROWS,), "softmax"),
    "logsumexp": (lambda m, x: m.logsumexp(x, 1), (ROWS,), "logsumexp"),
    "logit": (lambda m, x: m.logit(x), (SHARE,), lambda x: np.log(x) - np.log1p(-x)),
    "logit limited": (
        lambda m, x: m.logit(x, 0.11), (SHARE,),
        lambda x: np.log(x.clip(0.11, 0.89) / (1 - x.clip(0.11, 0.89))),
    ),
    "ndtr": (lambda m, x: m.ndtr(x), (WIDE,), np.vectorize(lambda v: math.erfc(-v / 2**0.5) / 2)),
    "round": (lambda m, x: m.round(x), (WIDE * 0.5,), np.rint),
    "sinc": (lambda m, x: m.sinc(x), (WIDE[:62] * 0.3,), np.sinc),
    "xlogy": (lambda m, x, y: m.xlogy(x, y), (WIDE[:32], POSITIVE), lambda x, y: x * np.log(y)),
    "xlog1py": (lambda m, x, y: m.xlog1py(x, y), (WIDE[:33], NEAR), lambda x, y: x * np.log1p(y)),
}  # fmt: skip


def exact(reference: Any, arrays: list[np.ndarray]) -> np.ndarray:
    """The reference's values in float64."""
    wide = [a.astype(np.float64) for a in arrays]
    if isinstance(reference, str):
        function = getattr(pytest.importorskip("scipy.special"), reference)
        return np.asarray(function(*wide, axis=1))
    return np.asarray(reference(*wide))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_values(name: str, kind: str) -> None:
    call, arrays, reference = CASES[name]
    given = [a.astype(kind) for a in arrays]
    found = call(special, *[fc.tensor(a) for a in given])
    assert found.dtype == getattr(fc, kind)
    np.testing.assert_allclose(found.numpy(), exact(reference, given), **TOLERANCE[kind])


@pytest.mark.torch
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_as_in_torch(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    call, arrays, _ = CASES[name]
    found = []
    for lib in (fc, torch):
        leaves = [lib.tensor(a.astype(kind)).requires_grad_() for a in arrays]
        y = call(lib.special, *leaves)
        y.backward(lib.tensor(np.cos(np.arange(y.numel())).reshape(tuple(y.shape)).astype(kind)))
        found.append([y.detach().numpy(), *[t.grad.numpy() for t in leaves]])
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, **TOLERANCE[kind])


@pytest.mark.parametrize("name", [n for n in CASES if n != "round"])
def test_gradients(name: str) -> None:
    call, arrays, _ = CASES[name]
    at = [a[:6] if a.ndim == 1 else a for a in arrays]
    leaves = [fc.tensor(a).requires_grad_() for a in at]
    assert fc.autograd.gradcheck(lambda *t: call(special, *t), leaves)


def test_small_tails_keep_their_digits() -> None:
    x = np.array([3.0, 6.0, 6.5, 10.0, 20.0, 26.0])
    np.testing.assert_allclose(
        special.erfc(fc.tensor(x)).numpy(), [math.erfc(v) for v in x], rtol=1e-14
    )
    want = [math.erfc(v / 2**0.5) / 2 for v in x]  # x / √2 is rounded: x² units in the last place
    np.testing.assert_allclose(special.ndtr(fc.tensor(-x)).numpy(), want, rtol=3e-13)
    small = np.array([3e-6, 1e-3, 0.0477, 0.0478])
    leaf = fc.tensor(small).requires_grad_()
    special.sinc(leaf).sum().backward()
    z = (np.pi * small) ** 2
    want = -(np.pi**2) * small / 3 * (1 - z / 10 * (1 - z / 28 * (1 - z / 54 * (1 - z / 88))))
    np.testing.assert_allclose(leaf.grad.numpy(), want, rtol=1e-13)
    single = special.erfc(fc.tensor(np.float32([4.0, 9.0]))).numpy()
    np.testing.assert_allclose(single, [math.erfc(4), math.erfc(9)], rtol=2e-7)
    tiny = fc.tensor([1e-12, -1e-14], dtype=fc.float64)
    np.testing.assert_allclose(special.xlog1py(2.0, tiny).numpy(), [2e-12, -2e-14], rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_ends(kind: str) -> None:
    """Zero times infinity is zero, NaN stays NaN."""
    inf, nan = math.inf, math.nan
    x = fc.tensor(np.array([0.0, 0.0, 0.0, 0.0, 2.0, 1.0, nan]).astype(kind)).requires_grad_()
    y = fc.tensor(np.array([0.0, inf, -1.0, nan, 0.0, inf, 1.0]).astype(kind)).requires_grad_()
    with np.errstate(all="ignore"):
        found = special.xlogy(x, y)
        np.testing.assert_array_equal(found.detach().numpy(), [0, 0, 0, nan, -inf, inf, nan])
        found[:3].sum().backward()
        shifted = special.xlog1py(x.detach(), y.detach() - 1).numpy()
        np.testing.assert_array_equal(shifted, [0, 0, 0, nan, -inf, inf, nan])
    assert not x.grad[:3].numpy().any() and not y.grad[:3].numpy().any()
    ends = fc.tensor(np.array([0.0, -1.0, inf, nan]).astype(kind))
    np.testing.assert_array_equal(special.entr(ends).numpy(), [0, -inf, -inf, nan])
    np.testing.assert_array_equal(special.erfc(fc.tensor([-inf, inf, nan])).numpy(), [2, 0, nan])
    np.testing.assert_array_equal(special.ndtr(fc.tensor([-inf, inf, nan])).numpy(), [0, 1, nan])
    np.testing.assert_array_equal(special.sinc(ends[:1]).numpy(), [1])


def test_numbers_as_operands() -> None:
    y = fc.tensor([1.0, math.e, 0.0])
    np.testing.assert_allclose(special.xlogy(0, y).numpy(), [0, 0, 0])
    np.testing.assert_allclose(special.xlogy(2.0, y[:2]).numpy(), [0, 2], atol=1e-6)
    np.testing.assert_allclose(special.xlogy(y, math.e).numpy(), y.numpy(), rtol=1e-6)
    np.testing.assert_allclose(special.xlog1py(y, 0).numpy(), [0, 0, 0])
    assert special.xlogy(y.double(), 2).dtype == fc.float64


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="scipy"):
        special.digamma  # noqa: B018
    with pytest.raises(AttributeError, match="no_such"):
        special.no_such  # noqa: B018

"""Sums, products and running sums along a middle axis: every kernel against the specification."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import planner
from fastconv.backends import naive
from tests.test_kernels import DTYPES, VARIANTS, Guarded, integers, using

REDUCTIONS = ("sums", "sums_of_squares", "sums_of_products", "sums_of_exps", "products")
RUNNING = ("running_sums", "running_products")
#: (outer, length, inner): tails of vectors, chains and rows taken together; several blocks and
#: strips; nothing at all.
SHAPES = [
    (1, 1, 1), (3, 1, 1), (2, 7, 1), (5, 33, 1), (2, 1029, 1), (1, 4100, 1), (3, 0, 1), (0, 4, 1),
    (2, 3, 0), (1, 5, 2), (2, 300, 3), (1, 1100, 7), (3, 9, 16), (2, 40, 24), (1, 70, 33),
    (2, 3, 130), (1, 130, 65), (1, 3, 1030), (2, 2, 2051), (40, 2, 4),
]  # fmt: skip
#: Of several blocks, for the compiled kernels alone.
LARGE = [(1, 140_001, 1), (2, 70_000, 3), (1, 70_001, 1), (1, 600, 600), (1, 140, 1100)]
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30)


def _cases(ops):
    return pytest.mark.parametrize(
        ("op", "variant"), [(op, v) for op in ops for v in VARIANTS[op]], ids=str
    )


def _given(op: str, shape: tuple[int, int, int], values: np.ndarray) -> dict[str, np.ndarray]:
    if op == "sums_of_products":
        return {"other": integers(shape, "other")}
    if op in ("sums_of_squares", "sums_of_exps"):
        return {"centre": integers((shape[0], shape[2]), "centre")}
    return {}


def _values(op: str, shape: tuple[int, int, int]) -> np.ndarray:
    x = integers(shape, op)
    if "products" in op and op != "sums_of_products":  # the product stays exact
        x = np.sign(x) + (x == 0)
        x[:, ::101] *= 2
        x[:, 1::101] /= 2
    return x


def _exact(op: str, x: np.ndarray, given: dict[str, np.ndarray], divisor: float) -> np.ndarray:
    """What the specification says; of many elements with NumPy, since integers are exact."""
    outer, _, inner = x.shape
    want = np.empty((outer, inner))
    if x.size < 3000:
        getattr(naive, op)(x, want, divisor=divisor, **given)
        return want
    if op == "products":
        return x.prod(1) / divisor
    x = x.astype(np.longdouble)
    centre = given.get("centre", np.zeros((outer, inner)))[:, None]
    terms = x * given["other"] if "other" in given else x - centre
    if op == "sums_of_squares":
        terms = terms * terms
    if op == "sums_of_exps":
        terms = np.exp(terms)
    return (terms.sum(1) / divisor).astype(np.float64)


@_cases(REDUCTIONS)
def test_kernels(op, variant):
    """Exact on integers, into either type; the same for every number of threads."""
    for shape in SHAPES + (LARGE if variant.backend != "naive" else []):
        x = _values(op, shape)
        given = _given(op, shape, x)
        want = _exact(op, x, given, 4.0)
        for dtype in DTYPES:
            for kind in {np.dtype(dtype), np.dtype(np.float64)}:
                what = f"{op} {variant} {shape} {np.dtype(dtype)} -> {kind}"
                arrays = {k: v.astype(dtype if k == "other" else float) for k, v in given.items()}
                a, results = x.astype(dtype), []
                for threads in (1, 3):
                    out = Guarded((shape[0], shape[2]), kind)
                    with using(op, variant, threads) as function:
                        function(a, out.array, divisor=4.0, **arrays)
                    results.append(out.check(what))
                assert np.array_equal(*results), what
                if op == "sums_of_exps":
                    eps = float(np.finfo(dtype).eps)
                    np.testing.assert_allclose(
                        results[0], want, (8 + shape[1] ** 0.5) * eps, err_msg=what
                    )
                else:
                    assert np.array_equal(results[0], want.astype(kind)), what
                assert np.array_equal(a, x), what


@_cases(REDUCTIONS)
def test_special_values(op, variant):
    """NaN and infinities at every lane, as the specification has them."""
    for shape in ((30, 70, 1), (2, 70, 9), (1, 300, 3)):
        x = np.random.default_rng(1).uniform(0.5, 1.5, shape)
        for o in range(shape[0]):
            for k in range(2 if o % 3 else 0):
                at = (o, (7 * o + 31 * k) % shape[1], k % shape[2])
                x[at] = SPECIAL[(o + 3 * k) % len(SPECIAL)]
        given = {"other": np.ones(shape)} if op == "sums_of_products" else {}
        want = np.empty((shape[0], shape[2]))
        getattr(naive, op)(x, want, **given)
        for dtype in DTYPES:
            arrays = {k: v.astype(dtype) for k, v in given.items()}
            out = np.empty(want.shape)
            with using(op, variant) as function:
                function(x.astype(dtype), out, **arrays)
            np.testing.assert_allclose(out, want, 1e-5, err_msg=f"{op} {variant} {shape}")


@_cases(RUNNING)
def test_running(op, variant):
    for shape in SHAPES:
        x = _values(op, shape)
        for back in (False, True):
            want = np.empty(shape)
            getattr(naive, op)(x, want, back)
            for dtype in DTYPES:
                what = f"{op} {variant} {shape} {np.dtype(dtype)} back {back}"
                results = []
                for threads in (1, 3):
                    a, out = x.astype(dtype), Guarded(shape, dtype)
                    with using(op, variant, threads) as function:
                        function(a, out.array, back)
                        results.append(out.check(what))
                        assert np.array_equal(a, x), what
                        function(a, a, back)
                    results.append(a)
                for got in results:
                    assert np.array_equal(got, want), what


@pytest.mark.parametrize("variant", VARIANTS["sums"], ids=str)
def test_long_sums(variant):
    """Equal terms, whose roundings all go one way, in blocks of runs and of rows."""
    if variant.backend == "naive":
        return
    for dtype in DTYPES:
        value = dtype(0.1)
        for shape in ((1, 300_007, 1), (1, 100_003, 3), (2, 20_000, 5), (1, 900, 1030)):
            bound = 6e-8 if dtype == np.float32 else 3e-16
            if dtype == np.float64 and (shape[2] > 1 or variant.backend != "c"):
                bound = 5e-14  # the chains of a block of rows
            x, out = np.full(shape, value), np.empty((shape[0], shape[2]), dtype)
            with using("sums", variant) as function:
                function(x, out)
            want = np.longdouble(value) * shape[1]
            assert np.max(np.abs(out - want)) <= bound * want, (variant, shape)


def test_the_specification():
    x, other = integers((2, 5, 3), 1), integers((2, 5, 3), 2)
    centre, out = integers((2, 3), 3), np.empty((2, 3))
    naive.sums(x, out, divisor=2.0)
    assert np.array_equal(out, x.sum(1) / 2)
    naive.sums_of_squares(x, out, centre=centre)
    assert np.array_equal(out, ((x - centre[:, None]) ** 2).sum(1))
    naive.sums_of_products(x, out, other)
    assert np.array_equal(out, (x * other).sum(1))
    naive.sums_of_exps(x, out, centre=centre)
    np.testing.assert_allclose(out, np.exp(x - centre[:, None]).sum(1), 1e-15)
    naive.products(x, out)
    assert np.array_equal(out, x.prod(1))
    run = np.empty(x.shape)
    naive.running_sums(x, run, True)
    assert np.array_equal(run, np.flip(np.flip(x, 1).cumsum(1), 1))
    naive.running_products(x, run)
    assert np.array_equal(run, x.cumprod(1))


def test_kernels_refuse_what_does_not_fit():
    x = np.zeros((2, 5, 3), np.float32)
    with fc.backend("c"):
        sums, both = planner.kernel("sums"), planner.kernel("sums_of_products")
        run = planner.kernel("running_sums")
    with pytest.raises(ValueError, match="outer, length, inner"):
        sums(x[0], np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="out must have shape"):
        sums(x, np.zeros((3, 2), np.float32))
    with pytest.raises(TypeError, match="out must be float32"):
        sums(x, np.zeros((2, 3), np.int64))
    with pytest.raises(TypeError, match="float32 or float64"):
        sums(x.astype(int), np.zeros((2, 3), int))
    with pytest.raises(TypeError, match="centre must be float64"):
        sums(x, np.zeros((2, 3)), centre=np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="two operands"):
        both(x, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="other must have shape"):
        both(x, np.zeros((2, 3)), x[:1])
    with pytest.raises(ValueError, match="out must have shape"):
        run(x, x[:1].copy())

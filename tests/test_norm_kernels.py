"""The normalisation kernels against the specification, as tests/test_kernels.py does.

Every variant × type × memory format over awkward sizes: few and odd channels, images that fill no
vector, several sets. Sums and maps of small integers are exact and compared with ``==``.
"""

from __future__ import annotations

import itertools
from functools import cache
from math import inf

import numpy as np
import pytest

from fastconv import backends
from fastconv.backends import naive
from fastconv.ops import norm
from fastconv.spec import NormSpec
from tests.test_kernels import (
    DTYPES,
    FORMATS,
    VARIANTS,
    Guarded,
    Variant,
    formatted,
    integers,
    using,
)
from tests.tolerance import assert_close

#: (shape, sets): rows of one pixel and of many, strips of columns, images shorter than a vector.
CASES = [
    ((1, 1, 1, 1, 1), 1),
    ((3, 1, 1, 1, 7), 1),
    ((2, 3, 1, 5, 7), 1),
    ((4, 6, 1, 1, 33), 2),
    ((2, 16, 1, 9, 9), 1),
    ((5, 17, 1, 1, 1), 1),
    ((5, 33, 1, 1, 2), 5),
    ((2, 64, 1, 14, 14), 1),
    ((1, 70, 2, 3, 5), 1),
    ((2, 1100, 1, 1, 3), 1),
    ((2, 2049, 1, 1, 2), 2),
    ((3, 3, 1, 1, 700), 3),
    ((1, 2, 1, 1, 20000), 1),
    ((2, 8, 1, 40, 67), 1),
]
LIMIT = 2.0
ACTIVATIONS = {"none": (False, inf), "relu": (True, inf), "cut off": (True, LIMIT)}
RESULTS = [(None, inf), ("y", inf), ("y", LIMIT)]  # of the activation, if there is one
BOTH = list(itertools.product(DTYPES, FORMATS))
BY_CASE = pytest.mark.parametrize(("shape", "sets"), CASES, ids=str)
BY_VARIANT = pytest.mark.parametrize("variant", VARIANTS["norm_apply"], ids=str)


@cache
def reference(shape: tuple[int, ...], sets: int) -> dict[str, np.ndarray]:
    """Integer operands, and the specification's results (with numpy where that is large)."""
    spec = NormSpec(shape, sets)
    length = sets * spec.channels
    r = {name: integers(shape, name) for name in "xgr"}
    r["coef3"], r["coef4"] = integers((3, length), "a"), integers((4, length), "b")
    r["y"] = integers(shape, "y")
    for name in ("mean", "var", "total", "along", "masked", "masked along"):
        r[name] = np.empty(length)
    naive.norm_statistics(spec, r["x"], r["mean"], r["var"])
    centre = r["coef3"][0]
    naive.norm_backward_sums(spec, r["g"], r["x"], None, centre, r["total"], r["along"])
    naive.norm_backward_sums(spec, r["g"], r["x"], r["y"], centre, r["masked"], r["masked along"])
    cut, along = np.empty((2, length))
    r["masked cut"], r["masked along cut"] = cut, along
    naive.norm_backward_sums(spec, r["g"], r["x"], r["y"], centre, cut, along, LIMIT)
    for activation, residual in itertools.product(ACTIVATIONS, (None, "r")):
        out = r[f"apply {activation} {residual}"] = np.empty(shape)
        other = r[residual] if residual else None
        relu, limit = ACTIVATIONS[activation]
        naive.norm_apply(spec, r["x"], r["coef3"], other, relu, out, limit)
    for x, (y, limit) in itertools.product((None, "x"), RESULTS):
        out, passed = np.empty(shape), np.empty(shape)
        r[f"back {x} {y} {limit}"], r[f"passed {y} {limit}"] = out, passed
        given = (r[x] if x else None, r[y] if y else None)
        naive.norm_backward_apply(spec, r["g"], *given, r["coef4"], out, passed, limit)
    return r


@BY_CASE
@BY_VARIANT
def test_statistics(shape: tuple[int, ...], sets: int, variant: Variant) -> None:
    spec, r = NormSpec(shape, sets), reference(shape, sets)
    for dtype, form in BOTH:
        x = formatted(r["x"].astype(dtype), form)
        mean, var = (Guarded(r["mean"].shape, np.float64) for _ in range(2))
        with using("norm_statistics", variant) as function:
            function(spec, x, mean.array, var.array)
        what = f"{variant} {np.dtype(dtype)} {form} {spec}"
        count = spec.batch * spec.space
        spread = np.concatenate([r["mean"], [2.0]])  # the mean's error is one of the spread's
        got = np.concatenate([mean.check(what), [2.0]])
        assert_close(got, spread, dtype, count, "direct", what)
        assert_close(var.check(what), r["var"], dtype, count, "direct", what)
        assert np.array_equal(x, r["x"]), what


@BY_CASE
@BY_VARIANT
def test_apply(shape: tuple[int, ...], sets: int, variant: Variant) -> None:
    spec, r = NormSpec(shape, sets), reference(shape, sets)
    for (dtype, form), activation, residual in itertools.product(BOTH, ACTIVATIONS, (None, "r")):
        x, coef = formatted(r["x"].astype(dtype), form), r["coef3"].astype(dtype)
        other = formatted(r["r"].astype(dtype), form) if residual else None
        out = Guarded(shape, dtype, form)
        with using("norm_apply", variant) as function:
            relu, limit = ACTIVATIONS[activation]
            function(spec, x, coef, other, relu, out.array, limit)
        what = f"{variant} {np.dtype(dtype)} {form} {spec} {activation} residual {residual}"
        assert np.array_equal(out.check(what), r[f"apply {activation} {residual}"]), what
        assert np.array_equal(x, r["x"]), what


@BY_CASE
@BY_VARIANT
def test_backward(shape: tuple[int, ...], sets: int, variant: Variant) -> None:
    spec, r = NormSpec(shape, sets), reference(shape, sets)
    for (dtype, form), (name, limit) in itertools.product(BOTH, RESULTS):
        g, x = (formatted(r[k].astype(dtype), form) for k in "gx")
        y = formatted(r["y"].astype(dtype), form) if name else None
        what = f"{variant} {np.dtype(dtype)} {form} {spec} {name} {limit}"
        total, along = (Guarded(r["mean"].shape, np.float64) for _ in range(2))
        with using("norm_backward_sums", variant) as function:
            centre = r["coef3"][0].astype(dtype)
            function(spec, g, x, y, centre, total.array, along.array, limit)
        want = ("masked", "masked along") if name else ("total", "along")
        want = tuple(f"{w} cut" for w in want) if limit < inf else want
        assert np.array_equal(total.check(what), r[want[0]]), what
        assert np.array_equal(along.check(what), r[want[1]]), what
        coef = r["coef4"].astype(dtype)
        for dx, dr, with_x in itertools.product((True, False), (True, False), ("x", None)):
            out = Guarded(shape, dtype, form) if dx else None
            passed = Guarded(shape, dtype, form) if dr else None
            with using("norm_backward_apply", variant) as function:
                function(
                    spec, g, x if with_x else None, y, coef, out.array if out else None,
                    passed.array if passed else None, limit,
                )  # fmt: skip
            if out:
                assert np.array_equal(out.check(what), r[f"back {with_x} {name} {limit}"]), what
            if passed:
                assert np.array_equal(passed.check(what), r[f"passed {name} {limit}"]), what


@BY_VARIANT
@pytest.mark.parametrize("form", FORMATS)
def test_threads_and_formats_agree(variant: Variant, form: str) -> None:
    """Bit for bit for every number of threads; operands in the other format are converted."""
    shape = (3, 40, 1, 37, 29)
    spec, generator = NormSpec(shape), np.random.default_rng(3)
    x, g, r = (formatted(generator.standard_normal(shape).astype("f"), form) for _ in range(3))
    other = FORMATS[form == FORMATS[0]]

    def everything(g: np.ndarray, r: np.ndarray) -> list[np.ndarray]:
        mean, var, total, along = np.empty((4, 40))
        y, out, passed = (np.empty_like(x) for _ in range(3))
        module = backends.load(variant.backend)
        module.norm_statistics(spec, x, mean, var)
        coef = np.stack([mean, 1 / np.sqrt(var), mean, var]).astype("f")
        module.norm_apply(spec, x, coef[:3], r, True, y)
        module.norm_backward_sums(spec, g, x, y, coef[0], total, along)
        module.norm_backward_apply(spec, g, x, y, coef, out, passed)
        return [mean, var, y, total, along, out, passed]

    with using("norm_apply", variant, threads=1):
        want = everything(g, r)
        for a, b in zip(want, everything(formatted(g, other), formatted(r, other)), strict=True):
            assert np.array_equal(a, b)
    for threads in (2, 3):
        with using("norm_apply", variant, threads=threads):
            for a, b in zip(want, everything(g, r), strict=True):
                assert np.array_equal(a, b), threads


@BY_VARIANT
@pytest.mark.parametrize("form", FORMATS)
def test_large_mean(variant: Variant, form: str) -> None:
    """A mean of ten thousand deviations costs no accuracy."""
    shape, spec = (2, 5, 1, 40, 50), NormSpec((2, 5, 1, 40, 50))
    x = np.random.default_rng(5).standard_normal(shape) + 1e4
    x = formatted(x.astype("f"), form)
    exact = x.astype(np.float64)
    mean, var = np.empty((2, 5))
    with using("norm_statistics", variant) as function:
        function(spec, x, mean, var)
    assert np.allclose(mean, exact.mean((0, 2, 3, 4)), rtol=1e-10)
    assert np.allclose(var, exact.var((0, 2, 3, 4)), rtol=1e-5)
    coef = norm.coefficients(spec, mean, 1 / np.sqrt(var), None, None, x.dtype)
    y = np.empty_like(x)
    with using("norm_apply", variant) as function:
        function(spec, x, coef, None, False, y)
    at = (0, 2, 3, 4)
    want = (exact - exact.mean(at, keepdims=True)) / exact.std(at, keepdims=True)
    assert np.abs(y - want).max() < 1e-5


@BY_VARIANT
@pytest.mark.parametrize("channels", [1, 3, 16, 37])
def test_not_finite(variant: Variant, channels: int) -> None:
    """NaN stays NaN and passes its gradient, as in PyTorch; other channels do not notice."""
    shape = (2, channels, 1, 5, 9)
    spec = NormSpec(shape)
    x = integers(shape, "x")
    x[1, channels - 1, 0, 2, 3] = np.nan
    x[0, 0, 0, 0, 0] = np.inf
    coef = np.ones((4, channels))
    for dtype, form in BOTH:
        mean, var, total, along = np.empty((4, channels))
        a = formatted(x.astype(dtype), form)
        y, out, passed = (np.empty_like(a) for _ in range(3))
        module = backends.load(variant.backend)
        with using("norm_apply", variant):
            module.norm_statistics(spec, a, mean, var)
            module.norm_apply(spec, a, coef[:3].astype(dtype), None, True, y)
            g = np.ones_like(a)
            module.norm_backward_sums(spec, g, a, y, coef[0].astype(dtype), total, along)
            module.norm_backward_apply(spec, g, None, y, coef.astype(dtype), out, passed)
        assert np.isnan(mean[-1]) and np.isnan(var[0]) and not np.isfinite(mean[0])
        assert np.isfinite(mean[1:-1]).all() and np.isfinite(var[1:-1]).all()
        assert np.array_equal(y, np.where(x < 0, 0, x), equal_nan=True)
        assert np.array_equal(passed, np.where(y <= 0, 0.0, 1.0))
        assert np.array_equal(out, passed)
        assert np.array_equal(total, passed.sum((0, 2, 3, 4)))


def test_wrong_arrays() -> None:
    if backends.why_not("c"):
        pytest.skip("no C extension")
    c = backends.load("c")
    spec = NormSpec((2, 3, 4))
    x = np.zeros((2, 3, 4), "f")
    coef = np.zeros((3, 3), "f")
    with pytest.raises(ValueError, match="residual must have shape"):
        c.norm_apply(spec, x, coef, x[:1], False, np.empty_like(x))
    with pytest.raises(TypeError, match="coef must be float32"):
        c.norm_apply(spec, x, coef.astype("d"), None, False, np.empty_like(x))
    with pytest.raises(ValueError, match="laid out as the input"):
        c.norm_apply(spec, x, coef, None, False, np.empty((2, 4, 3), "f").transpose(0, 2, 1))
    with pytest.raises(TypeError, match="mean must be float64"):
        c.norm_statistics(spec, x, np.empty(3, "f"), np.empty(3))
    with pytest.raises(TypeError, match="expected float32 or float64"):
        c.norm_statistics(spec, x.astype(np.float16), np.empty(3), np.empty(3))

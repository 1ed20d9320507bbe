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
from tests.guarded import Guarded, fenced
from tests.test_kernels import (
    DTYPES,
    FORMATS,
    VARIANTS,
    Variant,
    integers,
    using,
)
from tests.tolerance import assert_close

#: (shape, sets, pool): rows of one pixel and of many, strips of columns, images shorter than a
#: vector, channels that share their statistics.
CASES = [
    ((1, 1, 1, 1, 1), 1, 1),
    ((3, 1, 1, 1, 7), 1, 1),
    ((2, 3, 1, 5, 7), 1, 1),
    ((4, 6, 1, 1, 33), 2, 3),
    ((2, 16, 1, 9, 9), 1, 1),
    ((5, 17, 1, 1, 1), 1, 1),
    ((5, 33, 1, 1, 2), 5, 1),
    ((2, 64, 1, 14, 14), 1, 1),
    ((1, 70, 2, 3, 5), 1, 1),
    ((2, 1100, 1, 1, 3), 1, 1),
    ((2, 2049, 1, 1, 2), 2, 1),
    ((3, 3, 1, 1, 700), 3, 1),
    ((1, 2, 1, 1, 20000), 1, 1),
    ((2, 8, 1, 40, 67), 1, 1),
    ((2, 48, 1, 5, 7), 2, 16),
]
LIMIT = 2.0
ACTIVATIONS = {"none": (False, inf), "relu": (True, inf), "cut off": (True, LIMIT)}
#: Whether a ReLU was there, whether its result is given, and its limit.
WAYS = [(False, False, inf), *itertools.product((True,), (False, True), (inf, LIMIT))]
BOTH = list(itertools.product(DTYPES, FORMATS))
BY_CASE = pytest.mark.parametrize("case", CASES, ids=str)
BY_VARIANT = pytest.mark.parametrize("variant", VARIANTS["norm_apply"], ids=str)


Case = tuple[tuple[int, ...], int, int]
EPS = 0.5


@cache
def reference(case: Case) -> dict[str, np.ndarray]:
    """Integer operands, and the specification's results."""
    spec, shape = NormSpec(*case), case[0]
    length, channels = spec.sets * spec.channels, (spec.channels,)
    r = {name: integers(shape, name) for name in "xgry"}
    r["coef"] = integers((3, length), "a")
    r["given"] = np.stack([r["coef"][0], np.ones(length), np.ones(length)])  # mean, var, inverse
    for name in ("weight", "bias", "running mean", "running var"):
        r[name] = integers(channels, name)
    r["moved mean"], r["moved var"] = r["running mean"].copy(), r["running var"].copy()
    r["stats"], r["made"] = np.empty((2, 3, length))
    moved = r["moved mean"], r["moved var"], 0.25
    naive.norm_statistics(spec, r["x"], r["weight"], r["bias"], EPS, *moved, r["stats"], r["made"])
    for activation, residual in itertools.product(ACTIVATIONS, (None, "r")):
        out = r[f"apply {activation} {residual}"] = np.empty(shape)
        other = r[residual] if residual else None
        relu, limit = ACTIVATIONS[activation]
        naive.norm_apply(spec, r["x"], r["coef"], other, relu, out, limit)
    for (relu, given, limit), constant in itertools.product(WAYS, (True, False)):
        way = f"{relu} {given} {limit}"
        out, passed = np.empty(shape), np.empty(shape)
        weight, bias = np.empty(channels), np.empty(channels)
        r[f"dx {way} {constant}"], r[f"passed {way}"] = out, passed
        r[f"dw {way}"], r[f"db {way}"] = weight, bias
        y = np.minimum(r["y"], limit) if given else None
        naive.norm_backward(
            spec, r["g"], r["x"], y, relu, r["weight"], r["given"], r["coef"], constant,
            out, passed, weight, bias, limit,
        )  # fmt: skip
    return r


@BY_CASE
@BY_VARIANT
def test_statistics(case: Case, variant: Variant) -> None:
    spec, r = NormSpec(*case), reference(case)
    count = spec.count
    for (dtype, form), affine, running in itertools.product(BOTH, (True, False), (True, False)):
        x = fenced(r["x"].astype(dtype), form)
        weight, bias = (r[k].astype(dtype) if affine else None for k in ("weight", "bias"))
        stats = Guarded(r["stats"].shape, np.float64)
        coef = Guarded(r["stats"].shape, dtype)
        moved = [r[f"running {k}"].astype(dtype) if running else None for k in ("mean", "var")]
        with using("norm_statistics", variant) as function:
            function(spec, x, weight, bias, EPS, *moved, 0.25, stats.array, coef.array)
        what = f"{variant} {np.dtype(dtype)} {form} {spec} affine {affine} running {running}"
        got = stats.check(what)
        for i in range(3):  # the mean's error is one of the spread's
            pairs = [np.concatenate([a, [2.0]]) for a in (got[i], r["stats"][i])]
            assert_close(*pairs, dtype, count, "direct", what)
        by = got[2] * np.tile(r["weight"], spec.sets) if affine else got[2]
        shift = (got[0].astype(dtype) - got[0]) * by
        shift += np.tile(r["bias"], spec.sets) if affine else 0
        want = np.stack([got[0], by, shift])
        assert np.allclose(coef.check(what), want, 1e-6, 1e-14), what
        for name, a in zip(("mean", "var"), moved, strict=True):
            if a is not None:
                assert_close(a, r[f"moved {name}"], dtype, count, "direct", what)
        assert np.array_equal(x, r["x"]), what


@BY_CASE
@BY_VARIANT
def test_apply(case: Case, variant: Variant) -> None:
    spec, r, shape = NormSpec(*case), reference(case), case[0]
    for (dtype, form), activation, residual in itertools.product(BOTH, ACTIVATIONS, (None, "r")):
        x, coef = fenced(r["x"].astype(dtype), form), fenced(r["coef"].astype(dtype))
        other = fenced(r["r"].astype(dtype), form) if residual else None
        out = Guarded(shape, dtype, form)
        with using("norm_apply", variant) as function:
            relu, limit = ACTIVATIONS[activation]
            function(spec, x, coef, other, relu, out.array, limit)
        what = f"{variant} {np.dtype(dtype)} {form} {spec} {activation} residual {residual}"
        assert np.array_equal(out.check(what), r[f"apply {activation} {residual}"]), what
        assert np.array_equal(x, r["x"]), what


@BY_CASE
@BY_VARIANT
def test_backward(case: Case, variant: Variant) -> None:
    """With the statistics given as integers, all but the gradient through them is exact."""
    spec, r, shape = NormSpec(*case), reference(case), case[0]
    for (dtype, form), way in itertools.product(BOTH, WAYS):
        relu, given, limit = way
        name = f"{relu} {given} {limit}"
        weight, coef = fenced(r["weight"].astype(dtype)), fenced(r["coef"].astype(dtype))
        y = fenced(np.minimum(r["y"], limit).astype(dtype), form) if given else None
        x = fenced(r["x"].astype(dtype), form)
        for dx, dr, affine, constant in itertools.product((True, False), repeat=4):
            for place in ("dx", "dr", None):  # which of them lies where the gradient does
                if not {"dx": dx, "dr": dr, None: True}[place]:
                    continue
                g = Guarded(shape, dtype, form)
                g.array[...] = r["g"]
                out, passed = (
                    (g if place == k else Guarded(shape, dtype, form)) if wanted else None
                    for k, wanted in (("dx", dx), ("dr", dr))
                )
                dw, db = (Guarded(weight.shape, dtype) if affine else None for _ in "wb")
                with using("norm_backward", variant) as function:
                    function(
                        spec, g.array, x, y, relu, weight, r["given"], coef, constant,
                        *(a.array if a else None for a in (out, passed, dw, db)), limit,
                    )  # fmt: skip
                what = f"{variant} {np.dtype(dtype)} {form} {spec} {way} {constant} {place}"
                if passed:
                    assert np.array_equal(passed.check(what), r[f"passed {name}"]), what
                if dw and db:
                    assert np.array_equal(dw.check(what), r[f"dw {name}"]), what
                    assert np.array_equal(db.check(what), r[f"db {name}"]), what
                if out and constant:
                    assert np.array_equal(out.check(what), r[f"dx {name} True"]), what
                elif out:
                    want = r[f"dx {name} False"]
                    assert_close(out.check(what), want, dtype, spec.count, "direct", what)
                if not place:
                    assert np.array_equal(g.check(what), r["g"]), what
        assert np.array_equal(x, r["x"])


@BY_VARIANT
@pytest.mark.parametrize("form", FORMATS)
def test_threads_and_formats_agree(variant: Variant, form: str) -> None:
    """Bit for bit for every number of threads; operands in the other format are converted."""
    shape = (3, 40, 1, 37, 29)
    spec, generator = NormSpec(shape), np.random.default_rng(3)
    x, g, r = (fenced(generator.standard_normal(shape).astype("f"), form) for _ in range(3))
    other = FORMATS[form == FORMATS[0]]

    def everything(g: np.ndarray, r: np.ndarray) -> list[np.ndarray]:
        stats, coef = np.empty((3, 40)), np.empty((3, 40), "f")
        y, z, passed, *out = (np.empty_like(x) for _ in range(5))
        grads = np.empty((4, 40), "f")
        module = backends.load(variant.backend)
        module.norm_statistics(spec, x, None, None, 1e-5, None, None, 0, stats, coef)
        module.norm_apply(spec, x, coef, r, True, y)
        module.norm_apply(spec, x, coef, None, True, z, 1.5)
        given = None, stats, coef, False
        module.norm_backward(spec, g, x, y, True, *given, out[0], passed, *grads[:2])
        module.norm_backward(spec, g, x, None, True, *given, out[1], None, *grads[2:], 1.5)
        return [stats, coef, y, z, passed, *out, grads]

    with using("norm_apply", variant, threads=1):
        want = everything(g, r)
        for a, b in zip(want, everything(fenced(g, other), fenced(r, other)), strict=True):
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
    x = fenced(x.astype("f"), form)
    exact = x.astype(np.float64)
    stats, coef = np.empty((3, 5)), np.empty((3, 5), "f")
    with using("norm_statistics", variant) as function:
        function(spec, x, None, None, 0.0, None, None, 0.0, stats, coef)
    mean, var, _ = stats
    assert np.allclose(mean, exact.mean((0, 2, 3, 4)), rtol=1e-10)
    assert np.allclose(var, exact.var((0, 2, 3, 4)), rtol=1e-5)
    assert np.array_equal(coef, norm.constants(spec, mean, var, None, None, 0.0, x.dtype)[1])
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
    for dtype, form in BOTH:
        stats, coef = np.empty((3, channels)), np.ones((3, channels), dtype)
        a = fenced(x.astype(dtype), form)
        y, out, passed, again = (np.empty_like(a) for _ in range(4))
        grads = np.empty((2, channels), dtype)
        module = backends.load(variant.backend)
        with using("norm_apply", variant):
            nothing = None, None, 1e-5, None, None, 0.0
            module.norm_statistics(spec, a, *nothing, stats, np.empty_like(coef))
            module.norm_apply(spec, a, coef, None, True, y)
            g = np.ones_like(a)
            given = None, np.ones_like(stats), coef, True
            module.norm_backward(spec, g, a, y, True, *given, out, passed, *grads)
            module.norm_backward(spec, g, a, None, True, *given, None, again, None, None)
        mean, var, _ = stats
        total = grads[1]
        assert np.array_equal(again, passed)
        assert np.isnan(mean[-1]) and np.isnan(var[0]) and not np.isfinite(mean[0])
        assert np.isfinite(mean[1:-1]).all() and np.isfinite(var[1:-1]).all()
        assert np.array_equal(y, np.where(x < 0, 0, x), equal_nan=True)
        assert np.array_equal(passed, np.where(y <= 0, 0.0, 1.0))
        assert np.array_equal(out, passed)
        assert np.array_equal(total, passed.sum((0, 2, 3, 4)))


@BY_VARIANT
@pytest.mark.parametrize("form", FORMATS)
def test_again(variant: Variant, form: str) -> None:
    """What passed is the same from the result and from x, where all but a few roundings cancels."""
    generator = np.random.default_rng(7)
    for dtype, channels in itertools.product(DTYPES, (3, 37)):
        shape = (2, channels, 1, 7, 11)
        spec, coef = NormSpec(shape), generator.standard_normal((3, channels)).astype(dtype)
        zero = (coef[0] - coef[2] / coef[1]).reshape(1, channels, 1, 1, 1)
        x = zero + generator.integers(-3, 4, shape) * np.spacing(np.abs(zero))
        x, g = fenced(x.astype(dtype), form), fenced(np.ones(shape, dtype), form)
        y, *passed = (np.empty_like(x) for _ in range(5))
        found = []
        with using("norm_apply", variant) as function:
            function(spec, x, coef, None, True, y, 1e-3)
        with using("norm_backward", variant) as function:
            for out, (given, affine) in zip(
                passed, itertools.product((y, None), (True, False)), strict=True
            ):
                grads = np.empty((2, channels), dtype) if affine else (None, None)
                stats = np.ones((3, channels))
                function(spec, g, x, given, True, None, stats, coef, True, None, out, *grads, 1e-3)
                found.append(out)
        assert 0.1 < found[0].mean() < 0.9
        assert all(np.array_equal(out, found[0]) for out in found)


#: (rows, length): rows shorter than a vector, of all tails, of several chunks; blocks of rows.
ROWS = [(1, 1), (3, 4), (40, 7), (5, 16), (33, 37), (150, 65), (2, 2050), (3, 4133), (300, 24)]
BY_LAYER = pytest.mark.parametrize("variant", VARIANTS["layer_norm"], ids=str)


@cache
def rows_reference(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Integer operands of a layer norm, and the specification's results."""
    length = shape[1]
    r = {name: integers(shape, name) for name in "xg"}
    r["weight"], r["bias"] = (integers((length,), name) for name in ("weight", "bias"))
    r["given"] = np.stack([integers((shape[0],), "mean"), np.ones(shape[0])])  # mean, inverse
    for affine in (True, False):
        weight, bias = (r["weight"], r["bias"]) if affine else (None, None)
        y, dx = r[f"y {affine}"], r[f"dx {affine}"] = np.empty(shape), np.empty(shape)
        r["stats"], (r["dw"], r["db"]) = np.empty((2, shape[0])), np.empty((2, length))
        naive.layer_norm(r["x"], weight, bias, EPS, y, r["stats"])
        naive.layer_norm_backward(r["g"], r["x"], weight, r["given"], dx, r["dw"], r["db"])
    return r


@BY_LAYER
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_rows_forward(shape: tuple[int, int], variant: Variant) -> None:
    r, length = rows_reference(shape), shape[1]
    for dtype, (weighted, biased) in itertools.product(
        DTYPES, itertools.product((True, False), repeat=2)
    ):
        x = fenced(r["x"].astype(dtype))
        weight = fenced(r["weight"].astype(dtype)) if weighted else None
        bias = fenced(r["bias"].astype(dtype)) if biased else None
        out, stats = Guarded(shape, dtype), Guarded((2, shape[0]), np.float64)
        with using("layer_norm", variant) as function:
            function(x, weight, bias, EPS, out.array, stats.array)
        what = f"{variant} {np.dtype(dtype)} {shape} {weighted} {biased}"
        assert np.array_equal(x, r["x"]), what
        for got, want in zip(stats.check(what), r["stats"], strict=True):
            pairs = [np.concatenate([a, [2.0]]) for a in (got, want)]
            assert_close(*pairs, dtype, length, "direct", what)
        want = r["y False"] * (r["weight"] if weighted else 1) + (r["bias"] if biased else 0)
        pairs = [np.concatenate([a.ravel(), [2.0]]) for a in (out.check(what), want)]
        assert_close(*pairs, dtype, length, "direct", what)


@BY_LAYER
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_rows_backward(shape: tuple[int, int], variant: Variant) -> None:
    """With the statistics given as integers, the sums over the rows are exact."""
    r, length = rows_reference(shape), shape[1]
    for dtype, affine in itertools.product(DTYPES, (True, False)):
        x, stats = fenced(r["x"].astype(dtype)), fenced(r["given"])
        weight = fenced(r["weight"].astype(dtype)) if affine else None
        for wants, inplace in itertools.product(
            itertools.product((True, False), repeat=3), (True, False)
        ):
            g = Guarded(shape, dtype)
            g.array[...] = r["g"]
            dx = None if not wants[0] else g if inplace else Guarded(shape, dtype)
            dw, db = (Guarded((length,), dtype) if wanted else None for wanted in wants[1:])
            with using("layer_norm_backward", variant) as function:
                function(g.array, x, weight, stats, *(a.array if a else None for a in (dx, dw, db)))
            what = f"{variant} {np.dtype(dtype)} {shape} {affine} {wants} {inplace}"
            assert np.array_equal(x, r["x"]), what
            if dx is not g:
                assert np.array_equal(g.check(what), r["g"]), what
            if dx:
                assert_close(dx.check(what), r[f"dx {affine}"], dtype, length, "direct", what)
            if dw:
                assert np.array_equal(dw.check(what), r["dw"]), what
            if db:
                assert np.array_equal(db.check(what), r["db"]), what


@BY_LAYER
def test_rows_threads_agree(variant: Variant) -> None:
    shape, generator = (1111, 70), np.random.default_rng(3)
    x, g = generator.standard_normal((2, *shape)).astype("f")
    weight, bias = generator.standard_normal((2, 70)).astype("f")

    def everything() -> list[np.ndarray]:
        y, dx, stats, grads = (
            np.empty_like(x),
            np.empty_like(x),
            np.empty((2, 1111)),
            np.empty((2, 70), "f"),
        )
        module = backends.load(variant.backend)
        module.layer_norm(x, weight, bias, 1e-5, y, stats)
        module.layer_norm_backward(g, x, weight, stats, dx, *grads)
        return [y, stats, dx, grads]

    with using("layer_norm", variant, threads=1):
        want = everything()
    for threads in (2, 3):
        with using("layer_norm", variant, threads=threads):
            for a, b in zip(want, everything(), strict=True):
                assert np.array_equal(a, b), threads


@BY_LAYER
def test_rows_large_mean(variant: Variant) -> None:
    """A mean of ten thousand deviations costs no accuracy, not even beside an outlier."""
    x = (np.random.default_rng(5).standard_normal((50, 2100)) + 1e4).astype("f")
    x[7, 0] = -1e4
    exact = x.astype(np.float64)
    y, stats = np.empty_like(x), np.empty((2, 50))
    module = backends.load(variant.backend)
    with using("layer_norm", variant):
        module.layer_norm(x, None, None, 0.0, y, stats)
    mean, deviation = exact.mean(1, keepdims=True), exact.std(1, keepdims=True)
    assert np.allclose(stats[0], mean[:, 0], rtol=1e-9)
    assert np.allclose(stats[1], 1 / deviation[:, 0], rtol=1e-5)
    xhat = (exact - mean) / deviation
    assert np.abs(y - xhat).max() < 2e-6 * np.abs(xhat).max()
    g = np.random.default_rng(6).standard_normal(x.shape).astype("f")
    dx, (dw, db) = np.empty_like(x), np.empty((2, 2100), "f")
    with using("layer_norm", variant):
        module.layer_norm_backward(g, x, None, stats, dx, dw, db)
    want = (g - g.mean(1, keepdims=True) - xhat * (g * xhat).mean(1, keepdims=True)) / deviation
    assert np.abs(dx - want).max() < 1e-5
    assert np.abs(dw - (g * xhat).sum(0)).max() < 1e-4


@BY_LAYER
def test_rows_not_finite(variant: Variant) -> None:
    """A NaN or an infinity spoils its row and no other."""
    for dtype, bad in itertools.product(DTYPES, (np.nan, np.inf)):
        x = integers((4, 37), "x").astype(dtype)
        x[1, 20] = bad
        y, stats = np.empty_like(x), np.empty((2, 4))
        with using("layer_norm", variant) as function:
            function(x, None, None, 1e-5, y, stats)
        assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2, 3]]).all()


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
    nothing = None, None, 0.0, None, None, 0.0
    with pytest.raises(TypeError, match="stats must be float64"):
        c.norm_statistics(spec, x, *nothing, coef, coef)
    with pytest.raises(TypeError, match="coef must be float32"):
        c.norm_statistics(spec, x, *nothing, coef.astype("d"), coef.astype("d"))
    with pytest.raises(TypeError, match="expected float32 or float64"):
        c.norm_statistics(spec, x.astype(np.float16), *nothing, coef.astype("d"), coef)
    with pytest.raises(ValueError, match="weight must have shape"):
        c.norm_statistics(spec, x, coef, *nothing[1:], coef.astype("d"), coef)
    with pytest.raises(ValueError, match=r"expected \(rows, length\)"):
        c.layer_norm(x, None, None, 0.0, x, stats := np.zeros((2, 2)))
    rows = x[:, :, 0].copy()
    with pytest.raises(ValueError, match="bias must have shape"):
        c.layer_norm(rows, None, coef[0, :2], 0.0, rows, stats)
    with pytest.raises(TypeError, match="stats must be float64"):
        c.layer_norm_backward(rows, rows, None, stats.astype("f"), rows, None, None)

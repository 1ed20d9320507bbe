"""Resampling: the kernels against the specification, the matrices against their definition."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import planner
from fastconv.backends import naive
from fastconv.ops.resample import Axis, Scaling, axis, identity
from fastconv.verify.formulas.resample import weights
from tests.guarded import Guarded, fenced
from tests.test_kernels import DTYPES, VARIANTS, integers, using


def matrix(rows: list[dict[int, float]], size: int) -> Axis:
    """An axis from its rows, {source: weight}."""
    return Axis(
        size,
        np.cumsum([0, *map(len, rows)]),
        np.array([i for row in rows for i in row], np.int64),
        np.array([w for row in rows for w in row.values()], np.float64),
    )


#: Rows of one item, of none, of weights other than 1, of more items than are written out.
MIXED = matrix([{0: 1.0}, {}, {2: 2.0}, {0: 1.0, 1: -1.0}, {3: 1.0, 0: 2.0, 1: 3.0}], 4)
LONG = matrix([{0: 1.0, 1: 2.0, 2: 3.0, 3: 1.0}, {i: 1.0 + i for i in range(6)}], 6)
SHAPES = [
    (2, (identity(1, "d"), MIXED, LONG), inner) for inner in (1, 2, 3, 7, 8, 15, 16, 17, 33)
] + [
    (1, (MIXED, identity(3, "d"), MIXED), 5),
    (3, (LONG, MIXED, identity(2, "d")), 1),
    (0, (MIXED, MIXED, MIXED), 4),
    (40, (identity(1, "d"), MIXED, MIXED), 40),
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS["resample"], ids=str)
def test_kernels(variant):
    for batch, axes, inner in SHAPES:
        values = integers((batch, *(a.size for a in axes), inner), f"{batch}{inner}")
        want = np.empty((batch, *(a.out for a in axes), inner))
        naive.resample(values, [tuple(a[1:]) for a in axes], want)
        for dtype in DTYPES:
            what = f"resample {variant} {want.shape} {np.dtype(dtype)}"
            tables = [(a.starts, a.sources, a.weight.astype(dtype)) for a in axes]
            x = fenced(values.astype(dtype))
            for threads in (1, 3):
                out = Guarded(want.shape, dtype)
                with using("resample", variant, threads) as function:
                    function(x, tables, out.array)
                assert np.array_equal(out.check(what), want), what
            assert np.array_equal(x, values)


def test_what_does_not_fit_is_refused():
    x, out = np.zeros((1, 4, 4, 4, 2), np.float32), np.zeros((1, 5, 4, 4, 2), np.float32)
    good = (MIXED.starts, MIXED.sources, MIXED.weight.astype(np.float32))
    same = tuple(identity(4, "f")[1:])
    with fc.backend("c"):
        kernel = planner.kernel("resample")
    kernel(x, [good, same, same], out)
    with pytest.raises(ValueError, match="out must have shape"):
        kernel(x, [same, good, same], out)
    with pytest.raises(IndexError, match="leave an axis of 4"):
        kernel(x, [(good[0], good[1] + 1, good[2]), same, same], out)
    with pytest.raises(ValueError, match="must rise"):
        kernel(x, [(good[0][[0, 4, 2, 3, 1, 5]], *good[1:]), same, same], out)
    with pytest.raises(TypeError, match="weight must be float32"):
        kernel(x, [(*good[:2], good[2].astype(float)), same, same], out)


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_at_the_borders_of_elements(mode):
    """The element is PyTorch's for images, the formula's, and the same in every backend."""
    torch = pytest.importorskip("torch")
    half, borders = Fraction(1, 2) if mode == "nearest-exact" else Fraction(0), 0
    for n, m in itertools.product(range(1, 30), range(1, 64)):
        x = np.arange(n, dtype=np.float32).reshape(1, 1, 1, n)
        theirs = torch.nn.functional.interpolate(torch.from_numpy(x), size=(1, m), mode=mode)
        wanted = theirs.numpy().reshape(m)
        matrix = weights(n, m, Fraction(n, m), mode, False).a
        np.testing.assert_array_equal(matrix @ np.arange(n), wanted, err_msg=f"{n} to {m}")
        how = Scaling(mode, n, m, None, False)
        np.testing.assert_array_equal(axis(how, "f").sources, wanted)
        np.testing.assert_array_equal(axis(how, "d").sources, wanted)
        exact = [(i + half) * Fraction(n, m) for i in range(m)]
        if any(e.denominator == 1 and e < n and int(e) != w for e, w in zip(exact, wanted)):
            borders += 1
            for name, kind in itertools.product(("c", "numba", "naive"), (fc.float32, fc.float64)):
                for shape, size in (((1, 1, 1, n), (1, m)), ((1, 1, n), m)):
                    with fc.backend(name):
                        a = fc.from_numpy(x.reshape(shape)).to(kind)
                        got = F.interpolate(a, size=size, mode=mode)
                    np.testing.assert_array_equal(got.numpy().reshape(m), wanted)
    assert borders > 3


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "cubic"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (5, 1), (4, 9), (9, 4), (6, 12), (7, 7)])
def test_matrices(mode, n, m):
    """Every row sums to one, and the transposed matrix is the transposed one."""
    for align in (False, True)[: 1 + (mode in ("linear", "cubic"))]:
        a = axis(Scaling(mode, n, m, None, align), "d")
        b = axis(Scaling(mode, n, m, None, align), "d", True)
        dense, back = np.zeros((m, n)), np.zeros((n, m))
        for full, part in ((dense, a), (back, b)):
            for row in range(part.out):
                for k in range(part.starts[row], part.starts[row + 1]):
                    full[row, part.sources[k]] += part.weight[k]
        np.testing.assert_allclose(dense.sum(1), 1, rtol=1e-12)
        assert np.array_equal(dense.T, back)
        if align and m > 1:
            assert dense[0, 0] == dense[-1, -1] == 1


@pytest.mark.parametrize("form", ["contiguous", "channels-last", "gaps"])
def test_formats(form):
    """The same values whatever the memory format."""
    values = integers((2, 5, 6, 7), "formats").astype(np.float32)
    x = {
        "contiguous": values,
        "channels-last": np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "gaps": np.repeat(values, 2, axis=1)[:, ::2],
    }[form]
    t, u = (fc.from_numpy(a).requires_grad_() for a in (x, values.astype(np.float64)))
    y, want = (F.interpolate(a, (9, 16), mode="bilinear") for a in (t, u))
    g = integers(y.shape, "g").astype(np.float32)
    y.backward(fc.from_numpy(g))
    want.backward(fc.from_numpy(g.astype(np.float64)))
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(t.grad.numpy(), u.grad.numpy(), rtol=1e-6, atol=1e-4)
    if form == "channels-last":
        assert y.detach().numpy().strides[1] == 4

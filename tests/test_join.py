"""Joining, cutting apart and copying up of large arrays, in every memory order."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends
from fastconv.ops import join
from tests.test_kernels import DTYPES, VARIANTS, using


def _last(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


FORMATS = {
    "contiguous": lambda a: a,
    "channels-last": _last,
    "gaps": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
}


def _array(shape, dtype, form="contiguous"):
    a = np.random.default_rng(sum(shape)).integers(-9, 9, shape).astype(dtype)
    return FORMATS[form](a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_join_and_split(axis, first, second, dtype):
    shapes = []
    for n in (3, 0, 41):
        shape = [4, 48, 17, 13]
        shape[axis] = n
        shapes.append(tuple(shape))
    arrays = [_array(s, dtype, f) for s, f in zip(shapes, (first, second, second), strict=True)]
    out = join.concatenate(arrays, axis)
    assert np.array_equal(out, np.concatenate(arrays, axis))
    g = FORMATS[first](out)
    parts = list(join.split(g, [3, 0, 41], [True, True, True], axis))
    for part, a in zip(parts, arrays, strict=True):
        assert np.array_equal(part, a)
    if first == "channels-last" and out.nbytes > 200_000:
        assert np.moveaxis(out, 1, -1).flags.c_contiguous
        assert np.moveaxis(parts[2], 1, -1).flags.c_contiguous
    assert list(join.split(g, [3, 0, 41], [False, False, False], axis)) == [None] * 3


def test_matrices_and_mixed_types():
    a, b = _array((9, 3000), np.float32), _array((9, 7), np.float32)
    assert np.array_equal(join.concatenate([a, b], 1), np.concatenate([a, b], 1))
    mixed = join.concatenate([a, b.astype(float)], 1)
    assert mixed.dtype == np.float64 and np.array_equal(mixed, np.concatenate([a, b], 1))


def test_gradient_of_cat():
    values = [_array((2, c, 70, 71), np.float32, "channels-last") for c in (5, 8)]
    a, b = (fc.from_numpy(v).requires_grad_() for v in values)
    g = _array((2, 13, 70, 71), np.float32)
    fc.cat([a, b], 1).backward(fc.from_numpy(g))
    assert np.array_equal(a.grad.numpy(), g[:, :5])
    assert np.array_equal(b.grad.numpy(), g[:, 5:])


@pytest.mark.parametrize("variant", VARIANTS["copy_columns"], ids=str)
def test_copy_columns(variant):
    for rows, width in [(1, 1), (3, 7), (5, 16), (4, 33), (2, 70), (0, 4), (6, 0)]:
        for dtype in DTYPES:
            a = _array((rows, width + 5), dtype)
            for start, at in ((0, 0), (5, 2), (3, 9)):
                out = np.full((rows, width + 9), 77, dtype)
                want = out.copy()
                want[:, at : at + width] = a[:, start : start + width]
                with using("copy_columns", variant, 2) as function:
                    function(a, start, out, at, width)
                assert np.array_equal(out, want), (rows, width, start, at)


def test_copy_columns_past_the_end():
    c = backends.load("c")
    a, out = np.zeros((2, 6), np.float32), np.zeros((2, 4), np.float32)
    with pytest.raises((IndexError, ValueError)):
        c.copy_columns(a, 3, out, 0, 4)
    with pytest.raises((IndexError, ValueError)):
        c.copy_columns(a, 0, out, 1, 4)

"""Local response normalisation: every kernel against the specification, and the graph."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv.autograd import gradcheck
from fastconv.backends import naive
from tests.test_kernels import DTYPES, VARIANTS, Guarded, using

#: (outer, channels, inner): channels innermost, lines of all tails, several blocks, none at all.
SHAPES = [
    (1, 1, 1), (3, 2, 1), (5, 7, 1), (2, 33, 1), (2, 96, 1), (2, 5, 3), (1, 16, 16), (2, 3, 255),
    (1, 3, 256), (2, 4, 300), (1, 2, 777), (0, 4, 2), (2, 0, 3), (2, 3, 0),
]  # fmt: skip
WINDOWS = [(2, 2), (0, 0), (2, 1), (1, 2), (0, 3), (9, 4)]
#: scale, beta, k
NUMBERS = [(0.3, 0.75, 1.0), (1e-4 / 5, 0.75, 2.0), (0.5, 2.0, 0.1), (0.2, -0.5, 1.0)]


def _values(shape, seed, special=False):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-3, 3, shape)
    if special:
        odd = (np.nan, np.inf, -np.inf, 1e30, 1e-30, 0.0)
        x = np.where(generator.random(shape) < 0.1, generator.choice(odd, shape), x)
    return x.astype(np.float32)


def _both_threads(op, variant, given, shape, dtype):
    found = []
    for threads in (1, 3):
        guarded = Guarded(shape, dtype)
        with using(op, variant, threads) as function:
            function(*given, guarded.array)
        found.append(guarded.check(f"{op} {variant}"))
    np.testing.assert_array_equal(*found)
    return found[0]


def _cases(op):
    return pytest.mark.parametrize("variant", VARIANTS[op], ids=str)


@_cases("local_response")
def test_forward(variant):
    for n, shape in enumerate(SHAPES):
        for window in WINDOWS:
            numbers = NUMBERS[n % len(NUMBERS)]
            x = _values(shape, n)
            want = np.empty(shape)
            naive.local_response(x.astype(float), window, *numbers, want)
            for dtype in DTYPES:
                given = [x.astype(dtype), window, *numbers]
                got = _both_threads("local_response", variant, given, shape, dtype)
                eps = np.finfo(dtype).eps
                np.testing.assert_allclose(
                    got, want, rtol=24 * eps, err_msg=f"{variant} {shape} {window}"
                )


@_cases("local_response_backward")
def test_backward(variant):
    for n, shape in enumerate(SHAPES):
        for window in WINDOWS:
            numbers = NUMBERS[n % len(NUMBERS)]
            g, x = _values(shape, n), _values(shape, n + 1)
            want = np.empty(shape)
            naive.local_response_backward(g.astype(float), x.astype(float), window, *numbers, want)
            size = np.abs(want).max(initial=0) + 3
            for dtype in DTYPES:
                given = [g.astype(dtype), x.astype(dtype), window, *numbers]
                got = _both_threads("local_response_backward", variant, given, shape, dtype)
                eps = np.finfo(dtype).eps
                np.testing.assert_allclose(
                    got, want, rtol=24 * eps, atol=64 * eps * size,
                    err_msg=f"{variant} {shape} {window}",
                )  # fmt: skip


@_cases("local_response")
def test_what_is_not_finite_stays_in_its_window(variant):
    for shape in ((3, 40, 1), (2, 9, 5), (1, 6, 300)):
        x = _values(shape, 3, special=True)
        for k in (1.0, 0.0):
            for dtype in DTYPES:
                want = np.empty(shape, dtype)
                with np.errstate(all="ignore"):
                    wide = x.astype(dtype)
                    squares = np.pad(wide * wide, ((0, 0), (1, 1), (0, 0)))
                    sums = sum(squares[:, j : j + shape[1]] for j in range(3))
                    want = wide * (dtype(k) + dtype(0.3) * sums) ** dtype(-0.75)
                given = [x.astype(dtype), (1, 1), 0.3, 0.75, k]
                got = _both_threads("local_response", variant, given, shape, dtype)
                np.testing.assert_allclose(
                    got, want, rtol=1e-4 if dtype == np.float32 else 1e-10,
                    err_msg=f"{variant} {shape}",
                )  # fmt: skip


@pytest.mark.parametrize("backend", ["c", "numba", "naive"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "strided"])
def test_graph(backend, layout):
    x = np.random.default_rng(1).standard_normal((2, 7, 4, 3))
    if layout == "channels_last":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    elif layout == "strided":
        x = np.repeat(x, 2, 3)[..., ::2]
    with fc.backend(backend):
        for size in (1, 4, 5, 20):
            t = fc.from_numpy(x).requires_grad_()
            assert gradcheck(lambda a, n=size: F.local_response_norm(a, n, 0.7, 0.75, 1.5), [t])
            y = F.local_response_norm(t, size, 0.7, 0.75, 1.5).detach().numpy()
            below = size // 2
            squares = np.pad(x * x, ((0, 0), (below, size), (0, 0), (0, 0)))
            sums = sum(squares[:, j : j + 7] for j in range(size))
            np.testing.assert_allclose(y, x / (1.5 + 0.7 / size * sums) ** 0.75, rtol=1e-12)


def test_an_empty_input():
    x = fc.zeros(0, 3, 2).requires_grad_()
    F.local_response_norm(x, 3).sum().backward()
    assert x.grad.shape == (0, 3, 2)

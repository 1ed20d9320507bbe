"""The optimisers' kernels against the specification, and what they are given to work on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastconv as fc
from fastconv.backends import naive
from fastconv.ops import optim as ops
from tests.guarded import Guarded
from tests.test_kernels import DTYPES, VARIANTS, using
from tests.tolerance import assert_close

SIZES = [(n,) for n in (0, 1, 7, 8, 15, 16, 17, 31, 33, 64, 65, 200)] + [(3, 4, 5), ()]
SGD = [
    {"momentum": m, "gain": g, "decay": d, "sign": s, "nesterov": n}
    for m, g, d, s, n in (
        (0.0, 1.0, 0.0, 1.0, False), (0.0, 1.0, 0.5, -1.0, False), (0.5, 1.0, 0.0, 1.0, False),
        (0.5, 0.75, 0.25, -1.0, False), (0.5, 1.0, 0.25, 1.0, True),
    )
]  # fmt: skip
ADAM = [
    {"decay": d, "shrink": k, "sign": s, "largest": m}
    for d, k, s, m in (
        (0.0, 1.0, 1.0, False), (0.5, 1.0, -1.0, False), (0.0, 0.75, 1.0, True),
    )
]  # fmt: skip


def _arrays(dtype, count, seed, positive=False):
    generator = np.random.default_rng(seed)
    found = []
    for shape, _ in itertools.product(SIZES, range(count)):
        guarded = Guarded(shape, dtype)
        values = generator.integers(-8, 9, shape) / 4
        guarded.array[...] = np.abs(values) if positive else values
        found.append(guarded)
    return found


def _compare(op, variant, dtype, written, read, rest):
    """Run a kernel and the specification on copies of the same arrays; compare what they wrote."""
    want = [[g.array.astype(np.float64) for g in group] for group in written]
    given = [[a.astype(np.float64) for a in group] for group in read]
    order = lambda w, r: [w[0], *r, *w[1:]]  # noqa: E731
    getattr(naive, op)(*order(want, given), *rest)
    with using(op, variant) as function:
        function(*order([[g.array for g in group] for group in written], read), *rest)
    for group, expected in zip(written, want, strict=True):
        for guarded, values in zip(group, expected, strict=True):
            what = f"{op} {variant} {np.dtype(dtype)} {values.shape}"
            assert_close(guarded.check(what), values, dtype, 8, "direct", what)


@pytest.mark.parametrize("setting", SGD, ids=str)
@pytest.mark.parametrize("variant", VARIANTS["sgd_step"], ids=str)
def test_sgd(variant, setting):
    for dtype in DTYPES:
        p = _arrays(dtype, 1, 1)
        v = _arrays(dtype, 1, 2) if setting["momentum"] else []
        g = [a.array for a in _arrays(dtype, 1, 3)]
        first = [i % 3 == 0 for i in range(len(p))]
        names = ("momentum", "gain", "decay", "sign", "nesterov")
        rest = (first, 0.125, *(setting[name] for name in names))
        _compare("sgd_step", variant, dtype, [p, v], [g], rest)


@pytest.mark.parametrize("setting", ADAM, ids=str)
@pytest.mark.parametrize("variant", VARIANTS["adam_step"], ids=str)
def test_adam(variant, setting):
    for dtype in DTYPES:
        p, m = _arrays(dtype, 1, 1), _arrays(dtype, 1, 2)
        s = _arrays(dtype, 1, 4, True)
        most = _arrays(dtype, 1, 5, True) if setting["largest"] else []
        g = [a.array for a in _arrays(dtype, 1, 3)]
        rates = [0.5 / (i + 1) for i in range(len(p))]
        scales = [1.0 + i / 8 for i in range(len(p))]
        rest = (0.875, 0.75, 0.125, setting["decay"], setting["shrink"], setting["sign"])
        _compare("adam_step", variant, dtype, [p, m, s, most], [g], (rates, scales, *rest))


@pytest.mark.parametrize("op", ["sgd_step", "adam_step"])
def test_threads_give_the_same(op):
    """Parameters of many sizes, cut anywhere: bit for bit."""
    sizes = [5, 70_001, 64, 33_333, 1, 20_000]
    for variant in VARIANTS[op]:
        results = []
        for threads in (1, 2, 3, 7):
            generator = np.random.default_rng(0)
            groups = [
                [generator.random(n).astype(np.float32) for n in sizes] for _ in range(4)
            ]  # fmt: skip
            p, g, m, s = groups
            ones = [1.0] * len(sizes)
            with using(op, variant, threads) as function:
                if op == "sgd_step":
                    function(p, g, m, [False] * len(p), 0.1, 0.9, 1.0, 1e-4, 1.0, True)
                else:
                    function(p, g, m, s, [], ones, ones, 0.9, 0.99, 1e-8, 1e-2, 0.9, 1.0)
            results.append(p + m)
        for other in results[1:]:
            for a, b in zip(results[0], other, strict=True):
                assert np.array_equal(a, b)


def test_any_memory_order_and_type():
    """Kernels see C-contiguous arrays of one type; the rest is brought there and back."""
    generator = np.random.default_rng(1)
    plain = [generator.random((6, 7)).astype(kind) for kind in ("f4", "f8", "f4", "f2")]
    orders = [lambda a: a.copy(), np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2]]
    for change, other in itertools.product(orders, orders):
        p = [change(a) for a in plain]
        want = [a.copy() for a in plain]
        g = [other(a) for a in plain]
        v, w = [other(np.ones_like(a)) for a in plain], [np.ones_like(a) for a in plain]
        first = [False] * 4
        ops.sgd_step(p, g, v, first, rate=0.5, momentum=0.5)
        ops.sgd_step(want, plain, w, first, rate=0.5, momentum=0.5)
        for a, b in zip(p + v, want + w, strict=True):
            assert np.array_equal(a, b)
        assert np.array_equal(p[0], plain[0] - 0.5 * (0.5 + plain[0]).astype("f4"))


def test_read_only_parameter_is_refused():
    p = np.ones(3, np.float32)
    p.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        ops.sgd_step([p], [np.ones(3, np.float32)], [], [False], rate=0.1)


def test_non_finite_gradients_spread_as_by_hand():
    for name, kind in (("SGD", {"lr": 0.5, "momentum": 0.5}), ("Adam", {}), ("AdamW", {})):
        p = fc.nn.Parameter(fc.tensor([1.0, 1.0, 1.0]))
        p.grad = fc.tensor([float("nan"), float("inf"), 1.0])
        getattr(fc.optim, name)([p], **kind).step()
        got = p.numpy(force=True)
        assert np.isnan(got[0])
        assert not np.isfinite(got[1])
        assert np.isfinite(got[2])

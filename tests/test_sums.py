"""Sums of any length over any axes, in any order of memory: within 1e-6 of float64 in float32."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv.ops import contract
from fastconv.ops import reduce as ops

BOUND = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-14}
LAYOUTS = {
    "contiguous": lambda a: a,
    "channels-last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1),
    "reversed": lambda a: np.ascontiguousarray(a.T).T,
    "gaps": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1, :, ::-1])[::-1, :, ::-1],
}
AXES = [None, *itertools.chain(*(itertools.combinations(range(4), n) for n in range(1, 5)))]
SHAPES = [
    (2, 3, 5, 4),
    (1, 40, 1, 7),
    (37, 3, 9, 5),
    (3, 33, 2, 70),
    (1, 1, 1, 5000),
    (130, 17, 3, 1),
]


def _close(got, want, dtype, what, scale=None, bound=None):
    """Within the bound of `want`, or of `scale` where terms may cancel."""
    got = np.asarray(got, np.longdouble)
    want = np.asarray(want, np.longdouble)
    assert got.shape == want.shape, what
    size = np.abs(want) if scale is None else np.asarray(scale, np.longdouble)
    bound = bound or BOUND[np.dtype(dtype)]
    assert np.all(np.abs(got - want) <= bound * size), (
        what, float(np.max(np.abs(got - want) / size)),
    )  # fmt: skip


def _var(a, axis, keepdims):
    count = a.size if axis is None else math.prod(a.shape[d] for d in axis)
    d = a - a.mean(axis=axis, keepdims=True)
    return (d * d).sum(axis=axis, keepdims=keepdims) / max(count - 1, 0)


#: Name: what it is in long double.
FUNCTIONS = {
    "sum": lambda a, axis, keepdims: a.sum(axis=axis, keepdims=keepdims),
    "mean": lambda a, axis, keepdims: a.mean(axis=axis, keepdims=keepdims),
    "var": _var,
    "std": lambda a, axis, keepdims: np.sqrt(_var(a, axis, keepdims)),
    "norm": lambda a, axis, keepdims: np.sqrt((a * a).sum(axis=axis, keepdims=keepdims)),
    "norm1": lambda a, axis, keepdims: np.abs(a).sum(axis=axis, keepdims=keepdims),
    "norm3": lambda a, axis, keepdims: np.cbrt((np.abs(a) ** 3).sum(axis=axis, keepdims=keepdims)),
    "logsumexp": lambda a, axis, keepdims: np.log(np.exp(a).sum(axis=axis, keepdims=keepdims)),
    "nansum": lambda a, axis, keepdims: a.sum(axis=axis, keepdims=keepdims),
}  # fmt: skip


def _call(name, t, axis, keepdims):
    if name.startswith("norm"):
        p = float(name[4:] or 2)
        return fc.norm(t, p, axis, keepdims)
    if name == "logsumexp" and axis is None:
        axis = tuple(range(t.ndim))
    return getattr(fc, name)(t, axis, keepdim=keepdims)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_crossing(name, layout):
    """Function × axes × layout × type × shape, terms of one sign that start far from zero."""
    for shape, dtype in itertools.product(SHAPES, BOUND):
        a = np.random.default_rng(3).uniform(1, 2, shape).astype(dtype)
        given, exact = LAYOUTS[layout](a), a.astype(np.longdouble)
        assert np.array_equal(given, a)
        for axis in AXES:
            count = a.size if axis is None else math.prod(shape[d] for d in axis)
            if name in ("var", "std") and count < 2:
                continue
            for keepdims in (False, True):
                what = f"{name} {layout} {dtype} {shape} {axis} {keepdims}"
                got = _call(name, fc.from_numpy(given), axis, keepdims).numpy()
                assert got.dtype == dtype, what
                _close(got, FUNCTIONS[name](exact, axis, keepdims), dtype, what)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_running_and_products(layout):
    """Of float64 these have one chain, of 5000 steps at most."""
    for shape, dtype in itertools.product(SHAPES, BOUND):
        a = np.random.default_rng(4).uniform(0.9, 1.1, shape).astype(dtype)
        given, exact = fc.from_numpy(LAYOUTS[layout](a)), a.astype(np.longdouble)
        bound = 1e-12 if dtype == np.float64 else None
        for d in range(4):
            what = f"{layout} {dtype} {shape} {d}"
            _close(given.cumsum(d).numpy(), exact.cumsum(d), dtype, what, bound=bound)
            _close(given.cumprod(d).numpy(), exact.cumprod(d), dtype, what, bound=bound)
            _close(given.prod(d).numpy(), exact.prod(d), dtype, what, bound=bound)


@pytest.mark.parametrize("backend", ["c", "numba"])
@pytest.mark.parametrize("n", [31, 33, 1023, 1025, 2049, 65_535, 131_073, 1_000_003])
def test_lengths(n, backend):
    """Equal terms, whose roundings in float32 all go one way."""
    tenth = np.float32(0.1)
    exact = float(tenth)
    with fc.backend(backend):
        for a, axis in (
            (np.full((n, 3), tenth), 0),
            (np.full((3, n), tenth), 1),
            (np.full((1, 3, n), tenth).transpose(0, 2, 1), (0, 1)),
        ):
            t = fc.from_numpy(a)
            _close(t.sum(axis).numpy(), np.full(3, n * exact), np.float32, "sum")
            _close(t.mean(axis).numpy(), np.full(3, exact), np.float32, "mean")
            _close(t.norm(dim=axis).numpy(), np.full(3, exact * math.sqrt(n)), np.float32, "norm")
            want = np.full(3, exact + math.log(n))
            _close(t.logsumexp(axis).numpy(), want, np.float32, "logsumexp")
        t = fc.from_numpy(np.full((n, 3), tenth))
        _close(t.cumsum(0)[-1].numpy(), np.full(3, n * exact), np.float32, "cumsum")
        v = t[:, 0].contiguous()
        _close((v @ v).numpy(), n * exact * exact, np.float32, "dot")
        _close(fc.einsum("nc->c", t).numpy(), np.full(3, n * exact), np.float32, "einsum")
        got = fc.einsum("nc,nc->c", t, t)
        _close(got.numpy(), np.full(3, n * exact * exact), np.float32, "einsum of two")


@pytest.mark.parametrize("n", [33, 1023, 1025, 2049, 131_073, 1_000_003])
def test_long_products(n):
    """Matrix products by inner dimension."""
    a = np.random.default_rng(11).random((n, 3), dtype=np.float32)
    t, exact = fc.from_numpy(a), a.astype(np.float64)
    v, column = t[:, 0], exact[:, 0]
    _close((v @ t).numpy(), column @ exact, np.float32, "vector times matrix")
    _close((t.t() @ v).numpy(), exact.T @ column, np.float32, "matrix times vector")
    _close((t.t() @ t).numpy(), exact.T @ exact, np.float32, "matrix times matrix")
    _close(fc.einsum("nc,nd->cd", t, t).numpy(), exact.T @ exact, np.float32, "einsum")
    both = fc.stack([t.t(), 2 * t.t()])
    _close((both @ t)[1].numpy(), 2 * (exact.T @ exact), np.float32, "matrices")


@pytest.mark.parametrize("n", [40, 5000, 1_000_003])
def test_gradients_of_broadcasts(n):
    tenth = np.float32(0.1)
    x = fc.from_numpy(np.full((n, 3), tenth))
    g = fc.from_numpy(np.full((n, 3), np.float32(0.7)))
    exact, factor = n * float(np.float32(0.7)), float(tenth)
    for form in ((3,), (1, 3)):
        bias = fc.zeros(*form, requires_grad=True)
        scale = fc.ones(*form, requires_grad=True)
        (x * scale + bias).backward(g)
        _close(bias.grad.numpy(), np.full(form, exact), np.float32, "bias")
        _close(scale.grad.numpy(), np.full(form, exact * factor), np.float32, "scale")
    column = fc.zeros(n, 1, requires_grad=True)
    (x + column).backward(g)
    _close(column.grad.numpy(), np.full((n, 1), 3 * exact / n), np.float32, "column")
    mean = fc.zeros(3, requires_grad=True)
    (x + mean).mean().backward()
    _close(mean.grad.numpy(), np.full(3, 1 / 3), np.float32, "a gradient that is one number")
    w, b = fc.zeros(4, 3, requires_grad=True), fc.zeros(4, requires_grad=True)
    F.linear(x, w, b).backward(fc.from_numpy(np.full((n, 4), np.float32(0.7))))
    _close(b.grad.numpy(), np.full(4, exact), np.float32, "bias of a linear layer")
    _close(w.grad.numpy(), np.full((4, 3), exact * factor), np.float32, "its weight")
    rows = fc.zeros(2, 3, requires_grad=True)
    rows[fc.zeros(n).long()].backward(g)
    _close(rows.grad.numpy()[0], np.full(3, exact), np.float32, "a row taken often")
    a = fc.zeros(2).index_add(0, fc.zeros(n).long(), g[:, 0])
    _close(a.numpy()[0], exact, np.float32, "index_add")


@pytest.mark.parametrize("format", ["contiguous", "channels-last"])
def test_images(format):
    """Statistics of images far from zero; the mean over a plane by pooling."""
    a = np.random.default_rng(5).normal(100, 1, (4, 3, 150, 131)).astype(np.float32)
    x, exact = fc.from_numpy(LAYOUTS[format](a)), a.astype(np.longdouble)
    _close(x.mean((0, 2, 3)).numpy(), exact.mean((0, 2, 3)), np.float32, "mean")
    _close(x.var((0, 2, 3)).numpy(), exact.var((0, 2, 3), ddof=1), np.float32, "var")
    v, m = fc.var_mean(x, (0, 2, 3), keepdim=True)
    _close(v.numpy(), exact.var((0, 2, 3), ddof=1, keepdims=True), np.float32, "var_mean")
    _close(m.numpy(), exact.mean((0, 2, 3), keepdims=True), np.float32, "var_mean")
    s, _ = fc.std_mean(x)
    _close(s.numpy(), exact.std(ddof=1), np.float32, "std_mean")
    equal = fc.from_numpy(LAYOUTS[format](np.full((1, 21, 700, 300), np.float32(0.1))))
    got = F.adaptive_avg_pool2d(equal, 1).numpy()
    _close(got, np.full(got.shape, float(np.float32(0.1))), np.float32, "average of a plane")


def test_losses_and_norms_of_parameters():
    n = 300_001
    a, b = fc.from_numpy(np.full(n, np.float32(0.1))), fc.zeros(n)
    square = float(np.float32(0.1)) ** 2
    _close(F.mse_loss(a, b).numpy(), square, np.float32, "mse")
    _close(F.l1_loss(a, b, reduction="sum").numpy(), n * float(np.float32(0.1)), np.float32, "l1")
    p = fc.zeros(n, requires_grad=True)
    for order, want in ((2.0, math.sqrt(n * square)), (1.0, n * float(np.float32(0.1)))):
        p.grad = a.clone()
        got = fc.nn.utils.clip_grad_norm_([p], 1.0, order)
        _close(got.numpy(), want, np.float32, f"clip_grad_norm_ {order}")
    slope = fc.zeros(1, requires_grad=True)
    F.prelu(-a, slope).backward(fc.ones(n))
    _close(slope.grad.numpy(), [-n * float(np.float32(0.1))], np.float32, "prelu", [n * 0.1])


def test_gradients_of_long_reductions():
    a = np.random.default_rng(6).normal(50, 1, (3000, 3)).astype(np.float32)
    wide = a.astype(np.float64)
    for name in ("var", "std"):
        t, w = fc.tensor(a, requires_grad=True), fc.tensor(wide, requires_grad=True)
        getattr(t, name)(0).sum().backward()
        getattr(w, name)(0).sum().backward()
        want = w.grad.numpy()
        _close(t.grad.numpy(), want, np.float32, name, np.abs(want).max())
    t, w = fc.tensor(a / 50, requires_grad=True), fc.tensor(wide / 50, requires_grad=True)
    t.cumsum(0).sum().backward()
    w.cumsum(0).sum().backward()
    _close(t.grad.numpy(), w.grad.numpy(), np.float32, "cumsum")


def test_einsum_of_several_operands():
    rng = np.random.default_rng(7)
    sizes = {"a": 3, "b": 4, "n": 1500, "c": 2, "m": 3}
    for equation in (
        "na,nb->ab", "na,nb,nc->abc", "nab,nb->a", "na,nb->", "abn,acn->abc", "n,n->",
        "na,nb->nab", "na,m->a", "anb,bnc->ca", "na,na->a", "na,na->n", "nab->ba",
    ):  # fmt: skip
        left = equation.split("->")[0]
        arrays = [
            rng.uniform(1, 2, [sizes[c] for c in name]).astype(np.float32)
            for name in left.split(",")
        ]
        wide = [a.astype(np.float64) for a in arrays]
        tensors = [fc.tensor(a, requires_grad=True) for a in arrays]
        exact = [fc.tensor(a, requires_grad=True) for a in wide]
        y, want = fc.einsum(equation, *tensors), np.einsum(equation, *wide)
        _close(y.detach().numpy(), want, np.float32, equation)
        y.sum().backward()
        fc.einsum(equation, *exact).sum().backward()
        for t, e in zip(tensors, exact, strict=True):
            _close(t.grad.numpy(), e.grad.numpy(), np.float32, f"{equation}: gradient")


@pytest.mark.parametrize(
    ("a", "b"),
    [((3000,), (3000,)), ((2, 3000), (3000,)), ((3000,), (3000, 2)), ((2, 3000), (3000, 3)),
     ((4, 2, 3000), (3000, 3)), ((4, 2, 3000), (4, 3000, 3)), ((5, 1, 2, 1025), (3, 1025, 2)),
     ((700, 2049), (2049, 1600)), ((3000,), (4, 3000, 2)), ((4, 2, 3000), (3000,))],
)  # fmt: skip
def test_matmul_cuts(a, b):
    rng = np.random.default_rng(8)
    left, right = (rng.uniform(1, 2, s).astype(np.float32) for s in (a, b))
    want = left.astype(np.float64) @ right.astype(np.float64)
    got = contract.matmul(left, right)
    assert got.dtype == np.float32
    _close(got, want, np.float32, "matmul")


def test_bits_do_not_depend_on_threads():
    a = np.random.default_rng(9).standard_normal((7, 40, 33, 50)).astype(np.float32)
    before, found = fc.get_num_threads(), []
    for threads in (1, 2, 3):
        fc.set_num_threads(threads)
        results = []
        for layout, axis in itertools.product(LAYOUTS, AXES):
            t = fc.from_numpy(LAYOUTS[layout](a))
            results += [
                t.sum(axis).numpy(),
                t.std(axis).numpy(),
                t.logsumexp(axis or (0, 1, 2, 3)).numpy(),
            ]
        found.append(results)
    fc.set_num_threads(before)
    for one, two, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_integers_stay_exact():
    n = 100_000
    a = np.full((n, 2), 2**24 + 1, np.int64)
    assert fc.from_numpy(a).sum(0).tolist() == [n * (2**24 + 1)] * 2
    assert fc.ones(n, 2, dtype=fc.bool).sum(0).tolist() == [n, n]
    assert fc.from_numpy(a.astype(np.int32)).sum().dtype == fc.int64
    assert fc.from_numpy(a).sum(0, dtype=fc.float64).tolist() == [n * (2**24 + 1.0)] * 2


def test_nothing_to_add():
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 3), (0, 100), (100, 0)):
        for dtype in (fc.float32, fc.float64):
            x = fc.zeros(*shape, dtype=dtype)
            for axis in (None, 0, -1):
                want = np.zeros(shape).sum(axis)
                assert x.sum(axis).shape == want.shape and not x.sum(axis).numpy().any()
                assert np.array_equal(x.prod(axis).numpy(), np.ones(shape).prod(axis))
                with np.errstate(all="ignore"):
                    count = np.zeros(shape).size if axis is None else shape[axis]
                    if count == 0:
                        assert np.isnan(x.mean(axis).numpy()).all()
                        assert np.isnan(x.var(axis).numpy()).all()


def test_infinities():
    inf = math.inf
    for n in (4, 3000):
        for values, want in (
            ((inf, 1), inf),
            ((-inf, 1), -inf),
            ((inf, -inf), math.nan),
            ((math.nan, 1), math.nan),
        ):
            a = np.ones((n, 3), np.float32)
            a[n // 2, 1], a[1, 1] = values
            for given in (a, np.asfortranarray(a)):
                t = fc.from_numpy(given)
                np.testing.assert_equal(t.sum(0).numpy(), np.float32([n, want, n]))
                np.testing.assert_equal(t.mean().item(), want)
                assert math.isnan(t.var().item())
        t = fc.tensor(np.full((n, 2), -inf, np.float32), requires_grad=True)
        y = t.logsumexp(0)
        assert y.tolist() == [-inf, -inf]
        y.sum().backward()
        assert not t.grad.numpy().any()
        top = fc.full((n, 2), inf).logsumexp(0)
        assert top.tolist() == [inf, inf]


def test_repeated_elements_are_multiplied():
    """An expanded axis costs no memory, and no time."""
    x = fc.tensor([[0.1, 0.2, 0.3]]).expand(2**40, 3)
    exact = np.float32([0.1, 0.2, 0.3]).astype(np.float64)
    _close(x.sum(0).numpy(), exact * 2**40, np.float32, "sum")
    _close(x.mean().numpy(), exact.mean(), np.float32, "mean")
    seventh = np.broadcast_to(np.float64(1 / 49), (7, 7, 1000))
    assert np.array_equal(ops.total(seventh, (0, 1)), np.full(1000, 49 * (1 / 49)))


@pytest.mark.slow
def test_twenty_million_rows():
    t = fc.ones(20_000_000, 3)
    assert t.mean(0).tolist() == [1.0] * 3
    assert t.sum(0).tolist() == [2e7] * 3
    assert t.std(0).tolist() == [0.0] * 3


@pytest.mark.slow
def test_bias_over_twenty_million_rows():
    bias = fc.zeros(1, requires_grad=True)
    (fc.zeros(20_480_000, 1) + bias).mean().backward()
    assert bias.grad.item() == 1.0
    bias = fc.zeros(1, requires_grad=True)
    g = fc.from_numpy(np.full((20_480_000, 1), np.float32(1 / 20_480_000)))
    (fc.zeros(20_480_000, 1) + bias).backward(g)
    _close(bias.grad.numpy(), [1], np.float32, "bias")


@pytest.mark.slow
def test_five_million_rows():
    a = np.random.default_rng(10).random((5_000_000, 3), dtype=np.float32)
    t, exact = fc.from_numpy(a), a.astype(np.float64)
    scale = fc.ones(3, requires_grad=True)
    (t * scale).mean().backward()
    _close(scale.grad.numpy(), exact.mean(0) / 3, np.float32, "scale")
    _close((t.t() @ t).numpy(), exact.T @ exact, np.float32, "matmul")
    _close(t.std(0).numpy(), exact.std(0, ddof=1), np.float32, "std")
    _close(t.logsumexp(0).numpy(), np.log(np.exp(exact).sum(0)), np.float32, "logsumexp")
    _close(t.cumsum(0)[-1].numpy(), exact.sum(0), np.float32, "cumsum")
    _close(fc.einsum("nc->c", t).numpy(), exact.sum(0), np.float32, "einsum")
    t.grad = t
    _close(fc.nn.utils.get_total_norm([t]).numpy(), np.linalg.norm(exact), np.float32, "norm")

"""Softmax and cross-entropy: every kernel against the specification, and the graph."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv.autograd import gradcheck
from fastconv.backends import naive
from tests.guarded import Guarded, fenced
from tests.test_kernels import DTYPES, VARIANTS, using

#: (outer, classes, inner): rows and columns of all tails, blocks of several sizes, none at all.
SHAPES = [
    (1, 1, 1), (5, 1, 1), (3, 2, 1), (67, 2, 1), (300, 3, 1), (2, 10, 1), (33, 10, 1), (40, 17, 1),
    (20, 33, 1), (70, 64, 1), (3, 65, 1), (2, 130, 1), (2, 2, 3), (2, 3, 70), (1, 21, 33),
    (1, 5, 300), (2, 1030, 5), (0, 4, 1), (2, 3, 0),
]  # fmt: skip
FORWARD, BACKWARD = ("softmax", "log_softmax"), ("softmax_backward", "log_softmax_backward")
SPECIAL = (np.nan, np.inf, -np.inf, 1e4, -1e4, 0.0)


def _scores(shape, seed, special=False):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-8, 8, shape)
    if special:
        x[generator.random(shape) < 0.05] = generator.choice(SPECIAL)
    return x.astype(np.float32)  # what both types hold


def _close(got, want, dtype, scale, what):
    """Within a few units in the last place of `scale`, and NaN where NaN is."""
    np.testing.assert_allclose(
        got, want, rtol=16 * np.finfo(dtype).eps, atol=16 * np.finfo(dtype).eps * scale,
        err_msg=what,
    )  # fmt: skip


def _both_threads(op, variant, given, outputs):
    """The outputs with one thread and with three, which must be the same."""
    found = []
    for threads in (1, 3):
        guarded = [Guarded(shape, dtype) for shape, dtype in outputs]
        operands = [fenced(a) if isinstance(a, np.ndarray) else a for a in given]
        with using(op, variant, threads) as function:
            function(*operands, *[g.array for g in guarded])
        for a, b in zip(operands, given, strict=True):
            assert not isinstance(b, np.ndarray) or np.array_equal(
                a, b, equal_nan=b.dtype.kind == "f"
            )
        found.append([g.check(f"{op} {variant}") for g in guarded])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    return found[0]


def _cases(ops):
    return pytest.mark.parametrize(
        ("op", "variant"), [(op, v) for op in ops for v in VARIANTS[op]], ids=str
    )


@pytest.mark.parametrize("special", [False, True])
@_cases(FORWARD)
def test_forward(op, variant, special):
    for shape in SHAPES:
        x = _scores(shape, 1, special)
        want = np.empty(shape)
        getattr(naive, op)(x.astype(float), want)
        for dtype in DTYPES:
            given = x.astype(dtype)
            (got,) = _both_threads(op, variant, [given], [(shape, dtype)])
            _close(got, want, dtype, 16 if op == "log_softmax" else 0.1, f"{op} {variant} {shape}")
            assert np.array_equal(given, x, equal_nan=True)


@_cases(["softmax"])
def test_denormal_results(op, variant):
    """The smallest numbers come out rounded, not as zero."""
    for dtype, low in zip(DTYPES, (-104.0, -745.0), strict=True):
        least = float(np.finfo(dtype).smallest_subnormal)
        for shape in ((3, 131, 1), (40, 17, 1), (2, 5, 33)):
            x = np.random.default_rng(1).uniform(low, 0.8 * low, shape)
            x[:, 0] = 0.0
            x, want = x.astype(dtype), np.empty(shape)
            naive.softmax(x.astype(float), want)
            (got,) = _both_threads(op, variant, [x], [(shape, dtype)])
            rtol = 16 * np.finfo(dtype).eps
            np.testing.assert_allclose(got, want, rtol, 2 * least, err_msg=f"{variant} {shape}")
            assert ((got > 0) & (got < np.finfo(dtype).tiny)).any()


@_cases(BACKWARD)
def test_backward(op, variant):
    for shape in SHAPES:
        g, x = _scores(shape, 2), _scores(shape, 3)
        y, want = np.empty(shape), np.empty(shape)
        getattr(naive, op.replace("_backward", ""))(x.astype(float), y)
        getattr(naive, op)(g.astype(float), y, want)
        for dtype in DTYPES:
            given = [g.astype(dtype), y.astype(dtype)]
            (got,) = _both_threads(op, variant, given, [(shape, dtype)])
            _close(got, want, dtype, 8 * max(1, shape[1] ** 0.5), f"{op} {variant} {shape}")


@pytest.mark.parametrize("weighted", [False, True])
@_cases(["cross_entropy"])
def test_cross_entropy(op, variant, weighted):
    for shape in SHAPES:
        positions, classes = shape[0] * shape[2], shape[1]
        x = _scores(shape, 4)
        labels = np.random.default_rng(5).integers(0, classes, positions)
        labels[::7] = -100  # none of the classes
        weight = _scores((classes,), 6) if weighted else None
        want = [np.empty(shape), np.empty(positions), np.empty(positions)]
        naive.cross_entropy(x.astype(float), labels, weight, 1, *want)
        for dtype in DTYPES:
            w = None if weight is None else weight.astype(dtype)
            got = _both_threads(
                op,
                variant,
                [x.astype(dtype), labels, w, 1],
                [(shape, dtype), ((positions,), dtype), ((positions,), dtype)],
            )
            for a, b, scale in zip(got, want, (0.1, 16, 0), strict=True):
                _close(a, b, dtype, scale, f"{op} {variant} {shape} {np.dtype(dtype)}")
            given = [got[0], labels, w, 1, np.asarray(0.5, dtype)]
            (back,) = _both_threads("cross_entropy_backward", variant, given, [(shape, dtype)])
            expected = np.empty(shape)
            naive.cross_entropy_backward(got[0], labels, w, 1, np.asarray(0.5), expected)
            _close(back, expected, dtype, 0.1, f"{op} backward {variant} {shape}")


@_cases(["cross_entropy_backward"])
def test_cross_entropy_backward_of_each_loss(op, variant):
    for shape in SHAPES:
        positions, classes = shape[0] * shape[2], shape[1]
        p, grad = np.abs(_scores(shape, 7)), _scores((positions,), 8)
        labels = np.random.default_rng(9).integers(0, classes, positions)
        labels[::5] = -1
        p.reshape(-1)[:1] = np.nan  # at a label that does not count: not to be seen
        want = np.empty(shape)
        naive.cross_entropy_backward(p, labels, None, -1, grad, want)
        for dtype in DTYPES:
            given = [p.astype(dtype), labels, None, -1, grad.astype(dtype)]
            (got,) = _both_threads(op, variant, given, [(shape, dtype)])
            _close(got, want, dtype, 0.1, f"{op} {variant} {shape} {np.dtype(dtype)}")


@pytest.mark.parametrize("variant", VARIANTS["log_softmax_backward"], ids=str)
def test_exp_and_log(variant):
    """The vectors' exp over its whole range, and log of what softmax sums up."""
    special = [np.inf, -np.inf, np.nan, 0.0, -0.0, 88.72, -87.5, -103.0, 89.0, -200.0, 709.7, 710.0]
    for dtype in DTYPES:
        x = np.append(np.linspace(-110, 90, 5000), np.linspace(-750, 711, 5000))
        x = np.append(x, special).astype(dtype)
        y, g = np.stack([np.zeros_like(x), x])[None], np.zeros((1, 2, x.size), dtype)
        g[0, 0], out = -1, np.empty(y.shape, dtype)
        with using("log_softmax_backward", variant) as function:
            function(g, y, out)  # exp(x) in row 1
        with np.errstate(all="ignore"):
            want = np.exp(x.astype(np.longdouble)).astype(dtype)
        spacing = np.spacing(np.where(np.isfinite(want), want, 1))
        finite = np.isfinite(want)
        assert (np.abs(out[0, 1][finite] - want[finite]) <= 2 * spacing[finite]).all()
        np.testing.assert_array_equal(out[0, 1][~finite], want[~finite])
        for count in (2, 3, 7, 100, 1023):
            even, out = np.zeros((1, count, 3), dtype), np.empty((1, count, 3), dtype)
            with using("log_softmax", variant) as function:
                function(even, out)
            assert (np.abs(out + np.log(count)) <= 2 * np.spacing(dtype(np.log(count)))).all()


FORMATS = {
    "contiguous": lambda a: a,
    "channels-last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1),
    "gaps": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
}


@pytest.mark.parametrize("form", FORMATS)
def test_graph(form):
    """Any axis in any memory order; gradients against differences."""
    start = _scores((2, 3, 4, 5), 10).astype(float)
    x = fc.from_numpy(FORMATS[form](start))
    for axis in (0, 1, 2, 3, -1):
        e = np.exp(start)
        want = e / e.sum(axis=axis, keepdims=True)
        np.testing.assert_allclose(F.softmax(x, axis).numpy(), want, rtol=1e-13)
        np.testing.assert_allclose(
            F.log_softmax(x, axis).numpy(), np.log(want), rtol=1e-12, atol=1e-14
        )
    x.requires_grad_()
    target = fc.tensor(np.random.default_rng(1).integers(0, 3, (2, 4, 5)))
    weight = fc.tensor([0.5, 2.0, 1.0], dtype=fc.float64)
    assert gradcheck(lambda x: F.softmax(x, 1), (x,))
    assert gradcheck(lambda x: F.log_softmax(x, 2), (x,))
    for reduction in ("mean", "sum", "none"):
        for settings in ({}, {"weight": weight}, {"ignore_index": 1}, {"label_smoothing": 0.1}):
            f = lambda x, r=reduction, s=settings: F.cross_entropy(x, target, reduction=r, **s)  # noqa: E731
            assert gradcheck(f, (x,))


def test_gradients_that_are_broadcast():
    """The gradient of a sum of single losses is one number with strides of zero."""
    target = fc.tensor(np.random.default_rng(1).integers(0, 3, (2, 5)))
    grads = []
    for reduction in ("sum", "none"):
        x = fc.tensor(_scores((2, 3, 5), 11), requires_grad=True)
        F.cross_entropy(x, target, reduction=reduction).sum().backward()
        grads.append(x.grad.numpy())
    assert np.array_equal(*grads)
    for function in (F.softmax, F.log_softmax):
        x = fc.tensor(_scores((2, 3, 5), 12), requires_grad=True)
        function(x, 1).sum().backward()
        assert np.isfinite(x.grad.numpy()).all()


def test_target_and_weight_may_change_before_backward():
    grads = []
    for change in (False, True):
        x = fc.tensor(_scores((4, 3), 13), requires_grad=True)
        target, weight = fc.tensor([0, 1, 2, 1]), fc.tensor([1.0, 2.0, 3.0])
        loss = F.cross_entropy(x, target, weight)
        if change:
            target.fill_(0)
            weight.fill_(0)
        loss.backward()
        grads.append(x.grad.numpy())
    assert np.array_equal(*grads)


def test_empty_and_ignored():
    assert F.softmax(fc.zeros(0, 3), 1).shape == (0, 3)
    assert float(F.softmax(fc.tensor(2.0), 0)) == 1
    x = fc.zeros(2, 3, requires_grad=True)
    loss = F.cross_entropy(x, fc.tensor([-100, -100]))
    assert np.isnan(float(loss))
    loss.backward()
    assert not x.grad.numpy().any()
    with pytest.raises(IndexError, match="out of bounds"):
        F.cross_entropy(x, fc.tensor([0, -1]))
    with pytest.raises(IndexError, match="out of bounds"):
        F.cross_entropy(x, fc.tensor([0, 3]))

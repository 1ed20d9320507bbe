"""The passes over all elements: every kernel against the specification, and NumPy's share."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import planner
from fastconv.autograd import gradcheck
from fastconv.backends import naive
from fastconv.ops import elementwise as ops
from tests.guarded import Guarded, fenced
from tests.test_kernels import DTYPES, VARIANTS, integers, using

PARAMETERS = {
    "leaky_relu": (0.25,),
    "leaky_relu_backward": (0.25,),
    "clamp": (-1.0, 2.0),
    "clamp_backward": (-1.0, 2.0),
}
#: By exp: within this many units in the last place of the result, and of g in what follows it.
ROUNDED = (
    "sigmoid", "tanh", "silu", "sigmoid_backward", "tanh_backward", "silu_backward",
)  # fmt: skip
UNITS = 4
UNARY = ("relu", "leaky_relu", "clamp", "sigmoid", "tanh", "silu")
BINARY = (
    "add", "sub", "mul", "relu_backward", "leaky_relu_backward", "clamp_backward",
    "sigmoid_backward", "tanh_backward", "silu_backward",
)  # fmt: skip
#: Every tail of every vector, an empty array, and one that threads share.
SHAPES = [(n,) for n in (*range(0, 36), 63, 64, 65, 129)] + [(3, 5, 7), (2, 3, 4, 5, 6), (100_003,)]
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, 3.0, -3.0])


def _expected(op: str, arrays: list[np.ndarray]) -> np.ndarray:
    if arrays[0].size > 10_000:  # one period of the operands is enough for the specification
        small = [a[:10_000] for a in arrays]
        part = np.empty(10_000)
        getattr(naive, op)(*small, part, *PARAMETERS.get(op, ()))
        return np.resize(part, arrays[0].shape)
    want = np.empty(arrays[0].shape)
    getattr(naive, op)(*arrays, want, *PARAMETERS.get(op, ()))
    return want


def _check(op: str, got: np.ndarray, want: np.ndarray, what: str) -> None:
    bound = UNITS * float(np.finfo(got.dtype).eps) if op in ROUNDED else 0.0
    least = float(np.finfo(got.dtype).tiny)
    np.testing.assert_allclose(got, want, rtol=bound, atol=least if bound else 0, err_msg=what)


def _operands(op: str, shape: tuple[int, ...]) -> list[np.ndarray]:
    arrays = [integers(shape if shape != (100_003,) else (10_000,), f"{op}{i}") for i in range(2)]
    if shape == (100_003,):
        arrays = [np.resize(a, shape) for a in arrays]
    return arrays[: 1 if op in UNARY else 2]


@pytest.mark.parametrize(
    ("op", "variant"), [(op, v) for op in UNARY + BINARY for v in VARIANTS[op]], ids=str
)
def test_kernels(op, variant):
    for shape in SHAPES:
        values = _operands(op, shape)
        want = _expected(op, values)
        for dtype in DTYPES:
            what = f"{op} {variant} {shape} {np.dtype(dtype)}"
            results = []
            for threads in (1, 3):
                arrays = [fenced(a.astype(dtype)) for a in values]
                out = Guarded(shape, dtype)
                with using(op, variant, threads) as function:
                    function(*arrays, out.array, *PARAMETERS.get(op, ()))
                results.append(out.check(what))
                _check(op, results[-1], want, what)
                assert np.array_equal(results[0], results[-1]), what
                assert all(np.array_equal(a, v) for a, v in zip(arrays, values, strict=True)), what


@pytest.mark.parametrize(
    ("op", "variant"), [(op, v) for op in UNARY + BINARY for v in VARIANTS[op]], ids=str
)
def test_kernels_special_values(op, variant):
    """NaN, infinities and zeros of both signs, at every lane; also in place."""
    a, b = (x.ravel() for x in np.meshgrid(SPECIAL, SPECIAL))
    values = [a] if op in UNARY else [a, b]
    want = np.empty(a.shape)
    getattr(naive, op)(*values, want, *PARAMETERS.get(op, ()))
    for dtype in DTYPES:
        arrays = [v.astype(dtype) for v in values]
        with using(op, variant) as function:
            out = np.empty(a.shape, dtype)
            function(*arrays, out, *PARAMETERS.get(op, ()))
            _check(op, out, want, op)
            function(*arrays, arrays[0], *PARAMETERS.get(op, ()))
            _check(op, arrays[0], want, op)


SUMS = ("relu_backward_sums", "leaky_relu_backward_sums", "clamp_backward_sums")
#: Rows and columns: tails of blocks of rows and of vectors, rows that make a vector together.
MATRICES = [(1, 1), (5, 1), (40, 2), (37, 3), (530, 6), (17, 7), (9, 16), (3, 17), (40, 24),
            (3, 33), (513, 64), (2, 65), (7, 100), (1, 129), (1100, 130), (3, 1003),
            (5000, 21)]  # fmt: skip


@pytest.mark.parametrize(("op", "variant"), [(op, v) for op in SUMS for v in VARIANTS[op]], ids=str)
def test_sums_of_columns(op, variant):
    """The gradient as without sums, and the sums; the same for every number of threads."""
    plain, parameters = op.removesuffix("_sums"), PARAMETERS.get(op.removesuffix("_sums"), ())
    for shape in MATRICES:
        values = [integers(shape, f"{op}{i}") for i in range(2)]
        want = _expected(plain, values) if values[0].size < 9_000 else None
        for dtype in DTYPES:
            what = f"{op} {variant} {shape} {np.dtype(dtype)}"
            results = []
            for threads in (1, 3):
                arrays = [fenced(a.astype(dtype)) for a in values]
                out, sums = Guarded(shape, dtype), Guarded(shape[1:], dtype)
                with using(op, variant, threads) as function:
                    function(*arrays, out.array, sums.array, *parameters)
                    over, again = arrays[0].copy(), np.empty(shape[1:], dtype)
                    function(over, arrays[1], over, again, *parameters)
                results.append((out.check(what), sums.check(what)))
                results.append((over, again))
                assert all(np.array_equal(a, v) for a, v in zip(arrays, values, strict=True)), what
            if want is None:
                want = np.empty(shape, dtype)
                with using(plain, variant) as function:
                    function(*arrays, want, *parameters)
            for got, total in results:
                assert np.array_equal(got, want), what
                assert np.array_equal(total, want.sum(axis=0)), what


@pytest.mark.parametrize("op", SUMS)
def test_sums_are_the_specification(op):
    a, b = (integers((6, 5), i) for i in range(2))
    out, want, sums = np.empty((6, 5)), np.empty((6, 5)), np.empty(5)
    parameters = PARAMETERS.get(op.removesuffix("_sums"), ())
    getattr(naive, op)(a, b, out, sums, *parameters)
    getattr(naive, op.removesuffix("_sums"))(a, b, want, *parameters)
    assert np.array_equal(out, want) and np.array_equal(sums, want.sum(axis=0))


def test_sums_refuse_what_does_not_fit():
    x = np.zeros((5, 3), np.float32)
    with fc.backend("c"):
        function = planner.kernel("relu_backward_sums")
    with pytest.raises(ValueError, match="sums must have shape"):
        function(x, x, x.copy(), np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="matrix"):
        function(x[0], x[0], x[0].copy(), np.zeros(5, np.float32))
    with pytest.raises(TypeError, match="y must be float32"):
        function(x, x.astype(float), x.copy(), x[0].copy())


def test_kernels_refuse_what_does_not_fit():
    x = np.zeros(5, np.float32)
    with fc.backend("c"):
        add = planner.kernel("add")
    with pytest.raises(ValueError, match="b must have shape"):
        add(x, x[:4], x)
    with pytest.raises(TypeError, match="out must be float32"):
        add(x, x, np.zeros(5))
    with pytest.raises(TypeError, match="float32 or float64"):
        add(x.astype(int), x.astype(int), x.astype(int))


FORMATS = {
    "contiguous": lambda a: a,
    "channels-last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "gaps": lambda a: np.repeat(a, 2, axis=3)[..., ::2],
    "reversed": lambda a: a.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0),
}


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
def test_formats(first, second):
    """The same values in any order of memory, kernel or NumPy; dense results keep the order."""
    a, b = (FORMATS[f](integers((4, 8, 42, 41), f)) for f in (first, second))
    assert np.array_equal(ops.add(a, b), a + b)
    assert np.array_equal(ops.relu(a), np.maximum(a, 0))
    assert np.array_equal(ops.relu_backward(a, b), np.where(b > 0, a, 0))
    assert np.array_equal(ops.leaky_relu(a, 0.5), np.where(a > 0, a, a * 0.5))
    assert np.array_equal(ops.leaky_relu_backward(a, b, 0.5), np.where(b > 0, a, a * 0.5))
    assert np.array_equal(ops.clamp(a, -1, 2), np.clip(a, -1, 2))
    assert np.array_equal(ops.clamp_backward(a, b, -1, 2), np.where((b > -1) & (b < 2), a, 0))
    if first == second != "gaps":
        assert ops.relu(a).strides == a.strides
    out = FORMATS[second](np.zeros(a.shape))
    assert ops.relu(a, out) is out
    assert np.array_equal(out, np.maximum(a, 0))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 40, 41)])
def test_in_place_with_a_graph(shape):
    """The gradient comes from the output, which is the changed tensor itself."""
    start = np.random.default_rng(1).standard_normal(shape)
    for name, arguments in (
        ("relu", ()), ("relu6", ()), ("leaky_relu", (0.3,)), ("leaky_relu", (-0.3,)),
    ):  # fmt: skip
        function = getattr(F, name)
        x, w = (fc.tensor(start, requires_grad=True) for _ in range(2))
        y = x * 3.0
        assert function(y, *arguments, inplace=True) is y
        want = function(w * 3.0, *arguments)
        assert np.array_equal(y.detach().numpy(), want.detach().numpy())
        y.sum().backward()
        want.sum().backward()
        assert np.array_equal(x.grad.numpy(), w.grad.numpy())
    x = fc.tensor(start, requires_grad=True)
    (x * 3.0).relu_().sum().backward()
    assert np.array_equal(x.grad.numpy(), np.where(start > 0, 3.0, 0.0))


def test_change_after_in_place_is_noticed():
    x = fc.tensor([1.0, -1.0], requires_grad=True)
    y = (x * 2).relu_()
    y.add_(1)
    with pytest.raises(RuntimeError, match="changed by an in-place operation"):
        y.sum().backward()
    leaf = fc.tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf.relu_()


@pytest.mark.parametrize(
    "function",
    [F.relu, F.relu6, F.leaky_relu, lambda x: F.leaky_relu(x, -0.5),
     lambda x: F.hardtanh(x, -0.5, 0.7), lambda x: x + x * 2, lambda x: x * x, lambda x: x - x * 3],
)  # fmt: skip
def test_gradients(function):
    x = fc.tensor(np.random.default_rng(0).uniform(-7, 7, (2, 3, 5, 4)), requires_grad=True)
    assert gradcheck(function, (x,))


@pytest.mark.torch
@pytest.mark.parametrize("size", [7, 5000])
@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu"])
def test_as_pytorch(name, size):
    """Values and gradients, with NaN, infinities and zeros, for NumPy's share and the kernels'."""
    torch = pytest.importorskip("torch")
    start = np.resize(SPECIAL, size).astype(np.float32)
    mine, theirs = fc.tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    y, want = getattr(F, name)(mine), getattr(torch.nn.functional, name)(theirs)
    np.testing.assert_array_equal(y.detach().numpy(), want.detach().numpy())
    y.backward(fc.ones(size))
    want.backward(torch.ones(size))
    got, like = mine.grad.numpy(), theirs.grad.numpy()
    if name == "relu6":  # PyTorch's gradient at NaN is 0 in its vectors, 1 in their tail; ours 0
        assert not got[np.isnan(start)].any()
        like = np.where(np.isnan(start), 0, like)
    np.testing.assert_array_equal(got, like)


@pytest.mark.parametrize("variant", VARIANTS["copy_format"], ids=str)
@pytest.mark.parametrize(
    "shape", [(2, 3, 7), (1, 17, 5, 9), (3, 1, 4, 4), (2, 33, 2, 3, 5)], ids=str
)
def test_copy_format(variant, shape):
    order = (0, *range(2, len(shape)), 1)
    back = np.argsort(order)
    for dtype in DTYPES:
        plain = integers(shape, "format").astype(dtype)
        last = np.ascontiguousarray(plain.transpose(order)).transpose(back)
        for a, form in ((plain, last), (last, plain)):
            out = np.full_like(form, np.nan)
            with using("copy_format", variant, 2) as function:
                function(a, out)
            assert out.strides == form.strides
            assert np.array_equal(out, plain), f"{variant} {shape}"


@pytest.mark.parametrize("backend", ["c", "numba"])
@pytest.mark.parametrize("shape", [(8, 64, 200), (4, 33, 25, 31), (2, 9, 10, 30, 21)], ids=str)
def test_plain_and_channels_last_together(backend, shape):
    order = (0, *range(2, len(shape)), 1)
    plain = integers(shape, "plain").astype(np.float32)
    values = integers(shape, "last").astype(np.float32)
    last = np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))
    with fc.backend(backend):
        for a, b in ((plain, last), (last, plain)):
            for op, want in ((ops.add, a + b), (ops.sub, a - b), (ops.mul, a * b)):
                got = op(a, b)
                assert np.array_equal(got, want)
                assert got.strides == last.strides  # channels-last, as a network's activations
        assert np.array_equal(ops.relu_backward(plain, last), np.where(last <= 0, 0, plain))
        g = plain.copy()
        assert ops.relu_backward(g, last, True) is g
        assert np.array_equal(g, np.where(last <= 0, 0, plain))
        g = last.copy(order="K")
        assert ops.add_into(g, plain) is g
        assert np.array_equal(g, last + plain)
        assert g.strides == last.strides


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_losses_of_channels_last_predictions(name):
    rng = np.random.default_rng(0)
    x, t = (rng.standard_normal((4, 32, 12, 11)).astype(np.float32) for _ in range(2))
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    found = []
    for array in (x, last):
        leaf = fc.tensor(x).requires_grad_()
        given = leaf.contiguous(memory_format=fc.channels_last) if array is last else leaf * 1
        loss = getattr(F, name)(given, fc.tensor(t))
        loss.backward()
        found.append((loss.item(), leaf.grad.numpy()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    np.testing.assert_array_equal(found[0][1], found[1][1])

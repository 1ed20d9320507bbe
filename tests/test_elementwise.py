"""The passes over all elements: every kernel against the specification, and NumPy's share."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import plan
from fastconv.autograd import gradcheck
from fastconv.backends import naive
from fastconv.ops import elementwise as ops
from tests.test_kernels import DTYPES, VARIANTS, Guarded, integers, using

PARAMETERS = {
    "leaky_relu": (0.25,),
    "leaky_relu_backward": (0.25,),
    "clamp": (-1.0, 2.0),
    "clamp_backward": (-1.0, 2.0),
}
UNARY = ("relu", "leaky_relu", "clamp")
BINARY = (
    "add", "sub", "mul", "relu_backward", "leaky_relu_backward", "clamp_backward",
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
                arrays = [a.astype(dtype) for a in values]
                out = Guarded(shape, dtype)
                with using(op, variant, threads) as function:
                    function(*arrays, out.array, *PARAMETERS.get(op, ()))
                results.append(out.check(what))
                assert np.array_equal(results[-1], want), what
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
            np.testing.assert_array_equal(out, want)
            function(*arrays, arrays[0], *PARAMETERS.get(op, ()))
            np.testing.assert_array_equal(arrays[0], want)


def test_kernels_refuse_what_does_not_fit():
    x = np.zeros(5, np.float32)
    with fc.backend("c"):
        add = plan.kernel("add")
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

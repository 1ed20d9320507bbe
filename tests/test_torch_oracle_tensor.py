"""Tensors and their gradients against PyTorch's."""

import numpy as np
import pytest

import fastconv as fc

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

RNG = np.random.default_rng(0)
A34 = RNG.standard_normal((3, 4))
B34 = RNG.standard_normal((3, 4))
POS = np.abs(A34) + 0.5
A4 = RNG.standard_normal(4)
A31 = RNG.standard_normal((3, 1))
T234 = RNG.standard_normal((2, 3, 4))
IMG = RNG.standard_normal((2, 3, 4, 5))
TIES = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, -1.0]])
IDX = np.array([[0, 2, 1, 0], [1, 1, 0, 2]])
MASK = A34 > 0

# name: (function of (module, *tensors), arrays)
CASES = {
    "add": (lambda m, a, b: a + b, A34, A4),
    "add_alpha": (lambda m, a, b: m.add(a, b, alpha=3), A34, A31),
    "sub": (lambda m, a, b: a - b, A31, A4),
    "rsub": (lambda m, a: 2 - a, A34),
    "mul": (lambda m, a, b: a * b, A31, A34),
    "div": (lambda m, a, b: a / b, A34, POS),
    "rdiv": (lambda m, a: 3 / a, POS),
    "div_floor": (lambda m, a, b: m.div(a, b, rounding_mode="floor"), A34, POS),
    "div_trunc": (lambda m, a, b: m.div(a, b, rounding_mode="trunc"), A34, POS),
    "floordiv": (lambda m, a, b: a.detach() // b.detach() + a, A34, POS),
    "mod": (lambda m, a, b: a % b, A34, POS),
    "mod_scalar": (lambda m, a: a % 0.7, A34),
    "pow": (lambda m, a, b: a**b, POS, A34),
    "pow_scalar": (lambda m, a: a**3, A34),
    "pow_half": (lambda m, a: a**0.5, POS),
    "pow_zero": (lambda m, a: a**0, A34),
    "rpow": (lambda m, a: 2**a, A34),
    "neg_abs": (lambda m, a: -abs(a), A34),
    "matmul_2_2": (lambda m, a, b: a @ b.T, A34, B34),
    "matmul_1_1": (lambda m, a, b: a @ b, A4, A4 * 2),
    "matmul_2_1": (lambda m, a, b: a @ b, A34, A4),
    "matmul_1_2": (lambda m, a, b: a @ b.t(), A4, A34),
    "matmul_3_2": (lambda m, a, b: a @ b.t(), T234, A34),
    "matmul_2_3": (lambda m, a, b: a @ b.mT, A34, T234),
    "matmul_3_3": (lambda m, a, b: a @ b.transpose(1, 2), T234, T234 + 1),
    "matmul_3_1": (lambda m, a, b: a @ b, T234, A4),
    "matmul_1_3": (lambda m, a, b: a @ b.mT, A4, T234),
    "matmul_broadcast": (lambda m, a, b: a[:, None] @ b.mT[None], T234, T234 * 2),
    "mm": (lambda m, a, b: m.mm(a, b.t()), A34, B34),
    "bmm": (lambda m, a, b: m.bmm(a, b.mT), T234, T234 - 1),
    "addmm": (lambda m, c, a, b: m.addmm(c, a, b.t(), beta=0.5, alpha=2), A31, A34, B34),
    "dot_outer": (lambda m, a, b: m.outer(a, b) * m.dot(a, b), A4, A4 + 1),
    "sum": (lambda m, a: a.sum(), T234),
    "sum_dims": (lambda m, a: a.sum((0, -1)), T234),
    "sum_keep": (lambda m, a: a.sum(1, keepdim=True), T234),
    "mean": (lambda m, a: a.mean(), T234),
    "mean_dims": (lambda m, a: a.mean(dim=(1, 2)), T234),
    "prod": (lambda m, a: a.prod(), A34),
    "prod_zero": (lambda m, a: (a * (a > 0)).prod(1), A34),
    "prod_dim": (lambda m, a: a.prod(1, keepdim=True), T234),
    "var": (lambda m, a: a.var(), T234),
    "var_dim": (lambda m, a: a.var((0, 2), unbiased=False), T234),
    "var_correction": (lambda m, a: a.var(1, correction=0, keepdim=True), T234),
    "std": (lambda m, a: a.std(-1), T234),
    "std_constant": (lambda m, a: (a * 0).std(-1), T234),
    "max": (lambda m, a: a.max(), TIES),
    "max_dim": (lambda m, a: a.max(1).values, T234),
    "min_dim": (lambda m, a: a.min(dim=0, keepdim=True)[0], T234),
    "max_other": (lambda m, a, b: m.max(a, b), A34, A4),
    "maximum_ties": (lambda m, a, b: m.maximum(a, b), TIES, TIES[::-1].copy()),
    "minimum": (lambda m, a, b: m.minimum(a, b), A34, A4),
    "amax_ties": (lambda m, a: a.amax(1), TIES),
    "amin": (lambda m, a: a.amin((0, 1), keepdim=True), T234),
    "median": (lambda m, a: a.median(), A34),
    "median_dim": (lambda m, a: a.median(1).values, T234),
    "logsumexp": (lambda m, a: a.logsumexp(1), T234),
    "logsumexp_big": (lambda m, a: m.logsumexp(a * 1000, (0, 2), keepdim=True), T234),
    "norm": (lambda m, a: a.norm(), A34),
    "norm_1": (lambda m, a: a.norm(1, dim=1), A34),
    "norm_3": (lambda m, a: a.norm(3, dim=0, keepdim=True), A34),
    "norm_inf": (lambda m, a: a.norm(float("inf")), A34),
    "cumsum": (lambda m, a: a.cumsum(1), T234),
    "cumprod": (lambda m, a: a.cumprod(1), T234),
    "cumprod_zero": (lambda m, a: (a * (a > -0.5)).cumprod(0), A34),
    "unary_smooth": (
        lambda m, a: a.exp() + a.sin() * a.cos() + a.tanh() + a.sigmoid() + m.expm1(a) + m.sinh(a),
        A34,
    ),
    "unary_positive": (
        lambda m, a: (
            a.log() + a.sqrt() * a.rsqrt() + a.log1p() + a.log2() + a.log10() + a.reciprocal()
        ),
        POS,
    ),
    "unary_arc": (lambda m, a: m.asin(a / 4) + m.acos(a / 4) + m.atan(a) + m.tan(a / 4), A34),
    "atan2": (lambda m, a, b: m.atan2(a, b), A34, POS),
    "square_relu": (lambda m, a: a.square() + a.relu(), A34),
    "steps": (lambda m, a: a.floor() + a.ceil() + a.round() + a.sign() + a.trunc() + a, A34),
    "round_decimals": (lambda m, a: m.round(a, decimals=2), A34),
    "clamp": (lambda m, a: a.clamp(-0.5, 0.5), A34),
    "clamp_min": (lambda m, a: a.clamp(min=0.1), A34),
    "clamp_tensor": (lambda m, a, b: m.clamp(a, max=b), A34, A4),
    "where": (lambda m, a, b: m.where(a > b, a, b * 2), A34, A4),
    "where_scalar": (lambda m, a: m.where(a > 0, a, 0.5), A34),
    "masked_fill": (lambda m, a: a.masked_fill(a > 0, -1.0), A34),
    "lerp": (lambda m, a, b: m.lerp(a, b, 0.3), A34, B34),
    "addcdiv": (lambda m, a, b, c: m.addcdiv(a, b, c, value=0.5), A34, B34, POS),
    "reshape": (lambda m, a: a.reshape(4, -1) * 2, T234),
    "view_permute": (lambda m, a: a.view(6, 4).t().unsqueeze(0), T234),
    "permute": (lambda m, a: a.permute(2, 0, -2) * 2, T234),
    "movedim": (lambda m, a: m.movedim(a, (0, 1), (2, 0)), T234),
    "flatten": (lambda m, a: a.flatten(1), T234),
    "unflatten": (lambda m, a: a.unflatten(-1, (2, 2)), T234),
    "squeeze": (lambda m, a: a.squeeze(-1) * a.squeeze(), A31),
    "expand": (lambda m, a: a.expand(2, -1, 4), A31),
    "repeat": (lambda m, a: a.repeat(2, 1, 3), A34),
    "repeat_interleave": (lambda m, a: a.repeat_interleave(2, 1), A34),
    "narrow": (lambda m, a: a.narrow(1, 1, 2), A34),
    "chunk": (lambda m, a: a.chunk(3, 1)[1] * 2, T234.transpose(0, 2, 1).copy()),
    "split": (lambda m, a: a.split([1, 3], -1)[1], T234),
    "unbind": (lambda m, a: a.unbind(1)[2], T234),
    "flip": (lambda m, a: a.flip(0, 2) * m.flip(a, (1,)), T234),
    "roll": (lambda m, a: a.roll(1, 0) + m.roll(a, (1, -2), (1, 2)) + m.roll(a, 5), T234),
    "rot90": (lambda m, a: m.rot90(a, 1, (1, 2)), T234),
    "rot270": (lambda m, a: m.rot90(a, 3, (0, 1)), T234),
    "select": (lambda m, a: a.select(1, -1), T234),
    "tril": (lambda m, a: m.tril(a, 1) + m.triu(a, -1), T234),
    "cat": (lambda m, a, b: m.cat([a, b * 2, a], 1), A34, B34),
    "stack": (lambda m, a, b: m.stack((a, b), -1), A34, B34),
    "index_int": (lambda m, a: a[1] * a[-1], A34),
    "index_slices": (lambda m, a: a[:, 1:3, ::2], T234),
    "index_mixed": (lambda m, a: a[..., None, 1] + a[0, :, None, 2], T234[:1]),
    "index_tensor": (lambda m, a: a[m.tensor([0, 2, 0])], A34),
    "index_pair": (lambda m, a: a[m.tensor([0, 2, 0]), m.tensor([1, 1, 1])], A34),
    "index_mask": (lambda m, a: a[a > 0], A34),
    "index_list": (lambda m, a: a[[0, 1, 1]], A34),
    "index_colon_tensor": (lambda m, a: a[:, m.tensor([[0, 1], [2, 2]])], T234),
    "gather": (lambda m, a: a.gather(0, m.tensor(IDX)), A34),
    "gather_small": (lambda m, a: m.gather(a, 1, m.tensor([[3], [0]])), A34),
    "scatter": (lambda m, a, b: a.scatter(0, m.tensor(IDX[:1]), b), A34, B34[:1]),
    "scatter_value": (lambda m, a: a.scatter(1, m.tensor([[1], [0], [3]]), 5.0), A34),
    "scatter_add": (lambda m, a, b: a.scatter_add(0, m.tensor(IDX), b), A34, B34[:2]),
    "index_select": (lambda m, a: m.index_select(a, 1, m.tensor([2, 0, 2])), T234),
    "index_add": (lambda m, a, b: a.index_add(0, m.tensor([2, 0, 2]), b), A34, B34),
    "sort": (lambda m, a: a.sort(1, descending=True).values, A34),
    "topk": (lambda m, a: a.topk(2, 0).values, A34),
    "topk_smallest": (lambda m, a: a.topk(2, largest=False)[0], A34),
    "masked_select": (lambda m, a: m.masked_select(a, a > 0), A34),
    "nan_to_num": (lambda m, a: m.nan_to_num(a / (a > 0)), A34),
    "setitem": (lambda m, a, b: _set(a * 1, (slice(None), 1), b[:, 0]), A34, B34),
    "setitem_mask": (lambda m, a: _set(a * 2, a > 0, 1.5), A34),
    "setitem_new": (lambda m, a: _set(m.zeros(3, 4, dtype=m.float64), 1, a[0]), A34),
    "setitem_broadcast": (lambda m, a, b: _set(a * 1, slice(1, 3), b), A34, A4),
    "inplace": (lambda m, a, b: (a * 1).add_(b).mul_(2).sub_(b, alpha=2).div_(3), A34, A4),
    "inplace_unary": (lambda m, a: (a * 1).exp_() * (a * 2).sin_() + (a * 1).sigmoid_(), A34),
    "inplace_clamp": (lambda m, a: (a * 1).clamp_(0, 1).pow_(2) + (a * 1).relu_(), A34),
    "inplace_view": (lambda m, a, b: _inplace_view(a, b), A34, A4),
    "inplace_stale_view": (lambda m, a, b: _stale_view(a, b), A34, B34),
    "inplace_copy": (lambda m, a, b: (a * 3).copy_(b) + a, A34, A4),
    "inplace_zero": (lambda m, a: (a * 3).zero_() + a, A34),
    "inplace_fill": (lambda m, a: (a * 3).masked_fill_(a > 0, 7.0), A34),
    "iadd": (lambda m, a, b: _augmented(a * 1, b), A34, B34),
    "diagonal": (lambda m, a: a.diagonal(1, 0, 2) * 2, T234),
    "diag_trace": (lambda m, a: m.diag(a[0], -1) * m.trace(a) + m.diag(a.t() @ a, 1).sum(), A34),
    "einsum_gram": (lambda m, a: m.einsum("bchw,bdhw->bcd", a, a), IMG),
    "einsum_implicit": (lambda m, a, b: m.einsum("ij,jk", a, b.t()), A34, B34),
    "einsum_sum": (lambda m, a, b: m.einsum("...ij, kj -> k...", a, b), T234, A34),
    "einsum_three": (lambda m, a, b, c: m.einsum("i,ij,j->", c[:, 0], a, b), A34, A4, A31),
    "inner_cdist": (lambda m, a, b: m.inner(a, b) + m.cdist(a, b), A34, B34),
    "cdist_1": (lambda m, a: m.cdist(a, a[:, :2] * 2, p=1.0), T234),
    "erf": (lambda m, a: a.erf(), A34),
    "fmod": (lambda m, a, b: m.fmod(a, b), A34, POS),
    "unfold": (lambda m, a: a.unfold(-1, 3, 2) * 2, IMG),
    "unfold_overlap": (lambda m, a: a.unfold(1, 2, 1).exp(), T234),
    "softplus": (lambda m, a: (1 + a.exp()).log(), A34),
}


def _set(a, index, value):
    a[index] = value
    return a


def _inplace_view(a, b):
    y = a * 2
    y[1].mul_(b)
    y.view(-1)[::3] += 1
    y.t()[2] *= y.t()[1].clone()
    return y


def _stale_view(a, b):
    y = a * 2
    v = y[:2]
    y.mul_(b)
    return v * v


def _augmented(y, b):
    y += b
    y *= 2
    y -= b
    y /= 4
    return y


def run(module, function, arrays, as_tensor):
    inputs = [as_tensor(a).requires_grad_() for a in arrays]
    out = function(module, *inputs)
    weight = as_tensor(np.random.default_rng(1).standard_normal(tuple(out.shape)))
    if out.requires_grad:
        (out * weight).sum().backward()
    return out.detach().numpy(), [None if t.grad is None else t.grad.numpy() for t in inputs]


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    function, *arrays = CASES[name]
    ours, our_grads = run(fc, function, arrays, lambda a: fc.tensor(a))
    theirs, their_grads = run(torch, function, arrays, lambda a: torch.tensor(a))
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    for i, (g, e) in enumerate(zip(our_grads, their_grads, strict=True)):
        assert (g is None) == (e is None), f"gradient {i}"
        if g is not None:
            np.testing.assert_allclose(g, e, rtol=1e-10, atol=1e-12, err_msg=f"gradient {i}")


DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")


OPERATORS = {
    "+": lambda m, a, b: a + b,
    "*": lambda m, a, b: a * b,
    "/": lambda m, a, b: a / b,
    "-": lambda m, a, b: a - b,
    "//": lambda m, a, b: a // b,
    "**": lambda m, a, b: a**b,
    "%": lambda m, a, b: a % b,
    "==": lambda m, a, b: a == b,
    "<": lambda m, a, b: a < b,
    "maximum": lambda m, a, b: m.maximum(a, b),
    "where": lambda m, a, b: m.where(m.tensor([True, False, True]), a, b),
}


def operand(module, kind):
    """Ones of a type, without axes if its name starts with 0; or the number itself."""
    if isinstance(kind, str):
        shape = () if kind[0] == "0" else (3,)
        return module.ones(shape, dtype=getattr(module, kind.lstrip("0")))
    return kind


def result_type(module, op, left, right):
    try:
        result = OPERATORS[op](module, operand(module, left), operand(module, right))
    except (RuntimeError, TypeError):
        return "error"
    return str(result.dtype).split(".")[-1]


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("left", DTYPES)
def test_type_promotion(op, left):
    for right in (*DTYPES, "0float64", "0int64", "0float32", 2, 2.5, True):
        if (op == "**" and left == "bool") or (op == "maximum" and not isinstance(right, str)):
            continue
        for pair in ((left, right), (right, left)):
            ours, theirs = result_type(fc, op, *pair), result_type(torch, op, *pair)
            assert ours == theirs or theirs == "error", (pair, ours, theirs)


@pytest.mark.parametrize("kind", ["int64", "bool", "uint8", "int32"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum(),
        lambda x: x.sum(0),
        lambda x: x.prod(),
        lambda x: x.exp(),
        lambda x: x.sqrt(),
        lambda x: x.cumsum(0),
        lambda x: x.max(),
        lambda x: x.any(),
        lambda x: x.all(1),
        lambda x: x.int().argmax(),
        lambda x: x.sigmoid(),
        lambda x: x.to(dtype=x.dtype),
        lambda x: x.float().mean(),
        lambda x: x.sort()[0],
    ],
)
def test_result_types_of_integers(kind, call):
    a = np.array([[0, 1, 1], [1, 0, 1]]).astype(kind)
    ours, theirs = call(fc.tensor(a)), call(torch.tensor(a))
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


NAN = np.array([[1.0, np.nan, 2.0], [np.inf, -np.inf, 0.0], [np.nan, np.inf, -1.0]], np.float32)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: x.max(),
        lambda m, x: x.max(1)[0],
        lambda m, x: x.max(1)[1],
        lambda m, x: x.min(0)[1],
        lambda m, x: x.argmax(),
        lambda m, x: x.sort(1)[0],
        lambda m, x: x.sort(1, descending=True)[0],
        lambda m, x: x.topk(2)[0],
        lambda m, x: x.relu(),
        lambda m, x: x.clamp(0, 1),
        lambda m, x: x.sign(),
        lambda m, x: m.maximum(x, m.zeros(3)),
        lambda m, x: x.log(),
        lambda m, x: x.sigmoid(),
        lambda m, x: x.tanh(),
        lambda m, x: x.median(1)[0],
        lambda m, x: x.isnan(),
        lambda m, x: x.isinf(),
        lambda m, x: x.logsumexp(1),
        lambda m, x: x.sum(0),
        lambda m, x: x.norm(),
        lambda m, x: x / 0,
        lambda m, x: x == x,
        lambda m, x: x.bool(),
        lambda m, x: m.isfinite(x),
        lambda m, x: x.round(),
        lambda m, x: m.nan_to_num(x),
        lambda m, x: x.abs(),
        lambda m, x: x % 2.0,
        lambda m, x: x // 2,
    ],
)
def test_nan_and_infinity(call):
    ours, theirs = call(fc, fc.tensor(NAN)), call(torch, torch.tensor(NAN))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.tensor(1.5),
        lambda m: m.tensor([1, 2, 3]),
        lambda m: m.tensor([True, False]),
        lambda m: m.tensor([1.0, 2.5, -3.25]),
        lambda m: m.tensor([[1.0, 20.0], [300.0, 4000.5]]),
        lambda m: m.tensor([1e-5, 1.0]),
        lambda m: m.tensor([1e9, 1.0]),
        lambda m: m.zeros(2, 3, 2),
        lambda m: m.tensor([float("nan"), float("inf"), 1.0]),
        lambda m: m.tensor([]),
        lambda m: m.zeros(2, 0),
        lambda m: m.arange(2000),
        lambda m: m.arange(40.0),
        lambda m: m.zeros(40, 40),
        lambda m: m.tensor([1.0], requires_grad=True),
        lambda m: m.tensor([1.0], dtype=m.float64),
        lambda m: m.tensor([1], dtype=m.int32),
        lambda m: m.tensor(float("nan")),
        lambda m: m.arange(30.0).reshape(5, 6) / 7,
        lambda m: m.tensor([0.001, 123.0]),
        lambda m: m.tensor([-1.0, 100.0]),
        lambda m: m.tensor([], dtype=m.int64),
        lambda m: m.arange(30) - 7,
        lambda m: m.ones(3, dtype=m.bool),
        lambda m: m.ones(1, 1, 1),
        lambda m: m.tensor(3),
        lambda m: m.linspace(0, 1, 5),
        lambda m: m.eye(3),
        lambda m: m.full((2,), 7),
        lambda m: m.tensor(1e20),
        lambda m: m.ones(2, requires_grad=True).sum(),
        lambda m: m.arange(5, 0, -2),
        lambda m: m.arange(0, 1, 0.3),
    ],
)
def test_printing(make):
    ours, theirs = repr(make(fc)), repr(make(torch))
    assert ours.replace("fastconv.", "torch.") == theirs


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: x.transpose(1, 3),
        lambda m, x: x.contiguous(memory_format=m.channels_last),
        lambda m, x: x.contiguous(memory_format=m.channels_last) * 2,
        lambda m, x: x.contiguous(memory_format=m.channels_last) + m.ones(1, 3, 1, 1),
        lambda m, x: x.to(memory_format=m.channels_last).exp(),
        lambda m, x: x.to(memory_format=m.channels_last).relu(),
        lambda m, x: m.zeros_like(x.to(memory_format=m.channels_last)),
        lambda m, x: x.to(memory_format=m.channels_last).clone(),
        lambda m, x: x.to(memory_format=m.channels_last).clone(memory_format=m.contiguous_format),
        lambda m, x: m.empty(2, 3, 4, 5, memory_format=m.channels_last),
        lambda m, x: m.where(
            x.to(memory_format=m.channels_last) > 0, x.to(memory_format=m.channels_last), 0.0
        ),
        lambda m, x: x.to(memory_format=m.channels_last).double(),
        lambda m, x: x[:, 1:],
        lambda m, x: x.expand(2, 3, 4, 5),
        lambda m, x: x.permute(0, 2, 3, 1),
        lambda m, x: x.to(memory_format=m.channels_last).clamp(0),
        lambda m, x: m.cat([x.to(memory_format=m.channels_last)] * 2, 1),
    ],
)
def test_strides(call):
    a = IMG.astype(np.float32)
    ours, theirs = call(fc, fc.tensor(a)), call(torch, torch.tensor(a))
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert ours.stride() == theirs.stride()
    for name in ("contiguous_format", "channels_last"):
        assert ours.is_contiguous(memory_format=getattr(fc, name)) == theirs.is_contiguous(
            memory_format=getattr(torch, name)
        )


def test_dlpack_both_ways():
    a = fc.randn(3, 4)
    b = torch.from_dlpack(a)
    b[0, 0] = 7
    assert a[0, 0].item() == 7
    c = fc.from_dlpack(torch.arange(5.0))
    assert c.tolist() == [0, 1, 2, 3, 4]

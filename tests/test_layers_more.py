"""Attention, embedding, fold, grid sampling, recurrence, blocks and capsules."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as fnn
import fastconv.nn.functional as F

RNG = np.random.default_rng(21)
TOLERANCE = {"float32": dict(rtol=2e-4, atol=2e-5), "float64": dict(rtol=1e-9, atol=1e-10)}
DTYPES = ["float32", "float64"]


def draw(*shape):
    return RNG.standard_normal(shape)


def leaf(lib, array, dtype):
    if not isinstance(array, np.ndarray):
        return array
    if array.dtype.kind != "f":
        return lib.tensor(array.copy())
    return lib.tensor(array.astype(dtype)).requires_grad_()


def same(ours, theirs, dtype, what):
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    assert a.shape == b.shape, what
    assert a.dtype == b.dtype, what
    np.testing.assert_allclose(a, b, **TOLERANCE[dtype], err_msg=what)


def flat(y):
    if isinstance(y, (tuple, list)):
        return [t for part in y for t in flat(part)]
    return [] if y is None else [y]


def compare(call, *arrays, dtype="float64", modules=None):
    """`call(F, *tensors)` in both libraries: results, and gradients of tensors and parameters.

    `modules` makes a module from `nn`, whose state is copied; `call` gets it in place of F.
    """
    torch = pytest.importorskip("torch")
    libs = [(torch, torch.nn, torch.nn.functional), (fc, fnn, F)]
    owners = []
    if modules is not None:
        theirs = modules(torch.nn).to(getattr(torch, dtype))
        mine = modules(fnn).to(getattr(fc, dtype))
        assert list(mine.state_dict()) == list(theirs.state_dict())
        mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
        owners = [theirs, mine]
    seeds = None
    found = []
    for i, (lib, _, functions) in enumerate(libs):
        tensors = [leaf(lib, a, dtype) for a in arrays]
        results = flat(call(owners[i] if owners else functions, *tensors))
        differentiable = [y for y in results if y.requires_grad]
        if seeds is None:
            seeds = [RNG.standard_normal(tuple(y.shape)).astype(dtype) for y in differentiable]
        total = sum((y * lib.tensor(s)).sum() for y, s in zip(differentiable, seeds, strict=True))
        if differentiable:
            total.backward()
        sources = [t for t in tensors if getattr(t, "requires_grad", False)]
        sources += list(owners[i].parameters()) if owners else []
        found.append((results, [t.grad for t in sources]))
    (theirs_out, theirs_grad), (ours_out, ours_grad) = found
    for y, z in zip(ours_out, theirs_out, strict=True):
        same(y, z, dtype, "result")
    for g, h in zip(ours_grad, theirs_grad, strict=True):
        if h is not None and (g is not None or float(h.abs().max()) > 0):
            same(g, h, dtype, "gradient")


# -- fold ------------------------------------------------------------------------------------------

FOLDS = [
    dict(kernel_size=3),
    dict(kernel_size=(2, 3), stride=(2, 1), padding=(1, 0)),
    dict(kernel_size=2, dilation=(2, 3), padding=2, stride=3),
]


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", FOLDS)
def test_unfold_and_fold(options, dtype):
    x = draw(2, 3, 7, 8)
    compare(lambda f, a: f.unfold(a, **options), x, dtype=dtype)
    compare(lambda f, a: f.unfold(a, **options), x[0], dtype=dtype)
    columns = F.unfold(fc.tensor(x), **options).numpy()
    compare(lambda f, a: f.fold(a, (7, 8), **options), columns + draw(*columns.shape), dtype=dtype)
    compare(lambda f, a: f.fold(a, (7, 8), **options), columns[1].copy(), dtype=dtype)


def test_unfold_is_a_convolution_and_fold_its_adjoint():
    x, w = draw(2, 3, 6, 5), draw(4, 3, 3, 3)
    columns = F.unfold(fc.tensor(x), 3, padding=1)
    y = fc.tensor(w).reshape(4, -1) @ columns
    expected = F.conv2d(fc.tensor(x), fc.tensor(w), padding=1)
    np.testing.assert_allclose(y.numpy().reshape(expected.shape), expected.numpy(), rtol=1e-10)
    z = draw(*columns.shape)
    back = fnn.Fold((6, 5), 3, padding=1)(fc.tensor(z))
    assert (columns.numpy() * z).sum() == pytest.approx((x * back.numpy()).sum())
    assert fnn.Unfold(3, padding=1)(fc.tensor(x)).tolist() == columns.tolist()


# -- grids -----------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_affine_grid(dtype, align):
    compare(lambda f, t: f.affine_grid(t, (2, 3, 4, 5), align), draw(2, 2, 3), dtype=dtype)
    compare(lambda f, t: f.affine_grid(t, (2, 1, 3, 4, 5), align), draw(2, 3, 4), dtype=dtype)
    compare(lambda f, t: f.affine_grid(t, (1, 3, 1, 5), align), draw(1, 2, 3), dtype=dtype)


@pytest.mark.torch
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, padding, align):
    grid = RNG.uniform(-2.5, 2.5, (2, 6, 7, 2))
    grid[0, 0, 0], grid[1, 0, 1] = 30.0, -1e5
    for dtype in DTYPES:
        compare(
            lambda f, x, g: f.grid_sample(x, g, mode, padding, align),
            draw(2, 3, 5, 4), grid, dtype=dtype,
        )  # fmt: skip
    compare(lambda f, x, g: f.grid_sample(x, g, mode, padding, align), draw(2, 1, 1, 4), grid)
    if mode != "bicubic":
        grid = RNG.uniform(-2.5, 2.5, (2, 3, 4, 2, 3))
        compare(
            lambda f, x, g: f.grid_sample(x, g, mode, padding, align), draw(2, 2, 3, 5, 4), grid
        )


def test_grid_sample_of_the_identity_is_the_picture():
    x = fc.tensor(draw(1, 2, 5, 6))
    theta = fc.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=fc.float64)
    for mode in ("bilinear", "nearest", "bicubic"):
        for align in (False, True):
            grid = F.affine_grid(theta, (1, 2, 5, 6), align)
            y = F.grid_sample(x, grid, mode, align_corners=align)
            np.testing.assert_allclose(y.numpy(), x.numpy(), atol=1e-12)


def test_grid_sample_reads_nothing_outside():
    x = fc.full((1, 1, 2, 2), float("inf"))
    grid = fc.tensor([[[[5.0, 0.0], [float("nan"), 0.0], [float("inf"), 0.0]]]])
    for mode in ("bilinear", "nearest"):
        assert F.grid_sample(x, grid, mode).tolist() == [[[[0.0, 0.0, 0.0]]]]


# -- embedding -------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options",
    [{}, {"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True}, {"max_norm": 1.0},
     {"max_norm": 0.5, "norm_type": 1.0}],
)  # fmt: skip
def test_embedding(options, dtype):
    index = np.array([[0, 2, 2, 4], [1, 2, 0, 4]])
    compare(
        lambda m, i: (m(i), m.weight), index, dtype=dtype,
        modules=lambda nn: nn.Embedding(5, 3, **options),
    )  # fmt: skip
    module = fnn.Embedding(5, 3, **options)
    pytest.importorskip("torch")
    import torch

    assert repr(module) == repr(torch.nn.Embedding(5, 3, **options))
    if "padding_idx" in options:
        assert module.weight[options["padding_idx"]].tolist() == [0.0] * 3


def test_embedding_from_pretrained_is_frozen():
    table = fc.tensor(draw(4, 2))
    layer = fnn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert layer(fc.tensor([3])).tolist() == [table[3].tolist()]
    assert fnn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


# -- attention -------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
def test_scaled_dot_product_attention(dtype):
    q, k, v = draw(2, 3, 4, 5), draw(2, 3, 6, 5), draw(2, 3, 6, 7)
    may = RNG.random((4, 6)) < 0.6
    may[0] = True
    may[2] = False  # a query that sees nothing
    added = draw(2, 1, 4, 6)

    def call(f, *t, **k):
        return f.scaled_dot_product_attention(*t, **k)

    compare(call, q, k, v, dtype=dtype)
    compare(lambda f, *t: call(f, *t, is_causal=True), q, k, v, dtype=dtype)
    compare(lambda f, *t: call(f, *t, scale=0.3), q, k, v, dtype=dtype)
    compare(call, q, k, v, may, dtype=dtype)
    compare(call, q, k, v, added, dtype=dtype)
    compare(call, q[0, 0], k[0, 0], v[0, 0], dtype=dtype)
    heads = draw(2, 6, 4, 5)
    compare(lambda f, *t: call(f, *t, enable_gqa=True), heads, k, v, dtype=dtype)


ATTENTION = {
    "plain": {},
    "batch first": {"batch_first": True},
    "no bias": {"bias": False},
    "widths": {"kdim": 5, "vdim": 7},
    "bias_kv": {"add_bias_kv": True},
    "zero": {"add_zero_attn": True, "add_bias_kv": True},
}


@pytest.mark.torch
@pytest.mark.parametrize("name", ATTENTION)
def test_multihead_attention(name):
    options = ATTENTION[name]
    q = draw(4, 2, 6)
    k, v = draw(5, 2, options.get("kdim", 6)), draw(5, 2, options.get("vdim", 6))
    if options.get("batch_first"):
        q, k, v = (t.swapaxes(0, 1).copy() for t in (q, k, v))
    hide = np.triu(np.ones((4, 5), bool), 2)
    pad = np.array([[False] * 5, [False, False, True, False, True]])
    heads = draw(6, 4, 5)

    def make(nn):
        return nn.MultiheadAttention(6, 3, **options)

    for dtype in DTYPES:
        compare(lambda m, *t: m(*t), q, k, v, dtype=dtype, modules=make)
    compare(lambda m, *t: m(*t, need_weights=False), q, k, v, modules=make)
    compare(lambda m, *t: m(*t, average_attn_weights=False), q, k, v, modules=make)
    compare(lambda m, a, b, c, h: m(a, b, c, attn_mask=h), q, k, v, hide, modules=make)
    compare(lambda m, a, b, c, p: m(a, b, c, p), q, k, v, pad, modules=make)
    compare(
        lambda m, a, b, c, p, h: m(a, b, c, p, attn_mask=h, need_weights=False),
        q, k, v, pad, hide, modules=make,
    )  # fmt: skip
    compare(lambda m, a, b, c, h: m(a, b, c, attn_mask=h), q, k, v, heads, modules=make)
    if not options.get("batch_first"):
        compare(lambda m, *t: m(*t), q[:, 0], k[:, 0], v[:, 0], modules=make)


def test_dropout_of_attention_keeps_the_mean():
    fc.manual_seed(3)
    q, k = fc.tensor(draw(1, 8)), fc.tensor(draw(400, 8))
    ones = fc.ones(400, 20, dtype=fc.float64)
    y = F.scaled_dot_product_attention(q, k, ones, dropout_p=0.5)
    assert 0.5 < float(y.mean()) < 1.5
    assert float(y.std()) < 1e-12  # one draw for each weight, not for each value
    layer = fnn.MultiheadAttention(8, 2, dropout=0.5).double()
    a, b = (layer(q, k[:, :8], k[:, :8])[0].tolist() for _ in range(2))
    assert a != b
    layer.eval()
    a, b = (layer(q, k[:, :8], k[:, :8])[0].tolist() for _ in range(2))
    assert a == b


# -- recurrence ------------------------------------------------------------------------------------

RECURRENT = {
    "rnn": lambda nn: nn.RNN(3, 4),
    "rnn relu": lambda nn: nn.RNN(3, 4, 2, "relu", bias=False),
    "gru": lambda nn: nn.GRU(3, 4, num_layers=2, bidirectional=True),
    "gru batch": lambda nn: nn.GRU(3, 4, batch_first=True),
    "lstm": lambda nn: nn.LSTM(3, 4),
    "lstm deep": lambda nn: nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True),
    "lstm bias": lambda nn: nn.LSTM(3, 4, 2, bias=False),
    "lstm proj": lambda nn: nn.LSTM(3, 4, 2, proj_size=2, bidirectional=True),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name):
    torch = pytest.importorskip("torch")
    make = RECURRENT[name]
    mine = make(fnn)
    assert repr(mine) == repr(make(torch.nn))
    x = draw(5, 2, 3)
    layers = mine.num_layers * (2 if mine.bidirectional else 1)
    batch = 5 if mine.batch_first else 2
    h, c = draw(layers, batch, mine.proj_size or 4), draw(layers, batch, 4)
    states = [h, c] if mine.mode == "LSTM" else [h]
    for dtype in DTYPES:
        compare(lambda m, t: m(t), x, dtype=dtype, modules=make)

    def given(m, t, *s):
        return m(t, s if len(s) > 1 else s[0])

    compare(given, x, *states, modules=make)
    compare(given, x[:, 0], *[s[:, 0] for s in states], modules=make)


CELLS = {
    "rnn": lambda nn: nn.RNNCell(3, 4),
    "rnn relu": lambda nn: nn.RNNCell(3, 4, nonlinearity="relu"),
    "gru": lambda nn: nn.GRUCell(3, 4, bias=False),
    "lstm": lambda nn: nn.LSTMCell(3, 4),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", CELLS)
def test_cells(name):
    torch = pytest.importorskip("torch")
    assert repr(CELLS[name](fnn)) == repr(CELLS[name](torch.nn))
    x, h, c = draw(2, 3), draw(2, 4), draw(2, 4)
    states = (h, c) if name == "lstm" else (h,)

    def given(m, t, *s):
        return m(t, s if len(s) > 1 else s[0])

    for dtype in DTYPES:
        compare(lambda m, t: m(t), x, dtype=dtype, modules=CELLS[name])
        compare(given, x, *states, dtype=dtype, modules=CELLS[name])
    compare(given, x[0], *[s[0] for s in states], modules=CELLS[name])


def test_dropout_between_recurrent_layers():
    x = fc.tensor(draw(3, 2, 3))
    layer = fnn.LSTM(3, 4, 2, dropout=1.0).double()
    assert not np.allclose(layer(x)[0].detach().numpy(), layer.eval()(x)[0].detach().numpy())
    one = fnn.LSTM(3, 4, 1, dropout=1.0).double()
    assert one(x)[0].tolist() == one.eval()(x)[0].tolist()


# -- fractional pooling ----------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("options", [dict(output_size=(4, 3)), dict(output_ratio=(0.6, 0.5)),
                                     dict(output_size=1)])  # fmt: skip
def test_fractional_max_pool(options):
    samples = RNG.random((2, 3, 2))
    for dtype in DTYPES:

        def call(f, x, s, dtype=dtype):
            return f.fractional_max_pool2d(
                x, (2, 3), return_indices=True, _random_samples=s.detach(), **options
            )

        compare(call, draw(2, 3, 9, 8), samples, dtype=dtype)
        compare(call, draw(3, 9, 8), samples[:1], dtype=dtype)


def test_fractional_max_pool_draws_its_windows():
    fc.manual_seed(1)
    layer = fnn.FractionalMaxPool2d(2, output_ratio=0.7)
    x = fc.arange(200.0).reshape(1, 2, 10, 10)
    first, second = layer(x), layer(x)
    assert tuple(first.shape) == (1, 2, 7, 7)
    assert first.tolist() != second.tolist()
    with pytest.raises(ValueError, match="one of"):
        fnn.FractionalMaxPool2d(2)
    with pytest.raises(ValueError, match="fit"):
        F.fractional_max_pool2d(x, 3, 9)
    with pytest.raises(ValueError, match="output_ratio"):
        F.fractional_max_pool2d(x, 3, output_ratio=1.5)


WRONG = [
    (lambda: F.unfold(fc.ones(2, 3), 2), ValueError, "shape"),
    (lambda: F.unfold(fc.ones(1, 1, 2, 2), 3), ValueError, "no window"),
    (lambda: F.unfold(fc.ones(1, 1, 4, 4), 3, stride=0), ValueError, "stride"),
    (lambda: F.fold(fc.ones(1, 5, 4), 3, 2), ValueError, "divisible"),
    (lambda: F.fold(fc.ones(1, 4, 5), 3, 2), ValueError, "windows"),
    (lambda: F.affine_grid(fc.ones(1, 2, 3), (1, 1, 2)), ValueError, "size"),
    (lambda: F.affine_grid(fc.ones(2, 2, 3), (1, 1, 2, 2)), ValueError, "theta"),
    (lambda: F.grid_sample(fc.ones(1, 1, 2, 2), fc.ones(1, 2, 2, 3)), ValueError, "grid"),
    (lambda: F.grid_sample(fc.ones(1, 1, 2, 2), None), TypeError, "grid"),
    (lambda: F.grid_sample(fc.ones(1, 1, 2, 2), fc.ones(1, 2, 2, 2), "cubic"), ValueError, "mode"),
    (lambda: F.embedding(fc.tensor([5]), fc.ones(4, 2)), IndexError, "5"),
    (lambda: F.embedding(fc.tensor([0.5]), fc.ones(4, 2)), TypeError, "integers"),
    (lambda: F.embedding(fc.tensor([0]), fc.ones(4, 2), 4), ValueError, "padding_idx"),
    (lambda: fnn.Embedding(3, 2, sparse=True), NotImplementedError, "sparse"),
    (lambda: fnn.MultiheadAttention(5, 2), ValueError, "divisible"),
    (lambda: F.scaled_dot_product_attention(fc.ones(2, 3), fc.ones(2, 4), fc.ones(2, 4)),
     ValueError, "query"),
    (lambda: F.scaled_dot_product_attention(*[fc.ones(2, 3)] * 3, fc.ones(3, 3)),
     ValueError, "attn_mask"),
    (lambda: fnn.LSTM(3, 4)(fc.ones(5, 2, 2)), ValueError, "size 3"),
    (lambda: fnn.LSTM(3, 4)(fc.ones(5, 2, 3), (fc.ones(1, 2, 4), fc.ones(1, 3, 4))),
     ValueError, "hidden state"),
    (lambda: fnn.GRU(3, 4, proj_size=2), ValueError, "proj_size"),
    (lambda: fnn.GRUCell(3, 4)(fc.ones(5, 2)), ValueError, "input"),
    (lambda: fnn.RNN(3, 4, nonlinearity="abs"), ValueError, "nonlinearity"),
    (lambda: F.maxout(fc.ones(2, 5), 2), ValueError, "pieces"),
    (lambda: fnn.Capsules(2, 3, 4, 5)(fc.ones(1, 3, 3)), ValueError, "input"),
    (lambda: fnn.Capsules(2, 3, 4, 5, 0), ValueError, "routing"),
    (lambda: F.capsule_margin_loss(fc.ones(2, 3), fc.tensor([0, 3])), IndexError, "3"),
    (lambda: fnn.Inception(1, 1, 1, 1, 1, 1, 1, large_kernel=4), ValueError, "odd"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, text", WRONG)
def test_wrong_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()

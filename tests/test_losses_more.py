"""Margin, mask, focal, quantile and style losses: against PyTorch, and against formulas."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as fnn
import fastconv.nn.functional as F

RNG = np.random.default_rng(12)
TOLERANCE = {"float32": dict(rtol=2e-5, atol=2e-6), "float64": dict(rtol=1e-10, atol=1e-12)}
REDUCTIONS = ["mean", "sum", "none"]
DTYPES = ["float32", "float64"]


def given(lib, array, dtype):
    """`array` as a tensor of that library, which requires a gradient where it can."""
    if not isinstance(array, np.ndarray):
        return array
    if array.dtype.kind != "f":
        return lib.tensor(array.copy())
    return lib.tensor(array.astype(dtype)).requires_grad_()


def compare(call, *arrays, dtype="float64", **kwargs):
    """`call(F, *tensors, **kwargs)` in both libraries: value and all gradients."""
    torch = pytest.importorskip("torch")
    results = []
    upstream = None
    for lib, functions in ((torch, torch.nn.functional), (fc, F)):
        tensors = [given(lib, a, dtype) for a in arrays]
        options = {
            k: lib.tensor(v.astype(dtype)) if isinstance(v, np.ndarray) else v
            for k, v in kwargs.items()
        }
        y = call(functions, *tensors, **options)
        if upstream is None:
            upstream = RNG.standard_normal(tuple(y.shape)).astype(dtype)
        y.backward(lib.tensor(upstream))
        grads = [t.grad for t in tensors if getattr(t, "requires_grad", False)]
        results.append([y.detach(), *grads])
    for theirs, ours in zip(*results, strict=True):
        if theirs is None:  # no gradient in PyTorch, as none was asked for
            continue
        assert theirs.numpy().dtype == ours.numpy().dtype
        assert tuple(theirs.shape) == tuple(ours.shape)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), **TOLERANCE[dtype])


def signs(*shape):
    return RNG.choice([-1.0, 1.0], shape)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margin_losses(reduction, dtype):
    x, y, z = (RNG.standard_normal((4, 5)) for _ in range(3))
    check = dict(dtype=dtype, reduction=reduction)
    compare(lambda f, a, t, **k: f.soft_margin_loss(a, t.detach(), **k), x, signs(4, 5), **check)
    for margin in (0.0, 0.5):
        compare(
            lambda f, a, b, t, **k: f.margin_ranking_loss(a, b, t, **k),
            x, y, signs(4, 5), margin=margin, **check,
        )  # fmt: skip
        sign = signs(4).astype(np.int64)
        compare(
            lambda f, a, b, t, **k: f.cosine_embedding_loss(a, b, t, **k),
            x, y, sign, margin=margin, **check,
        )  # fmt: skip
    compare(
        lambda f, a, b, t, **k: f.cosine_embedding_loss(a, b, t, **k),
        x[0], y[0], np.array(-1), **check,
    )  # fmt: skip
    for options in ({}, {"p": 1.0}, {"swap": True, "margin": 0.3}, {"p": 3.0, "eps": 1e-3}):
        compare(
            lambda f, a, u, v, **k: f.triplet_margin_loss(a, u, v, **k), x, y, z, **options, **check
        )
    compare(
        lambda f, a, p, n, **k: f.triplet_margin_with_distance_loss(
            a, p, n, distance_function=lambda u, v: (u - v).abs().amax(-1), swap=True, **k
        ),
        x, y, z, **check,
    )  # fmt: skip
    compare(lambda f, a, u, v, **k: f.triplet_margin_loss(a, u, v, **k), x[0], y[0], z[0], **check)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_class_margin_losses(reduction, dtype):
    x = RNG.standard_normal((6, 5))
    check = dict(dtype=dtype, reduction=reduction)
    labels = RNG.integers(0, 5, 6)
    for options in ({}, {"p": 2}, {"margin": 0.3, "weight": RNG.random(5)}):
        compare(lambda f, a, t, **k: f.multi_margin_loss(a, t, **k), x, labels, **options, **check)
    compare(lambda f, a, t, **k: f.multi_margin_loss(a, t, **k), x[0], np.array(3), **check)
    lists = np.array(
        [[0, 3, -1, 4, 1], [-1, 0, 0, 0, 0], [4, 3, 2, 1, 0], [2, 2, -1, 0, 0], [1, -1, -1, -1, -1],
         [0, 1, 2, -1, 3]]
    )  # fmt: skip
    compare(lambda f, a, t, **k: f.multilabel_margin_loss(a, t, **k), x, lists, **check)
    compare(lambda f, a, t, **k: f.multilabel_margin_loss(a, t, **k), x[0], lists[0], **check)
    for options in ({}, {"weight": RNG.random(5)}):
        compare(
            lambda f, a, t, **k: f.multilabel_soft_margin_loss(a, t, **k),
            x, RNG.random((6, 5)), **options, **check,
        )  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gaussian_nll(reduction, dtype):
    x, t = RNG.standard_normal((2, 4, 5))
    var = RNG.random((4, 5)) + 0.1
    var[0, :2] = 0
    for options in ({}, {"full": True}, {"eps": 0.3}):
        for v in (var, var[:, :1] + 0.2, var[:, 0] + 0.2):
            compare(
                lambda f, a, b, c, **k: f.gaussian_nll_loss(a, b, c, **k),
                x, t, v, dtype=dtype, reduction=reduction, **options,
            )  # fmt: skip


@pytest.mark.torch
def test_poisson_nll_targets_get_the_gradient_of_stirlings_term():
    x, t = RNG.random((2, 4, 5)) * 3
    compare(lambda f, a, b, **k: f.poisson_nll_loss(a, b, **k), x, t, full=True, log_input=False)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
def test_distances(dtype):
    x, y = RNG.standard_normal((2, 3, 4, 5))
    for dim in (0, 1, -1):
        compare(lambda f, a, b, **k: f.cosine_similarity(a, b, **k), x, y, dim=dim, dtype=dtype)
    compare(lambda f, a, b: f.cosine_similarity(a, b, dim=1), x, y[:1], dtype=dtype)
    compare(lambda f, a, b: f.cosine_similarity(a, b, 2, 4.0), x, y, dtype=dtype)
    for options in ({}, {"p": 1.0}, {"keepdim": True}, {"p": 3.0, "eps": 0.1}):
        compare(lambda f, a, b, **k: f.pairwise_distance(a, b, **k), x, y, dtype=dtype, **options)
    compare(lambda f, a, b: f.pairwise_distance(a, b), x, y[0], dtype=dtype)
    compare(lambda f, a: f.pdist(a, 2.0), x[0], dtype=dtype)
    weight, bias = RNG.standard_normal((6, 5, 4)), RNG.standard_normal(6)
    compare(lambda f, a, b, w, c: f.bilinear(a, b, w, c), x, y[..., :4], weight, bias, dtype=dtype)


LAYERS = {
    "SoftMarginLoss": lambda nn: nn.SoftMarginLoss(),
    "MultiMarginLoss": lambda nn: nn.MultiMarginLoss(2, 0.7),
    "MultiLabelSoftMarginLoss": lambda nn: nn.MultiLabelSoftMarginLoss(reduction="sum"),
    "MultiLabelMarginLoss": lambda nn: nn.MultiLabelMarginLoss(),
    "MarginRankingLoss": lambda nn: nn.MarginRankingLoss(0.2),
    "CosineEmbeddingLoss": lambda nn: nn.CosineEmbeddingLoss(0.1),
    "TripletMarginLoss": lambda nn: nn.TripletMarginLoss(0.5, swap=True),
    "TripletMarginWithDistanceLoss": lambda nn: nn.TripletMarginWithDistanceLoss(margin=2.0),
    "GaussianNLLLoss": lambda nn: nn.GaussianNLLLoss(full=True),
    "PairwiseDistance": lambda nn: nn.PairwiseDistance(1.0, keepdim=True),
    "CosineSimilarity": lambda nn: nn.CosineSimilarity(dim=0),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    torch = pytest.importorskip("torch")
    x, y, z = RNG.standard_normal((3, 4, 5))
    rest = {
        "SoftMarginLoss": [signs(4, 5)],
        "MultiMarginLoss": [RNG.integers(0, 5, 4)],
        "MultiLabelSoftMarginLoss": [RNG.random((4, 5))],
        "MultiLabelMarginLoss": [RNG.integers(-1, 5, (4, 5))],
        "MarginRankingLoss": [y, signs(4, 5)],
        "CosineEmbeddingLoss": [y, signs(4).astype(int)],
        "TripletMarginLoss": [y, z],
        "TripletMarginWithDistanceLoss": [y, z],
        "GaussianNLLLoss": [y, z**2],
    }.get(name, [y])
    layers = {F: LAYERS[name](fnn), torch.nn.functional: LAYERS[name](torch.nn)}
    assert repr(layers[F]) == repr(layers[torch.nn.functional])
    compare(lambda f, a, *tensors: layers[f](a, *[t.detach() for t in tensors]), x, *rest)


# -- by formula ------------------------------------------------------------------------------------


def gradients_agree(call, *arrays):
    tensors = [fc.tensor(a).requires_grad_() for a in arrays]
    assert fc.autograd.gradcheck(call, tensors)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("alpha, gamma", [(0.25, 2), (-1, 2), (0.6, 0.5), (0.5, 0)])
def test_sigmoid_focal_loss(alpha, gamma, reduction, dtype):
    x, t = RNG.standard_normal((4, 5)) * 3, RNG.integers(0, 2, (4, 5)).astype(float)
    p = sigmoid(x)
    pt = np.where(t == 1, p, 1 - p)
    expected = -np.log(pt) * (1 - pt) ** gamma
    if alpha >= 0:
        expected *= np.where(t == 1, alpha, 1 - alpha)
    expected = {"mean": expected.mean(), "sum": expected.sum(), "none": expected}[reduction]
    a, b = fc.tensor(x.astype(dtype)), fc.tensor(t.astype(dtype))
    y = F.sigmoid_focal_loss(a, b, alpha, gamma, reduction)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5 if dtype == "float32" else 1e-10)
    assert y.numpy().dtype == dtype
    np.testing.assert_array_equal(
        fnn.SigmoidFocalLoss(alpha, gamma, reduction)(a, b).numpy(), y.numpy()
    )
    soft = RNG.random((4, 5))
    gradients_agree(lambda u, v: F.sigmoid_focal_loss(u, v, alpha, gamma, reduction), x, soft)


@pytest.mark.parametrize("shape", [(6, 5), (3, 5, 2), (2, 5, 3, 2)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_focal_loss(reduction, shape):
    x = RNG.standard_normal(shape) * 2
    t = RNG.integers(0, 5, (shape[0], *shape[2:]))
    weight = RNG.random(5)
    a, b, w = fc.tensor(x), fc.tensor(t), fc.tensor(weight)
    same = F.cross_entropy(a, b, w, ignore_index=2, reduction=reduction)
    mine = F.focal_loss(a, b, w, gamma=0, ignore_index=2, reduction=reduction)
    np.testing.assert_allclose(mine.numpy(), same.numpy(), rtol=1e-12)

    p = np.moveaxis(np.exp(x) / np.exp(x).sum(1, keepdims=True), 1, -1)
    pt = np.take_along_axis(p, t[..., None], -1)[..., 0]
    sample = np.where(t == 2, 0, weight[t])
    expected = -np.log(pt) * (1 - pt) ** 1.5 * sample
    if reduction != "none":
        expected = expected.sum() / (sample.sum() if reduction == "mean" else 1)
    y = F.focal_loss(a, b, w, 1.5, 2, reduction)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10)
    np.testing.assert_array_equal(fnn.FocalLoss(w, 1.5, 2, reduction)(a, b).numpy(), y.numpy())
    gradients_agree(lambda u: F.focal_loss(u, b, w, 1.5, 2, reduction), x)


def test_focal_loss_of_one_sample():
    x = RNG.standard_normal(5)
    y = F.focal_loss(fc.tensor(x), fc.tensor(3), reduction="none")
    p = np.exp(x[3]) / np.exp(x).sum()
    assert y.shape == ()
    assert float(y) == pytest.approx(-np.log(p) * (1 - p) ** 2)


def test_quantile_loss():
    x, t = RNG.standard_normal((2, 4, 5))
    for q in (0.0, 0.1, 0.5, 0.9, 1.0):
        expected = np.maximum(q * (t - x), (q - 1) * (t - x))
        for reduction, value in (("none", expected), ("mean", expected.mean())):
            y = F.quantile_loss(fc.tensor(x), fc.tensor(t), q, reduction)
            np.testing.assert_allclose(y.numpy(), value, rtol=1e-12)
    gradients_agree(lambda u, v: F.quantile_loss(u, v, 0.3), x, t)
    levels = [0.1, 0.5, 0.8]
    many = RNG.standard_normal((4, 5, 3))
    y = fnn.QuantileLoss(levels, "none")(fc.tensor(many), fc.tensor(t))
    for i, q in enumerate(levels):
        one = F.quantile_loss(fc.tensor(many[..., i]), fc.tensor(t), q, "none")
        np.testing.assert_array_equal(y.numpy()[..., i], one.numpy())
    # the constant that costs least is the quantile
    sample = np.sort(RNG.standard_normal(101))
    costs = [
        float(F.quantile_loss(fc.full((101,), c, dtype=fc.float64), fc.tensor(sample), 0.3))
        for c in sample
    ]
    assert int(np.argmin(costs)) == 30


def test_hinge_loss():
    x, t = RNG.standard_normal((4, 5)) * 2, signs(4, 5)
    expected = np.maximum(0, 1 - t * x)
    a, b = fc.tensor(x), fc.tensor(t)
    np.testing.assert_allclose(F.hinge_loss(a, b, reduction="none").numpy(), expected)
    assert float(F.hinge_loss(a, b, squared=True)) == pytest.approx((expected**2).mean())
    assert float(fnn.HingeLoss(0.5)(a, b)) == pytest.approx(np.maximum(0, 0.5 - t * x).mean())
    gradients_agree(lambda u, v: F.hinge_loss(u, v), x, t)
    gradients_agree(lambda u, v: F.soft_margin_loss(u, v), x, t)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_mask_losses(smooth, reduction):
    p = RNG.random((3, 2, 4, 5))
    t = RNG.integers(0, 2, (3, 2, 4, 5)).astype(float)
    both, sums = (p * t).sum((2, 3)), p.sum((2, 3)) + t.sum((2, 3))
    dice = 1 - (2 * both + smooth) / (sums + smooth)
    jaccard = 1 - (both + smooth) / (sums - both + smooth)
    reduce = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction]
    a, b = fc.tensor(p), fc.tensor(t)
    for function, layer, expected in (
        (F.dice_loss, fnn.DiceLoss, dice),
        (F.jaccard_loss, fnn.JaccardLoss, jaccard),
    ):
        y = function(a, b, smooth, False, reduction)
        np.testing.assert_allclose(y.numpy(), reduce(expected), rtol=1e-12)
        np.testing.assert_array_equal(layer(smooth, False, reduction)(a, b).numpy(), y.numpy())
        np.testing.assert_allclose(
            function(a, b.to(fc.int64), smooth, False, reduction).numpy(), y.numpy()
        )
        scores = np.log(p / (1 - p))
        again = function(fc.tensor(scores), b, smooth, True, reduction)
        np.testing.assert_allclose(again.numpy(), y.numpy(), rtol=1e-10)
        gradients_agree(lambda u, v, f=function: f(u, v, smooth, True, reduction), scores, t)


def test_mask_losses_of_classes():
    scores, labels = RNG.standard_normal((2, 3, 4, 5)), RNG.integers(0, 3, (2, 4, 5))
    one_hot = np.moveaxis(np.eye(3)[labels], -1, 1)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    for f in (F.dice_loss, F.jaccard_loss):
        y = f(fc.tensor(scores), fc.tensor(labels), from_logits=True)
        z = f(fc.tensor(p), fc.tensor(one_hot))
        assert float(y) == pytest.approx(float(z))
    whole = F.dice_loss(fc.tensor(one_hot), fc.tensor(one_hot), reduction="none")
    np.testing.assert_allclose(whole.numpy(), np.zeros((2, 3)), atol=1e-15)
    rows = F.jaccard_loss(fc.tensor(p[:, 0, 0]), fc.tensor(one_hot[:, 0, 0]), reduction="none")
    assert rows.shape == (2,)


def test_style_and_content():
    x = RNG.standard_normal((2, 3, 4, 5))
    flat = x.reshape(2, 3, 20)
    gram = np.einsum("ncm,ndm->ncd", flat, flat)
    np.testing.assert_allclose(F.gram_matrix(fc.tensor(x)).numpy(), gram, rtol=1e-12)
    np.testing.assert_allclose(F.gram_matrix(fc.tensor(x), True).numpy(), gram / 60, rtol=1e-12)
    # (8×16)(16×8) = 8×8
    assert F.gram_matrix(fc.ones(8, 16)).tolist() == [[16.0] * 8] * 8
    t = RNG.standard_normal((2, 3, 2, 2))
    other = np.einsum("ncm,ndm->ncd", t.reshape(2, 3, 4), t.reshape(2, 3, 4))
    y = fnn.StyleLoss()(fc.tensor(x), fc.tensor(t))
    assert float(y) == pytest.approx(((gram / 60 - other / 12) ** 2).mean())
    gradients_agree(F.style_loss, x, t)
    u = RNG.standard_normal(x.shape)
    assert float(fnn.ContentLoss()(fc.tensor(x), fc.tensor(u))) == pytest.approx(
        ((x - u) ** 2).mean()
    )
    gradients_agree(F.content_loss, x, u)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_scores_overflow_nowhere(dtype):
    x = np.array([[1e4, -1e4, 0.0, 1e4, -1e4, 0.0]], dtype)
    t = np.array([[1, 1, 1, 0, 0, 0]], dtype)
    exact = np.array([0, 1e4, np.log(2), 1e4, 0, np.log(2)])
    sign = 2 * t - 1

    def check(call, expected):
        a, b = fc.tensor(x).requires_grad_(), fc.tensor(t).requires_grad_()
        y = call(a, b)
        np.testing.assert_allclose(y.detach().numpy().ravel(), expected, rtol=1e-6, atol=1e-30)
        y.sum().backward()
        assert np.isfinite(a.grad.numpy()).all()
        assert b.grad is None or np.isfinite(b.grad.numpy()).all()

    half = np.array([1, 1, 0.25, 1, 1, 0.25])
    check(lambda a, b: F.soft_margin_loss(a, fc.tensor(sign), reduction="none"), exact)
    check(lambda a, b: F.sigmoid_focal_loss(a, b, -1), exact * half)
    check(lambda a, b: F.sigmoid_focal_loss(a, b, -1, 0.5), exact * half**0.25)
    check(lambda a, b: F.multilabel_soft_margin_loss(a, b, reduction="none"), exact.mean())
    check(lambda a, b: F.binary_cross_entropy_with_logits(a, b, reduction="none"), exact)
    check(lambda a, b: F.hinge_loss(a, b * 2 - 1, reduction="none"), [0, 10001, 1, 10001, 0, 1])
    check(lambda a, b: F.dice_loss(a, b, 0.0, True), 1 - 2 * 1.5 / 6)
    for label, value in ((0, np.log(2)), (1, 2e4 + np.log(2))):  # two scores share the maximum
        check(lambda a, b, i=label: F.focal_loss(a, fc.tensor([i]), gamma=0), value)
    check(lambda a, b: F.focal_loss(a, fc.tensor([1]), gamma=0.5), 2e4 + np.log(2))
    check(lambda a, b: F.focal_loss(a[:, :2], fc.tensor([0]), gamma=0.5), 0)


WRONG = [
    (lambda x: F.hinge_loss(x, x[0]), ValueError, "shape"),
    (lambda x: F.hinge_loss(x, x, reduction="most"), ValueError, "reduction"),
    (lambda x: F.multi_margin_loss(x, fc.tensor([0, 9, 0, 0])), IndexError, "9"),
    (lambda x: F.multi_margin_loss(x, fc.tensor([0, 1, 0, 0]), p=3), ValueError, "p must be"),
    (lambda x: F.multi_margin_loss(x, x), TypeError, "integers"),
    (lambda x: F.multilabel_margin_loss(x, fc.full((4, 5), 5)), IndexError, "5 classes"),
    (lambda x: F.multilabel_margin_loss(x, x), TypeError, "class indices"),
    (lambda x: F.margin_ranking_loss(x, x, x[0]), ValueError, "dimensions"),
    (lambda x: F.triplet_margin_loss(x, x, x, margin=0), ValueError, "margin"),
    (lambda x: F.triplet_margin_loss(x, x, None), TypeError, "negative"),
    (lambda x: F.cosine_embedding_loss(x, x, fc.ones(3)), ValueError, "target"),
    (lambda x: F.cosine_similarity(x, fc.ones(3, dtype=x.dtype)), ValueError, "broadcast"),
    (lambda x: F.cosine_similarity(x, None), TypeError, "x2"),
    (lambda x: F.pairwise_distance(x, x.float()), TypeError, "float"),
    (lambda x: F.gaussian_nll_loss(x, x, -fc.ones_like(x)), ValueError, "negative"),
    (lambda x: F.gaussian_nll_loss(x, x, x[0]), ValueError, "var of shape"),
    (lambda x: F.sigmoid_focal_loss(x, x, alpha=2), ValueError, "alpha"),
    (lambda x: F.sigmoid_focal_loss(x, x, gamma=-1), ValueError, "gamma"),
    (lambda x: F.sigmoid_focal_loss(x, None), TypeError, "targets"),
    (lambda x: F.focal_loss(x, fc.tensor([0, 1, 2, 7])), IndexError, "7"),
    (lambda x: F.quantile_loss(x, x, 1.5), ValueError, "quantile"),
    (lambda x: F.quantile_loss(x, x, [0.1, 0.5]), ValueError, "shape"),
    (lambda x: F.dice_loss(x, x[:2]), ValueError, "shape"),
    (lambda x: F.dice_loss(x, x, smooth=-1), ValueError, "smooth"),
    (lambda x: F.jaccard_loss(x[0], x[0]), ValueError, "input"),
    (lambda x: F.gram_matrix(x[0]), ValueError, "shape"),
    (lambda x: F.style_loss(x, x[:2]), ValueError, "shape"),
]


@pytest.mark.parametrize("call, error, text", WRONG)
def test_wrong_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call(fc.tensor(RNG.standard_normal((4, 5))))

"""Lazy layers, weight and spectral normalisation, quantiles, and other small functions."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as fnn
import fastconv.nn.functional as F
from fastconv.nn import utils
from fastconv.nn.utils import parametrizations, parametrize
from tests.test_layers_more import compare

RNG = np.random.default_rng(5)
DTYPES = ["float32", "float64"]


def draw(*shape):
    return RNG.standard_normal(shape)


# -- lazy ------------------------------------------------------------------------------------------

LAZY = {
    "linear": (lambda nn: nn.LazyLinear(4), lambda nn: nn.Linear(3, 4), (2, 3)),
    "linear plain": (lambda nn: nn.LazyLinear(4, bias=False), None, (2, 3)),
    "conv1d": (lambda nn: nn.LazyConv1d(4, 3), lambda nn: nn.Conv1d(2, 4, 3), (1, 2, 5)),
    "conv2d": (
        lambda nn: nn.LazyConv2d(4, 3, 2, 1, groups=2),
        lambda nn: nn.Conv2d(6, 4, 3, 2, 1, groups=2),
        (2, 6, 5, 5),
    ),
    "conv2d bias": (lambda nn: nn.LazyConv2d(4, 3, 1, 0, 1, 1, False), None, (6, 5, 5)),
    "conv3d": (lambda nn: nn.LazyConv3d(2, 2, bias=False), None, (1, 3, 3, 3, 3)),
    "transpose1d": (lambda nn: nn.LazyConvTranspose1d(4, 3), None, (2, 2, 5)),
    "transpose2d": (
        lambda nn: nn.LazyConvTranspose2d(4, 3, 2, groups=2),
        lambda nn: nn.ConvTranspose2d(6, 4, 3, 2, groups=2),
        (2, 6, 5, 5),
    ),
    "transpose3d": (lambda nn: nn.LazyConvTranspose3d(2, 2), None, (1, 3, 3, 3, 3)),
    "batchnorm1d": (lambda nn: nn.LazyBatchNorm1d(), lambda nn: nn.BatchNorm1d(3), (4, 3)),
    "batchnorm2d": (lambda nn: nn.LazyBatchNorm2d(affine=False), None, (4, 3, 2, 2)),
    "batchnorm3d": (lambda nn: nn.LazyBatchNorm3d(momentum=0.3), None, (4, 3, 2, 2, 2)),
    "instancenorm1d": (lambda nn: nn.LazyInstanceNorm1d(), None, (4, 3, 5)),
    "instancenorm2d": (
        lambda nn: nn.LazyInstanceNorm2d(affine=True, track_running_stats=True),
        lambda nn: nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
        (4, 3, 2, 2),
    ),
    "instancenorm3d": (lambda nn: nn.LazyInstanceNorm3d(affine=True), None, (4, 3, 2, 2, 2)),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", LAZY)
def test_lazy_layers_become_ordinary_ones(name):
    torch = pytest.importorskip("torch")
    make, usual, shape = LAZY[name]
    mine, theirs = make(fnn), make(torch.nn)
    before = list(mine.state_dict())
    x = draw(*shape).astype("float32")
    y = mine(fc.tensor(x))
    z = theirs(torch.tensor(x))
    assert type(mine).__name__ == type(theirs).__name__
    assert repr(mine) == repr(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict()) == before
    assert tuple(y.shape) == tuple(z.shape)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert type(p) is fnn.Parameter
        assert tuple(p.shape) == tuple(q.shape)
        assert p.requires_grad
    if usual is not None:
        assert repr(mine) == repr(usual(fnn))
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    again, other = mine(fc.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(again.detach().numpy(), other.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_lazy_network_trains_and_loads():
    def make():
        return fnn.Sequential(
            fnn.LazyConv2d(4, 3), fnn.LazyBatchNorm2d(), fnn.Flatten(), fnn.LazyLinear(2)
        )

    net = make()
    assert isinstance(net[0].weight, fnn.UninitializedParameter)
    assert "Uninitialized" in repr(net[0].weight)
    held = list(net.parameters())
    x = fc.randn(3, 2, 6, 6)
    net(x).sum().backward()
    assert all(p is q for p, q in zip(held, net.parameters(), strict=True))
    assert all(p.grad is not None for p in net.parameters())
    assert net[3].in_features == 64
    other = make()
    other.load_state_dict(net.state_dict())
    net.eval(), other.eval()
    assert other(x).tolist() == net(x).tolist()
    assert type(other[0]) is fnn.Conv2d
    assert net[0].in_channels == other[0].in_channels == 2


def test_lazy_layers_refuse():
    with pytest.raises(ValueError, match="divisible"):
        fnn.LazyConv2d(4, 3, groups=2)(fc.ones(1, 3, 5, 5))
    with pytest.raises(ValueError, match="dimensions"):
        fnn.LazyConv2d(4, 3)(fc.ones(3, 5))


# -- weight and spectral norm ----------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("dtype", DTYPES)
def test_weight_norm(dtype, dim):
    def hooked(nn):
        return nn.utils.weight_norm(nn.Conv2d(3, 4, 3), dim=dim)

    def parametrized(nn):
        return nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3), dim=dim)

    with pytest.warns(FutureWarning):  # PyTorch's older function
        compare(lambda m, x: m(x), draw(2, 3, 5, 5), dtype=dtype, modules=hooked)
    compare(lambda m, x: m(x), draw(2, 3, 5, 5), dtype=dtype, modules=parametrized)


@pytest.mark.torch
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("make", [
    lambda nn: nn.Conv2d(3, 4, 3), lambda nn: nn.ConvTranspose2d(3, 4, 3),
    lambda nn: nn.Linear(3, 4),
])  # fmt: skip
def test_spectral_norm(make, train):
    x = draw(2, 3, 5, 5) if "Conv" in type(make(fnn)).__name__ else draw(2, 3)

    def hooked(nn):
        return nn.utils.spectral_norm(make(nn), n_power_iterations=2).train(train)

    def parametrized(nn):
        return nn.utils.parametrizations.spectral_norm(make(nn)).train(train)

    for dtype in DTYPES:
        compare(lambda m, t: (m(t), m(t)), x, dtype=dtype, modules=parametrized)
    if train:  # PyTorch's older function gives the copied weight before the first step
        compare(lambda m, t: (m(t), m(t)), x, modules=hooked)


def test_spectral_norm_finds_the_largest_singular_value():
    layer = parametrizations.spectral_norm(fnn.Linear(6, 5).double(), n_power_iterations=50)
    layer(fc.ones(1, 6, dtype=fc.float64))
    assert np.linalg.norm(layer.weight.detach().numpy(), 2) == pytest.approx(1)
    old = utils.spectral_norm(fnn.Linear(6, 5).double(), n_power_iterations=200)
    old(fc.ones(1, 6, dtype=fc.float64))
    assert np.linalg.norm(old.weight.detach().numpy(), 2) == pytest.approx(1)


def test_removal_leaves_the_computed_weight():
    x = fc.tensor(draw(2, 3, 5, 5).astype("float32"))
    for put, take in (
        (utils.weight_norm, utils.remove_weight_norm),
        (utils.spectral_norm, utils.remove_spectral_norm),
        (parametrizations.weight_norm, parametrize.remove_parametrizations),
        (parametrizations.spectral_norm, parametrize.remove_parametrizations),
    ):
        layer = put(fnn.Conv2d(3, 4, 3))
        layer.eval()
        y = layer(x).detach().numpy()
        rest = () if "remove_p" not in take.__name__ else ("weight",)
        assert take(layer, *rest) is layer
        assert type(layer) is fnn.Conv2d
        assert sorted(layer.state_dict()) == ["bias", "weight"]
        assert isinstance(layer.weight, fnn.Parameter)
        np.testing.assert_allclose(layer(x).detach().numpy(), y, rtol=1e-6, atol=1e-7)
        with pytest.raises(ValueError):
            take(layer, *rest)


def test_norms_are_refused_twice_and_where_nothing_is():
    for put in (utils.weight_norm, utils.spectral_norm):
        layer = put(fnn.Linear(2, 3))
        with pytest.raises(RuntimeError, match="already"):
            put(layer)
        with pytest.raises(ValueError, match="nothing"):
            put(layer, "nothing")
    with pytest.raises(ValueError, match="positive"):
        utils.spectral_norm(fnn.Linear(2, 3), n_power_iterations=0)


class Symmetric(fnn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)

    def right_inverse(self, x):
        return x.triu()


class Twice(fnn.Module):
    def forward(self, x):
        return 2 * x


def test_register_parametrization():
    layer = fnn.Linear(3, 3)
    original = layer.weight
    parametrize.register_parametrization(layer, "weight", Symmetric())
    w = layer.weight.detach().numpy()
    np.testing.assert_array_equal(w, w.T)
    assert type(layer).__name__ == "ParametrizedLinear"
    assert isinstance(layer, fnn.Linear)
    assert parametrize.type_before_parametrizations(layer) is fnn.Linear
    assert parametrize.is_parametrized(layer)
    assert parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer(fc.ones(2, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    new = fc.tensor([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]])
    layer.weight = new
    assert layer.weight.tolist() == new.tolist()
    twin = copy.deepcopy(layer)
    assert twin.weight.tolist() == new.tolist()
    parametrize.register_parametrization(layer, "weight", Twice())
    assert layer.weight.tolist() == (2 * new).tolist()
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    with pytest.raises(RuntimeError, match="right_inverse"):
        layer.weight = new
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight.tolist() == new.triu().tolist()
    assert type(layer) is fnn.Linear
    assert type(twin) is not fnn.Linear
    assert original.shape == layer.weight.shape


def test_register_parametrization_refuses():
    class Flat(fnn.Module):
        def forward(self, x):
            return x.reshape(-1)

    with pytest.raises(ValueError, match="shape"):
        parametrize.register_parametrization(fnn.Linear(2, 3), "weight", Flat())
    layer = parametrize.register_parametrization(fnn.Linear(2, 3), "weight", Flat(), unsafe=True)
    assert tuple(layer.weight.shape) == (6,)
    with pytest.raises(ValueError, match="weird"):
        parametrize.register_parametrization(layer, "weird", Flat())
    with pytest.raises(ValueError, match="bias"):
        parametrize.remove_parametrizations(layer, "bias")
    normed = parametrizations.weight_norm(fnn.Linear(2, 3))
    with pytest.raises(ValueError, match="several"):
        parametrize.remove_parametrizations(normed, "weight", leave_parametrized=False)


# -- small functions -------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations(dtype):
    x = draw(3, 6)
    x[0, 0] = np.nan
    x[1] = [0.5, -0.5, 0, np.inf, -np.inf, 2]
    for call in (
        lambda f, a: f.hardshrink(a, 0.4),
        lambda f, a: f.hardshrink(a),
        lambda f, a: f.rrelu(a, 0.1, 0.3),
    ):
        compare(call, x, dtype=dtype)
    x[1, 3:5] = 3
    compare(lambda f, a: f.softshrink(a[1:]), x, dtype=dtype)
    compare(lambda f, a: f.leaky_relu_(a * 1), x, dtype=dtype)
    compare(lambda f, a: f.elu_(a[1:] * 1, 0.3), x, dtype=dtype)
    compare(lambda f, a: f.softmax(a, 1, dtype=a.dtype), draw(3, 4), dtype=dtype)
    compare(lambda f, a: f.mish(a), draw(3, 40), dtype=dtype)
    compare(lambda f, a: f.normalize(a, dim=1), draw(3, 4), dtype=dtype)
    compare(lambda f, a, w: f.rms_norm(a, (3, 4), w), draw(2, 3, 4), draw(3, 4), dtype=dtype)
    compare(lambda f, a, w: f.rms_norm(a, (4,), None, 0.1), draw(2, 3, 4), draw(1), dtype=dtype)
    compare(lambda f, a: f.pixel_unshuffle(a, 2), draw(2, 3, 4, 6), dtype=dtype)


@pytest.mark.torch
def test_resampling_under_older_names():
    x = draw(2, 3, 4, 5)
    with pytest.warns(UserWarning):
        compare(lambda f, a: f.upsample_nearest(a, scale_factor=2), x)
        compare(lambda f, a: f.upsample_bilinear(a, scale_factor=2), x)
        compare(lambda f, a: f.upsample(a, (3, 7), mode="bilinear"), x)


SMALL = {
    "Hardshrink": (lambda nn: nn.Hardshrink(0.3), (3, 4)),
    "Softshrink": (lambda nn: nn.Softshrink(0.3), (3, 4)),
    "RReLU": (lambda nn: nn.RReLU(0.1, 0.4).eval(), (3, 4)),
    "AlphaDropout": (lambda nn: nn.AlphaDropout(0.3).eval(), (3, 4)),
    "FeatureAlphaDropout": (lambda nn: nn.FeatureAlphaDropout(0.3).eval(), (3, 4, 2)),
    "RMSNorm": (lambda nn: nn.RMSNorm(4, 1e-3), (3, 4)),
    "RMSNorm plain": (lambda nn: nn.RMSNorm((3, 4), elementwise_affine=False), (2, 3, 4)),
    "ChannelShuffle": (lambda nn: nn.ChannelShuffle(2), (2, 6, 3, 3)),
    "Fold": (lambda nn: nn.Fold((3, 4), 2, padding=1), (2, 4, 20)),
    "Unfold": (lambda nn: nn.Unfold((2, 1), stride=2), (2, 4, 4, 4)),
    "ZeroPad1d": (lambda nn: nn.ZeroPad1d((1, 2)), (2, 3, 4)),
    "pooled in place": (
        lambda nn: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.ReLU(True)),
        (2, 3, 5, 5),
    ),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_small_layers(name, dtype):
    torch = pytest.importorskip("torch")
    make, shape = SMALL[name]
    assert repr(make(fnn)) == repr(make(torch.nn))
    compare(lambda m, x: m(x), draw(*shape), dtype=dtype, modules=make)


@pytest.mark.torch
def test_bilinear_layer():
    torch = pytest.importorskip("torch")
    assert repr(fnn.Bilinear(3, 4, 5)) == repr(torch.nn.Bilinear(3, 4, 5))
    compare(
        lambda m, a, b: m(a, b),
        draw(2, 6, 3),
        draw(2, 6, 4),
        modules=lambda nn: nn.Bilinear(3, 4, 5),
    )  # fmt: skip


def test_sync_batch_norm_is_batch_norm():
    net = fnn.Sequential(fnn.Conv2d(2, 3, 3), fnn.BatchNorm2d(3, 1e-3, 0.3), fnn.Flatten(),
                         fnn.BatchNorm1d(12))  # fmt: skip
    x = fc.randn(4, 2, 4, 4)
    state = copy.deepcopy(net.state_dict())
    y = net(x)
    net.load_state_dict(state)
    sync = fnn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert [type(m).__name__ for m in sync] == [
        "Conv2d", "SyncBatchNorm", "Flatten", "SyncBatchNorm",
    ]  # fmt: skip
    assert sync(x).tolist() == y.tolist()
    assert list(sync.state_dict()) == list(state)


def test_random_slopes():
    fc.manual_seed(1)
    x = fc.tensor(-np.ones(10000)).requires_grad_()
    y = F.rrelu(x, 0.2, 0.6, training=True)
    slopes = -y.detach().numpy()
    assert slopes.min() >= 0.2 and slopes.max() <= 0.6
    assert slopes.mean() == pytest.approx(0.4, abs=0.01)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), slopes)
    positive = fc.ones(5)
    assert F.rrelu(positive, training=True, inplace=True) is positive
    assert positive.tolist() == [1.0] * 5
    with pytest.raises(ValueError, match="lower"):
        F.rrelu(x, 0.5, 0.2)


def test_alpha_dropout_keeps_mean_and_variance():
    fc.manual_seed(2)
    x = fc.randn(200, 500).requires_grad_()
    y = F.alpha_dropout(x, 0.3, training=True)
    assert float(y.mean()) == pytest.approx(0, abs=0.02)
    assert float(y.std()) == pytest.approx(1, abs=0.02)
    y.sum().backward()
    scale = (0.7 * (1 + 0.3 * 1.7580993408473766**2)) ** -0.5
    found = np.unique(x.grad.numpy())
    np.testing.assert_allclose(found, [0, scale], rtol=1e-6)
    assert float((x.grad == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    z = F.feature_alpha_dropout(fc.ones(50, 20, 3), 0.5, training=True).numpy()
    assert (z == z[:, :, :1]).all()
    assert len(np.unique(z)) == 2
    t = fc.ones(3)
    assert F.alpha_dropout(t, 0.5) is t
    with pytest.raises(ValueError, match="probability"):
        F.alpha_dropout(t, 1.5)


def test_gumbel_softmax_draws_by_probability():
    fc.manual_seed(4)
    p = np.array([0.1, 0.6, 0.3])
    logits = fc.tensor(np.log(p)).expand(20000, 3).clone().requires_grad_()
    y = F.gumbel_softmax(logits, tau=0.7, hard=True)
    assert set(np.unique(y.detach().numpy().round(12))) == {0.0, 1.0}
    np.testing.assert_allclose(y.detach().numpy().mean(0), p, atol=0.02)
    (y * fc.tensor([1.0, 2, 3])).sum().backward()
    assert abs(logits.grad.numpy()).max() > 0
    soft = F.gumbel_softmax(logits)
    np.testing.assert_allclose(soft.sum(-1).detach().numpy(), 1)
    with pytest.raises(ValueError, match="tau"):
        F.gumbel_softmax(logits, tau=0)


# -- quantiles, Variable ---------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantile(rule, dtype):
    torch = pytest.importorskip("torch")
    x = draw(4, 5, 6)
    holes = x.copy()
    holes[holes > 1] = np.nan
    holes[0, 0], holes[:, 2, 2] = np.nan, np.nan
    for name, data in (("quantile", x), ("nanquantile", holes), ("quantile", holes)):
        for dim in (None, 0, 1, -1):
            for keepdim in (False, True):
                for q in (0.3, np.array([0.0, 0.25, 0.5, 1.0]).astype(dtype)):
                    results = []
                    for lib in (fc, torch):
                        t = lib.tensor(data.astype(dtype)).requires_grad_()
                        level = lib.tensor(q) if isinstance(q, np.ndarray) else q
                        y = getattr(lib, name)(t, level, dim, keepdim, interpolation=rule)
                        y.nansum().backward()
                        results.append((y.detach().numpy(), t.grad.numpy()))
                    (y, g), (z, h) = results
                    assert y.shape == z.shape and y.dtype == z.dtype
                    np.testing.assert_allclose(
                        y, z, *((1e-5, 1e-6) if dtype == "float32" else (1e-12, 1e-14))
                    )
                    if not np.isnan(data).any():
                        np.testing.assert_allclose(g, h, rtol=1e-4, atol=1e-6)


@pytest.mark.torch
def test_nanmean_and_nanmedian():
    torch = pytest.importorskip("torch")
    x = draw(4, 5)
    x[0, :3], x[2] = np.nan, np.nan
    for dim in (None, 0, 1, (0, 1)):
        for keepdim in (False, True):
            y = fc.nanmean(fc.tensor(x), dim, keepdim).numpy()
            np.testing.assert_allclose(y, torch.nanmean(torch.tensor(x), dim, keepdim).numpy())
    assert float(fc.nanmedian(fc.tensor(x))) == float(torch.nanmedian(torch.tensor(x)))
    for dim in (0, 1):
        for keepdim in (False, True):
            ours = fc.nanmedian(fc.tensor(x), dim, keepdim)
            theirs = torch.nanmedian(torch.tensor(x), dim, keepdim)
            np.testing.assert_array_equal(ours.values.numpy(), theirs.values.numpy())
            taken = np.take_along_axis(
                x, ours.indices.numpy().reshape(theirs.indices.numpy().shape)
                if keepdim else np.expand_dims(ours.indices.numpy(), dim), dim,
            )  # fmt: skip
            np.testing.assert_array_equal(
                taken if keepdim else taken.squeeze(dim), ours.values.numpy()
            )
    t = fc.tensor(x).requires_grad_()
    t.nanmean().backward()
    np.testing.assert_allclose(t.grad.numpy(), np.where(np.isnan(x), 0, 1 / 12))


def test_quantile_refuses():
    x = fc.ones(3)
    for q, error in ((1.5, ValueError), (fc.tensor(0.5, dtype=fc.float64), TypeError)):
        with pytest.raises(error, match="q must"):
            x.quantile(q)
    with pytest.raises(ValueError, match="interpolation"):
        fc.quantile(x, 0.5, interpolation="cubic")
    with pytest.raises(TypeError, match="floating"):
        fc.quantile(fc.tensor([1, 2]), 0.5)
    with pytest.raises(ValueError, match="empty"):
        fc.quantile(fc.ones(0), 0.5)


def test_variable_is_a_tensor():
    t = fc.tensor([1.0, 2.0])
    v = fc.autograd.Variable(t, requires_grad=True)
    assert isinstance(v, fc.Tensor) and isinstance(v, fc.autograd.Variable)
    assert isinstance(t, fc.autograd.Variable)
    assert not isinstance(1.0, fc.autograd.Variable)
    (v * v).sum().backward()
    assert v.grad.tolist() == [2.0, 4.0]
    assert not t.requires_grad and t.grad is None
    t[0] = 5.0
    assert v.tolist() == [5.0, 2.0]
    with pytest.warns(UserWarning, match="volatile"):
        fc.autograd.Variable(t, volatile=True)
    with pytest.raises(TypeError, match="Tensor"):
        fc.autograd.Variable([1.0])


@pytest.mark.parametrize("norm", [utils.weight_norm, utils.spectral_norm])
def test_copies_of_layers_whose_weight_a_hook_computes(norm: Any) -> None:
    layer, x = norm(fnn.Conv2d(2, 3, 3)), fc.randn(1, 2, 5, 5)
    layer(x).sum().backward()
    layer.eval()
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert np.array_equal(copied(x).detach().numpy(), layer(x).detach().numpy())
        part = next(name for name, _ in copied.named_parameters() if name.startswith("weight"))
        with fc.no_grad():
            getattr(copied, part).mul_(2.0).add_(1.0)
        copied.zero_grad()
        copied(x).sum().backward()
        assert getattr(copied, part).grad is not None
        assert not np.array_equal(copied(x).detach().numpy(), layer(x).detach().numpy())
        if norm is utils.weight_norm:
            utils.remove_weight_norm(copied)
            assert "weight" in dict(copied.named_parameters())
    assert len(layer._forward_pre_hooks) == 1

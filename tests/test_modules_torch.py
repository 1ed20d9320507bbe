"""Layers, losses and functions against PyTorch: output, gradients, state and repr."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as fnn
import fastconv.nn.functional as FF

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
tnn = torch.nn
TF = torch.nn.functional

RNG = np.random.default_rng(0)
TOLERANCE = {"float32": dict(rtol=2e-4, atol=2e-5), "float64": dict(rtol=1e-9, atol=1e-10)}


def close(ours, theirs, dtype: str, what: str) -> None:
    ours = ours.detach().numpy() if isinstance(ours, fc.Tensor) else np.asarray(ours)
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype, what
    np.testing.assert_allclose(ours, theirs, **TOLERANCE[dtype], err_msg=what)


def pair(array: np.ndarray, grad: bool = False):
    """The same array as a tensor of ours and one of theirs."""
    mine = fc.tensor(array.copy())
    theirs = torch.tensor(array.copy())
    if grad:
        mine.requires_grad_()
        theirs.requires_grad_()
    return mine, theirs


def compare_module(make, shape, dtype, train: bool = True, calls: int = 1) -> None:
    theirs, mine = make(tnn), make(fnn)
    assert repr(mine) == repr(theirs)
    theirs = theirs.to(getattr(torch, dtype)).train(train)
    mine = mine.to(getattr(fc, dtype)).train(train)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for _ in range(calls):
        a, b = pair(RNG.standard_normal(shape).astype(dtype), True)
        y, z = mine(a), theirs(b)
        close(y, z, dtype, "output")
        g, h = pair(RNG.standard_normal(tuple(z.shape)).astype(dtype))
        y.backward(g)
        z.backward(h)
        close(a.grad, b.grad, dtype, "input gradient")
        for (name, p), q in zip(mine.named_parameters(), theirs.parameters(), strict=True):
            close(p.grad, q.grad, dtype, f"gradient of {name}")
        for (name, p), q in zip(mine.named_buffers(), theirs.buffers(), strict=True):
            if p.is_floating_point():
                close(p, q, dtype, f"buffer {name}")
            else:
                assert p.tolist() == q.tolist()


MODULES = {
    "conv1d": (lambda nn: nn.Conv1d(3, 4, 3), (2, 3, 9)),
    "conv1d-circular": (
        lambda nn: nn.Conv1d(3, 4, 3, padding=2, padding_mode="circular"),
        (2, 3, 9),
    ),
    "conv1d-unbatched": (lambda nn: nn.Conv1d(3, 4, 3, stride=2), (3, 9)),
    "conv2d": (lambda nn: nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), (2, 3, 8, 7)),
    "conv2d-same": (lambda nn: nn.Conv2d(4, 6, (3, 4), padding="same", groups=2), (2, 4, 6, 7)),
    "conv2d-same-reflect": (
        lambda nn: nn.Conv2d(3, 2, (4, 3), padding="same", padding_mode="reflect", dilation=2),
        (2, 3, 9, 8),
    ),
    "conv2d-replicate": (
        lambda nn: nn.Conv2d(3, 2, 3, padding=(2, 1), padding_mode="replicate"),
        (2, 3, 5, 5),
    ),
    "conv2d-valid": (lambda nn: nn.Conv2d(3, 2, 3, padding="valid", dilation=2), (2, 3, 7, 7)),
    "conv2d-unbatched": (lambda nn: nn.Conv2d(3, 2, 3, padding=1), (3, 5, 6)),
    "depthwise": (lambda nn: nn.Conv2d(4, 8, 3, padding=1, groups=4), (2, 4, 6, 6)),
    "conv3d": (lambda nn: nn.Conv3d(2, 3, (1, 2, 3), padding=(0, 1, 1)), (2, 2, 3, 4, 5)),
    "transpose1d": (lambda nn: nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1), (2, 3, 5)),
    "transpose2d": (
        lambda nn: nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2, dilation=2),
        (2, 4, 5, 4),
    ),
    "transpose2d-unbatched": (lambda nn: nn.ConvTranspose2d(4, 2, 4, 2, bias=False), (4, 3, 3)),
    "transpose3d": (lambda nn: nn.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 2, 3, 2)),
    "linear": (lambda nn: nn.Linear(5, 3), (4, 5)),
    "linear-vector": (lambda nn: nn.Linear(5, 3), (5,)),
    "linear-4d": (lambda nn: nn.Linear(5, 3, bias=False), (2, 3, 4, 5)),
    "maxpool1d": (lambda nn: nn.MaxPool1d(3, 2, 1, ceil_mode=True), (2, 3, 8)),
    "maxpool2d": (lambda nn: nn.MaxPool2d((3, 2), stride=(2, 1), padding=1), (2, 3, 7, 6)),
    "maxpool2d-unbatched": (lambda nn: nn.MaxPool2d(2, dilation=2), (3, 7, 6)),
    "maxpool3d": (lambda nn: nn.MaxPool3d(2), (2, 3, 4, 5, 4)),
    "avgpool1d": (lambda nn: nn.AvgPool1d(3, 2, 1), (2, 3, 8)),
    "avgpool2d": (
        lambda nn: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        (2, 3, 8, 7),
    ),
    "avgpool2d-divisor": (lambda nn: nn.AvgPool2d(3, 2, 1, True, divisor_override=5), (2, 3, 8, 7)),
    "avgpool3d": (lambda nn: nn.AvgPool3d(2, ceil_mode=True), (2, 3, 5, 4, 3)),
    "adaptiveavg1d": (lambda nn: nn.AdaptiveAvgPool1d(3), (2, 3, 8)),
    "adaptiveavg2d": (lambda nn: nn.AdaptiveAvgPool2d((3, None)), (2, 3, 8, 7)),
    "adaptiveavg3d": (lambda nn: nn.AdaptiveAvgPool3d(2), (2, 3, 4, 5, 3)),
    "adaptivemax2d": (lambda nn: nn.AdaptiveMaxPool2d(1), (2, 3, 8, 7)),
    "adaptivemax3d": (lambda nn: nn.AdaptiveMaxPool3d((2, 3, 1)), (2, 3, 4, 5, 3)),
    "lppool2d": (lambda nn: nn.LPPool2d(2, 3, stride=2), (2, 3, 8, 7)),
    "lppool1d-ceil": (lambda nn: nn.LPPool1d(2.0, 3, ceil_mode=True), (2, 3, 8)),
    "flatten": (lambda nn: nn.Flatten(), (2, 3, 4)),
    "unflatten": (lambda nn: nn.Unflatten(1, (2, 3)), (2, 6, 4)),
    "identity": (lambda nn: nn.Identity(1, a=2), (2, 6)),
    "batchnorm1d": (lambda nn: nn.BatchNorm1d(4), (6, 4)),
    "batchnorm1d-3d": (lambda nn: nn.BatchNorm1d(4), (6, 4, 5)),
    "batchnorm2d": (lambda nn: nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), (4, 3, 5, 6)),
    "batchnorm2d-average": (lambda nn: nn.BatchNorm2d(3, momentum=None), (4, 3, 5, 6)),
    "batchnorm2d-plain": (
        lambda nn: nn.BatchNorm2d(3, affine=False, track_running_stats=False),
        (4, 3, 5, 6),
    ),
    "batchnorm3d": (lambda nn: nn.BatchNorm3d(2, bias=False), (3, 2, 3, 4, 2)),
    "groupnorm": (lambda nn: nn.GroupNorm(2, 6), (3, 6, 4, 5)),
    "layernorm": (lambda nn: nn.LayerNorm((4, 5)), (3, 2, 4, 5)),
    "instancenorm2d": (lambda nn: nn.InstanceNorm2d(3), (2, 3, 4, 5)),
    "instancenorm1d": (
        lambda nn: nn.InstanceNorm1d(3, affine=True, track_running_stats=True),
        (2, 3, 7),
    ),
    "lrn": (lambda nn: nn.LocalResponseNorm(3, alpha=0.1), (2, 7, 4, 5)),
    "lrn-even": (lambda nn: nn.LocalResponseNorm(4, alpha=0.1, k=2.0), (2, 7, 4)),
    "relu": (lambda nn: nn.ReLU(), (3, 7)),
    "relu6": (lambda nn: nn.ReLU6(), (3, 7)),
    "leaky": (lambda nn: nn.LeakyReLU(0.2), (3, 7)),
    "elu": (lambda nn: nn.ELU(0.7), (3, 7)),
    "selu": (lambda nn: nn.SELU(), (3, 7)),
    "celu": (lambda nn: nn.CELU(0.5), (3, 7)),
    "gelu": (lambda nn: nn.GELU(), (3, 70)),
    "gelu-tanh": (lambda nn: nn.GELU("tanh"), (3, 7)),
    "silu": (lambda nn: nn.SiLU(), (3, 7)),
    "mish": (lambda nn: nn.Mish(), (3, 7)),
    "hardswish": (lambda nn: nn.Sequential(nn.Hardtanh(-9, 9), nn.Hardswish()), (3, 70)),
    "hardsigmoid": (lambda nn: nn.Hardsigmoid(), (3, 7)),
    "hardtanh": (lambda nn: nn.Hardtanh(-0.5, 0.7), (3, 7)),
    "tanh": (lambda nn: nn.Tanh(), (3, 7)),
    "sigmoid": (lambda nn: nn.Sigmoid(), (3, 7)),
    "logsigmoid": (lambda nn: nn.LogSigmoid(), (3, 7)),
    "softplus": (lambda nn: nn.Softplus(2.0, 1.0), (3, 7)),
    "softsign": (lambda nn: nn.Softsign(), (3, 7)),
    "tanhshrink": (lambda nn: nn.Tanhshrink(), (3, 7)),
    "threshold": (lambda nn: nn.Threshold(0.1, 20), (3, 7)),
    "prelu": (lambda nn: nn.PReLU(), (3, 7)),
    "prelu-channels": (lambda nn: nn.PReLU(3, 0.1), (2, 3, 4, 5)),
    "glu": (lambda nn: nn.GLU(1), (3, 8)),
    "softmax": (lambda nn: nn.Softmax(1), (3, 7)),
    "softmax2d": (lambda nn: nn.Softmax2d(), (2, 3, 4, 5)),
    "softmin": (lambda nn: nn.Softmin(-1), (3, 7)),
    "logsoftmax": (lambda nn: nn.LogSoftmax(1), (2, 3, 4)),
    "zeropad": (lambda nn: nn.ZeroPad2d((1, 2, -1, 3)), (2, 3, 4, 5)),
    "constantpad1d": (lambda nn: nn.ConstantPad1d(2, 3.5), (2, 3, 4)),
    "constantpad3d": (lambda nn: nn.ConstantPad3d((1, 0, 2, 1, 0, 1), -1), (2, 1, 3, 4, 2)),
    "reflectionpad1d": (lambda nn: nn.ReflectionPad1d((3, 1)), (2, 3, 4)),
    "reflectionpad2d": (lambda nn: nn.ReflectionPad2d((1, 2, 3, 0)), (2, 3, 4, 5)),
    "reflectionpad3d": (lambda nn: nn.ReflectionPad3d(1), (2, 1, 3, 4, 2)),
    "replicationpad2d": (lambda nn: nn.ReplicationPad2d((1, 2, 3, 7)), (2, 3, 4, 5)),
    "replicationpad3d": (lambda nn: nn.ReplicationPad3d(2), (1, 2, 3, 4, 2)),
    "circularpad2d": (lambda nn: nn.CircularPad2d((1, 5, 3, 4)), (2, 3, 4, 5)),
    "upsample": (lambda nn: nn.Upsample(scale_factor=2), (2, 3, 4, 5)),
    "upsample-size": (lambda nn: nn.Upsample(size=(7, 3)), (2, 3, 4, 5)),
    "upsample-1d": (lambda nn: nn.Upsample(scale_factor=1.7), (2, 3, 9)),
    "upsample-3d": (lambda nn: nn.Upsample(size=5, mode="trilinear"), (1, 2, 3, 4, 2)),
    "bilinear": (lambda nn: nn.Upsample(scale_factor=(2, 1.5), mode="bilinear"), (2, 3, 4, 5)),
    "bilinear-down": (lambda nn: nn.Upsample(size=(3, 2), mode="bilinear"), (2, 3, 8, 5)),
    "bilinear-corners": (lambda nn: nn.UpsamplingBilinear2d(scale_factor=2), (2, 3, 4, 5)),
    "linear-1d": (lambda nn: nn.Upsample(scale_factor=3, mode="linear"), (2, 3, 4)),
    "hardshrink": (lambda nn: nn.Hardshrink(0.3), (3, 7)),
    "softshrink": (lambda nn: nn.Softshrink(0.3), (3, 7)),
    "channelshuffle": (lambda nn: nn.ChannelShuffle(2), (2, 6, 3, 4)),
    "unfold": (lambda nn: nn.Unfold((2, 1), stride=2), (2, 4, 4, 4)),
    "fold": (lambda nn: nn.Fold((3, 4), 2, padding=1), (2, 4, 20)),
    "rmsnorm": (lambda nn: nn.RMSNorm((4, 5), 1e-3), (3, 2, 4, 5)),
    "pixelshuffle": (lambda nn: nn.PixelShuffle(2), (2, 8, 3, 4)),
    "pixelunshuffle": (lambda nn: nn.PixelUnshuffle(2), (2, 3, 4, 6)),
    "network": (
        lambda nn: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.LeakyReLU(0.1, inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
            nn.Hardswish(inplace=True),
            nn.Linear(5, 4),
            nn.ELU(inplace=True),
            nn.Linear(4, 3),
            nn.ReLU6(inplace=True),
            nn.SiLU(inplace=True),
        ),
        (4, 3, 8, 8),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODULES)
def test_module(name, dtype):
    if name == "hardsigmoid" and dtype == "float64":
        pytest.skip("PyTorch divides by 6 in float32 there")
    make, shape = MODULES[name]
    compare_module(make, shape, dtype)


@pytest.mark.parametrize("name", [n for n in MODULES if "norm" in n])
def test_normalisation_runs_twice_and_evaluates(name):
    make, shape = MODULES[name]
    compare_module(make, shape, "float64", calls=1)
    compare_module(make, shape, "float64", train=False)


def test_running_statistics_over_batches():
    for momentum in (0.1, None):
        mine, theirs = fnn.BatchNorm2d(3, momentum=momentum), tnn.BatchNorm2d(3, momentum=momentum)
        for _ in range(4):
            a, b = pair((RNG.standard_normal((5, 3, 4, 4)) * 3 + 1).astype("float32"))
            mine(a)
            theirs(b)
        for x, y in zip(mine.buffers(), theirs.buffers(), strict=True):
            np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-5)
        assert mine.num_batches_tracked.dtype == fc.int64


def test_batch_norm_of_large_mean_keeps_its_precision():
    x = (RNG.standard_normal((8, 3, 32, 32)) + 1000).astype("float32")
    y = FF.batch_norm(fc.tensor(x), None, None, training=True).numpy()
    wide = x.astype("float64")
    mean, var = wide.mean((0, 2, 3), keepdims=True), wide.var((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(y, (wide - mean) / np.sqrt(var + 1e-5), atol=2e-4)


REPRS = [
    lambda nn: nn.LPPool2d(2, 3),
    lambda nn: nn.MaxUnpool2d(2),
    lambda nn: nn.Dropout2d(0.25, inplace=True),
    lambda nn: nn.Conv2d(4, 8, 3, 2, 1, dilation=2, groups=2, bias=False, padding_mode="circular"),
    lambda nn: nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Linear(2, 3)]),
    lambda nn: nn.ModuleList([nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU())]),
    lambda nn: nn.ModuleDict({"a": nn.Tanh(), "b": nn.Sequential()}),
    lambda nn: nn.Sequential(),
    lambda nn: nn.CrossEntropyLoss(),
    lambda nn: nn.InstanceNorm3d(2),
    lambda nn: nn.Hardswish(True),
    lambda nn: nn.ELU(inplace=True),
    lambda nn: nn.AvgPool1d(2),
    lambda nn: nn.Unflatten(1, (2, 3)),
    lambda nn: nn.Upsample(size=(2, 3), mode="bilinear"),
]


@pytest.mark.parametrize("make", REPRS)
def test_repr(make):
    assert repr(make(fnn)) == repr(make(tnn))


# -- losses --------------------------------------------------------------------------------------


def compare_loss(mine, theirs, x, t, dtype="float64", **kwargs):
    """A loss of x and t: value and gradients; float targets get a gradient too."""
    float_target = t.dtype.kind == "f"
    a, b = pair(x.astype(dtype), True)
    s, u = pair(t.astype(dtype) if float_target else t, float_target)
    ours = {k: fc.tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    them = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    y, z = mine(a, s, **ours), theirs(b, u, **them)
    close(y, z, dtype, "loss")
    g, h = pair(RNG.standard_normal(tuple(z.shape)).astype(dtype))
    y.backward(g)
    z.backward(h)
    close(a.grad, b.grad, dtype, "input gradient")
    if float_target:
        close(s.grad, u.grad, dtype, "target gradient")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (3, 5, 4), (2, 5, 3, 4)])
def test_cross_entropy(shape, weighted, smoothing, reduction):
    x = RNG.standard_normal(shape) * 3
    t = RNG.integers(0, 5, (shape[0], *shape[2:]))
    t.flat[1] = 2
    kwargs = dict(reduction=reduction, label_smoothing=smoothing, ignore_index=2)
    if weighted:
        kwargs["weight"] = RNG.random(5)
    compare_loss(FF.cross_entropy, TF.cross_entropy, x, t, **kwargs)
    p = RNG.random(shape)
    p /= p.sum(1, keepdims=True)
    del kwargs["ignore_index"]
    compare_loss(FF.cross_entropy, TF.cross_entropy, x, p, **kwargs)


def test_cross_entropy_of_one_sample_and_all_ignored():
    compare_loss(FF.cross_entropy, TF.cross_entropy, RNG.standard_normal(5), np.array(3))
    compare_loss(
        FF.cross_entropy, TF.cross_entropy, RNG.standard_normal(5), np.array(3), reduction="none"
    )
    x, t = RNG.standard_normal((2, 5)), np.full(2, -100)
    compare_loss(FF.cross_entropy, TF.cross_entropy, x, t)
    compare_loss(FF.cross_entropy, TF.cross_entropy, x, t, reduction="sum")


def test_cross_entropy_of_extreme_scores():
    x = np.array([[1e4, -1e4, 0.0], [np.inf, 0, 0], [-np.inf, 0, 1], [np.nan, 0, 0]])
    t = np.array([1, 2, 1, 0])
    compare_loss(FF.cross_entropy, TF.cross_entropy, x, t, reduction="none")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nll_loss(reduction):
    x = np.log(RNG.dirichlet(np.ones(5), (4, 3))).transpose(0, 2, 1)
    t = RNG.integers(0, 5, (4, 3))
    compare_loss(FF.nll_loss, TF.nll_loss, x, t, reduction=reduction)
    kwargs = dict(weight=RNG.random(5), ignore_index=int(t[0, 0]))
    compare_loss(FF.nll_loss, TF.nll_loss, x, t, reduction=reduction, **kwargs)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "name, kwargs",
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("smooth_l1_loss", {"beta": 0.5}),
        ("smooth_l1_loss", {"beta": 0.0}),
        ("huber_loss", {"delta": 0.7}),
        ("kl_div", {}),
        ("kl_div", {"log_target": True}),
        ("poisson_nll_loss", {}),
    ],
)
def test_pointwise_loss(name, kwargs, reduction):
    x, t = RNG.standard_normal((4, 5)), RNG.standard_normal((4, 5))
    if name == "kl_div" and not kwargs:
        t = np.abs(t)
    compare_loss(getattr(FF, name), getattr(TF, name), x, t, reduction=reduction, **kwargs)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy(reduction):
    t = RNG.random((4, 5))
    w = RNG.random((4, 5))
    for kwargs in ({}, {"weight": w}):
        x = RNG.random((4, 5))
        compare_loss(
            FF.binary_cross_entropy, TF.binary_cross_entropy, x, t, reduction=reduction, **kwargs
        )
        x = RNG.standard_normal((4, 5)) * 5
        names = (FF.binary_cross_entropy_with_logits, TF.binary_cross_entropy_with_logits)
        compare_loss(*names, x, t, reduction=reduction, **kwargs)
        compare_loss(*names, x, t, reduction=reduction, pos_weight=RNG.random(5) * 3, **kwargs)


def test_binary_cross_entropy_at_the_ends():
    x, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    a, b = pair(x, True)
    y = FF.binary_cross_entropy(a, fc.tensor(t), reduction="none")
    z = TF.binary_cross_entropy(b, torch.tensor(t), reduction="none")
    close(y, z, "float64", "loss")
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-6)


def test_loss_modules():
    x, t = RNG.standard_normal((4, 5)), RNG.standard_normal((4, 5))
    for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"):
        compare_loss(getattr(fnn, name)(), getattr(tnn, name)(), x, t)
    compare_loss(
        fnn.KLDivLoss(reduction="batchmean"), tnn.KLDivLoss(reduction="batchmean"), x, np.abs(t)
    )
    labels = RNG.integers(0, 5, 4)
    compare_loss(fnn.CrossEntropyLoss(), tnn.CrossEntropyLoss(), x, labels)
    sign = RNG.choice([-1, 1], (4, 5))
    compare_loss(fnn.HingeEmbeddingLoss(), tnn.HingeEmbeddingLoss(), x, sign)


# -- functions -----------------------------------------------------------------------------------


def compare_function(call, *arrays, dtype="float64"):
    """`call(F, *tensors)`: output and gradients of the float tensors."""
    ours, them = [], []
    for array in arrays:
        a, b = pair(array, array.dtype.kind == "f")
        ours.append(a)
        them.append(b)
    y, z = call(FF, *ours), call(TF, *them)
    if isinstance(z, tuple):
        for extra, other in zip(y[1:], z[1:], strict=True):
            np.testing.assert_array_equal(extra.numpy(), other.numpy())
        y, z = y[0], z[0]
    close(y, z, dtype, "output")
    if z.requires_grad:
        g, h = pair(RNG.standard_normal(tuple(z.shape)))
        y.backward(g)
        z.backward(h)
        for a, b in zip(ours, them, strict=True):
            if b.grad is not None:
                close(a.grad, b.grad, dtype, "gradient")


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_pool_and_unpool(ndim):
    shape = (2, 3, 8, 6, 4)[: ndim + 2]
    x = RNG.standard_normal(shape)

    def call(F, t):
        y, i = getattr(F, f"max_pool{ndim}d")(t, 2, return_indices=True)
        return getattr(F, f"max_unpool{ndim}d")(y * 2, i, 2)

    compare_function(call, x)
    compare_function(call, x[0])
    compare_function(
        lambda F, t: getattr(F, f"max_pool{ndim}d")(t, 3, 2, 1, return_indices=True), x
    )
    compare_function(
        lambda F, t: getattr(F, f"adaptive_max_pool{ndim}d")(t, 3, return_indices=True), x
    )


def test_max_unpool_with_output_size():
    x = RNG.standard_normal((1, 2, 7, 5))

    def call(F, t):
        y, i = F.max_pool2d(t, 2, return_indices=True)
        return F.max_unpool2d(y, i, 2, output_size=(7, 5))

    compare_function(call, x)


def test_max_pool_of_nan_and_infinity():
    x = RNG.standard_normal((1, 1, 6, 6))
    x[0, 0, 0, 0], x[0, 0, 2:4, 2:4], x[0, 0, 5, 5] = np.nan, -np.inf, np.inf
    compare_function(lambda F, t: F.max_pool2d(t, 2, return_indices=True), x)
    compare_function(lambda F, t: F.relu(t), x)
    compare_function(lambda F, t: F.leaky_relu(t), x)
    compare_function(lambda F, t: F.relu6(t), x)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("size", [(4, 10), (3, 2), (8, 5), (1, 1)])
def test_interpolate(mode, size):
    x = RNG.standard_normal((2, 3, 8, 5))
    compare_function(lambda F, t: F.interpolate(t, size, mode=mode), x)
    if mode in ("bilinear", "bicubic"):
        compare_function(lambda F, t: F.interpolate(t, size, mode=mode, align_corners=True), x)


def test_interpolate_by_awkward_factors():
    x = RNG.standard_normal((1, 2, 7, 5))
    for factor in (0.6, 1.3, 2.7):
        for again in (None, True):
            for mode in ("nearest", "bilinear", "bicubic"):
                compare_function(
                    lambda F, t, f=factor, a=again, m=mode: F.interpolate(
                        t, scale_factor=f, mode=m, recompute_scale_factor=a
                    ),
                    x,
                )


def test_other_functions():
    x = RNG.standard_normal((3, 4, 5))
    compare_function(lambda F, t: F.normalize(t), x)
    compare_function(lambda F, t: F.normalize(t, p=1, dim=-1), x)
    compare_function(lambda F, t: F.softmax(t), x[0])
    compare_function(lambda F, t: F.pad(t, (1, -2)), x)
    compare_function(lambda F, t: F.pad(t, (1, 2, 0, 1, 2, 2), value=3.0), x)
    compare_function(lambda F, t: F.pad(t, (-1, 2), "reflect"), x)
    compare_function(lambda F, t: F.one_hot(t), np.array([[0, 2], [1, 4]]))
    compare_function(lambda F, t: F.one_hot(t, 7), np.array([0, 2]))
    compare_function(lambda F, t: F.dropout(t, 0.5, training=False), x)
    compare_function(lambda F, a, w, b: F.linear(a, w, b), x, x[0], RNG.standard_normal(4))


def test_transposed_convolution_to_a_size():
    mine, theirs = fnn.ConvTranspose2d(2, 3, 3, stride=2), tnn.ConvTranspose2d(2, 3, 3, stride=2)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    a, b = pair(RNG.standard_normal((1, 2, 4, 4)).astype("float32"))
    for size in ((9, 10), (1, 3, 10, 9)):
        close(mine(a, output_size=size), theirs(b, output_size=size), "float32", "output")
    with pytest.raises(ValueError, match="output size"):
        mine(a, output_size=(12, 9))


# -- the machinery -------------------------------------------------------------------------------


def test_initial_values_have_the_same_bounds():
    for make in (lambda nn: nn.Conv2d(16, 64, 3), lambda nn: nn.Linear(300, 200)):
        mine, theirs = make(fnn), make(tnn)
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            a, b = p.detach().numpy(), q.detach().numpy()
            assert abs(a.std() / b.std() - 1) < 0.2
            assert abs(abs(a).max() / abs(b).max() - 1) < 0.1


def test_load_state_dict_lists_every_mismatch():
    def message(nn, tensor, error):
        with pytest.raises(error) as caught:
            nn.Linear(2, 3).load_state_dict({"a": tensor, "weight": tensor, "c": tensor})
        return str(caught.value)

    mine = message(fnn, fc.ones(3), RuntimeError)
    theirs = message(tnn, torch.ones(3), RuntimeError)
    assert mine == theirs.replace("torch.Size([3])", "(3,)").replace("torch.Size([3, 2])", "(3, 2)")


def test_full_backward_hook():
    seen = {}
    for lib, nn in ((fc, fnn), (torch, tnn)):
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        for i, p in enumerate(net.parameters()):
            p.data = lib.arange(float(p.numel())).reshape(p.shape) / 7 - i / 3
        grads = seen[nn] = []

        def hook(module, grad_input, grad_output, grads=grads):
            grads.append([None if g is None else g.numpy() for g in (*grad_input, *grad_output)])
            return None if grad_input[0] is None else (grad_input[0] * 2,)

        net[0].register_full_backward_hook(hook)
        net[1].register_full_backward_hook(hook)
        net(lib.ones(5, 3)).sum().backward()
        grads.append([p.grad.numpy() for p in net.parameters()])
    for mine, theirs in zip(seen[fnn], seen[tnn], strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert (a is None) == (b is None)
            if b is not None:
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

"""Functions of networks: gradients, layouts, special values and wrong arguments."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F
from fastconv.autograd import gradcheck

# -- gradients -----------------------------------------------------------------------------------

RNG = np.random.default_rng(0)


def rand(*shape: int) -> fc.Tensor:
    return fc.tensor(RNG.standard_normal(shape), requires_grad=True)


FUNCTIONS = {
    "conv": (lambda x, w, b: F.conv2d(x, w, b, 2, 1), (2, 2, 5, 4), (4, 2, 3, 3), (4,)),
    "conv_transpose": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, groups=2),
        (2, 4, 3, 2),
        (4, 2, 3, 3),
        (4,),
    ),
    "linear": (F.linear, (3, 4), (2, 4), (2,)),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        (3, 2, 3, 2),
        (2,),
        (2,),
    ),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), (3, 4), (4,), (4,)),
    "lrn": (lambda x: F.local_response_norm(x, 3, 0.5), (2, 5, 2)),
    "max_pool": (lambda x: F.max_pool2d(x, 2, 1), (1, 2, 4, 3)),
    "avg_pool": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), (1, 2, 4, 5)),
    "lp_pool": (lambda x: F.lp_pool2d(x.abs() + 1, 3, 2), (1, 2, 4, 4)),
    "softmax": (lambda x: F.softmax(x, 1), (3, 4)),
    "log_softmax": (lambda x: F.log_softmax(x, 0), (3, 4)),
    "gelu": (F.gelu, (3, 4)),
    "mish": (F.mish, (3, 4)),
    "pad": (lambda x: F.pad(x, (2, 1, 1, 2), "reflect"), (1, 2, 3, 4)),
    "bilinear": (lambda x: F.interpolate(x, (5, 3), mode="bilinear"), (1, 2, 3, 4)),
    "bicubic": (lambda x: F.interpolate(x, (5, 3), mode="bicubic"), (1, 2, 3, 4)),
    "mse": (F.mse_loss, (3, 4), (3, 4)),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, fc.tensor([1, 0, 2]), label_smoothing=0.2),
        (3, 4),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name):
    function, *shapes = FUNCTIONS[name]
    assert gradcheck(function, tuple(rand(*shape) for shape in shapes))


def test_only_wanted_gradients_are_computed():
    x, w = fc.randn(1, 2, 4, 4), nn.Parameter(fc.randn(3, 2, 3, 3))
    F.conv2d(x, w).sum().backward()
    assert x.grad is None and w.grad.shape == w.shape


def test_layout_of_a_convolution():
    y = F.conv2d(fc.randn(2, 3, 5, 6), fc.randn(4, 3, 3, 3))
    assert y.shape == (2, 4, 3, 4)
    assert y.is_contiguous(memory_format=fc.channels_last)
    pool = nn.MaxPool2d(2)
    for f in (F.relu, pool, nn.BatchNorm2d(4), nn.Dropout2d(), nn.Dropout()):
        assert f(y).is_contiguous(memory_format=fc.channels_last)


# -- functions -----------------------------------------------------------------------------------


def test_dropout():
    fc.manual_seed(0)
    x = fc.ones(100, 100, requires_grad=True)
    y = F.dropout(x, 0.3)
    values = np.unique(y.detach().numpy())
    np.testing.assert_allclose(values, [0, 1 / 0.7], rtol=1e-6)
    assert abs((y == 0).float().mean().item() - 0.3) < 0.02
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert F.dropout(x, 0.3, training=False) is x
    assert F.dropout(x, 1.0).abs().sum().item() == 0
    z = F.dropout2d(fc.ones(4, 50, 3, 3), 0.5)
    per_channel = z.numpy().reshape(200, 9)
    assert (per_channel == per_channel[:, :1]).all() and set(np.unique(z.numpy())) == {0, 2}
    t = fc.ones(10, 10)
    assert F.dropout(t, inplace=True) is t and (t.numpy() != 1).all()
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="probability"):
            F.dropout(x, p)
        with pytest.raises(ValueError, match="probability"):
            nn.Dropout(p)


def test_in_place_activations():
    for f in (F.relu, F.leaky_relu, F.elu, F.silu, F.hardswish, F.relu6, F.mish, F.selu):
        x = rand(4, 5)
        expected = f(x * 1)
        g = fc.tensor(RNG.standard_normal((4, 5)))
        expected.backward(g)
        wanted, x.grad = x.grad, None
        y = x * 1
        z = f(y, inplace=True)
        assert z is y
        z.backward(g)
        np.testing.assert_allclose(z.detach().numpy(), expected.detach().numpy())
        np.testing.assert_allclose(x.grad.numpy(), wanted.numpy())


def test_nan_and_infinity_go_through():
    x = fc.tensor([[float("nan"), -float("inf"), float("inf"), 1.0]])
    assert np.isnan(F.relu(x).numpy()[0, 0]) and F.relu(x)[0, 1].item() == 0
    assert np.isnan(F.softmax(x, 1).numpy()).all()
    with np.errstate(all="raise"):
        assert F.softplus(fc.tensor([1000.0, -1000.0])).tolist() == [1000.0, 0.0]
        assert F.cross_entropy(fc.tensor([[1e4, 0.0]]), fc.tensor([1])).item() == 1e4


def test_erf_is_accurate():
    from fastconv.functions.erf import erf

    x = np.concatenate([np.linspace(-8, 8, 2001), [np.inf, -np.inf, 0.0, 1e-300]])
    expected = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(erf(x), expected, rtol=2e-15)
    assert np.isnan(erf(np.array([np.nan])))[0]


W = fc.ones(4, 3, 3, 3)
X = fc.ones(2, 3, 5, 5)
WRONG = [
    (lambda: F.conv2d(np.ones((1, 1, 3, 3)), W), TypeError, "input.*ndarray"),
    (lambda: F.conv2d(X.double(), W), TypeError, "weight has dtype float32"),
    (lambda: F.conv2d(X.long(), W.long()), TypeError, "int64"),
    (lambda: F.conv2d(X[:, :2], W), ValueError, "channels|groups"),
    (lambda: F.conv2d(X[0, 0], W), ValueError, "dimensions"),
    (lambda: F.conv2d(X, W, fc.ones(3)), ValueError, r"bias must have shape \(4,\)"),
    (lambda: F.conv2d(X, W, stride=0), ValueError, "stride"),
    (lambda: F.conv2d(X, W, padding=-1), ValueError, "padding"),
    (lambda: F.conv2d(X, W, dilation=3), ValueError, "kernel"),
    (lambda: F.conv2d(X, W, groups=2), ValueError, "groups"),
    (lambda: F.conv2d(X, W, padding="half"), ValueError, "padding"),
    (lambda: F.linear(X, fc.ones(2, 4)), ValueError, "last size must be 4"),
    (lambda: F.linear(X, fc.ones(2, 5), fc.ones(3)), ValueError, "bias"),
    (lambda: F.max_pool2d(X, 0), ValueError, "kernel_size"),
    (lambda: F.max_pool2d(X, 2, padding=2), ValueError, "padding"),
    (lambda: F.max_unpool2d(X, X, 2), TypeError, "indices"),
    (lambda: F.max_unpool2d(X, fc.full((2, 3, 5, 5), 100), 2), ValueError, "indices"),
    (lambda: F.max_unpool2d(X, fc.zeros(2, 3, dtype=fc.int64), 2), ValueError, "shape"),
    (lambda: F.lp_pool2d(X, 0, 2), ValueError, "norm_type"),
    (lambda: F.batch_norm(X, None, None), ValueError, "running_mean"),
    (lambda: F.batch_norm(X, fc.ones(2), fc.ones(3)), ValueError, "running_mean"),
    (lambda: F.batch_norm(fc.ones(1, 3), None, None, training=True), ValueError, "more than 1"),
    (lambda: F.layer_norm(X, (4,)), ValueError, r"\(4,\)"),
    (lambda: F.group_norm(X, 2), ValueError, "num_groups"),
    (lambda: F.cross_entropy(fc.ones(2, 3), fc.tensor([0, 3])), IndexError, "target 3"),
    (lambda: F.cross_entropy(fc.ones(2, 3), fc.tensor([0])), ValueError, "shape"),
    (lambda: F.cross_entropy(fc.ones(2, 3), fc.ones(2)), TypeError, "integers"),
    (lambda: F.cross_entropy(fc.ones(2, 3), [0, 1]), TypeError, "target"),
    (
        lambda: F.cross_entropy(fc.ones(2, 3), fc.tensor([0, 1]), reduction="avg"),
        ValueError,
        "reduction",
    ),
    (
        lambda: F.cross_entropy(fc.ones(2, 3), fc.tensor([0, 1]), label_smoothing=2.0),
        ValueError,
        "label_smoothing",
    ),
    (lambda: F.mse_loss(fc.ones(2), fc.ones(3)), ValueError, "broadcast"),
    (lambda: F.binary_cross_entropy(fc.ones(2) * 2, fc.ones(2)), ValueError, "between 0 and 1"),
    (lambda: F.binary_cross_entropy(fc.ones(2), fc.ones(3)), ValueError, "shape"),
    (lambda: F.softmax(X, 4), IndexError, "out of range"),
    (lambda: F.one_hot(fc.tensor([-1])), ValueError, "non-negative"),
    (lambda: F.one_hot(fc.tensor([3]), 3), ValueError, "smaller"),
    (lambda: F.one_hot(fc.ones(1)), TypeError, "integers"),
    (lambda: F.pad(X, (1,)), ValueError, "even"),
    (lambda: F.pad(X, (5, 0), "reflect"), ValueError, "reflect"),
    (lambda: F.pad(X, (1, 1), "mirror"), ValueError, "mode"),
    (lambda: F.pad(X, (-3, -3)), ValueError, "crops"),
    (lambda: F.pad(X, (6, 0, 0, 0), "circular"), ValueError, "circular"),
    (lambda: F.interpolate(X), ValueError, "size"),
    (lambda: F.interpolate(X, 3, 2), ValueError, "not both"),
    (lambda: F.interpolate(X, 3, mode="linear"), ValueError, "bilinear"),
    (lambda: F.interpolate(X, 3, align_corners=True), ValueError, "align_corners"),
    (lambda: F.interpolate(X, 3, mode="lanczos"), NotImplementedError, "lanczos"),
    (lambda: F.gelu(X, "fast"), ValueError, "approximate"),
    (lambda: F.pixel_shuffle(X, 2), ValueError, "upscale_factor"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "groups"),
    (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ValueError, "kernel_size"),
    (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "stride"),
    (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), ValueError, "same"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError, "padding_mode"),
    (lambda: nn.Conv2d(3, 4, 3, device="cuda"), RuntimeError, "CPU"),
    (lambda: nn.Conv2d(3, 4, 3, dtype=fc.int64), TypeError, "floating"),
    (lambda: nn.Conv2d(3.0, 4, 3), TypeError, "in_channels"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ValueError, "zeros"),
    (lambda: nn.BatchNorm2d(3)(fc.ones(2, 3)), ValueError, "4D"),
    (lambda: nn.Linear(-1, 2), ValueError, "negative"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_arguments(case):
    call, error, match = WRONG[case]
    with pytest.raises(error, match=match):
        call()


def test_empty_batches():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 3)
    )
    x = fc.zeros(0, 1, 4, 4, requires_grad=True)
    y = net(x)
    assert y.shape == (0, 3)
    y.sum().backward()
    assert x.grad.shape == x.shape and net[0].weight.grad.abs().sum().item() == 0


@pytest.mark.parametrize("order", ["contiguous", "channels last", "Fortran"])
@pytest.mark.parametrize(
    "shape", [(3, 4), (2, 3, 7), (2, 3, 5, 6), (1, 40, 20, 30), (2, 3, 4, 5, 6)]
)
def test_constant_padding_and_cropping(shape, order):
    a = RNG.standard_normal(shape).astype(np.float32)
    if order == "channels last":
        a = np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)
    elif order == "Fortran":
        a = np.asfortranarray(a)
    for before, after in itertools.product((-1, 0, 2), repeat=2):
        kept = a[..., max(-before, 0) : a.shape[-2] - max(-after, 0), 1:]
        borders = [(0, 0)] * (a.ndim - 2) + [(max(before, 0), max(after, 0)), (0, 3)]
        got = F.pad(fc.from_numpy(a), (-1, 3, before, after), value=2.5)
        assert np.array_equal(got.numpy(), np.pad(kept, borders, constant_values=2.5))
        if order == "channels last" and a.ndim == 4:
            assert got.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.avg_pool2d])
def test_pooled_gradients_lie_as_their_input(pool, size):
    """Also where one position is left, whose gradient is in both memory formats."""
    for last in (False, True):
        values = RNG.standard_normal((2, 6, 6, 5)).astype(np.float32)
        x = fc.from_numpy(values.transpose(0, 3, 1, 2) if last else values).requires_grad_()
        rows, columns = x.shape[2:]
        whole = size if pool is not F.avg_pool2d else (rows // size, columns // size)
        pool(x, whole).sum().backward()
        assert x.grad.numpy().strides == x.detach().numpy().strides


@pytest.mark.parametrize("size", [9, 10, 11, 64, 2**31 - 1, 2**31, 2**62])
def test_local_response_norm_of_windows_past_the_channels(size):
    """As many steps as there are channels, not as the window has; the mean is over the window."""
    x = fc.randn(2, 5, 3, dtype=fc.float64, requires_grad=True)
    every = (x.detach() ** 2).sum(1, keepdim=True)  # all five, for each of them, from size 9 on
    wanted = x.detach() / (2.0 + 0.5 * every / size) ** 0.75
    got = F.local_response_norm(x, size, alpha=0.5, beta=0.75, k=2.0)
    np.testing.assert_allclose(got.detach(), wanted, rtol=1e-12)
    assert gradcheck(lambda t: F.local_response_norm(t, size, 0.5, 0.75, 2.0), (x,))


@pytest.mark.parametrize("indices", [False, True])
@pytest.mark.parametrize("backend", ["c", "numba", "naive"])
def test_padding_alone_has_no_gradient(backend, indices):
    """Dilation can put a whole window into the padding: -inf, and its gradient goes nowhere."""
    with fc.backend(backend):
        x = fc.arange(6.0).reshape(1, 2, 3, 1).requires_grad_()
        y = F.max_pool2d(x, (3, 2), 1, 1, 2, return_indices=indices)
        y = y[0] if indices else y
        above = fc.ones(1, 2, 1, 1, requires_grad=True)
        (g,) = fc.autograd.grad(y, x, above, create_graph=True)
        (h,) = fc.autograd.grad(g.sum(), above)
    assert y.flatten().tolist() == [-math.inf, -math.inf]
    assert not g.any() and not h.any()

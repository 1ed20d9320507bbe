"""Modules, containers, functions and initial values, without another framework."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F
from fastconv.autograd import gradcheck


class Net(nn.Module):
    """Parameters, buffers and children of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.scale = nn.Parameter(fc.ones(2, 1, 1))
        self.register_buffer("seen", fc.tensor(0))
        self.register_buffer("scratch", fc.zeros(1), persistent=False)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8, 3))

    def forward(self, x):
        return self.head(self.conv(x) * self.scale)


# -- Module --------------------------------------------------------------------------------------


def test_names():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale",
        "conv.weight",
        "conv.bias",
        "head.1.weight",
        "head.1.bias",
    ]
    assert [n for n, _ in net.named_buffers()] == ["seen", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "conv", "head", "head.0", "head.1"]
    assert [n for n, _ in net.named_children()] == ["conv", "head"]
    assert list(net.state_dict()) == [
        "scale",
        "seen",
        "conv.weight",
        "conv.bias",
        "head.1.weight",
        "head.1.bias",
    ]
    assert len(list(net.modules())) == 5 and len(list(net.children())) == 2
    assert [n for n, _ in net.named_parameters(prefix="x", recurse=False)] == ["x.scale"]
    assert {"conv", "scale", "seen", "forward"} <= set(dir(net))


def test_get_by_name():
    net = Net()
    assert net.get_submodule("") is net and net.get_submodule("head.1") is net.head[1]
    assert net.get_parameter("head.1.bias") is net.head[1].bias
    assert net.get_buffer("seen") is net.seen
    for call, name in (
        (net.get_submodule, "head.7"),
        (net.get_parameter, "head.1.seen"),
        (net.get_buffer, "none"),
    ):
        with pytest.raises(AttributeError, match="no"):
            call(name)


def test_shared_parameters_come_once():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(net.state_dict()) == 4
    layer = nn.Linear(2, 2)
    twice = nn.Sequential(layer, layer)
    assert len(list(twice.parameters())) == 2 and len(list(twice.named_children())) == 1


def test_attributes_move_between_the_tables():
    net = Net()
    net.plain = 3
    net.plain = nn.Parameter(fc.ones(1))
    assert "plain" in dict(net.named_parameters()) and "plain" not in net.__dict__
    net.plain = None
    assert net.plain is None and "plain" not in dict(net.named_parameters())
    net.plain = nn.ReLU()
    assert "plain" in dict(net.named_children()) and "plain" not in net._parameters
    del net.plain
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'plain'"):
        _ = net.plain
    net.seen = fc.tensor(4)
    assert net.state_dict()["seen"].item() == 4
    for name, value, error in (
        ("scale", fc.ones(1), "as parameter 'scale'"),
        ("conv", 3, "as child module 'conv'"),
        ("seen", 3, "as buffer 'seen'"),
    ):
        with pytest.raises(TypeError, match=error):
            setattr(net, name, value)


def test_before_init():
    class Early(nn.Module):
        def __init__(self, what) -> None:
            self.x = what
            super().__init__()

    for what, text in ((nn.ReLU(), "module"), (nn.Parameter(fc.ones(1)), "parameters")):
        with pytest.raises(AttributeError, match=f"cannot assign {text} before"):
            Early(what)


def test_registration_errors():
    net = Net()
    for call in (net.register_buffer, net.register_parameter, net.add_module):
        with pytest.raises(KeyError, match="contain"):
            call("a.b", None)
        with pytest.raises(KeyError, match="empty"):
            call("", None)
        with pytest.raises(KeyError, match="already exists"):
            call("forward", None)
        with pytest.raises(TypeError, match="string"):
            call(3, None)
        with pytest.raises(TypeError):
            call("x", 3)
    with pytest.raises(ValueError, match="leaf"):
        net.register_parameter("x", _not_a_leaf())
    with pytest.raises(TypeError, match="unexpected"):
        nn.Tanh(1)
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def _not_a_leaf() -> nn.Parameter:
    p = nn.Parameter(fc.ones(2))
    p._node = (nn.Parameter(fc.ones(2)) * 2).grad_fn
    return p


def test_modes_and_types():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout())
    assert net.training and not net.eval().training and not net[1].training
    assert net.train()[0].training
    with pytest.raises(ValueError):
        net.train(1)
    weight = net[0].weight
    net.double()
    assert net[0].weight is weight and weight.dtype == fc.float64
    assert net[0].running_mean.dtype == fc.float64
    assert net[0].num_batches_tracked.dtype == fc.int64
    assert net.to(fc.float32)[0].weight.dtype == fc.float32
    assert net.to("cpu", dtype=fc.float64)[0].weight.dtype == fc.float64
    assert net.to(fc.ones(1))[0].weight.dtype == fc.float32
    assert net.to(memory_format=fc.channels_last).cpu() is net
    net.float()
    with pytest.raises(RuntimeError):
        net.to("cuda")
    with pytest.raises(RuntimeError):
        net.cuda()
    with pytest.raises(TypeError, match="float32"):
        net.to(fc.int64)
    with pytest.raises(TypeError, match="unexpected"):
        net.to(colour=3)


def test_gradients_of_parameters():
    net = Net()
    net(fc.randn(2, 1, 4, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.double()
    assert net.scale.grad.dtype == fc.float64
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.abs().sum().item() == 0
    net.zero_grad()
    assert net.scale.grad is None
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    assert not net(fc.randn(2, 1, 4, 4, dtype=fc.float64)).requires_grad


def test_apply():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Conv2d", "Flatten", "Linear", "Sequential", "Net"]


def test_state_round_trip():
    a, b = Net(), Net()
    assert str(b.load_state_dict(a.state_dict())) == "<All keys matched successfully>"
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert p is not q and (p == q).all()
    assert a.state_dict()["scale"].data_ptr() == a.scale.data_ptr()
    assert a.state_dict(prefix="net.")["net.scale"].requires_grad is False
    assert a.state_dict(keep_vars=True)["scale"] is a.scale
    kept = copy.deepcopy(a.state_dict())
    a.scale.array += 1
    assert kept["scale"].sum().item() == 2
    c = Net()
    c.load_state_dict({k: v.numpy() for k, v in a.state_dict().items()}, assign=True)
    assert isinstance(c.scale, nn.Parameter) and c.scale.requires_grad


def test_mismatches_all_at_once_and_nothing_loaded():
    net = Net()
    state = {k: v + 1 for k, v in net.state_dict().items()}
    state["scale"], state["other"] = fc.ones(3), fc.ones(1)
    del state["seen"]
    before = net.conv.bias.detach().clone()
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    for part in ('Missing key(s) in state_dict: "seen"', '"other"', "size mismatch for scale"):
        assert part in text
    assert (net.conv.bias == before).all()
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(state, strict=False)
    del state["scale"]
    answer = net.load_state_dict(state, strict=False)
    assert answer.missing_keys == ["scale", "seen"] and answer.unexpected_keys == ["other"]
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match="expected a Tensor"):
        net.load_state_dict({"scale": 3}, strict=False)


def test_copy_and_pickle():
    net = Net()
    x = fc.randn(2, 1, 4, 4)
    expected = net(x).detach().numpy()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(twin) == repr(net)
        np.testing.assert_array_equal(twin(x).detach().numpy(), expected)
        twin.scale.array += 1
    np.testing.assert_array_equal(net(x).detach().numpy(), expected)


def test_hooks():
    net, calls = nn.Sequential(nn.ReLU()), []
    pre = net.register_forward_pre_hook(lambda m, args: calls.append("pre") or (args[0] + 1,))
    post = net.register_forward_hook(lambda m, args, out: calls.append("post") or out * 2)
    assert net(fc.zeros(1)).item() == 2 and calls == ["pre", "post"]
    with net.register_forward_hook(lambda m, args, kwargs, out: out + 5, with_kwargs=True):
        assert net(fc.zeros(1)).item() == 7
    pre.remove()
    post.remove()
    post.remove()
    assert net(fc.zeros(1)).item() == 0
    order = []
    net.register_forward_pre_hook(lambda m, a: order.append(1))
    net.register_forward_pre_hook(lambda m, a: order.append(0), prepend=True)
    net.register_forward_pre_hook(lambda m, a, k: (a, {}), with_kwargs=True)
    net(fc.zeros(1))
    assert order == [0, 1]
    assert repr(copy.deepcopy(nn.Sequential(nn.ReLU()))) == repr(nn.Sequential(nn.ReLU()))


def test_backward_hook_for_class_activation():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    seen = []
    net[0].register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    net(fc.ones(1, 1, 4, 4)).sum().backward()
    ((grad_input, grad_output),) = seen
    assert grad_input == (None,) and grad_output[0].shape == (1, 2, 2, 2)


# -- containers ----------------------------------------------------------------------------------


def test_sequential():
    s = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    assert s.append(nn.Linear(2, 3)) is s and len(s) == 3
    assert s[-1].out_features == 3 and len(s[1:]) == 2 and isinstance(s[:1], nn.Sequential)
    s.insert(1, nn.Tanh())
    assert [type(m).__name__ for m in s] == ["Linear", "Tanh", "ReLU", "Linear"]
    del s[1]
    assert list(s._modules) == ["0", "1", "2"]
    s[1] = nn.Sigmoid()
    assert isinstance(s[1], nn.Sigmoid)
    named = nn.Sequential(OrderedDict([("a", nn.ReLU()), ("b", nn.Tanh())]))
    assert isinstance(named.b, nn.Tanh) and list(named[1:]._modules) == ["b"]
    assert len(s + named) == 5 and len(named * 2) == 4
    assert nn.Sequential().add(nn.ReLU()).add(nn.ReLU())[1] is not None
    assert isinstance(s.pop(0), nn.Linear) and len(s) == 2
    s.extend([nn.ReLU()])
    for index in (3, -4):
        with pytest.raises(IndexError):
            s[index]
    with pytest.raises(TypeError):
        nn.Sequential(3)


def test_module_list_and_dict():
    m = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    m += [nn.ReLU()]
    m.insert(0, nn.Sigmoid())
    assert len(m) == 4 and isinstance(m[0], nn.Sigmoid) and isinstance(m[-1], nn.ReLU)
    assert isinstance(m[1:3], nn.ModuleList) and len(m + m) == 8
    del m[0]
    assert isinstance(m.pop(1), nn.Tanh) and list(m._modules) == ["0", "1"]
    with pytest.raises(TypeError):
        m.extend(3)
    with pytest.raises(IndexError):
        m[2]
    d = nn.ModuleDict({"a": nn.ReLU()})
    d["b"] = nn.Linear(1, 1)
    d.update([("c", nn.Tanh())])
    assert list(d) == list(d.keys()) == ["a", "b", "c"] and "b" in d and len(d) == 3
    assert isinstance(d.pop("c"), nn.Tanh)
    del d["a"]
    assert len(list(d.parameters())) == 2
    d.clear()
    assert not list(d.values()) and not list(d.items())


def test_parameter_containers():
    p = nn.ParameterList([fc.ones(2), nn.Parameter(fc.ones(3))])
    p.append(fc.ones(4))
    p[0] = fc.zeros(2)
    assert len(p) == 3 == len(list(p.parameters())) and p[-1].shape == (4,)
    assert isinstance(p[:2], nn.ParameterList) and "size 4" in repr(p)
    d = nn.ParameterDict({"a": fc.ones(2)})
    d["b"] = nn.Parameter(fc.ones(1))
    assert list(d.keys()) == ["a", "b"] and "a" in d and len(d) == 2
    del d["a"]
    assert len(list(d.parameters())) == 1 == len(list(d.values()))


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
    (lambda: F.interpolate(X, 3, mode="bicubic"), NotImplementedError, "bicubic"),
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


# -- initial values and helpers ------------------------------------------------------------------


def test_default_initialisation():
    fc.manual_seed(0)
    conv = nn.Conv2d(8, 64, 3, groups=2)
    bound = 1 / math.sqrt(4 * 9)
    for p in (conv.weight, conv.bias):
        assert p.abs().max().item() <= bound < p.abs().max().item() * 1.1
    a = nn.Conv2d(1, 2, 3).weight.detach().numpy()
    fc.manual_seed(5)
    b = nn.Conv2d(1, 2, 3).weight.detach().numpy()
    fc.manual_seed(5)
    c = nn.Conv2d(1, 2, 3).weight.detach().numpy()
    assert (b == c).all() and (a != b).any()


def test_init_functions():
    w = nn.Parameter(fc.empty(60, 40, 3, 3))
    fan_in, fan_out = 40 * 9, 60 * 9
    for call, std in (
        (lambda: nn.init.kaiming_normal_(w, nonlinearity="relu"), math.sqrt(2 / fan_in)),
        (lambda: nn.init.kaiming_uniform_(w, mode="fan_out"), math.sqrt(2 / fan_out)),
        (lambda: nn.init.xavier_normal_(w, 2), 2 * math.sqrt(2 / (fan_in + fan_out))),
        (lambda: nn.init.xavier_uniform_(w), math.sqrt(2 / (fan_in + fan_out))),
        (lambda: nn.init.normal_(w, 0, 0.5), 0.5),
        (lambda: nn.init.uniform_(w, -1, 1), 1 / math.sqrt(3)),
    ):
        assert call() is w
        assert abs(w.std().item() / std - 1) < 0.05
    assert nn.init.constant_(w, 3).sum().item() == 3 * w.numel()
    assert nn.init.ones_(w).mean().item() == 1 and nn.init.zeros_(w).sum().item() == 0
    assert nn.init.trunc_normal_(w, std=2).abs().max().item() <= 2
    q = nn.init.orthogonal_(fc.empty(5, 8, dtype=fc.float64), 2).numpy()
    np.testing.assert_allclose(q @ q.T, 4 * np.eye(5), atol=1e-12)
    assert nn.init.eye_(fc.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    x = fc.randn(1, 4, 5, 5)
    np.testing.assert_array_equal(
        F.conv2d(x, nn.init.dirac_(fc.empty(4, 4, 3, 3)), padding=1).numpy(), x.numpy()
    )
    assert (nn.init.sparse_(fc.empty(10, 4), 0.3) == 0).sum().item() == 12
    assert nn.init.calculate_gain("tanh") == 5 / 3
    with pytest.raises(ValueError, match="2 dimensions"):
        nn.init.xavier_uniform_(fc.empty(3))
    with pytest.raises(ValueError, match="Unsupported"):
        nn.init.calculate_gain("swish")
    with pytest.raises(ValueError, match="Mode"):
        nn.init.kaiming_uniform_(w, mode="fan")


def test_gradient_clipping():
    a, b, c = (nn.Parameter(fc.zeros(2)) for _ in range(3))
    a.grad, b.grad = fc.tensor([3.0, 0.0]), fc.tensor([0.0, 4.0])
    assert nn.utils.clip_grad_norm_([a, b, c], 1.0).item() == 5
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0], rtol=1e-5)
    assert nn.utils.clip_grad_norm_([a, b], 9.0, float("inf")).item() == pytest.approx(0.8)
    nn.utils.clip_grad_value_(a, 0.25)
    assert a.grad.tolist() == [0.25, 0]
    a.grad = fc.tensor([float("nan"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(a, 1.0, error_if_nonfinite=True)


def test_parameters_as_a_vector():
    net = nn.Linear(2, 3)
    v = nn.utils.parameters_to_vector(net.parameters())
    assert v.shape == (9,)
    nn.utils.vector_to_parameters(fc.arange(9.0), net.parameters())
    assert net.bias.tolist() == [6, 7, 8]
    with pytest.raises(ValueError, match=r"\(9,\)"):
        nn.utils.vector_to_parameters(fc.arange(8.0), net.parameters())


def test_models_learn():
    fc.manual_seed(0)
    net = fc.models.LeNet5(num_classes=4, image_size=12)
    x, y = fc.randn(32, 1, 12, 12), fc.arange(32) % 4
    optimizer = fc.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    with pytest.raises(ValueError, match="12"):
        fc.models.LeNet5(image_size=11)


def test_imports_stay_light():
    code = (
        "import fastconv as torch, sys\n"
        "import fastconv.nn as nn, fastconv.nn.functional as F, fastconv.optim as optim\n"
        "from fastconv.utils.data import DataLoader\n"
        "import fastconv.datasets, fastconv.models, fastconv.serialization\n"
        "heavy = {'numba', 'matplotlib', 'sklearn', 'tqdm', 'inspect', 'asyncio', "
        "'concurrent.futures', 'multiprocessing', 'zipfile', 'json', 'gzip'}\n"
        "found = sorted((heavy & set(sys.modules)) - before)\n"
        "sys.exit(str(found) if found else 0)"
    )
    before = "import sys, numpy\nbefore = set(sys.modules)\n"
    subprocess.run([sys.executable, "-c", before + code], check=True)

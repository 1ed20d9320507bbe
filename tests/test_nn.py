"""Modules, containers, functions and initial values, without another framework."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F


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


def test_resnet20():
    net = fc.models.resnet20()
    names = list(net.state_dict())
    assert names[:2] == ["conv1.weight", "bn1.weight"] and "layer2.0.conv1.weight" in names
    assert sum(p.numel() for p in net.parameters()) == 269722  # 0.27 million, as published
    x = fc.randn(2, 3, 32, 32)
    scores = net(x)
    assert scores.shape == (2, 10)
    scores.sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    block = net.layer2[0]
    short = block.shortcut(fc.ones(1, 16, 4, 4))
    assert short.shape == (1, 32, 2, 2)
    assert short.sum((0, 2, 3)).tolist() == [0] * 8 + [4] * 16 + [0] * 8
    with pytest.raises(ValueError, match="blocks and width must be positive"):
        fc.models.CifarResNet(0)


def test_state_from_before_batches_were_counted():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    net.load_state_dict(state)
    assert int(net[1].num_batches_tracked) == 0
    del state["1.running_mean"]
    with pytest.raises(RuntimeError, match="running_mean"):
        net.load_state_dict(state)


def test_forward_may_be_exchanged_and_take_any_arguments() -> None:
    class Two(nn.Module):
        def forward(self, a: Any, b: Any = 1, *, c: Any = 0) -> Any:
            return a * 100 + b * 10 + c

    module = Two()
    assert module(1) == 110
    assert module(1, 2) == 120
    assert module(a=1) == 110
    assert module(1, c=3) == 113
    with pytest.raises(TypeError):
        module()
    module.forward = lambda *args: args
    assert module(1, 2) == (1, 2)
    assert nn.Sequential(module, nn.Identity())(5) == (5,)

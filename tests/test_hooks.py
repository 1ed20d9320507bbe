"""Hooks, gradients of intermediate results, and what changes in place do to both."""

import copy
import gc
import pickle

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn


def pair():
    """A leaf of ones and a copy of it with a graph."""
    leaf = fc.ones(2, requires_grad=True)
    return leaf, leaf.clone()


def backward(t, factor=3):
    (t * factor).sum().backward()


def times(factor):
    return lambda g: g * factor


# hooks by numbers that are never used again


def test_hooks_of_a_leaf_whose_handles_are_dropped():
    x = fc.ones(2, requires_grad=True)
    for factor in (2, 3, 5):
        x.register_hook(times(factor))
        gc.collect()
    x.sum().backward()
    assert x.grad.tolist() == [30, 30]


@pytest.mark.parametrize("leaf", [True, False])
def test_a_handle_removes_its_own_hook(leaf):
    x = fc.ones(2, requires_grad=True)
    t = x if leaf else x.clone()
    seen = []
    same = seen.append
    t.register_hook(lambda g: seen.append(1))
    handle = t.register_hook(lambda g: seen.append(2))
    t.register_hook(lambda g: seen.append(3))
    handle.remove()
    handle.remove()
    first, second = t.register_hook(same), t.register_hook(same)
    assert first.id != second.id
    first.remove()
    with t.register_hook(lambda g: seen.append(4)):
        pass
    t.sum().backward()
    assert seen[:2] == [1, 3] and len(seen) == 3 and seen[2].tolist() == [1, 1]


def test_hooks_of_modules_whose_handles_are_dropped():
    seen = []
    m = nn.Linear(2, 2)
    for i in range(5):
        m.register_forward_pre_hook(lambda *a, i=i: seen.append(("pre", i)))
        m.register_forward_hook(lambda *a, i=i: seen.append(("post", i)))
        m.register_full_backward_hook(lambda *a, i=i: seen.append(("back", i)))
        gc.collect()
    m(fc.ones(1, 2, requires_grad=True)).sum().backward()
    assert seen == [(kind, i) for kind in ("pre", "post", "back") for i in range(5)]


def note(module, args):
    module.noted = getattr(module, "noted", 0) + 1


def test_hooks_of_an_unpickled_module_keep_their_places():
    m = nn.Linear(2, 2)
    for _ in range(3):
        m.register_forward_pre_hook(note)
    other = pickle.loads(pickle.dumps(m))
    next_id = max(other._forward_pre_hooks)
    other._forward_pre_hooks[next_id + 1] = other._forward_pre_hooks[next_id]  # another process
    for _ in range(3):
        other.register_forward_pre_hook(note)
    other(fc.ones(1, 2))
    assert other.noted == 7 and len(copy.deepcopy(other)._forward_pre_hooks) == 7


# retain_grad and changes in place: the values are PyTorch's


def test_retain_grad_before_a_change_in_place():
    leaf, x = pair()
    x.retain_grad()
    x.mul_(2)
    assert x.retains_grad
    (x + 1).sum().backward()
    assert x.grad.tolist() == [1, 1] and leaf.grad.tolist() == [2, 2]


def test_retain_grad_after_a_change_in_place():
    leaf, x = pair()
    x.mul_(2)
    x.retain_grad()
    backward(x)
    assert x.grad.tolist() == [3, 3] and leaf.grad.tolist() == [6, 6]


def test_hooks_stay_with_the_value_they_were_registered_for():
    _, x = pair()
    seen = []
    x.register_hook(lambda g: seen.append(("before", g.tolist())))
    x.mul_(2)
    x.register_hook(lambda g: seen.append(("after", g.tolist())))
    backward(x)
    assert seen == [("after", [3, 3]), ("before", [6, 6])]


def test_a_handle_works_after_a_change_in_place():
    leaf, x = pair()
    handle = x.register_hook(times(10))
    x.mul_(2)
    handle.remove()
    x.sum().backward()
    assert leaf.grad.tolist() == [2, 2]


def test_retain_grad_comes_after_other_hooks():
    for retain_first in (True, False):
        leaf, x = pair()
        if retain_first:
            x.retain_grad()
            x.retain_grad()
        x.register_hook(times(10))
        x.retain_grad()
        backward(x)
        assert x.grad.tolist() == leaf.grad.tolist() == [30, 30]


def test_retain_grad_before_several_changes():
    leaf, x = pair()
    x.retain_grad()
    x.register_hook(times(10))
    x.mul_(2)
    x.retain_grad()
    x.mul_(5)
    backward(x)
    assert x.grad.tolist() == [3, 3] and leaf.grad.tolist() == [300, 300]


def test_retain_grad_of_what_is_no_longer_the_value():
    leaf, x = pair()
    x.retain_grad()
    x.mul_(2)
    y = x * 2
    x.mul_(3)
    y.sum().backward()
    assert x.grad is None and leaf.grad.tolist() == [4, 4]


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda x: x.__setitem__(0, 5), [0, 3]),
        (lambda x: x[0:1].mul_(2), [6, 3]),
        (lambda x: x.relu_(), [3, 3]),
        (lambda x: x.copy_(fc.zeros(2)), [0, 0]),
        (lambda x: x.clamp_(0, 0.5), [0, 0]),
        (lambda x: x.masked_fill_(fc.tensor([True, False]), 7.0), [0, 3]),
    ],
    ids=["setitem", "slice", "relu_", "copy_", "clamp_", "masked_fill_"],
)
def test_retain_grad_is_of_the_new_value(change, expected):
    leaf, x = pair()
    x.retain_grad()
    change(x)
    backward(x)
    assert x.grad.tolist() == [3, 3] and leaf.grad.tolist() == expected


def test_retain_grad_of_a_view():
    for change in (lambda x, v: x.mul_(2), lambda x, v: v.mul_(2)):
        leaf, x = pair()
        v = x[0:1]
        v.retain_grad()
        change(x, v)
        assert v.retains_grad
        backward(v)
        assert v.grad.tolist() == [3] and leaf.grad.tolist() == [6, 0]


def test_retain_grad_of_one_of_several_results():
    u, w = (fc.ones(4, requires_grad=True) * 1).split(2)
    u.retain_grad()
    w.retain_grad()
    (u * 2 + w * 3).sum().backward()
    assert u.grad.tolist() == [2, 2] and w.grad.tolist() == [3, 3]


def test_retained_gradient_is_a_copy():
    leaf, x = pair()
    x.retain_grad()
    x.relu().sum().backward()
    x.grad.mul_(7)
    assert leaf.grad.tolist() == [1, 1]


def test_retained_gradients_do_not_keep_tensors_alive():
    leaf, x = pair()
    x.retain_grad()
    y = x * 2
    del x
    y.sum().backward()
    assert leaf.grad.tolist() == [2, 2]


# autograd.grad and backward(inputs=…) run no more than they need


def test_grad_runs_no_hooks_beyond_what_is_wanted():
    a = fc.ones(2, requires_grad=True)
    seen = []
    a.register_hook(lambda g: seen.append("a"))
    b = a * 2
    b.register_hook(times(5))
    c = b * 3
    (g,) = fc.autograd.grad(c.sum(), b)
    assert seen == [] and g.tolist() == [15, 15]
    (b * 1).sum().backward()  # what leads to b has not been freed
    assert seen == ["a"] and a.grad.tolist() == [10, 10]


def test_grad_of_several_inputs_one_behind_the_other():
    a = fc.ones(2, requires_grad=True)
    other = fc.ones(2, requires_grad=True)
    b = a * 2
    out = (b * 3 + other.exp()).sum()
    gb, ga = fc.autograd.grad(out, [b, a])
    assert gb.tolist() == [3, 3] and ga.tolist() == [6, 6]
    assert a.grad is None and other.grad is None


# axes of size 1 have strides that mean nothing


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
@pytest.mark.parametrize("layer", [nn.ReLU, nn.Hardswish, nn.ELU, nn.SiLU, nn.LeakyReLU])
def test_layers_in_place_after_global_pooling(size, pool, layer):
    fc.manual_seed(0)
    x = fc.randn(2, 3, 5, 5, dtype=fc.float64)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), pool(size), nn.Flatten(), layer(inplace=True)).double()
    net(x).sum().backward()
    found = net[0].weight.grad.clone()
    net[0].weight.grad = None
    net[3].inplace = False
    net(x).sum().backward()
    np.testing.assert_allclose(found.numpy(), net[0].weight.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "base",
    [
        np.ones((2, 4, 1, 1)).transpose(0, 3, 1, 2),
        np.ones((2, 4, 1, 1), order="F"),
        np.ones((4, 6))[:, ::2],
        np.ones((4, 6))[::-1, ::-2],
        np.ones((3, 1, 8))[:, :, 1:5],
        np.ones((5, 2, 3)).transpose(2, 0, 1)[1:],
        np.lib.stride_tricks.as_strided(np.ones(6), (1, 6, 1), (0, 8, 0)),
    ],
    ids=["unit", "fortran", "steps", "backwards", "gaps", "transposed", "zero steps"],
)
def test_changes_of_views_whatever_the_memory(base):
    leaf = fc.ones(*base.shape, dtype=fc.float64, requires_grad=True)
    x = fc.from_numpy(base).detach()
    x.copy_(leaf * 2)
    x[0].mul_(3)
    x.transpose(0, 1)[0].mul_(5)
    factors = np.arange(1.0, base.size + 1).reshape(base.shape)
    expected = 2 * factors.copy()
    expected[0] *= 3
    expected[:, 0] *= 5
    (x * fc.tensor(factors)).sum().backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), expected)


def test_change_of_a_view_of_elements_that_share_memory_is_refused():
    shared = np.lib.stride_tricks.as_strided(np.ones(3), (2, 2), (8, 8))
    x = fc.from_numpy(shared)
    with pytest.raises(RuntimeError, match="share memory"):
        x[0].mul_(fc.ones(2, dtype=fc.float64, requires_grad=True))

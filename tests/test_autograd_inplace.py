"""In-place changes seen by the graph, and hooks."""

import numpy as np
import pytest

import fastconv as fc


def leaf(*shape, dtype=fc.float64):
    return fc.randn(*shape, dtype=dtype, requires_grad=True)


# in-place changes


def test_in_place_on_a_leaf():
    x = leaf(3)
    for change in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x[0].mul_(2),
        lambda: x.exp_(),
        lambda: x.view(-1).fill_(1),
    ):
        with pytest.raises(RuntimeError, match=r"leaf tensor that requires grad"):
            change()
    with fc.no_grad():
        x.zero_()
        x += 2
        x[0] = 5
        x.view(-1)[1:].mul_(3)
    assert x.tolist() == [5, 6, 6] and x.is_leaf and x.requires_grad


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.add_(1),
        lambda y: y.__setitem__(0, 1.0),
        lambda y: y.detach().mul_(2),
        lambda y: y.view(-1)[0].zero_(),
        lambda y: y.detach().view(-1).__setitem__(slice(1), 0.0),
        lambda y: y.copy_(fc.zeros(3)),
        lambda y: y.clamp_(0, 1),
    ],
)
def test_change_of_a_saved_value_is_detected(change):
    x = leaf(3)
    y = x * 1
    z = y * y
    change(y)
    with pytest.raises(
        RuntimeError, match=r"MulBackward0.*shape \(3,\).*in-place.*version 1, expected 0"
    ):
        z.sum().backward()


def test_change_of_a_saved_output_is_detected():
    x = leaf(3)
    y = x.exp()
    z = y + 1
    y.mul_(2)
    with pytest.raises(RuntimeError, match="ExpBackward0"):
        z.sum().backward()


def test_change_of_a_value_that_is_not_needed_is_fine():
    x = leaf(3)
    y = x * 2
    z = y + 1
    y.mul_(5)
    (y + z).sum().backward()
    assert x.grad.tolist() == [12.0] * 3


def test_in_place_keeps_its_own_input():
    x, w = leaf(3), leaf(3)
    y = x * 1
    before = y.detach().numpy().copy()
    y.mul_(w)
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), before)
    np.testing.assert_allclose(x.grad.numpy(), w.detach().numpy())


def test_in_place_on_views_reaches_the_base_and_other_views():
    x = leaf(6)
    base = fc.zeros(2, 3, dtype=fc.float64)
    row, column = base[0], base[:, 1]
    assert not row.requires_grad
    row.add_(x[:3])
    assert base.requires_grad and column.requires_grad and row.requires_grad
    column.mul_(2)
    base[1] = x[3:]
    (base.sum() + row.sum() * 10 + column.sum() * 100).backward()
    assert x.grad.tolist() == [11, 222, 11, 1, 101, 1]


def test_versions():
    x = fc.zeros(3)
    v, d = x[1:], x.detach()
    x.add_(1)
    v.mul_(2)
    d[0] = 5
    assert x._version == v._version == d._version == 3
    assert x.clone()._version == 0 and x.data._version == 0


def test_in_place_shape_and_type_errors():
    with pytest.raises((ValueError, RuntimeError), match=r"\(2, 3\)|2,3"):
        fc.zeros(3).add_(fc.zeros(2, 3))
    with pytest.raises(RuntimeError, match=r"\(2, 3\)"):
        (leaf(3) * 1).add_(fc.zeros(2, 3))
    with pytest.raises(RuntimeError, match="int64"):
        fc.zeros(3, dtype=fc.int64).add_(0.5)
    with pytest.raises(RuntimeError, match=r"div_: .*float32"):
        fc.ones(3, dtype=fc.int64).div_(2)


# hooks


def test_hooks_on_leaves_and_intermediates():
    x = leaf(3)
    seen = []
    y = x * 2
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    leaf_handle = x.register_hook(lambda g: g + 1)
    (y + y).sum().backward(retain_graph=True)
    assert seen == [[2.0] * 3]  # once, with the whole gradient
    assert x.grad.tolist() == [41.0] * 3
    handle.remove()
    handle.remove()
    leaf_handle.remove()
    x.grad = None
    (y * 1).sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [20.0] * 3
    with pytest.raises(RuntimeError, match="require"):
        fc.ones(2).register_hook(print)


def test_hook_results_are_checked():
    x = leaf(3)
    x.register_hook(lambda g: g[:2])
    with pytest.raises(RuntimeError, match=r"\(3,\) to \(2,\)"):
        x.sum().backward()


def test_retain_grad():
    x = leaf(3)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0] * 3 and x.grad.tolist() == [6.0] * 3
    with pytest.raises(RuntimeError):
        fc.ones(1).retain_grad()

"""Gradients with fusion are those without, where what was joined is needed by itself as well."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn
from fastconv._pending import Pending
from tests.test_fusion import FORMATS, norm, tensor, values


@pytest.mark.parametrize("limit", [False, True])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("look", ["retain_grad", "hook", "grad", "use", "both"])
def test_looked_at_after(look: str, added: bool, limit: bool) -> None:
    """What has been joined and is then needed by itself has its gradient, as without fusion."""
    results = []
    for fused in (True, False):
        x, r = tensor(values((2, 3, 4, 4), 1)), tensor(values((2, 3, 4, 4), 2))
        seen: list[np.ndarray] = []
        with fc.fusion(fused):
            y = norm(x)
            z = y + r if added else y
            last = (F.relu6 if limit else F.relu)(z)
            assert (type(y) is Pending) is fused
            loss = (last * tensor(values((2, 3, 4, 4), 3))).sum()
            if look == "retain_grad":
                y.retain_grad()
            elif look == "hook":
                for t in (y, z):
                    t.register_hook(lambda g, seen=seen: seen.append(g.numpy().copy()))
                    t.register_hook(lambda g: g * 3)
            elif look == "use":
                loss = loss + (y * y).sum()
            elif look == "both":
                loss = loss + (y * y).sum() + (z * 0.3).sum() + F.relu(y).sum()
            if look == "grad":
                seen += [g.numpy() for g in fc.autograd.grad(loss, (y, z, x))]
            else:
                loss.backward()
        grads = [t.grad.numpy() for t in (x, y, r) if t.grad is not None]
        results.append((*seen, *grads, loss.item()))
    assert len(results[0]) == len(results[1]) > 1
    for got, want in zip(*results, strict=True):
        assert np.array_equal(got, want)


def test_order_of_sums() -> None:
    """Gradients of what is used often are added in the same order, and lie in memory alike."""
    a, b = values((2, 3, 4, 4), 1), values((2, 3, 4, 4), 2)
    results = []
    for fused in (True, False):
        x, w = tensor(a), tensor(b)
        with fc.fusion(fused):
            y = norm(x)
            z = x * w  # recorded between the normalisation and what joins it
            y = y + x
            u = x * 0.7
            y = F.relu(y)
            (y * z + u * w + F.relu(norm(x) + x)).pow(2).sum().backward()
        results.append((x.grad.numpy(), w.grad.numpy()))
    for got, want in zip(*results, strict=True):
        assert np.array_equal(got, want) and got.strides == want.strides


def test_residual_of_another_format() -> None:
    """A sum with a plain array lies as NumPy has it lie, so that what follows adds up alike."""
    plain, lasting = (tensor(values((3, 5, 6, 7), i), last) for i, last in enumerate(FORMATS))
    for x, r in ((plain, lasting), (lasting, plain)):
        got = norm(x) + r
        with fc.fusion(False):
            want = norm(x) + r
        assert got.detach().numpy().strides == want.detach().numpy().strides


def test_gradients_are_freed() -> None:
    """A second backward pass through what was joined is an error, also by way of its parts."""
    x = tensor(values((2, 3, 4, 4), 1))
    y = norm(x)
    F.relu(y).sum().backward()
    with pytest.raises(RuntimeError, match="a second time"):
        (y * 2).sum().backward()
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    loss = net(x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


def test_checkpoint_of_what_is_needed_twice() -> None:
    """Both runs record the same nodes, and nothing is kept between them."""
    results = []
    for fused in (True, False):
        x = tensor(values((2, 3, 4, 4), 1))
        fc.manual_seed(0)
        conv = nn.Conv2d(3, 3, 1)

        def part(x: fc.Tensor, conv: nn.Module = conv) -> fc.Tensor:
            y = norm(conv(x))
            z = F.relu(y + x)
            return z + y * 0.3

        with fc.fusion(fused):
            out = fc.utils.checkpoint.checkpoint(part, x, use_reentrant=False)
            assert out.grad_fn is not None
            seen, todo = set(), [out.grad_fn]
            while todo:
                node = todo.pop()
                assert not node.saved
                seen.add(node)
                others = [n for n, _ in node.next_functions] + [getattr(node, "before", None)]
                todo += [n for n in others if hasattr(n, "saved") and n not in seen]
            assert len(seen) >= 4
            out.sum().backward()
        results.append((x.grad.numpy(), conv.weight.grad.numpy()))
    for got, want in zip(*results, strict=True):
        assert np.array_equal(got, want)

"""Blocks of well-known networks, and capsules."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as fnn
import fastconv.nn.functional as F
from tests.test_layers_more import draw

# -- blocks ----------------------------------------------------------------------------------------


def gradients(call, *arrays):
    tensors = [fc.tensor(a).requires_grad_() for a in arrays]
    assert fc.autograd.gradcheck(call, tensors)


def test_separable_convolution():
    layer = fnn.SeparableConv2d(3, 5, 3, stride=2, padding=1, depth_multiplier=2).double()
    x = fc.tensor(draw(2, 3, 8, 7))
    middle = F.conv2d(x, layer.depthwise.weight, stride=2, padding=1, groups=3)
    expected = F.conv2d(middle, layer.pointwise.weight, layer.pointwise.bias)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    assert [tuple(p.shape) for p in layer.parameters()] == [(6, 1, 3, 3), (5, 6, 1, 1), (5,)]
    gradients(layer, draw(1, 3, 5, 4))


def test_squeeze_excitation():
    block = fnn.SqueezeExcitation(4, 2).double()
    x = draw(2, 4, 3, 5)
    w1, b1, w2, b2 = (p.detach().numpy() for p in block.parameters())
    z = np.maximum(x.mean((2, 3)) @ w1[:, :, 0, 0].T + b1, 0) @ w2[:, :, 0, 0].T + b2
    expected = x * (1 / (1 + np.exp(-z)))[:, :, None, None]
    np.testing.assert_allclose(block(fc.tensor(x)).detach().numpy(), expected, rtol=1e-10)
    assert list(block.state_dict()) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    other = fnn.SqueezeExcitation(4, 2, fnn.SiLU, fnn.Hardsigmoid)
    assert isinstance(other.activation, fnn.SiLU)
    assert isinstance(other.scale_activation, fnn.Hardsigmoid)
    gradients(block, x[:1])


def test_inception():
    block = fnn.Inception(5, 4, 2, 3, 2, 6, 1).double()
    y = block(fc.tensor(draw(2, 5, 6, 7)))
    assert tuple(y.shape) == (2, 4 + 3 + 6 + 1, 6, 7)
    assert tuple(block.branch3[1].conv.weight.shape) == (6, 2, 3, 3)
    assert "branch4.1.bn.running_var" in block.state_dict()
    wide = fnn.Inception(5, 4, 2, 3, 2, 6, 1, large_kernel=5)
    assert tuple(wide.branch3[1].conv.weight.shape) == (6, 2, 5, 5)
    assert tuple(wide(fc.ones(2, 5, 6, 7)).shape) == (2, 14, 6, 7)
    block.eval()
    gradients(block, draw(1, 5, 3, 3))


def test_dense_block():
    block = fnn.DenseBlock(3, 4, 2, 5).double()
    x = fc.tensor(draw(2, 4, 6, 6)).requires_grad_()
    y = block(x)
    assert tuple(y.shape) == (2, 4 + 3 * 5, 6, 6)
    np.testing.assert_array_equal(y.detach().numpy()[:, :4], x.detach().numpy())
    assert list(block._modules) == ["denselayer1", "denselayer2", "denselayer3"]
    g = fc.tensor(draw(*y.shape))
    y.backward(g)
    thrifty = fnn.DenseBlock(3, 4, 2, 5, memory_efficient=True).double()
    state = block.state_dict()
    thrifty.load_state_dict(state)
    again = fc.tensor(x.detach().numpy()).requires_grad_()
    z = thrifty(again)
    z.backward(g)
    np.testing.assert_allclose(z.detach().numpy(), y.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(again.grad.numpy(), x.grad.numpy(), rtol=1e-8, atol=1e-12)
    for p, q in zip(thrifty.parameters(), block.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-12)
    assert tuple(fnn.Transition(4, 2)(fc.ones(2, 4, 6, 6)).shape) == (2, 2, 3, 3)


def test_maxout():
    layer = fnn.Maxout(3, 4, 5).double()
    x = draw(2, 3)
    w, b = (p.detach().numpy() for p in layer.parameters())
    expected = (x @ w.T + b).reshape(2, 4, 5).max(2)
    np.testing.assert_allclose(layer(fc.tensor(x)).detach().numpy(), expected, rtol=1e-12)
    gradients(layer, x)
    maps = draw(2, 6, 3, 4)
    y = F.maxout(fc.tensor(maps), 3)
    np.testing.assert_array_equal(y.numpy(), maps.reshape(2, 2, 3, 3, 4).max(2))
    gradients(lambda t: F.maxout(t, 2, -1), maps)


# -- capsules --------------------------------------------------------------------------------------


def squashed(s):
    n = np.linalg.norm(s, axis=-1, keepdims=True)
    return n**2 / (1 + n**2) * s / n


def test_capsules_route_by_agreement():
    layer = fnn.Capsules(6, 3, 2, 4, routing_iterations=3).double()
    u, w = draw(5, 6, 3), layer.weight.detach().numpy()
    votes = np.einsum("ijok,nik->nijo", w, u)
    logits = np.zeros((5, 6, 2))
    for _ in range(3):
        share = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
        v = squashed((share[..., None] * votes).sum(1))
        logits = logits + (votes * v[:, None]).sum(3)
    np.testing.assert_allclose(layer(fc.tensor(u)).detach().numpy(), v, rtol=1e-6)
    gradients(layer, u[:2])
    gradients(lambda w: fc.nn.Capsules.forward(_with(layer, w), fc.tensor(u[:1])), w)


def _with(layer, weight):
    """The layer with another weight, as a function of it."""
    copy = fnn.Capsules(layer.in_capsules, layer.in_dim, layer.out_capsules, layer.out_dim)
    del copy.weight
    copy.weight = weight
    return copy


def test_primary_capsules_and_squash():
    layer = fnn.PrimaryCapsules(3, 2, 4, kernel_size=3, stride=2).double()
    x = draw(2, 3, 7, 9)
    maps = F.conv2d(fc.tensor(x), layer.conv.weight, layer.conv.bias, stride=2).detach().numpy()
    assert maps.shape == (2, 8, 3, 4)
    expected = squashed(maps.reshape(2, 2, 4, 12).swapaxes(2, 3).reshape(2, 24, 4))
    np.testing.assert_allclose(layer(fc.tensor(x)).detach().numpy(), expected, rtol=1e-5)
    gradients(F.squash, draw(3, 4))
    zero = fc.zeros(2, 3).requires_grad_()
    F.squash(zero).sum().backward()
    assert zero.grad.tolist() == [[0.0] * 3] * 2


def test_capsule_margin_loss():
    v, t = draw(4, 3, 2) / 2, np.array([0, 2, 1, 1])
    length, there = np.linalg.norm(v, axis=2), np.eye(3)[t]
    expected = there * np.maximum(0, 0.9 - length) ** 2
    expected += 0.5 * (1 - there) * np.maximum(0, length - 0.1) ** 2
    y = F.capsule_margin_loss(fc.tensor(v), fc.tensor(t), reduction="none")
    np.testing.assert_allclose(y.numpy(), expected.sum(1), rtol=1e-12)
    z = fnn.CapsuleMarginLoss()(fc.tensor(length), fc.tensor(there))
    assert float(z) == pytest.approx(expected.sum(1).mean())
    gradients(lambda a, b: F.capsule_margin_loss(a, b), v, there)


# -- gradients of gradients ------------------------------------------------------------------------


def test_second_gradients():
    """What is composed of other operations, and the new ones, through `create_graph=True`."""
    index, style = fc.tensor([[0, 2, 2], [1, 2, 0]]), fc.tensor(draw(1, 2, 4))
    gru, lstm = fnn.GRU(2, 3).double(), fnn.LSTM(2, 3, bidirectional=True).double()
    attention = fnn.MultiheadAttention(4, 2).double()
    checks = [
        (lambda t: F.unfold(t, 2, padding=1, stride=2) ** 2, draw(1, 2, 3, 3)),
        (lambda t: F.fold(t, (3, 3), 2) ** 2, draw(1, 4, 4)),
        (lambda t: F.embedding(index, t, padding_idx=0) ** 2, draw(3, 2)),
        (lambda t: gru(t)[0], draw(3, 2, 2)),
        (lambda t: lstm(t)[0], draw(2, 1, 2)),
        (lambda t: attention(t, t, t)[0], draw(3, 1, 4)),
        (lambda t: F.local_response_norm(t, 3, 0.5), draw(1, 4, 3)),
        (lambda t: F.squash(t), draw(2, 3)),
        (lambda t: F.rms_norm(t, (3,)), draw(2, 3)),
        (lambda t: F.style_loss(t, style), draw(1, 2, 3)),
        (lambda t: F.sigmoid_focal_loss(t, (t.detach() > 0).double()), draw(2, 3)),
        (lambda t: F.cosine_similarity(t[0], t[1], dim=-1), draw(2, 3)),
    ]
    for call, array in checks:
        assert fc.autograd.gradgradcheck(call, [fc.tensor(array).requires_grad_()])
    x, grid = draw(1, 2, 3, 4), np.random.default_rng(2).uniform(-0.9, 0.9, (1, 2, 2, 2))
    assert fc.autograd.gradgradcheck(
        lambda a, g: F.grid_sample(a, g, align_corners=False),
        [fc.tensor(x).requires_grad_(), fc.tensor(grid).requires_grad_()],
    )

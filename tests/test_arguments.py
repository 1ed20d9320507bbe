"""Every argument that may require a gradient gets one, or the function says that it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv.autograd import gradcheck
from fastconv.nn import functional as F

LABELS = [0, 2, 1]


def rand(*shape: int, seed: int = 0, low: float = 0.1) -> Any:
    values = np.random.default_rng((seed, *shape)).random(shape) + low
    return fc.tensor(values, dtype=fc.float64, requires_grad=True)


def labels() -> Any:
    return fc.tensor(LABELS)


def x(seed: int = 0) -> Any:
    return rand(3, 4, seed=seed)


def zero_index() -> Any:
    return fc.zeros(1, 4, dtype=fc.int64)


#: Function, and its arguments, all of which get a gradient.
DIFFERENTIABLE: dict[str, tuple[Any, list[Any]]] = {
    "mse_loss": (F.mse_loss, [x(), x(1)]),
    "l1_loss": (F.l1_loss, [x(), x(1)]),
    "smooth_l1_loss": (F.smooth_l1_loss, [x(), x(1)]),
    "huber_loss": (F.huber_loss, [x(), x(1)]),
    "kl_div": (F.kl_div, [x(), x(1)]),
    "kl_div log": (lambda a, b: F.kl_div(a, b, log_target=True), [x(), x(1)]),
    "cross_entropy": (lambda a: F.cross_entropy(a, labels()), [x()]),
    "cross_entropy soft": (F.cross_entropy, [x(), x(1)]),
    "cross_entropy weighted": (lambda a, b, w: F.cross_entropy(a, b, w), [x(), x(1), rand(4)]),
    "bce": (lambda a, b: F.binary_cross_entropy(a * 0.8, b), [x(), x(1)]),
    "bce weighted": (lambda a, b, w: F.binary_cross_entropy(a * 0.8, b, w), [x(), x(1), x(2)]),
    "bce logits": (F.binary_cross_entropy_with_logits, [x(), x(1)]),
    "bce logits pos_weight": (
        lambda a, b, p: F.binary_cross_entropy_with_logits(a, b, pos_weight=p),
        [x(), x(1), rand(4)],
    ),
    "bce logits all": (
        lambda a, b, w, p: F.binary_cross_entropy_with_logits(a, b, w, pos_weight=p),
        [x(), x(1), x(2), rand(4)],
    ),
    "poisson": (F.poisson_nll_loss, [x(), x(1)]),
    "poisson full": (lambda a, b: F.poisson_nll_loss(a, b * 4, full=True), [x(), x(1)]),
    "poisson plain full": (
        lambda a, b: F.poisson_nll_loss(a, b * 4, log_input=False, full=True), [x(), x(1)]
    ),
    "hinge": (lambda a: F.hinge_embedding_loss(a, fc.tensor([1, -1, 1, -1])), [x()]),
    "lerp": (fc.lerp, [x(), x(1), x(2)]),
    "lerp_": (lambda a, b, w: (a * 1).lerp_(b, w), [x(), x(1), x(2)]),
    "addcmul": (lambda a, b, c: fc.addcmul(a, b, c, value=0.3), [x(), x(1), x(2)]),
    "addcdiv_": (lambda a, b, c: (a * 1).addcdiv_(b, c, value=0.3), [x(), x(1), x(2)]),
    "add alpha": (lambda a, b, v: fc.add(a, b, alpha=v), [x(), x(1), rand()]),
    "clamp": (lambda a, b, c: fc.clamp(a, b, b + c * 0.3), [x(), x(1), x(2)]),
    "clamp broadcast": (lambda a, b: fc.clamp(a, b), [x(), rand(4, seed=1)]),
    "clamp a number and a tensor": (lambda a, b: fc.clamp(a, 0.2, b), [x(), rand()]),
    "clamp_": (lambda a, b: (a * 1).clamp_(max=b), [x(), x(1)]),
    "clamp_min": (lambda a, b: a.clamp_min(b), [x(), x(1)]),
    "where": (lambda a, b: fc.where(a > 0.5, a, b), [x(), rand()]),
    "maximum": (fc.maximum, [x(), x(1)]),
    "pow": (fc.pow, [x(), x(1)]),
    "atan2": (fc.atan2, [x(), x(1)]),
    "meshgrid": (lambda a, b: fc.meshgrid(a, b, indexing="ij"), [rand(3), rand(2)]),
    "meshgrid xy": (
        lambda a, b, c: fc.meshgrid(a, b, c, indexing="xy"), [rand(3), rand(2), rand(4)]
    ),
    "fill_": (lambda a, v: (a * 1).fill_(v) + a, [x(), rand()]),
    "masked_fill": (lambda a, v: a.masked_fill(a > 0.5, v), [x(), rand()]),
    "index_fill": (lambda a, v: a.index_fill(0, fc.tensor([0, 2]), v), [x(), rand()]),
    "index_fill 1": (lambda a, v: a.index_fill(1, fc.tensor([3]), v), [x(), rand()]),
    "index_add": (lambda a, v: a.index_add(0, labels(), v), [x(), x(1)]),
    "index_copy": (lambda a, v: a.index_copy(0, labels(), v) + a, [x(), x(1)]),
    "scatter": (lambda a, v: a.scatter(0, zero_index(), v), [x(), rand(1, 4)]),
    "scatter_add": (lambda a, v: a.scatter_add(0, zero_index(), v), [x(), rand(1, 4)]),
    "prelu": (lambda a, w: F.prelu(a - 0.5, w), [x(), rand(4)]),
    "batch_norm": (
        lambda a, w, b: F.batch_norm(a, None, None, w, b, True), [x(), rand(4), rand(4, seed=1)]
    ),
    "group_norm": (lambda a, w, b: F.group_norm(a, 2, w, b), [x(), rand(4), rand(4, seed=1)]),
    "layer_norm": (lambda a, w, b: F.layer_norm(a, (4,), w, b), [x(), rand(4), rand(4, seed=1)]),
    "group_norm eps": (lambda a: F.group_norm(a, 2, eps=-1e-4), [x()]),
    "normalize": (F.normalize, [x()]),
    "interpolate": (
        lambda a: F.interpolate(a, scale_factor=1.3, mode="linear"), [rand(2, 3, 5)]
    ),
    "vector": (lambda a, b: fc.nn.utils.parameters_to_vector([a, b]), [x(), x(1)]),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_argument_has_its_gradient(name: str) -> None:
    function, arguments = DIFFERENTIABLE[name]
    for a in arguments:
        a.grad = None
    assert gradcheck(function, arguments)
    result = function(*arguments)
    parts = result if isinstance(result, tuple) else (result,)
    sum((p * p).sum() for p in parts).backward()
    assert all(a.grad is not None for a in arguments)


#: Function of a tensor that requires a gradient, which none would reach.
CONSTANT = {
    "cross_entropy weight": (RuntimeError, lambda w: F.cross_entropy(x(), labels(), w)),
    "smoothed weight": (
        RuntimeError, lambda w: F.cross_entropy(x(), labels(), w, label_smoothing=0.1)
    ),
    "nll_loss weight": (RuntimeError, lambda w: F.nll_loss(x(), labels(), w)),
    "running_mean": (RuntimeError, lambda w: F.batch_norm(x(), w, w.detach())),
    "running_var": (RuntimeError, lambda w: F.batch_norm(x(), w.detach(), w, training=True)),
    "instance running_mean": (
        RuntimeError, lambda w: F.instance_norm(rand(2, 4, 5), w, w.detach())
    ),
    "elu alpha": (TypeError, lambda w: F.elu(x(), w[0])),
    "leaky_relu slope": (TypeError, lambda w: F.leaky_relu(x(), w[0])),
    "hardtanh bound": (TypeError, lambda w: F.hardtanh(x(), 0, w[0])),
    "threshold": (TypeError, lambda w: F.threshold(x(), w[0], 1)),
    "softplus beta": (TypeError, lambda w: F.softplus(x(), w[0])),
    "layer_norm eps": (TypeError, lambda w: F.layer_norm(x(), (4,), eps=w[0])),
    "batch_norm eps": (TypeError, lambda w: F.batch_norm(x(), None, None, training=True, eps=w[0])),
    "smooth_l1 beta": (TypeError, lambda w: F.smooth_l1_loss(x(), x(1), beta=w[0])),
    "huber delta": (TypeError, lambda w: F.huber_loss(x(), x(1), delta=w[0])),
    "label_smoothing": (TypeError, lambda w: F.cross_entropy(x(), labels(), label_smoothing=w[0])),
    "hinge margin": (TypeError, lambda w: F.hinge_embedding_loss(x(), labels(), margin=w[0])),
    "lp_pool order": (TypeError, lambda w: F.lp_pool1d(rand(1, 2, 4), w[0], 2)),
    "local_response k": (TypeError, lambda w: F.local_response_norm(rand(1, 2, 4), 2, k=w[0])),
    "dropout p": (TypeError, lambda w: F.dropout(x(), w[0])),
    "pad value": (TypeError, lambda w: F.pad(x(), (1, 1), value=w[0])),
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTANT)
def test_what_cannot_require_a_gradient_says_so(name: str) -> None:
    error, function = CONSTANT[name]
    w = rand(4)
    with pytest.raises(error, match="require"):
        function(w)
    if error is RuntimeError:
        function(w.detach())
        with fc.no_grad():
            function(w)


@pytest.mark.torch
def test_stirling_as_pytorch() -> None:
    torch = pytest.importorskip("torch")
    values = np.array([0.3, 1.0, 1.5, 2.0, 30.0])
    found = []
    for lib in (torch, fc):
        t = lib.tensor(values, requires_grad=True)
        a = lib.tensor(values / 7, requires_grad=True)
        loss = lib.nn.functional.poisson_nll_loss(a, t, full=True)
        loss.backward()
        found.append((loss.item(), t.grad.numpy(), a.grad.numpy()))
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)

"""Gradients of gradients: every operation that has them, against differences in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import linalg, nn
from fastconv.autograd import grad, gradgradcheck


def real(*shape: int, seed: int = 0, low: float | None = None) -> Any:
    """Random numbers that require a gradient; from `low` up to `low` + 1, or normal ones."""
    rng = np.random.default_rng(seed + sum(shape))
    a = rng.standard_normal(shape) if low is None else low + rng.random(shape)
    return fc.tensor(a, requires_grad=True)


def apart(*shape: int) -> Any:
    """Numbers of which no two are near one another, nor zero: no kink within a difference."""
    n = int(np.prod(shape))
    a = np.random.default_rng(n).permutation(n) - n // 2 + 0.37
    return fc.tensor(a.reshape(shape) * 0.2, requires_grad=True)


def square(*shape: int) -> Any:
    """Well-conditioned square matrices, batches in front."""
    *batch, n = shape
    a = np.random.default_rng(n).standard_normal((*batch, n, n)) * 0.5 + 2 * np.eye(n)
    return fc.tensor(a + np.diag(np.arange(n)), requires_grad=True)


def factors(u: Any, s: Any, vh: Any) -> Any:
    """All three factors, each used so that its own gradient counts."""
    return fc.cat([u * u * u, s.unsqueeze(0), vh.exp()])


def abs_squared(z: Any) -> Any:
    return z.real * z.real + z.imag * z.imag * z.real


x4, x3, x5 = (2, 4, 5, 6), (2, 4, 9), (1, 2, 4, 5, 4)
i64 = fc.tensor([[2, 0, 1], [1, 1, 0]])

CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    # convolution
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, 2, 3, 2), (real(*x3), real(3, 4, 3), real(3))),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, 1, 1), (real(*x4), real(3, 4, 3, 3), real(3))),
    "conv2d strided": (
        lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 2), (1, 2), 2),
        (real(*x4), real(6, 2, 3, 2), real(6)),
    ),
    "conv2d depthwise": (
        lambda x, w: F.conv2d(x, w, None, 2, 1, 1, 4),
        (real(*x4), real(8, 1, 3, 3)),
    ),
    "conv2d 1x1": (lambda x, w: F.conv2d(x, w, None, 2), (real(*x4), real(5, 4, 1, 1))),
    "conv2d unbatched": (
        lambda x, w, b: F.conv2d(x, w, b),
        (real(4, 5, 6), real(3, 4, 3, 3), real(3)),
    ),
    "conv3d": (lambda x, w: F.conv3d(x, w, padding=1), (real(*x5), real(3, 2, 2, 3, 3))),
    "conv_transpose1d": (
        lambda x, w, b: F.conv_transpose1d(x, w, b, 3, 1, 1),
        (real(*x3), real(4, 2, 4), real(2)),
    ),
    "conv_transpose2d": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2),
        (real(1, 4, 3, 4), real(4, 3, 3, 3), real(6)),
    ),
    "conv_transpose2d unbatched": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        (real(4, 3, 3), real(4, 2, 2, 3)),
    ),
    "conv_transpose3d": (
        lambda x, w: F.conv_transpose3d(x, w, stride=2),
        (real(1, 2, 2, 2, 3), real(2, 2, 2, 2, 2)),
    ),
    "one tensor as input and weight": (lambda x: F.conv2d(x, x), (real(3, 3, 2, 2),)),
    # fully connected and matrices
    "linear": (F.linear, (real(5, 4), real(3, 4), real(3))),
    "linear 3-D": (F.linear, (real(2, 5, 4), real(3, 4), real(3))),
    "linear 1-D": (F.linear, (real(4), real(3, 4))),
    "matmul": (fc.matmul, (real(2, 3, 4), real(4, 5))),
    "matmul batched": (fc.matmul, (real(2, 1, 3, 4), real(3, 4, 2))),
    "matmul vectors": (fc.matmul, (real(4), real(4, seed=1))),
    "matmul vector, matrices": (fc.matmul, (real(4), real(3, 4, 2))),
    "matmul matrices, vector": (fc.matmul, (real(3, 2, 4), real(4))),
    "einsum": (lambda a, b: fc.einsum("bij,bkj->bik", a, b), (real(2, 3, 4), real(2, 2, 4))),
    "tril": (fc.tril, (real(3, 4),)),
    "diagonal": (fc.diagonal, (real(3, 4),)),
    "diag": (fc.diag, (real(3),)),
    # pooling
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, 2, 1), (apart(*x3),)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, 1), (apart(*x4),)),
    "max_pool2d dilated": (lambda x: F.max_pool2d(x, 2, 1, 1, 2), (apart(*x4),)),
    "max_pool2d unbatched": (lambda x: F.max_pool2d(x, 2), (apart(4, 5, 6),)),
    "max_pool2d with indices": (
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
        (apart(*x4),),
    ),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2), (apart(*x5),)),
    "max_pool2d, wide window": (lambda x: F.max_pool2d(x, 17), (apart(1, 2, 18, 18),)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (2, 3)), (apart(*x4),)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), (real(*x4),)),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3), (real(*x3),)),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2), (real(*x5),)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 2), (real(*x4),)),
    "lp_pool2d": (lambda x: F.lp_pool2d(x, 3, 2), (real(*x4, low=0.5),)),
    "max_unpool2d": (
        lambda x: F.max_unpool2d(x, fc.tensor([[[[0, 5], [10, 15]]]]), 2),
        (real(1, 1, 2, 2),),
    ),
    "interpolate": (
        lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear"),
        (real(1, 2, 3, 4),),
    ),
    "interpolate nearest": (lambda x: F.interpolate(x, size=5), (real(1, 2, 3),)),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), (real(*x4),)),
    # normalisation
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        (real(*x4), real(4), real(4)),
    ),
    "batch_norm 2-D": (lambda x: F.batch_norm(x, None, None, training=True), (real(6, 3),)),
    "batch_norm evaluated": (
        lambda x, w, b: F.batch_norm(
            x, fc.zeros(4, dtype=fc.float64) + 0.3, fc.ones(4, dtype=fc.float64) * 2, w, b
        ),
        (real(*x4), real(4), real(4)),
    ),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (real(*x4), real(4), real(4))),
    "instance_norm": (lambda x, w: F.instance_norm(x, weight=w), (real(*x4), real(4))),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (6,), w, b), (real(2, 3, 6), real(6), real(6))),
    "layer_norm 2 axes": (lambda x: F.layer_norm(x, (5, 6)), (real(2, 2, 5, 6),)),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.5, 0.7, 2), (real(*x4),)),
    # activations
    **{
        name: (getattr(F, name), (apart(3, 5),))
        for name in (
            "relu",
            "relu6",
            "leaky_relu",
            "elu",
            "selu",
            "celu",
            "silu",
            "gelu",
            "mish",
            "softplus",
            "hardtanh",
            "hardswish",
            "hardsigmoid",
            "logsigmoid",
            "tanhshrink",
            "softsign",
            "tanh",
            "sigmoid",
        )
    },
    "leaky_relu, negative slope": (lambda x: F.leaky_relu(x, -0.3), (apart(3, 5),)),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), (apart(3, 5),)),
    "threshold": (lambda x: F.threshold(x, 0.1, 3.0), (apart(3, 5),)),
    "prelu": (F.prelu, (apart(2, 3, 4), real(3))),
    "prelu one": (F.prelu, (apart(2, 3, 4), real(1))),
    "glu": (lambda x: F.glu(x, 1), (real(3, 4),)),
    "softmax": (lambda x: F.softmax(x, 1), (real(2, 3, 4),)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), (real(2, 3, 4),)),
    # elementwise
    "add": (fc.add, (real(3, 4), real(4))),
    "sub": (fc.sub, (real(3, 1), real(4))),
    "mul": (fc.mul, (real(3, 1), real(4))),
    "div": (fc.div, (real(3, 1), real(4, low=0.5))),
    "pow": (fc.pow, (real(3, 1, low=0.5), real(4))),
    "pow number": (lambda x: x**3, (real(3, 4),)),
    "pow base": (lambda x: 2.0**x, (real(3, 4),)),
    "maximum": (fc.maximum, (apart(3, 4), fc.tensor(0.1, dtype=fc.float64, requires_grad=True))),
    "minimum": (fc.minimum, (apart(3, 4), fc.tensor(0.1, dtype=fc.float64, requires_grad=True))),
    "atan2": (fc.atan2, (real(3, low=1), real(3, low=2))),
    "where": (lambda a, b: fc.where(a > 0, a * b, b), (apart(3, 4), real(4))),
    "clamp": (lambda x: fc.clamp(x, -0.5, 0.9), (apart(3, 4),)),
    "masked_fill": (lambda x: x.masked_fill(x > 0, 2.0) * x, (apart(3, 4),)),
    "lerp": (fc.lerp, (real(3), real(3, seed=1), real(3, seed=2))),
    **{
        name: (getattr(fc, name), (real(3, 4, low=0.1),))
        for name in (
            "neg",
            "abs",
            "exp",
            "exp2",
            "expm1",
            "log",
            "log2",
            "log10",
            "log1p",
            "sqrt",
            "rsqrt",
            "square",
            "reciprocal",
            "sin",
            "cos",
            "tan",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "sigmoid",
            "erf",
            "erfc",
            "floor",
            "round",
            "sign",
        )
    },
    "asin": (lambda x: fc.asin(x * 0.5), (real(3, low=0.1),)),
    "acos": (lambda x: fc.acos(x * 0.5), (real(3, low=0.1),)),
    # reductions
    "sum": (lambda x: x.sum(1), (real(2, 3, 4),)),
    "sum all": (lambda x: x.sum(), (real(2, 3),)),
    "mean": (lambda x: x.mean((0, 2), keepdim=True), (real(2, 3, 4),)),
    "prod": (lambda x: x.prod(1), (real(3, 4, low=0.5),)),
    "var": (lambda x: x.var(1), (real(3, 4),)),
    "std": (lambda x: x.std((0, 2), keepdim=True), (real(3, 2, 4),)),
    "amax": (lambda x: x.amax(1), (apart(3, 4),)),
    "max": (lambda x: x.max(1)[0], (apart(3, 4),)),
    "logsumexp": (lambda x: fc.logsumexp(x, 1), (real(3, 4),)),
    "logsumexp keepdim": (lambda x: fc.logsumexp(x, (0, 1), True), (real(3, 4),)),
    "norm": (lambda x: x.norm(dim=1), (real(3, 4),)),
    "norm all": (lambda x: x.norm(), (real(3, 4),)),
    "norm 3": (lambda x: x.norm(3), (real(3, 4),)),
    "cumsum": (lambda x: x.cumsum(1), (real(3, 4),)),
    "cumprod": (lambda x: x.cumprod(1), (real(2, 3, low=0.5),)),
    # shapes and indexing
    "reshape": (lambda x: x.reshape(6, -1) * x.reshape(6, -1), (real(3, 4),)),
    "permute": (lambda x: x.permute(2, 0, 1), (real(2, 3, 4),)),
    "expand": (lambda x: x.expand(2, 3, 4), (real(3, 1),)),
    "flip": (lambda x: fc.flip(x, 1), (real(2, 3),)),
    "roll": (lambda x: fc.roll(x, 1, 1), (real(2, 3),)),
    "repeat": (lambda x: x.repeat(2, 2), (real(2, 3),)),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), (real(2, 3),)),
    "cat": (lambda a, b: fc.cat([a, b], 1), (real(2, 3), real(2, 2))),
    "stack": (lambda a, b: fc.stack([a, b], 1), (real(2, 3), real(2, 3, seed=1))),
    "slice": (lambda x: x[1:, ::2], (real(3, 4),)),
    "index": (lambda x: x[:, [0, 2, 0]], (real(3, 4),)),
    "gather": (lambda x: x.gather(1, i64), (real(2, 4),)),
    "scatter": (
        lambda x, s: x.scatter(1, fc.tensor([[0, 2], [1, 0]]), s),
        (real(2, 4), real(2, 2)),
    ),
    "scatter_add": (lambda x, s: x.scatter_add(1, i64, s), (real(2, 4), real(2, 3))),
    "unfold": (lambda x: x.unfold(1, 3, 2), (real(2, 7),)),
    "pad": (lambda x: F.pad(x, (1, 2)), (real(2, 3, 4),)),
    "pad reflect": (lambda x: F.pad(x, (1, 2), mode="reflect"), (real(2, 3, 4),)),
    "pad replicate": (lambda x: F.pad(x, (1, 2), mode="replicate"), (real(2, 3, 4),)),
    "pad circular": (lambda x: F.pad(x, (1, 2), mode="circular"), (real(2, 3, 4),)),
    # losses
    **{
        name: (getattr(F, name), (apart(3, 4), real(3, 4)))
        for name in (
            "mse_loss",
            "l1_loss",
            "smooth_l1_loss",
            "huber_loss",
        )
    },
    "binary_cross_entropy": (
        F.binary_cross_entropy,
        (real(3, 4, low=0.0), real(3, 4, low=0.0, seed=1)),
    ),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits,
        (real(3, 4), real(3, 4, low=0.0)),
    ),
    "kl_div": (
        lambda x, t: F.kl_div(x, t, reduction="batchmean"),
        (real(3, 4), real(3, 4, low=0.1)),
    ),
    "cross_entropy": (lambda x: F.cross_entropy(x, fc.tensor([1, 0, 3])), (real(3, 4),)),
    "cross_entropy weighted": (
        lambda x: F.cross_entropy(
            x,
            fc.tensor([[1, 0], [2, 1]]),
            fc.tensor([0.5, 2.0, 1.0], dtype=fc.float64),
            ignore_index=0,
        ),
        (real(2, 3, 2),),
    ),
    "cross_entropy smoothed": (
        lambda x: F.cross_entropy(x, fc.tensor([1, 0, 3]), label_smoothing=0.2, reduction="sum"),
        (real(3, 4),),
    ),
    "cross_entropy of each": (
        lambda x: F.cross_entropy(x, fc.tensor([1, 0, 3]), reduction="none"),
        (real(3, 4),),
    ),
    "nll_loss": (lambda x: F.nll_loss(x, fc.tensor([1, 0, 3])), (real(3, 4),)),
    # matrices
    "inv": (lambda a: linalg.inv(a), (square(3),)),
    "inv batched": (lambda a: linalg.inv(a), (square(2, 3),)),
    "solve": (linalg.solve, (square(3), real(3, 2))),
    "solve vector": (linalg.solve, (square(3), real(3))),
    "solve broadcast": (linalg.solve, (square(3), real(2, 3, 2))),
    "det": (linalg.det, (square(3),)),
    "det batched": (linalg.det, (square(2, 3),)),
    "det 1x1": (linalg.det, (square(1),)),
    "slogdet": (lambda a: linalg.slogdet(a).logabsdet, (square(2, 3),)),
    "logdet": (lambda a: linalg.logdet(a @ a.mT), (square(3),)),
    "cholesky": (lambda a: linalg.cholesky(a @ a.mT), (square(2, 3),)),
    "eigh values": (lambda a: linalg.eigvalsh(a + a.mT), (square(2, 3),)),
    "eigh vectors": (lambda a: linalg.eigh(a + a.mT).eigenvectors, (square(3),)),
    "svd values": (linalg.svdvals, (real(2, 3, 4),)),
    "svd of a tall matrix": (
        lambda a: factors(*linalg.svd(a, full_matrices=False)),
        (real(4, 2),),
    ),
    "svd of a wide matrix": (lambda a: linalg.svd(a, full_matrices=False).Vh, (real(2, 4),)),
    "pinv": (linalg.pinv, (real(4, 2),)),
    "lstsq": (lambda a, b: linalg.lstsq(a, b).solution, (real(4, 2), real(4, 3))),
    "qr": (lambda a: linalg.qr(a).Q, (real(4, 2),)),
    "qr batched": (lambda a: linalg.qr(a).R, (square(2, 3),)),
    "matrix_power": (lambda a: linalg.matrix_power(a, -2), (square(3),)),
    # transforms
    **{
        f"fft {norm}": (lambda x, norm=norm: abs_squared(fc.fft.fft(x, norm=norm)), (real(2, 5),))
        for norm in ("backward", "forward", "ortho")
    },
    "ifft2": (lambda x: abs_squared(fc.fft.ifft2(x, norm="forward")), (real(3, 4),)),
    "rfft": (lambda x: fc.fft.irfft(fc.fft.rfft(x) * fc.fft.rfft(x), 6), (real(2, 6),)),
    # elements that few use
    "asinh": (fc.asinh, (real(3),)),
    "acosh": (fc.acosh, (real(3, low=1.5),)),
    "atanh": (lambda x: fc.atanh(x * 0.5), (real(3, low=0.1),)),
    "hypot": (fc.hypot, (real(3, 1), real(4, low=0.5))),
    "logaddexp": (fc.logaddexp, (real(3, 1), real(4))),
}


@pytest.mark.parametrize("name", CASES)
def test_second_gradient(name: str) -> None:
    function, inputs = CASES[name]
    assert gradgradcheck(lambda *a: function(*a), inputs, fast_mode=True, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_first_gradient_with_a_graph_is_the_gradient_without(name: str) -> None:
    function, inputs = CASES[name]
    out = function(*inputs)
    g = fc.tensor(np.random.default_rng(1).standard_normal(out._array.shape))
    plain = grad(out, inputs, g, retain_graph=True, allow_unused=True)
    differentiable = grad(out, inputs, g, create_graph=True, allow_unused=True)
    for a, b in zip(plain, differentiable, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(b.detach().numpy(), a.numpy(), rtol=1e-9, atol=1e-12)


# --- networks and the graph ---


def penalty(network: Any, x: Any, create_graph: bool = True) -> Any:
    """The squared norm of the gradient of a network's sum by its input."""
    (g,) = grad(network(x).sum(), x, create_graph=create_graph)
    return g.square().sum()


def parameters_checked(network: Any, x: Any, rtol: float = 1e-5) -> None:
    """Gradients of the penalty by every parameter against differences along one direction."""
    for p in network.parameters():
        p.grad = None
    penalty(network, x).backward()
    rng = np.random.default_rng(3)
    for name, p in network.named_parameters():
        before = p.detach().clone()
        u = fc.tensor(rng.standard_normal(tuple(p.shape)))
        values = []
        for step in (1e-6, -1e-6):
            with fc.no_grad():
                p.copy_(before + step * u)
            values.append(float(penalty(network, x)))
        with fc.no_grad():
            p.copy_(before)
        found = 0.0 if p.grad is None else float((p.grad * u).sum())
        expected = (values[0] - values[1]) / 2e-6
        assert abs(found - expected) <= 1e-4 + rtol * abs(expected), name


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_residual_network(fused: bool, training: bool) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            y = self.relu(self.norm1(self.conv1(x)))
            return self.relu(self.norm2(self.conv2(y)) + x)

    fc.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), Block(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1),
        nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.Tanh(),
    ).double().train(training)  # fmt: skip
    with fc.fusion(fused):
        parameters_checked(network, fc.randn(3, 3, 8, 8, dtype=fc.float64, requires_grad=True))


def test_a_result_that_was_joined_and_is_needed_by_itself() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

        def forward(self, x: Any) -> Any:
            y = self.norm(self.conv(x))
            z = self.conv(x)
            return F.relu(y) * y + (F.relu(z) + z) * z

    fc.manual_seed(0)
    x = fc.randn(2, 2, 5, 5, dtype=fc.float64, requires_grad=True)
    parameters_checked(Twice().double(), x)


def test_a_generator() -> None:
    fc.manual_seed(1)
    network = nn.Sequential(
        nn.ConvTranspose2d(5, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 2, 4, 2, 1),
        nn.Sigmoid(),
    ).double()
    parameters_checked(network, fc.randn(2, 5, 1, 1, dtype=fc.float64, requires_grad=True))


def test_changes_in_place_and_of_views() -> None:
    def function(x: Any, b: Any) -> Any:
        y = x * 2
        y[:, 1:3].mul_(b)
        y[0] = b[0] ** 2
        y.relu_()
        return (y * y).transpose(0, 1)

    assert gradgradcheck(function, (apart(3, 4), real(2, low=0.5)))


def test_a_third_gradient() -> None:
    x = fc.tensor([0.7, -1.1], dtype=fc.float64, requires_grad=True)
    g = x.sin().sum()
    for expected in (np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v)):
        (g,) = grad(g.sum(), x, create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), expected(np.array([0.7, -1.1])))


def test_a_convolution_thrice() -> None:
    x, w = real(1, 2, 4, 4), real(2, 2, 3, 3)
    y = F.conv2d(F.conv2d(x, w, padding=1) ** 3, w)
    (g,) = grad(y.sum(), x, create_graph=True)
    (h,) = grad(g.square().sum(), x, create_graph=True)
    assert gradgradcheck(lambda x, w: F.conv2d(F.conv2d(x, w, padding=1) ** 3, w), (x, w))
    (k,) = grad(h.square().sum(), w)
    assert np.isfinite(k.numpy()).all() and k.abs().max() > 0


def test_backward_hooks_of_modules() -> None:
    layer = nn.Linear(3, 2).double()
    layer.register_full_backward_hook(lambda m, grad_in, grad_out: (grad_in[0] * 2,))
    x = real(4, 3)
    (g,) = grad((layer(x) ** 2).sum(), x, create_graph=True)
    (h,) = grad(g.square().sum(), layer.weight)
    assert h.shape == (2, 3)
    w = layer.weight.detach().numpy()
    y = layer(x).detach().numpy()
    np.testing.assert_allclose(g.detach().numpy(), 4 * y @ w)


def test_a_users_function() -> None:
    class Cube(fc.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    class Exponential(fc.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return ctx.saved_tensors[0] * g

    assert gradgradcheck(lambda x: Exponential.apply(Cube.apply(x * 2)), (real(3),))


def test_once_differentiable() -> None:
    class Double(fc.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        @fc.autograd.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = real(3)
    (g,) = grad((Double.apply(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_gradients_have_a_graph_in_leaves() -> None:
    x = fc.tensor([2.0], requires_grad=True)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    np.testing.assert_allclose(x.grad.detach().numpy(), [12.0])
    (second,) = grad(x.grad, x)
    np.testing.assert_allclose(second.numpy(), [12.0])


def test_hooks_see_tensors_with_a_graph() -> None:
    x = fc.tensor([2.0], requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: g * x)
    (g,) = grad((y**2).sum(), x, create_graph=True)
    # g = 2y · x · 3: 36x by y and x themselves; the hook sees what comes by way of y once more
    (h,) = grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), [6 * 6.0 + 6 * 2.0 * 2.0 * 3.0])


def test_the_step_of_meta_learning() -> None:
    """The outer gradient through one inner step of gradient descent, against differences."""

    def outer(w: Any) -> Any:
        x, t = fc.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=fc.float64), fc.tensor([[1.0], [0.5]])
        inner = F.mse_loss(fc.tanh(F.linear(x, w)), t.double())
        (g,) = grad(inner, w, create_graph=True)
        fast = w - 0.1 * g
        return F.mse_loss(fc.tanh(F.linear(x, fast)), t.double())

    assert fc.autograd.gradcheck(outer, (real(1, 2),))


def test_a_checkpoint() -> None:
    assert gradgradcheck(lambda x: fc.checkpoint(lambda t: t.exp() * t.sin(), x * x), (real(3),))


def test_an_operation_without_is_named() -> None:
    class Halve(fc.autograd.Op):
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            return a / 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g / 2

    x = real(2, 3)
    y = Halve.apply(x * 2).sum()
    with pytest.raises(NotImplementedError, match=r"Halve.*create_graph=True.*not implemented"):
        grad(y, x, create_graph=True)
    assert grad(y, x)[0].shape == (2, 3)


def test_a_singular_matrix_is_named() -> None:
    a = fc.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    for function, name in ((linalg.det, "Det"), (lambda t: linalg.slogdet(t)[1], "SlogDet")):
        if name == "Det":
            assert np.allclose(grad(function(a), a)[0].numpy(), [[4, -2], [-2, 1]])
        with pytest.raises(RuntimeError, match=rf"{name}: .*create_graph=True.*\(2, 2\)"):
            grad(function(a), a, create_graph=True)


def operations(kind: Any = fc.autograd.Op) -> list[Any]:
    """Every operation of the package."""
    found = [kind] if kind.__module__.startswith("fastconv.") else []
    return found + [k for part in kind.__subclasses__() for k in operations(part)]


def test_every_operation_has_a_rule() -> None:
    from fastconv.functions import second

    bases = {
        "Op",
        "Function",
        "Joined",
        "Binary",
        "Unary",
        "_Step",
        "ClassLoss",
        "PointwiseLoss",
        "_Once",
    }
    without = {
        kind.__name__
        for kind in operations()
        if not any(k in second.RULES for k in kind.__mro__)
        and not hasattr(kind, "run_differentiable")
        and kind.__name__ not in bases
    }
    assert without == set()


def test_a_gradient_that_does_not_depend_is_zero_through_a_relu() -> None:
    x = apart(3, 4)
    (g,) = grad((x.relu() * 2).sum(), x, create_graph=True)
    (h,) = grad(g.sum(), x)
    assert not h.any()


def test_only_inputs() -> None:
    x = real(2)
    assert grad((x * x).sum(), x, only_inputs=True)[0].shape == (2,)
    with pytest.raises(ValueError, match="only_inputs"):
        grad((x * x).sum(), x, only_inputs=False)


@pytest.mark.torch
def test_the_penalty_of_a_critic_as_in_torch() -> None:
    torch = pytest.importorskip("torch")

    def critic(lib: Any) -> Any:
        return lib.nn.Sequential(
            lib.nn.Conv2d(2, 6, 4, 2, 1), lib.nn.LeakyReLU(0.2), lib.nn.Conv2d(6, 8, 4, 2, 1),
            lib.nn.InstanceNorm2d(8, affine=True), lib.nn.LeakyReLU(0.2), lib.nn.Flatten(),
            lib.nn.Linear(32, 1),
        ).double()  # fmt: skip

    ours, theirs = critic(fc), critic(torch)
    ours.load_state_dict({k: fc.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    data = np.random.default_rng(0).standard_normal((4, 2, 8, 8))
    for lib, network in ((fc, ours), (torch, theirs)):
        x = lib.tensor(data, requires_grad=True)
        score = network(x)
        (g,) = lib.autograd.grad(score, x, lib.ones_like(score), create_graph=True)
        norm = (g.reshape(4, -1).square().sum(1) + 1e-12).sqrt()
        (((norm - 1) ** 2).mean() * 10 + score.mean()).backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8, atol=1e-10)

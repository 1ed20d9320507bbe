"""Calls made ready: the bits of the kernels called one by one, whatever changes between calls."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
from shapes import AWKWARD, POOLS, Pool, Shape

import fastconv
import fastconv.nn.functional as F
from fastconv import backends, packed, planner
from fastconv.functions.kept import kept
from fastconv.memory import empty
from fastconv.ops import conv, pool
from fastconv.spec import conv_spec

pytestmark = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C backend")


def values(shape: tuple[int, ...], dtype: Any, last: bool) -> Any:
    a = empty(shape, dtype, last)
    a[...] = np.random.default_rng(0).standard_normal(shape)
    return a


def user(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return shape[:2] + shape[-ndim:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda t: t.__name__)
@pytest.mark.parametrize("shape", AWKWARD, ids=lambda s: s.name)
def test_convolution(shape: Shape, dtype: Any) -> None:
    spec = shape.spec()
    nd, kind = spec.ndim, np.dtype(dtype)
    x_shape, w_shape, y_shape = spec.shapes[nd + 2]
    w, b = values(w_shape, dtype, False), values((spec.out_channels,), dtype, False)
    residual = values(y_shape, dtype, True)
    coef = values((3, spec.out_channels), dtype, False)
    for c in planner.candidates("conv_forward", "c"):
        function = planner.find("c", "conv_forward", c.algorithm)
        if c.decline(spec):
            continue
        call = function.prepare(spec, kind, nd + 2)
        for last in (True, False):
            x = values(x_shape, dtype, last)
            for finish in (None, (0.0, 6.0, None, None), (0.1, math.inf, residual, coef)):
                want = empty(y_shape, dtype, True)
                function(spec, x, w, b, want, finish=finish)
                np.testing.assert_array_equal(call(x, w, b, None, finish), want)
                t = fastconv.from_numpy(w).clone()
                for _ in range(2):  # packed now, and kept
                    found = call(x, t._array, b, None, finish, kept(t))
                    assert found.dtype == kind
                    want = empty(y_shape, dtype, True)
                    function(spec, x, t._array, b, want, finish=finish, packed=kept(t))
                    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("shape", POOLS, ids=lambda s: s.name)
def test_pooling(shape: Pool) -> None:
    spec = shape.spec()
    for rank in (5, spec.ndim + 2):
        x_shape, y_shape = spec.shapes[rank]
        for last in (True, False):
            x = values(x_shape, np.float32, last)
            y, taps = pool.max_train(spec, x, True)
            assert taps is not None
            again, none = pool.max_train(spec, x, False)
            assert none is None
            average = pool.avg_forward(spec, x)
            with fastconv.backend("naive"):
                np.testing.assert_array_equal(y, pool.max_train(spec, x, False)[0])
                np.testing.assert_allclose(average, pool.avg_forward(spec, x), 1e-5, 1e-6)
            np.testing.assert_array_equal(y, again)
            assert y.shape == average.shape == y_shape


@pytest.mark.parametrize("rows", [1, 2, 16, 17, 64])
def test_linear(rows: int) -> None:
    w, b = fastconv.randint(-3, 4, (70, 600)).float(), fastconv.randint(-3, 4, (70,)).float()
    for shape in ((rows, 600), (1, rows, 600)):
        x = fastconv.randint(-3, 4, shape).float()
        want = x._array @ w._array.T + b._array
        for images in (x, x.t().contiguous().t() if len(shape) == 2 else x):
            for gradient in (True, False):
                with fastconv.set_grad_enabled(gradient):
                    np.testing.assert_array_equal(F.linear(images, w, b)._array, want)
                    np.testing.assert_array_equal(F.linear(images, w)._array, x._array @ w._array.T)


# ---------------------------------------------------------------- what changes between calls


def layer(algorithm: str | None = None) -> tuple[Any, Any, Any]:
    x = fastconv.randint(-3, 4, (2, 24, 9, 9)).float()
    w, b = fastconv.randint(-3, 4, (40, 24, 3, 3)).float(), fastconv.randint(-3, 4, (40,)).float()
    return x, w, b


def check(x: Any, w: Any, b: Any) -> None:
    """Kept or not, the exact sums."""
    with fastconv.no_grad(), fastconv.algorithm("gemm"):
        found = [F.conv2d(x, w, b)._array for _ in range(3)]
    with fastconv.backend("naive"):
        want = F.conv2d(x, w, b)._array
    for y in found:
        np.testing.assert_array_equal(y, want)


def test_weight_and_bias_change() -> None:
    x, w, b = layer()
    check(x, w, b)
    w.mul_(2)
    check(x, w, b)
    b.add_(1)
    check(x, w, b)
    b.data = fastconv.randint(-3, 4, (40,)).float()
    check(x, w, b)
    w.data = fastconv.randint(-3, 4, (40, 24, 3, 3)).float()
    check(x, w, b)
    check(x, w, fastconv.randint(-3, 4, (40,)).float())
    check(x, w, None)
    strided = fastconv.randint(-3, 4, (40, 2)).float()[:, 0]
    check(x, w, strided)
    strided.add_(3)
    check(x, w, strided)
    check(x, w, b)
    fastconv.empty_cache()
    assert packed.total() == 0
    check(x, w, b)


def test_switches_change() -> None:
    c = backends.load("c")
    x, w, b = layer()
    before, threads = c.get_isa(), fastconv.get_num_threads()
    try:
        for isa, able in c.isas().items():
            if able:
                c.set_isa(isa)
                for count in (1, 2):
                    fastconv.set_num_threads(count)
                    check(x, w, b)
    finally:
        c.set_isa(before)
        fastconv.set_num_threads(threads)
    for algorithm in (None, "direct", "winograd"):
        with fastconv.no_grad(), fastconv.algorithm(algorithm):
            names = [e.name for e in _profile(lambda: F.conv2d(x, w, b))]
    assert names == ["Convolution"]


def _profile(run: Any) -> Any:
    with fastconv.profile() as p:
        run()
    return p.events()


def test_no_graph_is_watched() -> None:
    x, w, b = layer()
    with fastconv.no_grad():
        for run, name in (
            (lambda: F.conv2d(x, w, b), "Convolution"),
            (lambda: F.max_pool2d(x, 2), "MaxPoolOnly"),
            (lambda: F.linear(x, fastconv.ones(3, 9)), "LinearOp"),
        ):
            run()
            assert [e.name for e in _profile(run)] == [name]


def test_many_sizes() -> None:
    """What a weight remembers stays bounded, and is that of the size."""
    _, w, b = layer()
    with fastconv.no_grad(), fastconv.algorithm("gemm"):
        for size in (*range(3, 3 + 2 * packed.MOST_OPERANDS), 5, 3):
            x = fastconv.ones(1, 24, size, 3)
            assert F.conv2d(x, w, b).shape == (1, 40, size - 2, 1)
            np.testing.assert_array_equal(
                F.conv2d(x, w, b)._array[0, :, 0, 0], w._array.sum((1, 2, 3)) + b._array
            )
    place = kept(w)
    assert place is not None
    assert 0 < len(place.operands) <= packed.MOST_OPERANDS


def test_two_threads() -> None:
    x, w, b = layer()
    with fastconv.backend("naive"):
        want = F.conv2d(x, w, b)._array
    wrong = []

    def work() -> None:
        with fastconv.no_grad(), fastconv.algorithm("gemm"):
            for i in range(200):
                if i % 20 == 0:
                    fastconv.empty_cache()
                if not np.array_equal(F.conv2d(x, w, b)._array, want):
                    wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_errors() -> None:
    spec = conv_spec((1, 2, 5, 5), (3, 2, 3, 3))
    x, w, b = (np.zeros(s, np.float32) for s in ((1, 2, 5, 5), (3, 2, 3, 3), (3,)))
    call = conv.ready("conv_forward", spec, x.dtype, 4)
    assert call is not None
    assert call(x, w, b).shape == (1, 3, 3, 3)
    with pytest.raises(ValueError, match=r"x must have shape \(1, 2, 5, 5\)"):
        call(x[:, :, 1:], w, b)
    with pytest.raises(ValueError, match="w must have shape"):
        call(x, w[:2], b)
    with pytest.raises(ValueError, match="bias must have shape"):
        call(x, w, b[:2])
    with pytest.raises(ValueError, match="residual must have shape"):
        call(x, w, b, None, (1.0, math.inf, x, None))
    for wrong in ((x.astype(float), w, b), (x, w.astype(float), b), (x, w, b.astype(float))):
        with pytest.raises(TypeError, match="must be float32"):
            call(*wrong)


@pytest.mark.parametrize("shape", AWKWARD, ids=lambda s: s.name)
@pytest.mark.parametrize("kind", [np.float32, np.float64], ids=["float32", "float64"])
def test_backward(shape: Shape, kind: Any) -> None:
    """Calls that are made ready give what the kernels give, whatever the formats."""
    spec = shape.spec()
    rank = spec.ndim + 2
    x_shape, w_shape, y_shape = spec.shapes[rank]
    w = values(w_shape, kind, False)
    for op in ("conv_backward_input", "conv_backward_weight"):
        for c in planner.candidates(op, "c"):
            function = planner.find("c", op, c.algorithm)
            if c.decline(spec):
                continue
            call = function.prepare(spec, np.dtype(kind), rank)
            for last in (True, False):
                g, x = values(y_shape, kind, last), values(x_shape, kind, last)
                other, shape_out = (x, w_shape) if op.endswith("weight") else (w, x_shape)
                want = empty(shape_out, kind, shape_out is x_shape)
                function(spec, g, other, want)
                found = call(g, other)
                assert found.dtype == kind and found.strides == want.strides
                np.testing.assert_array_equal(found, want)
                with pytest.raises(ValueError, match="must have shape"):
                    call(g[..., :0], other)


def test_normalization() -> None:
    """Formats that differ, strided parameters: the long way gives the same."""
    for shape in ((4, 6, 5, 5), (3, 8, 7), (2, 3, 4, 4, 4)):
        x = fastconv.randn(*shape)
        last = x.transpose(1, -1).contiguous().transpose(1, -1)
        strided = fastconv.rand(shape[1], 2)[:, 0]
        results = []
        for kind, images in ((strided, x), (strided.contiguous(), x), (strided, last)):
            images = images.detach().clone() if images is x else images.detach()
            images.requires_grad_()
            weight = kind.detach().requires_grad_()
            mean, var = fastconv.zeros(shape[1]), fastconv.ones(shape[1])
            y = F.relu(F.batch_norm(images, mean, var, weight, None, True))
            (y * fastconv.arange(y.numel()).reshape(y.shape)).sum().backward()
            results.append([t.detach().numpy() for t in (y, images.grad, weight.grad, mean, var)])
        for found in results[1:]:
            for a, b in zip(found, results[0], strict=True):
                np.testing.assert_allclose(a, b, 2e-4, 2e-3)

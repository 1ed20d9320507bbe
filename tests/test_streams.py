"""Results of eight megabytes and more, which C kernels write past the caches (csrc/core/simd.h).

So are gradients of weights from one megabyte on, where they are written once.

Each is compared with the same operation on parts that are written as usual, to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F
from fastconv import backends, ops
from fastconv.ops import elementwise

pytestmark = [
    pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C backend"),
    pytest.mark.usefixtures("thread_counts"),
]

LARGE = (8 << 20) // 4  # float32 elements


def images(n: int, c: int, side: int, last: bool) -> Any:
    x = fastconv.randn(n, c, side, side)
    return x.contiguous(memory_format=fastconv.channels_last) if last else x


@pytest.mark.parametrize("extra", [0, 5, 64])
@pytest.mark.parametrize("name", ["add", "mul", "relu", "leaky_relu", "sigmoid", "relu_backward"])
def test_elements(name: str, extra: int) -> None:
    function = getattr(elementwise, name)
    a, b = (fastconv.randn(LARGE + extra)._array for _ in range(2))
    operands = {"relu": (a,), "sigmoid": (a,), "leaky_relu": (a, 0.1)}.get(name, (a, b))
    found, cut = function(*operands), LARGE // 2 + 3
    for part in (slice(0, cut), slice(cut, None)):
        some = [o[part] if isinstance(o, np.ndarray) else o for o in operands]
        np.testing.assert_array_equal(found[part], function(*some))


@pytest.mark.parametrize("last", [True, False], ids=["channels_last", "contiguous"])
@pytest.mark.parametrize("channels", [48, 50])
def test_normalization(channels: int, last: bool) -> None:
    x, residual = images(2, channels, 200, last), images(2, channels, 200, last)
    assert x.numel() // 2 < LARGE < x.numel()
    mean, var, weight, bias = (fastconv.rand(channels) + 0.5 for _ in range(4))

    def norm(a: Any, r: Any) -> Any:
        return F.relu(F.batch_norm(a, mean, var, weight, bias) + r).numpy()

    found = norm(x, residual)
    for i in range(2):
        one = slice(i, i + 1)
        np.testing.assert_array_equal(found[one], norm(x[one], residual[one]))


@pytest.mark.parametrize("last", [True, False], ids=["channels_last", "contiguous"])
def test_joining(last: bool) -> None:
    a, b = images(2, 32, 160, last), images(2, 48, 160, last)
    a.requires_grad_(), b.requires_grad_()
    y = fastconv.cat([a, b], 1)
    want = np.concatenate([a.detach().numpy(), b.detach().numpy()], 1)
    np.testing.assert_array_equal(y.detach().numpy(), want)
    y.backward(y.detach())
    np.testing.assert_array_equal(a.grad.numpy(), a.detach().numpy())
    np.testing.assert_array_equal(b.grad.numpy(), b.detach().numpy())


@pytest.mark.parametrize("rows", [1, 98, 128, 129])
@pytest.mark.parametrize("channels", [512, 520])
def test_weights_of_pixels(rows: int, channels: int) -> None:
    x, g = images(rows, channels, 1, True), images(rows, 1024, 1, True)
    found = ops.conv_backward_weight(g._array, x._array, (1024, channels, 1, 1))
    assert found.nbytes > 1 << 20
    for k in range(0, 1024, 256):
        some = fastconv.from_numpy(np.ascontiguousarray(g.numpy()[:, k : k + 256]))
        part = ops.conv_backward_weight(some._array, x._array, (256, channels, 1, 1))
        np.testing.assert_array_equal(found[k : k + 256], part)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [32, 35])
def test_resampling(mode: str, channels: int) -> None:
    x = images(2, channels, 96, True)
    found = F.interpolate(x, scale_factor=2, mode=mode).numpy()
    assert found[0].size < LARGE < found.size
    for i in range(2):
        one = F.interpolate(x[i : i + 1], scale_factor=2, mode=mode).numpy()
        np.testing.assert_array_equal(found[i : i + 1], one)

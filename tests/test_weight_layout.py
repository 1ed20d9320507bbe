"""Gradients of weights, whose kernels sum tap by tap: laid out as (K, C/groups, *kernel).

The blocks of many taps, groups of taps that share a line, and large ones that go past the caches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import backends, ops

pytestmark = [
    pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C backend"),
    pytest.mark.usefixtures("thread_counts"),
]


def images(n: int, c: int, side: int) -> Any:
    return fastconv.randn(n, c, side, side).contiguous(memory_format=fastconv.channels_last)


def weight_gradient(x: Any, g: Any, size: tuple[int, ...], algorithm: str, **geometry: Any) -> Any:
    with fastconv.algorithm(algorithm):
        return ops.conv_backward_weight(g._array, x._array, size, **geometry)


@pytest.mark.parametrize(
    "n, side, channels, kernel, stride",
    [
        (2, 6, 512, 3, 1),  # past the caches
        (1, 8, 512, 4, 2),  # of several groups of taps
        (32, 16, 256, 4, 2),  # ... whose tiles are more than one chunk
        (2, 9, 48, 4, 2),  # ... one block
        (2, 9, 20, 4, 2),  # ... side by side
    ],
)
def test_weights_of_tiles(n: int, side: int, channels: int, kernel: int, stride: int) -> None:
    x, out = images(n, channels, side), (side + 2 - kernel) // stride + 1
    g, size = images(n, channels, out), (channels, channels, kernel, kernel)
    found = weight_gradient(x, g, size, "winograd", stride=stride, padding=1)
    want = weight_gradient(x, g, size, "gemm", stride=stride, padding=1)
    np.testing.assert_allclose(found, want, rtol=0, atol=5e-6 * np.abs(want).max())


@pytest.mark.parametrize("channels, kernel", [(20, 9), (16, 7), (3, 11), (70, 3), (40, 2)])
def test_weights_of_many_taps(channels: int, kernel: int) -> None:
    x, g = images(2, channels, 13), images(2, 10, 14 - kernel)
    size = (10, channels, kernel, kernel)
    found = weight_gradient(x, g, size, "gemm")
    with fastconv.backend("naive"):
        want = ops.conv_backward_weight(g.double()._array, x.double()._array, size)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)

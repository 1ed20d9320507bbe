"""Local response normalisation over neighbouring channels of (N, C, *), in the memory's order."""

from __future__ import annotations

import numpy as np

from fastconv import planner
from fastconv.memory import empty
from fastconv.ops.layout import Array, Columns


def _window(channels: int, size: int) -> tuple[int, int]:
    """How many channels before and after one count; more than there are count for nothing."""
    below, most = size // 2, max(channels - 1, 0)
    return min(below, most), min(size - 1 - below, most)


def local_response(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """``x (k + alpha / size · sum of x² over `size` channels)^-beta``."""
    if not x.size:
        return np.zeros_like(x)
    columns = Columns(x, 1)
    out = empty(columns.shape, x.dtype)
    given = (_window(x.shape[1], size), alpha / size, beta, k)
    planner.kernel("local_response")(columns.of(x), *given, out)
    return columns.result(out)


def local_response_backward(
    g: Array, x: Array, size: int, alpha: float, beta: float, k: float
) -> Array:
    """The gradient of x."""
    if not x.size:
        return np.zeros_like(x)
    columns = Columns(x, 1)
    out = empty(columns.shape, x.dtype)
    given = (_window(x.shape[1], size), alpha / size, beta, k)
    planner.kernel("local_response_backward")(columns.of(g), columns.of(x), *given, out)
    return columns.result(out)

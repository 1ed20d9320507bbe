"""Local response normalisation of C-contiguous (outer, channels, inner) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.layout import flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel

Array = NDArray[Any]


@Kernel
def _response(x, g, out, part, channels, inner, below, above, scale, beta, k):
    """`g` empty: forward. `part` holds g x base^(-beta - 1) otherwise."""
    for p in prange(out.size // max(1, channels)):
        first = p // inner * channels * inner + p % inner
        for c in range(channels):
            total = scale * 0
            for j in range(max(0, c - below), min(channels, c + above + 1)):
                v = x[first + j * inner]
                total += v * v
            base = k + scale * total
            power = base**-beta
            at = first + c * inner
            if g.size:
                out[at] = g[at] * power
                part[at] = g[at] * x[at] * power / base
            else:
                out[at] = x[at] * power
        if g.size:
            for c in range(channels):
                total = scale * 0
                for j in range(max(0, c - above), min(channels, c + below + 1)):
                    total += part[first + j * inner]
                at = first + c * inner
                out[at] -= 2 * beta * scale * x[at] * total


def local_response(
    x: Array, window: tuple[int, int], scale: float, beta: float, k: float, out: Array
) -> None:
    """``x (k + scale · sum of x² from below to above the channel)^-beta``."""
    none, kind = np.empty(0, x.dtype), x.dtype.type
    _response(
        flat_copy_if_needed(x), none, out.reshape(-1), none, *x.shape[1:], *window, kind(scale),
        kind(beta), kind(k),
    )  # fmt: skip


def local_response_backward(
    grad_out: Array,
    x: Array,
    window: tuple[int, int],
    scale: float,
    beta: float,
    k: float,
    out: Array,
) -> None:
    """The gradient of x."""
    kind = x.dtype.type
    _response(
        flat_copy_if_needed(x), flat_copy_if_needed(grad_out), out.reshape(-1),
        np.empty(x.size, x.dtype), *x.shape[1:], *window, kind(scale), kind(beta), kind(k),
    )  # fmt: skip

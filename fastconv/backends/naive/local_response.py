"""Local response normalisation along the middle axis of arrays (outer, channels, inner)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _bases(row: Array, window: tuple[int, int], scale: float, k: float) -> Array:
    below, above = window
    squares = row * row
    return np.array(
        [k + scale * squares[max(0, c - below) : c + above + 1].sum() for c in range(len(row))]
    )


def local_response(
    x: Array, window: tuple[int, int], scale: float, beta: float, k: float, out: Array
) -> None:
    """``x (k + scale · sum of x² from below to above the channel)^-beta``."""
    with np.errstate(all="ignore"):
        for o, i in np.ndindex(x.shape[0], x.shape[2]):
            row = x[o, :, i].astype(np.float64)
            out[o, :, i] = row * _bases(row, window, scale, k) ** -beta


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
    below, above = window
    with np.errstate(all="ignore"):
        for o, i in np.ndindex(x.shape[0], x.shape[2]):
            row, g = x[o, :, i].astype(np.float64), grad_out[o, :, i].astype(np.float64)
            base = _bases(row, window, scale, k)
            power = base**-beta
            part = g * row * power / base
            reach = [part[max(0, c - above) : c + below + 1].sum() for c in range(len(row))]
            out[o, :, i] = g * power - 2 * beta * scale * row * np.array(reach)

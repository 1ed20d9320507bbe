"""Warping of C-contiguous (batch, H, W, channels) arrays by a matrix for each image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.layout import flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel, compiled

Array = NDArray[Any]
ZEROS, BORDER, REFLECTION, INSIDE = range(4)
PADDINGS = {"zeros": ZEROS, "border": BORDER, "reflection": REFLECTION, "inside": INSIDE}


@compiled
def _place(x, size, padding, align):
    """A coordinate as the padding moves it."""
    if padding == REFLECTION:
        low = 0.0 if align else -0.5
        span = size - 1 - 2 * low
        if span == 0:
            x = 0.0
        else:
            x = abs(x - low)
            flips = np.floor(x / span)
            rest = x - flips * span
            x = low + (rest if flips % 2 == 0 else span - rest)
    if padding in (REFLECTION, BORDER):
        x = min(x, size - 1.0) if x > 0 else 0.0
    return x


@Kernel
def _warp(x, matrix, fill, filled, out, height, width, high, wide, inner, nearest, padding, align):
    """A row of the result: the pixels around each place, added up channel by channel."""
    for row in prange(out.size // max(1, wide * inner)):
        n, v = row // high, row % high
        image = n * height * width * inner
        m = matrix[n]
        divided = m[2, 0] != 0 or m[2, 1] != 0 or m[2, 2] != 1
        for u in range(wide):
            to = (row * wide + u) * inner
            px = m[0, 0] * u + m[0, 1] * v + m[0, 2]
            py = m[1, 0] * u + m[1, 1] * v + m[1, 2]
            if divided:
                by = m[2, 0] * u + m[2, 1] * v + m[2, 2]
                if by == 0:
                    px, py = px * np.inf, py * np.inf
                else:
                    px, py = px / by, py / by
            px = _place(px, width, padding, align)
            py = _place(py, height, padding, align)
            seen = px > -1 and px < width and py > -1 and py < height
            if padding == INSIDE:
                seen = px >= -0.5 and px < width - 0.5 and py >= -0.5 and py < height - 0.5
            for c in range(inner):
                out[to + c] = 0
            if not seen:
                if filled:
                    for c in range(inner):
                        out[to + c] = fill[c]
                continue
            if nearest:
                i = np.floor(px + 0.5) if padding == INSIDE else np.rint(px)
                j = np.floor(py + 0.5) if padding == INSIDE else np.rint(py)
                if i >= 0 and i < width and j >= 0 and j < height:
                    for c in range(inner):
                        out[to + c] = x[image + (int(j) * width + int(i)) * inner + c]
                elif filled:
                    for c in range(inner):
                        out[to + c] = fill[c]
                continue
            left, top = np.floor(px), np.floor(py)
            right, low = px - left, py - top
            inside = 0.0
            for k in range(4):
                i, j = int(left) + k % 2, int(top) + k // 2
                weight = (right if k % 2 else 1 - right) * (low if k // 2 else 1 - low)
                if padding == INSIDE:
                    i, j = min(max(i, 0), width - 1), min(max(j, 0), height - 1)
                elif i < 0 or i >= width or j < 0 or j >= height:
                    continue
                inside += weight
                source = image + (j * width + i) * inner
                for c in range(inner):
                    out[to + c] += weight * x[source + c]
            if filled and padding != INSIDE:
                for c in range(inner):
                    out[to + c] = inside * (out[to + c] - fill[c]) + fill[c]


def warp(
    x: Array,
    matrix: Array,
    fill: Array | None,
    out: Array,
    mode: str,
    padding: str,
    align_corners: bool,
) -> None:
    """Pixel (u, v) of image n of the result is image n of `x` at ``matrix[n] (u, v, 1)``."""
    work = np.dtype(np.float32) if x.dtype == np.uint8 else x.dtype
    result = out if x.dtype == work else np.empty(out.shape, work)
    _warp(
        flat_copy_if_needed(x), matrix, np.zeros(1, work) if fill is None else fill,
        fill is not None, result.reshape(-1), *x.shape[1:3], *out.shape[1:],
        mode == "nearest", PADDINGS[padding], align_corners,
    )  # fmt: skip
    if result is not out:
        np.clip(np.rint(result, out=result), 0, 255, out=result)
        out[...] = result

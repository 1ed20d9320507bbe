"""Warping of (batch, H, W, channels) arrays by a matrix for each image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _reflect(x: float, low: float, high: float) -> float:
    """A place reflected between the mirrors `low` and `high`."""
    if low == high:
        return 0.0
    distance = math.fmod(abs(x - low), 2 * (high - low))
    return low + min(distance, 2 * (high - low) - distance)


def _place(x: float, size: int, padding: str, align_corners: bool) -> float:
    """A coordinate as the padding moves it, along an axis of `size` pixels."""
    if padding not in ("border", "reflection"):
        return x
    if padding == "reflection":
        edge = 0.0 if align_corners else 0.5
        x = _reflect(x, -edge, size - 1 + edge) if math.isfinite(x) else math.nan
    return min(x, size - 1.0) if x > 0 else 0.0


def _near(
    x: float, y: float, height: int, width: int, mode: str, padding: str, align_corners: bool
) -> list[tuple[int, int, float]]:
    """Rows, columns and weights of the pixels of the image around a place."""
    x = _place(x, width, padding, align_corners)
    y = _place(y, height, padding, align_corners)
    if not (-1 < x < width and -1 < y < height):
        return []
    within = padding == "inside"
    if within and not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
        return []
    if mode == "nearest":
        i = math.floor(x + 0.5) if within else round(x)
        j = math.floor(y + 0.5) if within else round(y)
        return [(j, i, 1.0)] if 0 <= i < width and 0 <= j < height else []
    left, top = math.floor(x), math.floor(y)
    found = []
    for j, down in ((top, 1 - (y - top)), (top + 1, y - top)):
        for i, across in ((left, 1 - (x - left)), (left + 1, x - left)):
            if within:
                a, b = min(max(j, 0), height - 1), min(max(i, 0), width - 1)
                found.append((a, b, down * across))
            elif 0 <= j < height and 0 <= i < width:
                found.append((j, i, down * across))
    return found


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
    height, width = x.shape[1:3]
    whole = x.dtype == np.uint8
    for n, v, u in np.ndindex(out.shape[:3]):
        with np.errstate(all="ignore"):
            place = [float(r[0] * u + r[1] * v + r[2]) for r in matrix[n]]
            if matrix[n, 2].tolist() != [0, 0, 1]:
                place = [float(np.float64(p) / place[2]) for p in place]
        near = _near(place[0], place[1], height, width, mode, padding, align_corners)
        inside = sum(weight for _, _, weight in near)
        for c in range(out.shape[3]):
            total = sum(weight * float(x[n, j, i, c]) for j, i, weight in near)
            if fill is not None:
                total = inside * (total - float(fill[c])) + float(fill[c])
            out[n, v, u, c] = min(max(round(total), 0), 255) if whole else total

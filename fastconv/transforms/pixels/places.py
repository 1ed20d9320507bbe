"""Rotation, affine maps and perspective of arrays (N, C, H, W), each image by a map of its own.

A map takes pixels of the result to places in the image. In here places are measured from the
corner of the image, so that the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ops.warp import TYPES, warp
from ..interpolation import InterpolationMode
from .values import Array, colour, rounded, working


def moved(x: Any, y: Any) -> Array:
    """Matrices (N, 3, 3) that add (x, y)."""
    x, y = np.broadcast_arrays(np.atleast_1d(x).astype(float), np.atleast_1d(y).astype(float))
    out = np.tile(np.eye(3), (len(x), 1, 1))
    out[:, 0, 2], out[:, 1, 2] = x, y
    return out


def turned(angle: Any) -> Array:
    """Matrices (N, 3, 3) that turn by degrees, clockwise as the image is seen."""
    a = np.deg2rad(np.atleast_1d(angle).astype(float))
    out = np.tile(np.eye(3), (len(a), 1, 1))
    out[:, 0, 0] = out[:, 1, 1] = np.cos(a)
    out[:, 1, 0] = np.sin(a)
    out[:, 0, 1] = -out[:, 1, 0]
    quarter = np.mod(np.atleast_1d(angle).astype(float), 90) == 0
    out[quarter] = np.rint(out[quarter])  # no 1e-17 beside the ones
    return out


def affine_maps(
    angle: Any, translate: tuple[Any, Any], scale: Any, shear: tuple[Any, Any], centre: Any
) -> Array:
    """Maps (N, 3, 3) of an affine transform of images: shear x then y, scale, turn, translate.

    Each argument is a number or one for each image; angles are degrees. `centre` stays in place
    but for the translation.
    """
    along, down = (np.tan(np.deg2rad(np.atleast_1d(s).astype(float))) for s in shear)
    count = max(len(np.atleast_1d(v)) for v in (angle, *translate, scale, along, down))
    sheared_x, sheared_y, sized = (np.tile(np.eye(3), (count, 1, 1)) for _ in range(3))
    sheared_x[:, 0, 1], sheared_y[:, 1, 0] = -along, -down
    sized[:, 0, 0] = sized[:, 1, 1] = np.asarray(scale, float)
    x, y = centre
    forward = (
        moved(np.add(translate[0], x), np.add(translate[1], y))
        @ turned(angle) @ sized @ sheared_y @ sheared_x @ moved(-x, -y)
    )  # fmt: skip
    with np.errstate(all="ignore"):
        return np.linalg.inv(forward)


def turned_size(angle: float, height: int, width: int) -> tuple[int, int]:
    """Height and width that hold the whole of a rotated image, as torchvision rounds them.

    A quarter turn swaps the two (torchvision adds a pixel where one is odd and the other is not).
    """
    if angle % 90 == 0:
        return (height, width) if angle % 180 == 0 else (width, height)
    corners = np.array(
        [[x, y, 1] for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)]
    )
    places = corners @ turned(angle)[0].T
    ends = np.trunc((places[:, :2] + [width / 2, height / 2]) * 1e4) / 1e4
    size = np.ceil(ends.max(0)) - np.floor(ends.min(0))
    return int(size[1]), int(size[0])


def perspective_map(
    start: Sequence[Sequence[float]], end: Sequence[Sequence[float]]
) -> list[float]:
    """Eight coefficients of the map that takes the points `end` to `start`, by least squares."""
    rows, values = [], []
    for (x, y), (u, v) in zip(end, start, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    found = np.linalg.lstsq(np.array(rows, float), np.array(values, float), rcond=None)[0]
    return [float(c) for c in found]


def warped(
    what: str,
    a: Array,
    maps: Array,
    size: tuple[int, int],
    mode: InterpolationMode,
    fill: Any,
    pil: bool,
) -> Array:
    """Images read at places given from their corner; `pil`: edges as in Pillow, not blended.

    Raises
    ------
    ValueError
        For an interpolation other than nearest and bilinear.
    """
    names = {
        InterpolationMode.NEAREST: "nearest",
        InterpolationMode.NEAREST_EXACT: "nearest",
        InterpolationMode.BILINEAR: "bilinear",
    }
    if mode not in names:
        raise ValueError(f"{what}: interpolation must be NEAREST or BILINEAR, got {mode}")
    half = moved(0.5, 0.5)
    matrix = np.linalg.inv(half) @ maps @ half
    values = colour(what, fill, a.shape[1])
    x = a if a.dtype in TYPES else a.astype(working(a))
    padding = "inside" if pil else "zeros"
    return rounded(warp(x, matrix, size, names[mode], padding, values), a.dtype)

"""Cropping, padding, flipping and resizing of arrays (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ops.resample import Scaling, resample
from ..interpolation import InterpolationMode
from .values import Array, colour, rounded, working

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


def flipped(a: Array, chosen: Array, axis: int) -> Array:
    """The chosen images mirrored along an axis."""
    if not chosen.any():
        return a
    if chosen.all():
        return np.flip(a, axis)
    out = a.copy("K")
    out[chosen] = np.flip(a[chosen], axis)
    return out


def padded(
    what: str, a: Array, padding: tuple[int, int, int, int], mode: str = "constant", fill: Any = 0
) -> Array:
    """Rows and columns added left, top, right and bottom; a negative number takes some away."""
    if mode not in PADDING_MODES:
        raise ValueError(
            f"{what}: padding_mode must be one of {', '.join(PADDING_MODES)}, got {mode!r}"
        )
    left, top, right, bottom = padding
    height, width = a.shape[2:]
    if min(padding) < 0:
        a = a[:, :, max(0, -top) : height - max(0, -bottom), max(0, -left) : width - max(0, -right)]
        left, top, right, bottom = (max(0, n) for n in padding)
        height, width = a.shape[2:]
    if not (left or top or right or bottom):
        return a
    limit = {"reflect": 1, "symmetric": 0}.get(mode)
    if limit is not None and (
        max(left, right) > width - limit or max(top, bottom) > height - limit
    ):
        raise ValueError(
            f"{what}: padding {padding} is too large for padding_mode {mode!r} of an image of "
            f"{height}×{width}"
        )
    if mode != "constant":
        return np.pad(a, ((0, 0), (0, 0), (top, bottom), (left, right)), mode)  # type: ignore[call-overload, no-any-return]
    n, c = a.shape[:2]
    out = np.empty_like(a, shape=(n, c, height + top + bottom, width + left + right))
    values = np.asarray(colour(what, fill, c) or [0] * c)
    out[...] = (
        rounded(values, a.dtype)[:, None, None] if a.dtype.kind != "f" else values[:, None, None]
    )
    out[:, :, top : top + height, left : left + width] = a
    return out


def cropped(a: Array, top: Any, left: Any, height: int, width: int) -> Array:
    """A window of each image, at (top, left) of its own; zeros where it leaves the image."""
    tops, lefts = np.atleast_1d(top), np.atleast_1d(left)
    low, high = int(tops.min()), int(tops.max()) + height
    first, last = int(lefts.min()), int(lefts.max()) + width
    if low < 0 or first < 0 or high > a.shape[2] or last > a.shape[3]:
        before, above = max(0, -first), max(0, -low)
        after, below = max(0, last - a.shape[3]), max(0, high - a.shape[2])
        a = padded("crop", a, (before, above, after, below))
        tops, lefts = tops + above, lefts + before
    if (tops == tops[0]).all() and (lefts == lefts[0]).all():
        t, l = int(tops[0]), int(lefts[0])
        return a[:, :, t : t + height, l : l + width]
    out = np.empty_like(a, shape=(*a.shape[:2], height, width))
    for i, (t, l) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
        out[i] = a[i, :, t : t + height, l : l + width]
    return out


def centre(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Top and left of a window in the middle, half a pixel rounded to even."""
    return round((size[0] - height) / 2.0), round((size[1] - width) / 2.0)


def centre_cropped(a: Array, height: int, width: int) -> Array:
    """The window in the middle, after padding with zeros where the image is smaller."""
    more, deeper = max(0, width - a.shape[3]), max(0, height - a.shape[2])
    a = padded("center_crop", a, (more // 2, deeper // 2, (more + 1) // 2, (deeper + 1) // 2))
    return cropped(a, *centre((a.shape[2], a.shape[3]), height, width), height, width)


def resized_size(
    what: str, size: tuple[int, int], wanted: Any, max_size: int | None = None
) -> tuple[int, int]:
    """Height and width that `wanted` means for an image of `size`.

    A pair is taken as it is; a number is the length of the shorter edge, the other one in
    proportion, and `max_size` bounds the longer one. None with `max_size`: the longer edge.
    """
    if wanted is not None and not isinstance(wanted, (int, np.integer)):
        values = [int(n) for n in wanted]
        if len(values) == 2:
            if max_size is not None:
                raise ValueError(f"{what}: max_size goes with one number as size, not with a pair")
            return values[0], values[1]
        if len(values) != 1:
            raise ValueError(f"{what}: size must be a number or a pair, got {wanted!r}")
        wanted = values[0]
    short, long = min(size), max(size)
    if wanted is None:
        if max_size is None:
            raise ValueError(f"{what}: size None needs max_size")
        new_short, new_long = int(max_size * short / long), int(max_size)
    else:
        new_short, new_long = int(wanted), int(wanted * long / short)
        if max_size is not None:
            if max_size <= wanted:
                raise ValueError(
                    f"{what}: max_size must be larger than the size of the shorter edge, "
                    f"got max_size={max_size} and size={wanted}"
                )
            if new_long > max_size:
                new_short, new_long = int(max_size * new_short / new_long), max_size
    height, width = size
    return (new_long, new_short) if width <= height else (new_short, new_long)


#: How an axis is resampled: plain, and with the low-pass filter of a smaller result.
_PLAIN = {"bilinear": "linear", "bicubic": "cubic"}


def resized(
    a: Array, size: tuple[int, int], mode: InterpolationMode, antialias: bool = True
) -> Array:
    """Images of another size: (N, C, *size)."""
    if (a.shape[2], a.shape[3]) == tuple(size):
        return a
    if mode in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        from ...ops.resample import axis

        rows, columns = (
            axis(Scaling(mode.value, n, m, None, False), "f").sources
            for n, m in zip(a.shape[2:], size, strict=True)
        )
        return a[:, :, rows][:, :, :, columns]
    name = _PLAIN.get(mode.value)
    if name is None:
        name = mode.value
    elif antialias:
        name = f"{name}-antialias"
    down, across = (
        None if n == m else Scaling(name, n, m, None, False)
        for n, m in zip(a.shape[2:], size, strict=True)
    )
    if a.dtype == np.uint8:  # Pillow's way: rows first, rounded half up after each direction
        for scalings in ((None, across), (down, None)):
            if any(scalings):
                out = resample(a.astype(np.float32), scalings)
                out += np.float32(0.5)
                a = np.clip(out, 0, 255, out=out).astype(np.uint8)  # cut off: down, above zero
        return a
    return rounded(resample(a.astype(working(a), copy=False), (down, across)), a.dtype)


def resized_crops(
    a: Array,
    boxes: Sequence[tuple[int, int, int, int]],
    size: tuple[int, int],
    mode: InterpolationMode,
    antialias: bool,
) -> Array:
    """Of each image a window (top, left, height, width) of its own, resized to `size`."""
    if len(boxes) == 1:
        return resized(cropped(a, *boxes[0]), size, mode, antialias)
    out = np.empty_like(a, shape=(*a.shape[:2], *size))
    for i, box in enumerate(boxes):
        out[i : i + 1] = resized(cropped(a[i : i + 1], *box), size, mode, antialias)
    return out

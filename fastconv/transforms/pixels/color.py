"""Changes of colour of arrays (N, C, H, W): a factor or setting for each image.

Values of integer types go from 0 to the largest of the type, others from 0 to 1. Results of
arithmetic are cut off to integers, as torchvision does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .values import Array, converted, cut, each, largest

#: The share of red, green and blue in brightness (ITU-R 601-2).
LUMA = (0.2989, 0.587, 0.114)


def work(a: Array) -> np.dtype[Any]:
    """The type in which colours are computed."""
    return a.dtype if a.dtype.kind == "f" and a.dtype.itemsize >= 4 else np.dtype(np.float32)


def check_colours(what: str, a: Array) -> None:
    """Raise ValueError unless the image is gray or RGB."""
    if a.shape[1] not in (1, 3):
        raise ValueError(f"{what}: expected an image of 1 or 3 channels, got {a.shape[1]}")


def brightness_of(a: Array) -> Array:
    """Gray values (N, 1, H, W), in floating point and not cut off."""
    if a.shape[1] == 1:
        return a.astype(work(a))
    kind = work(a).type
    gray = a[:, 0] * kind(LUMA[0])
    gray += a[:, 1] * kind(LUMA[1])
    gray += a[:, 2] * kind(LUMA[2])
    return gray[:, None]


def gray(a: Array, channels: int = 1) -> Array:
    """Gray images of one channel, or of three alike."""
    check_colours("to_grayscale", a)
    out = a if a.shape[1] == 1 else brightness_of(a).astype(a.dtype)
    return out if channels == 1 else np.repeat(out, 3, axis=1)


def blended(a: Array, other: Any, share: Any) -> Array:
    """``share * a + (1 - share) * other``, within the range of values."""
    factor = each(share, len(a)).astype(work(a))
    out = a * factor
    out += other * (1 - factor)
    return cut(out, a.dtype)


def brighter(a: Array, factor: Any) -> Array:
    """Values times a factor."""
    return cut(a * each(factor, len(a)).astype(work(a)), a.dtype)


def contrasted(a: Array, factor: Any) -> Array:
    """Values moved away from the mean brightness of their image."""
    bright = brightness_of(a)
    if a.dtype.kind != "f":
        np.floor(bright, out=bright)
    return blended(a, bright.mean((1, 2, 3), keepdims=True), factor)


def saturated(a: Array, factor: Any) -> Array:
    """Values moved away from the gray of their pixel."""
    if a.shape[1] == 1:
        return a
    bright = brightness_of(a)
    if a.dtype.kind != "f":
        np.floor(bright, out=bright)
    return blended(a, bright, factor)


def hue_shifted(a: Array, shift: Any) -> Array:
    """Hues turned by `shift` of a full circle."""
    if a.shape[1] == 1:
        return a
    x = converted(a, work(a))
    red, green, blue = x[:, 0], x[:, 1], x[:, 2]
    high, low = x.max(1), x.min(1)
    span = high - low
    safe = np.where(span == 0, 1, span)
    hue = np.where(
        high == red,
        (green - blue) / safe,
        np.where(high == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = np.mod(hue / 6 + each(shift, len(a))[:, 0].astype(x.dtype), 1) * 6
    out = np.empty_like(x)
    for channel, start in enumerate((5, 3, 1)):  # value - span * (0 to 1 to 0 along the circle)
        k = np.mod(hue + start, 6)
        out[:, channel] = high - span * np.clip(np.minimum(k, 4 - k), 0, 1)
    return converted(np.clip(out, 0, 1, out=out), a.dtype)


def gamma_corrected(a: Array, gamma: float, gain: float = 1) -> Array:
    """``gain * value ** gamma`` of values from 0 to 1."""
    x = converted(a, work(a))
    return converted(np.clip(gain * np.power(x, work(a).type(gamma)), 0, 1), a.dtype)


def inverted(a: Array) -> Array:
    """Black for white."""
    if a.dtype.kind == "f":
        return 1 - a
    if a.dtype.kind in "ub":
        return ~a
    return np.asarray(largest(a.dtype) - a, a.dtype)


def posterized(a: Array, bits: Any) -> Array:
    """Values of so many bits."""
    kept = np.broadcast_to(np.asarray(bits, np.int64).reshape(-1, 1, 1, 1), (len(a), 1, 1, 1))
    if a.dtype.kind == "f":
        levels = (2.0**kept).astype(a.dtype)
        return np.clip(np.floor(a * levels), 0, levels - 1) / levels
    width = int(largest(a.dtype)).bit_length()
    gone = np.clip(width - kept, 0, width)
    return ((a >> gone.astype(a.dtype)) << gone.astype(a.dtype)).astype(a.dtype)


def solarized(a: Array, threshold: Any) -> Array:
    """Values from the threshold on inverted."""
    return np.where(a >= each(threshold, len(a)), inverted(a), a)


def autocontrasted(a: Array) -> Array:
    """Each channel stretched from black to white; one of a single value stays."""
    low = a.min((2, 3), keepdims=True).astype(work(a))
    high = a.max((2, 3), keepdims=True).astype(work(a))
    flat = low == high
    step = np.where(flat, 1, (high - low) / largest(a.dtype)).astype(work(a))
    return cut((a - np.where(flat, 0, low)) / step, a.dtype)


def equalized(a: Array) -> Array:
    """Each channel with a histogram as even as it can be, by Pillow's table of 256 values."""
    if a.dtype != np.uint8:
        if a.dtype.kind != "f":
            raise TypeError(f"equalize: expected uint8 or floating-point values, got {a.dtype}")
        return converted(equalized(converted(a, np.dtype(np.uint8))), a.dtype)
    n, c, height, width = a.shape
    plane = np.arange(n * c).reshape(n, c, 1, 1)
    index = plane * 256 + a
    counts = np.bincount(index.ravel(), minlength=n * c * 256).reshape(-1, 256)
    last = 255 - (counts[:, ::-1] != 0).argmax(1)
    step = (height * width - np.take_along_axis(counts, last[:, None], 1)[:, 0]) // 255
    before = np.cumsum(counts, 1) - counts
    table = (before + (step // 2)[:, None]) // np.maximum(step, 1)[:, None]
    table = np.where(step[:, None] == 0, np.arange(256), np.minimum(table, 255)).astype(np.uint8)
    return table.ravel()[index]

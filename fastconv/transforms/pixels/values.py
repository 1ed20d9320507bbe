"""What values of a type mean: the largest one, conversion between types, fill colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def largest(dtype: np.dtype[Any]) -> float:
    """White: 1 for floating-point values, the largest value of an integer type."""
    return 1 if dtype.kind in "fb" else int(np.iinfo(dtype).max)


def working(a: Array) -> np.dtype[Any]:
    """The type in which values of `a` are interpolated: its own, or one that holds them."""
    if a.dtype.kind == "f" and a.dtype.itemsize >= 4:
        return a.dtype
    return np.dtype(np.float64 if a.dtype.itemsize > 2 else np.float32)


def rounded(a: Array, dtype: np.dtype[Any]) -> Array:
    """Floating-point values as `dtype`: rounded, half to even, and kept in its range."""
    if dtype == a.dtype:
        return a
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        a = np.clip(np.rint(a), info.min, info.max)
    elif dtype.kind == "b":
        a = a >= 0.5
    return a.astype(dtype)


def cut(a: Array, dtype: np.dtype[Any]) -> Array:
    """Floating-point values as `dtype`: kept between black and white, cut off to integers."""
    return np.clip(a, 0, largest(dtype)).astype(dtype, copy=False)


def each(values: Any, count: int) -> Array:
    """One number for each of `count` images, as an array (count, 1, 1, 1)."""
    return np.broadcast_to(np.asarray(values, np.float64).reshape(-1, 1, 1, 1), (count, 1, 1, 1))


def colour(what: str, fill: Any, channels: int) -> list[float] | None:
    """A fill value for each channel; None stays None.

    Raises
    ------
    TypeError, ValueError
        For what is not a number or numbers, one or as many as there are channels.
    """
    if fill is None:
        return None
    values = fill if isinstance(fill, (Sequence, np.ndarray)) else [fill]
    if isinstance(fill, str) or not all(isinstance(v, (int, float, np.number)) for v in values):
        raise TypeError(f"{what}: fill must be a number or a sequence of numbers, got {fill!r}")
    if len(values) not in (1, channels):
        raise ValueError(
            f"{what}: fill must have 1 value or one for each of {channels} channels, got {fill!r}"
        )
    found = [float(v) for v in values]
    return found * channels if len(found) == 1 else found


def converted(a: Array, dtype: np.dtype[Any], scale: bool = True) -> Array:
    """Values in another type; with `scale`, so that white stays white.

    Integers become fractions of the largest value; fractions become integers by
    ``floor(x * (largest + 1 - 1e-3))``; integers are shifted by the difference in bits.
    """
    if a.dtype == dtype:
        return a
    if not scale or "b" in (a.dtype.kind, dtype.kind):
        return a.astype(dtype)
    if dtype.kind == "f":
        if a.dtype.kind == "f":
            return a.astype(dtype)
        return np.divide(a, largest(a.dtype), dtype=dtype)
    if a.dtype.kind == "f":
        if (a.dtype.itemsize == 4 and dtype.itemsize >= 4) or dtype.itemsize == 8:
            raise ValueError(
                f"convert_image_dtype: {a.dtype} to {dtype} cannot be done safely: {a.dtype} does "
                "not hold all its values"
            )
        return (a * (largest(dtype) + 1.0 - 1e-3)).astype(dtype)
    shift = (int(largest(dtype)) + 1).bit_length() - (int(largest(a.dtype)) + 1).bit_length()
    if shift < 0:
        return (a >> -shift).astype(dtype)
    return a.astype(dtype) << shift

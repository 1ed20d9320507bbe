"""Pooling over windows that are placed at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...random import rng
from ...spec import as_tuple
from ...tensor import Tensor, wrap
from .common import check_floats, number


def _starts(sample: np.ndarray, size: int, out: int, kernel: int) -> np.ndarray:
    """Where `out` windows of `kernel` begin, spread by random steps (Graham 2014): (N, C, out)."""
    if out == 1:
        return np.full((*sample.shape, 1), size - kernel, np.int64)
    step = sample.dtype.type(size - kernel) / sample.dtype.type(out - 1)
    places = np.arange(out - 1, dtype=sample.dtype)
    first = (sample * step).astype(np.int64)
    begin = ((places + sample[..., None]) * step).astype(np.int64) - first[..., None]
    last = np.full((*sample.shape, 1), size - kernel, np.int64)
    return np.concatenate([begin, last], -1)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest of windows that are placed at random (Graham 2014).

    Parameters
    ----------
    input : Tensor
        (N, C, H, W) or (C, H, W).
    kernel_size : int or tuple of 2 ints
    output_size : int or tuple of 2 ints
    output_ratio : float or tuple of 2 floats
        The output's size over the input's, between 0 and 1; one of both must be given.
    return_indices : bool
        Give the flat position of each largest element too.
    _random_samples : Tensor, optional
        (N, C, 2) numbers between 0 and 1, of width and height, for the places.

    Raises
    ------
    ValueError, TypeError
        For sizes that do not fit.
    """
    name = "fractional_max_pool2d"
    check_floats(name, input=input)
    shape = input._array.shape
    if len(shape) not in (3, 4):
        raise ValueError(f"{name}(): input must be (N, C, H, W) or (C, H, W), got shape {shape}")
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name}(): one of output_size and output_ratio must be given, not both")
    x = input if len(shape) == 4 else input.unsqueeze(0)
    n, c, h, w = x._array.shape
    kernel = as_tuple(name, "kernel_size", kernel_size, 2)
    if output_size is None:
        many = isinstance(output_ratio, (tuple, list))
        given = output_ratio if many else [output_ratio] * 2
        ratios = [number(name, "output_ratio", r) for r in given]
        if len(ratios) != 2 or not all(0 < r < 1 for r in ratios):
            raise ValueError(f"{name}(): output_ratio must be between 0 and 1, got {output_ratio}")
        out = (int(h * ratios[0]), int(w * ratios[1]))
    else:
        out = as_tuple(name, "output_size", output_size, 2)  # type: ignore[assignment]
    if (
        min(kernel) < 1
        or min(out) < 1
        or any(o + k - 1 > m for o, k, m in zip(out, kernel, (h, w), strict=True))
    ):
        raise ValueError(
            f"{name}(): output_size {out} and kernel_size {kernel} do not fit input {shape}"
        )
    if _random_samples is None:
        samples = rng().random((n, c, 2)).astype(x._array.dtype)
    else:
        samples = _random_samples._array
        if samples.shape != (n, c, 2):
            raise ValueError(
                f"{name}(): _random_samples must have shape {(n, c, 2)}, got {samples.shape}"
            )
    rows = _starts(samples[..., 1], h, out[0], kernel[0])[..., None] + np.arange(kernel[0])
    columns = _starts(samples[..., 0], w, out[1], kernel[1])[..., None] + np.arange(kernel[1])
    flat = rows[:, :, :, None, :, None] * w + columns[:, :, None, :, None, :]
    flat = flat.reshape(n, c, -1)  # every element of every window
    taken = x.reshape(n, c, h * w).gather(2, wrap(flat))
    values, best = taken.reshape(n, c, *out, -1).max(-1)
    if len(shape) == 3:
        values = values.squeeze(0)
    if not return_indices:
        return values
    index = np.take_along_axis(flat.reshape(n, c, *out, -1), best._array[..., None], -1)[..., 0]
    return values, wrap(index if len(shape) == 4 else index[0])

"""Padding and resampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...functions._named import named
from ...functions.pad import Pad
from ...functions.resample import Resample
from ...ops.resample import Scaling
from ...spec import as_int, check_elements
from ...tensor import Tensor
from .common import check_floats, check_tensor, number
from .pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d


@named
def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """Add borders, the last axis first.

    Parameters
    ----------
    input : Tensor
    pad : sequence of int
        (before, after) of the last axis, then of the one before it, and so on. Negative values
        crop.
    mode : "constant", "reflect", "replicate" or "circular"
        Other than constant: only the spatial axes of (N, C, *spatial) or (C, *spatial), all of
        them.
    value : float, optional
        Of the constant; 0 when not given.

    Raises
    ------
    ValueError
        For an odd number of values, too many, or a border larger than its mode allows.
    """
    check_tensor("pad", "input", input)
    if not isinstance(pad, (tuple, list, np.ndarray)) or np.ndim(pad) == 0:
        raise TypeError(f"pad(): pad must be a sequence of ints, got {pad!r}")
    values = [as_int("pad", "pad", p) for p in pad]
    value = None if value is None else number("pad", "value", value)
    shape = input._array.shape
    ndim = len(shape)
    if len(values) % 2:
        raise ValueError(f"pad(): pad must have an even number of values, got {values}")
    count = len(values) // 2
    if count > ndim:
        raise ValueError(f"pad(): {values} pads {count} axes, but input has shape {shape}")
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(
            f"pad(): mode must be constant, reflect, replicate or circular, got {mode!r}"
        )
    if mode != "constant":
        if value:
            raise ValueError(f"pad(): mode {mode!r} takes no value, got {value}")
        if not (1 <= count <= 3 and ndim in (count + 1, count + 2)):
            raise ValueError(
                f"pad(): mode {mode!r} pads the last 1 to 3 axes of an input with one or two "
                f"more; got {values} for input of shape {shape}"
            )
    pads = []
    for i in range(count):
        axis, before, after = ndim - 1 - i, values[2 * i], values[2 * i + 1]
        size = shape[axis]
        if size + before + after < 0 or -before > size or -after > size:
            raise ValueError(f"pad(): {values} crops more than there is of input {shape}")
        kept = size + min(before, 0) + min(after, 0)
        most = {"reflect": size - 1, "circular": kept}.get(mode)
        if most is not None and max(before, after) > most:
            raise ValueError(
                f"pad(): padding size should be less than{' or equal to' * (most == kept)} the "
                f"input dimension in mode {mode!r}, got ({before}, {after}) on axis {axis} of "
                f"input {shape}"
            )
        if mode != "constant" and (size == 0 or size + before + after < 1):
            raise ValueError(
                f"pad(): mode {mode!r} leaves nothing of axis {axis} of input {shape} "
                f"with ({before}, {after})"
            )
        if before or after:
            pads.append((axis, before, after))
    grown = list(shape)
    for axis, before, after in pads:
        grown[axis] += before + after
    check_elements("pad", "output", tuple(grown))
    if mode != "constant" and any(min(before, after) < 0 for _, before, after in pads):
        # a border repeats what the other side crops, but in mode circular
        borders = tuple((axis, max(b, 0), max(a, 0)) for axis, b, a in pads)
        crops = tuple((axis, min(b, 0), min(a, 0)) for axis, b, a in pads)
        if mode == "circular":
            return Pad.apply(Pad.apply(input, crops, "constant", 0), borders, mode, 0)
        return Pad.apply(Pad.apply(input, borders, mode, 0), crops, "constant", 0)
    return Pad.apply(input, tuple(pads), mode, 0 if value is None else value)


#: Mode: what happens along an axis, and the spatial rank that the mode is for.
RESAMPLING: dict[str, tuple[str, int | None]] = {
    "nearest": ("nearest", None), "nearest-exact": ("nearest-exact", None),
    "linear": ("linear", 1), "bilinear": ("linear", 2), "trilinear": ("linear", 3),
    "bicubic": ("cubic", 2),
}  # fmt: skip
AREA = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}


@named
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resample the spatial axes to another size.

    Parameters
    ----------
    input : Tensor
        (N, C, *spatial), 1 to 3 spatial axes.
    size : int or tuple of int, optional
    scale_factor : float or tuple of float, optional
        One of the two is needed.
    mode : str
        "nearest", "nearest-exact", "area"; "linear" / "bilinear" / "trilinear" by the rank;
        "bicubic" for images. Where a place is the border of two elements, the nearest modes take
        what float32 arithmetic gives, ``floor((i + 0.5) * scale)``, for every rank and type.
        PyTorch does that for images; with one or three spatial axes it rounds in another order.
    align_corners : bool, optional
        For the linear modes and bicubic: whether the centres of the corner pixels stay in place.
    recompute_scale_factor : bool, optional
        Take the scale from the rounded sizes instead of scale_factor. Without it the scale that was
        given counts in every mode, also where it leaves the sizes as they are: PyTorch copies the
        input in some of its modes then.
    antialias : bool
        For "bilinear" and "bicubic", with align_corners unset: widen the filter where the output is
        smaller, so that every input counts.

    Returns
    -------
    Tensor
    """
    name = "interpolate"
    check_floats(name, input=input)
    shape = input._array.shape
    ndim = len(shape) - 2
    if ndim not in (1, 2, 3):
        raise ValueError(f"{name}(): input must be (N, C, *spatial), got shape {shape}")
    kind, rank = RESAMPLING.get(mode, ("", None))
    if not kind and mode != "area":
        raise NotImplementedError(f"{name}(): mode {mode!r} is not supported")
    if rank not in (None, ndim):
        here = [m for m, (_, r) in RESAMPLING.items() if r == ndim]
        raise ValueError(
            f"{name}(): smooth modes for input of shape {shape} are {here}, got {mode!r}"
        )
    if align_corners is not None and rank is None:
        raise ValueError(
            f"{name}(): align_corners applies to the linear modes and bicubic, not to {mode!r}"
        )
    if antialias:
        if mode not in ("bilinear", "bicubic"):
            raise ValueError(
                f"{name}(): antialias=True is for modes 'bilinear' and 'bicubic', got {mode!r}"
            )
        if align_corners:
            raise NotImplementedError(
                f"{name}(): antialias=True with align_corners=True is not supported"
            )
        kind += "-antialias"
    sizes, scales = _sizes(name, shape, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return AREA[ndim + 2](input, sizes)
    scalings = tuple(
        None if n == m and scale in (None, 1) else Scaling(kind, n, m, scale, bool(align_corners))
        for n, m, scale in zip(shape[2:], sizes, scales, strict=True)
    )
    return Resample.apply(input, scalings)


def _sizes(
    name: str, shape: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """The output's size, and the scale where it is given rather than the ratio of the sizes."""
    ndim = len(shape) - 2
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{name}(): one of size and scale_factor must be given, not both")
    if size is not None:
        if recompute:
            raise ValueError(f"{name}(): recompute_scale_factor needs scale_factor, not size")
        sizes = [size] * ndim if not isinstance(size, (list, tuple)) else list(size)
        sizes = [as_int(name, "size", s) for s in sizes]
        scales: list[float | None] = [None] * ndim
    else:
        many = isinstance(scale_factor, (list, tuple))
        given = [
            number(name, "scale_factor", s) for s in (scale_factor if many else [scale_factor])
        ]
        if not all(0 < s < math.inf for s in given):
            raise ValueError(
                f"{name}(): scale_factor must be positive and finite, got {scale_factor}"
            )
        given = given if many else given * ndim
        sizes = [math.floor(n * s) for n, s in zip(shape[2:], given, strict=False)]
        scales = [None] * len(given) if recompute else list(given)
    if len(sizes) != ndim or len(scales) != ndim:
        raise ValueError(
            f"{name}(): input of shape {shape} has {ndim} spatial axes, got {len(scales)} values "
            f"for {'scale_factor' if size is None else 'size'}"
        )
    if min(sizes) < 1 or 0 in shape[2:]:
        raise ValueError(f"{name}(): sizes must be positive, got input {shape}, output {sizes}")
    check_elements(name, "output", (*shape[:2], *sizes))
    return sizes, scales


@named
def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@named
def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` in mode "nearest", under its older name."""
    return interpolate(input, size, scale_factor, "nearest")


@named
def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` in mode "bilinear" with aligned corners, under its older name."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C·r², H, W) to (*, C, H·r, W·r): channels become pixels (Shi et al. 2016)."""
    r = as_int("pixel_shuffle", "upscale_factor", upscale_factor)
    check_tensor("pixel_shuffle", "input", input)
    if input.ndim < 3:
        raise ValueError(
            f"pixel_shuffle(): input must be (*, C, H, W), got shape {input._array.shape}"
        )
    *lead, c, h, w = input.shape
    if r < 1 or c % (r * r):
        raise ValueError(
            f"pixel_shuffle(): channels of {tuple(input.shape)} must be divisible by "
            f"the square of upscale_factor {r}"
        )
    k = len(lead)
    y = input.reshape(*lead, c // (r * r), r, r, h, w)
    y = y.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2)
    return y.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H·r, W·r) to (*, C·r², H, W): the inverse of `pixel_shuffle`.

    An empty input keeps its shape, as in PyTorch.
    """
    r = as_int("pixel_unshuffle", "downscale_factor", downscale_factor)
    check_tensor("pixel_unshuffle", "input", input)
    if input.ndim < 3:
        raise ValueError(
            f"pixel_unshuffle(): input must be (*, C, H, W), got shape {input._array.shape}"
        )
    *lead, c, h, w = input.shape
    if r < 1 or h % r or w % r:
        raise ValueError(
            f"pixel_unshuffle(): height and width of {tuple(input.shape)} must be divisible by "
            f"downscale_factor {r}"
        )
    if not input._array.size:  # as in PyTorch
        return input.clone()
    k = len(lead)
    y = input.reshape(*lead, c, h // r, r, w // r, r)
    y = y.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3)
    return y.reshape(*lead, c * r * r, h // r, w // r)

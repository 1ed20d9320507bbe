"""Pictures read at given places: `affine_grid` and `grid_sample`.

The places' numbers and the taps they fall on are constants, computed with NumPy; the weights of the
taps are expressions of the grid. So both gradients are those of products and sums.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..._watch import whole
from ...functions.unary import where
from ...spec import as_int
from ...tensor import Tensor, wrap
from .common import check_floats

Array = np.ndarray


def _positions(n: int, align_corners: bool, kind: Any) -> Array:
    """The middles of n pixels in [-1, 1], or with the corners at the ends."""
    if n <= 1:
        return np.zeros(n, kind)
    places = np.linspace(-1, 1, n, dtype=np.float64)
    return (places if align_corners else places * ((n - 1) / n)).astype(kind)


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The places that affine maps send an output's pixels to, for `grid_sample`.

    Parameters
    ----------
    theta : Tensor
        (N, 2, 3), or (N, 3, 4) for volumes.
    size : tuple of int
        The output's (N, C, H, W), or (N, C, D, H, W).
    align_corners : bool
        Whether -1 and 1 are the middles of the outermost pixels, or their outer edges.

    Returns
    -------
    Tensor
        (N, H, W, 2), or (N, D, H, W, 3).

    Raises
    ------
    ValueError, TypeError
        For shapes and types that do not fit.
    """
    name = "affine_grid"
    check_floats(name, input=theta)
    shape = tuple(as_int(name, "size", n) for n in size)
    ndim = len(shape) - 2
    if ndim not in (2, 3) or min(shape) < 1:
        raise ValueError(
            f"{name}(): size must be (N, C, H, W) or (N, C, D, H, W) and positive, got {shape}"
        )
    if theta._array.shape != (shape[0], ndim, ndim + 1):
        raise ValueError(
            f"{name}(): theta must have shape {(shape[0], ndim, ndim + 1)} for size {shape}, "
            f"got {theta._array.shape}"
        )
    kind = theta._array.dtype
    axes = [_positions(n, bool(align_corners), kind) for n in shape[2:]]
    base = np.ones((*shape[2:], ndim + 1), kind)
    for k, places in enumerate(np.meshgrid(*axes, indexing="ij")):
        base[..., ndim - 1 - k] = places
    rows = wrap(base.reshape(1, -1, ndim + 1)).expand(shape[0], -1, -1)
    return rows.matmul(theta.transpose(1, 2)).reshape(shape[0], *shape[2:], ndim)


def _pixels(grid: Tensor, n: int, align_corners: bool) -> Tensor:
    """Coordinates in [-1, 1] as pixel numbers."""
    if align_corners:
        return (grid + 1) / 2 * (n - 1)
    return ((grid + 1) * n - 1) / 2


def _reflected(x: Array, low: float, high: float) -> tuple[Array, Array]:
    """`x` thrown back at two borders, and the sign of its slope."""
    span = high - low
    if span <= 0:
        return np.zeros_like(x), np.zeros_like(x)
    away = x - low
    sign = np.where(away < 0, -1, 1).astype(x.dtype)
    away = np.abs(away)
    extra = np.fmod(away, span).astype(x.dtype)
    even = np.floor(away / span) % 2 == 0
    back = np.where(even, extra + low, span - extra + low)
    return back.astype(x.dtype), np.where(even, sign, -sign)


def _clipped(x: Array, n: int) -> tuple[Array, Array]:
    inside = (x > 0) & (x < n - 1)
    return np.clip(x, 0, n - 1), inside.astype(x.dtype)


def _inside(x: Array, n: int, mode: str, align_corners: bool) -> tuple[Array, Array]:
    """Pixel numbers as the padding mode sees them, and the slope of that."""
    if mode == "zeros":
        return x, np.ones_like(x)
    slope = np.ones_like(x)
    if mode == "reflection":
        borders = (0, n - 1) if align_corners else (-0.5, n - 0.5)
        x, slope = _reflected(x, *borders)
    x, open_ = _clipped(x, n)
    return x, slope * open_


def _placed(pixel: Tensor, n: int, mode: str, align_corners: bool) -> Tensor:
    """`_inside` with its gradient: the value, and the pixel number's gradient times the slope."""
    if mode == "zeros":
        return pixel
    value, slope = _inside(pixel._array, n, mode, align_corners)
    move = (pixel - pixel.detach()) * wrap(slope)
    return move + wrap(value.astype(pixel._array.dtype))


def _fetch(image: Tensor, index: list[Array], sizes: tuple[int, ...]) -> Tensor:
    """Pixels (N, *places, C) of (N, *sizes, C) at whole numbers; 0 outside."""
    rank = index[0].ndim
    valid = np.ones(index[0].shape, bool)
    safe = []
    for i, n in zip(index, sizes, strict=True):
        valid &= (i >= 0) & (i < n)
        safe.append(np.clip(i, 0, n - 1))
    batch = np.arange(index[0].shape[0]).reshape(-1, *[1] * (rank - 1))
    picked: Tensor = image[tuple(wrap(i) for i in (np.broadcast_to(batch, valid.shape), *safe))]
    return picked if valid.all() else picked.masked_fill(wrap(~valid[..., None]), 0)


def _whole(x: Array, n: int) -> Array:
    """Floating-point whole numbers as int64, those far outside brought near."""
    return np.clip(x, -4, n + 4).astype(np.int64)


def _linear(image: Tensor, places: list[Tensor], sizes: tuple[int, ...]) -> Tensor:
    """The weighted mean of the 2, 4 or 8 pixels around each place."""
    floors = [np.floor(p._array) for p in places]
    after = [p - wrap(f) for p, f in zip(places, floors, strict=True)]
    total: Any = None
    for corner in itertools.product((0, 1), repeat=len(sizes)):
        index = [_whole(f + c, n) for f, c, n in zip(floors, corner, sizes, strict=True)]
        weight: Any = None
        for part, c in zip(after, corner, strict=True):
            factor = part if c else 1 - part
            weight = factor if weight is None else weight * factor
        term = _fetch(image, index, sizes) * weight.unsqueeze(-1)
        total = term if total is None else total + term
    return total  # type: ignore[no-any-return]


def _cubic_weights(t: Tensor) -> list[Tensor]:
    """Weights of the pixels at -1, 0, 1, 2 for a fraction t (Keys 1981, a = -3/4)."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _cubic(
    image: Tensor, places: list[Tensor], sizes: tuple[int, ...], mode: str, align_corners: bool
) -> Tensor:
    """The weighted mean of the 16 pixels around each place."""
    floors = [np.floor(p._array) for p in places]
    weights = [_cubic_weights(p - wrap(f)) for p, f in zip(places, floors, strict=True)]

    def taps(axis: int, step: int) -> Array:
        x, _ = _inside(floors[axis] + step, sizes[axis], mode, align_corners)
        return _whole(np.trunc(x), sizes[axis])

    total: Any = None
    for i in range(4):
        line: Any = None
        for j in range(4):
            term = _fetch(image, [taps(0, i - 1), taps(1, j - 1)], sizes)
            term = term * weights[1][j].unsqueeze(-1)
            line = term if line is None else line + term
        line = line * weights[0][i].unsqueeze(-1)
        total = line if total is None else total + line
    return total  # type: ignore[no-any-return]


@whole("GridSample")
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Pictures, or volumes, read at given places.

    Parameters
    ----------
    input : Tensor
        (N, C, H, W) or (N, C, D, H, W).
    grid : Tensor
        (N, H', W', 2) of (x, y), or (N, D', H', W', 3) of (x, y, z), in [-1, 1].
    mode : "bilinear", "nearest" or "bicubic"
        Of volumes "bilinear" takes 8 neighbours, and there is no "bicubic".
    padding_mode : "zeros", "border" or "reflection"
        What lies outside.
    align_corners : bool
        Whether -1 and 1 are the middles of the outermost pixels, or their outer edges.

    Returns
    -------
    Tensor
        (N, C, H', W') or (N, C, D', H', W').

    Raises
    ------
    ValueError, TypeError
        For modes there are not, and shapes and types that do not fit.
    """
    name = "grid_sample"
    check_floats(name, input=input, grid=grid)
    if grid is None:
        raise TypeError(f"{name}(): argument 'grid' must be Tensor, not NoneType")
    shape, places = input._array.shape, grid._array.shape
    ndim = len(shape) - 2
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"{name}(): mode must be 'bilinear', 'nearest' or 'bicubic', got {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            f"{name}(): padding_mode must be 'zeros', 'border' or 'reflection', "
            f"got {padding_mode!r}"
        )
    if ndim not in (2, 3) or len(places) != len(shape) or places[-1] != ndim:
        raise ValueError(
            f"{name}(): input must be (N, C, H, W) with grid (N, H', W', 2), or (N, C, D, H, W) "
            f"with grid (N, D', H', W', 3), got shapes {shape} and {places}"
        )
    if places[0] != shape[0] or 0 in shape[1:]:
        raise ValueError(
            f"{name}(): input of shape {shape} and grid of shape {places} must have one batch "
            "size, and the input's sizes must not be 0"
        )
    if mode == "bicubic" and ndim == 3:
        raise ValueError(f"{name}(): mode 'bicubic' is for pictures only, got shape {shape}")
    align, sizes = bool(align_corners), shape[2:]
    finite = np.isfinite(grid._array)
    if not finite.all():  # neither NaN nor infinity has neighbours
        far = np.nan_to_num(grid._array, nan=-1e6, posinf=1e6, neginf=-1e6)
        grid = where(wrap(finite), grid, wrap(far))
    # the grid's last axis is (x, y, z), the picture's axes are (z, y, x)
    pixels = [_pixels(grid[..., ndim - 1 - k], n, align) for k, n in enumerate(sizes)]
    image = input.permute(0, *range(2, ndim + 2), 1)
    if mode == "bicubic":
        result = _cubic(image, pixels, sizes, padding_mode, align)
    elif mode == "bilinear":
        placed = [_placed(p, n, padding_mode, align) for p, n in zip(pixels, sizes, strict=True)]
        result = _linear(image, placed, sizes)
    else:
        index = [
            _whole(np.rint(_inside(p._array, n, padding_mode, align)[0]), n)
            for p, n in zip(pixels, sizes, strict=True)
        ]
        result = _fetch(image, index, sizes)
    return result.permute(0, ndim + 1, *range(1, ndim + 1))

"""Blurring, sharpening, noise and erased boxes of arrays (N, C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .color import blended, work
from .values import Array, rounded


def gaussian(size: int, sigma: Any) -> Array:
    """Weights (N, size) of a Gaussian for each sigma, adding up to one."""
    sigma = np.atleast_1d(np.asarray(sigma, np.float64))
    place = np.arange(size) - (size - 1) / 2
    weight = np.exp(-0.5 * (place / sigma[:, None]) ** 2)
    return weight / weight.sum(1, keepdims=True)


def _along(a: Array, weight: Array, axis: int) -> Array:
    """Sums along an axis of neighbours, weight (N, size) those of each image; none at the edges."""
    size = weight.shape[1]
    out_size = a.shape[axis] - size + 1
    total = None
    for k in range(size):
        part = a[:, :, k : k + out_size] if axis == 2 else a[:, :, :, k : k + out_size]
        part = part * weight[:, k].reshape(-1, 1, 1, 1).astype(a.dtype)
        total = part if total is None else np.add(total, part, out=total)
    return np.asarray(total)


def blurred(a: Array, size: tuple[int, int], sigma: tuple[Any, Any]) -> Array:
    """A Gaussian blur, the image reflected at its edges; size and sigma along x and y."""
    kx, ky = size
    if ky // 2 >= a.shape[2] or kx // 2 >= a.shape[3]:
        raise ValueError(
            f"gaussian_blur: kernel_size {list(size)} is too large for an image of "
            f"{a.shape[2]}×{a.shape[3]}: it is reflected at its edges"
        )
    x = a.astype(work(a), copy=False)
    x = np.pad(x, ((0, 0), (0, 0), (ky // 2, ky // 2), (kx // 2, kx // 2)), "reflect")
    out = _along(_along(x, gaussian(kx, sigma[0]), 3), gaussian(ky, sigma[1]), 2)
    return rounded(out, a.dtype)


def sharpened(a: Array, factor: Any) -> Array:
    """Values moved away from (a factor below 1: towards) a 3×3 smoothing of the image."""
    if a.shape[2] <= 2 or a.shape[3] <= 2:
        return a
    x = a.astype(work(a), copy=False)
    rows = x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]
    smooth = x.copy("K")
    inner = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * x[:, :, 1:-1, 1:-1]
    inner /= 13
    smooth[:, :, 1:-1, 1:-1] = np.rint(inner) if a.dtype.kind != "f" else inner
    return blended(a, smooth, factor)


def noisy(a: Array, mean: float, sigma: float, clip: bool, rng: np.random.Generator) -> Array:
    """Gaussian noise added, of values from 0 to 1 also where those of the image go to 255."""
    kind = np.float64 if a.dtype == np.float64 else np.float32
    noise = rng.standard_normal(a.shape, kind)
    noise *= kind(sigma)
    noise += kind(mean)
    if a.dtype == np.uint8:
        total = a.astype(np.int16) + (noise * 255).astype(np.int16)
        return (np.clip(total, 0, 255) if clip else total).astype(np.uint8)
    out = (a + noise).astype(a.dtype, copy=False)
    return np.clip(out, 0, 1, out=out) if clip else out


def erased(a: Array, boxes: Any, values: Any, inplace: bool = False) -> Array:
    """Boxes (top, left, height, width), one of each image, None for none, overwritten."""
    out = a if inplace else a.copy("K")
    for i, (box, value) in enumerate(zip(boxes, values, strict=True)):
        if box is not None:
            top, left, height, width = box
            out[i, :, top : top + height, left : left + width] = value
    return out

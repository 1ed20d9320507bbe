"""Filters made by hand, and images seen through them.

Kernels are correlated, not flipped, as in every convolution layer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import wrap
from ._draw import as_picture
from ._model import Array, check_count

__all__ = [
    "gabor", "gabor_bank", "gaussian", "gradient", "laplacian_of_gaussian", "low_pass",
    "plus_sign", "see", "sharpening",
]  # fmt: skip


def low_pass(size: int = 3) -> Array:
    """The mean of size × size pixels.

    Parameters
    ----------
    size : int

    Returns
    -------
    ndarray, (size, size) float64
    """
    size = check_count(size, "size", "low_pass")
    return np.full((size, size), 1 / size**2)


def gaussian(sigma: float = 1.0, size: int | None = None) -> Array:
    """A round mean, with weights from the normal distribution.

    Parameters
    ----------
    sigma : float
        Its standard deviation in pixels.
    size : int, optional
        Odd; by default all within four standard deviations.

    Returns
    -------
    ndarray, (size, size) float64
        The sum is 1.

    Raises
    ------
    ValueError
        If `sigma` is not positive, or `size` not odd.
    """
    y, x = _places(sigma, size, 4, "gaussian")
    found = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return found / found.sum()  # type: ignore[no-any-return]


def gradient(kind: str = "sobel") -> Array:
    """Differences of neighbours, along x and along y.

    Parameters
    ----------
    kind : "central", "prewitt", "sobel" or "scharr"
        How they are averaged over the neighbouring lines: not, 1 1 1, 1 2 1, 3 10 3.

    Returns
    -------
    ndarray, (2, 3, 3) float64
        Of a ramp that grows by 1 with each pixel they give 1: first along x, then along y.

    Raises
    ------
    ValueError
        For another kind.
    """
    kinds = {"central": (0, 1, 0), "prewitt": (1, 1, 1), "sobel": (1, 2, 1), "scharr": (3, 10, 3)}
    if kind not in kinds:
        raise ValueError(f"gradient: kind must be one of {', '.join(kinds)}, got {kind!r}")
    across = np.array(kinds[kind], np.float64)
    along_x = np.outer(across / across.sum(), [-0.5, 0, 0.5])
    return np.stack([along_x, along_x.T])


def sharpening(amount: float = 1.0) -> Array:
    """The pixel, and `amount` times what sets it apart from the mean of its four neighbours.

    Returns
    -------
    ndarray, (3, 3) float64
        The sum is 1. With 4: ``[[0 -1 0] [-1 5 -1] [0 -1 0]]``.
    """
    apart = np.array([[0, -0.25, 0], [-0.25, 1, -0.25], [0, -0.25, 0]])
    return np.array([[0, 0, 0], [0, 1.0, 0], [0, 0, 0]]) + amount * apart


def plus_sign(size: int = 3, balanced: bool = False) -> Array:
    """Finds plus signs: 1 on the middle line and column.

    Parameters
    ----------
    size : int
        Odd.
    balanced : bool
        0 is made negative so that the sum is 0: a bright plain gives nothing.

    Returns
    -------
    ndarray, (size, size) float64
    """
    size = check_count(size, "size", "plus_sign", 3)
    if size % 2 == 0:
        raise ValueError(f"plus_sign: size must be odd, got {size}")
    found = np.zeros((size, size))
    found[size // 2] = found[:, size // 2] = 1
    if balanced:
        found[found == 0] = -(2 * size - 1) / (size - 1) ** 2
    return found


def gabor(
    wavelength: float = 4.0,
    angle: float = 0.0,
    sigma: float | None = None,
    phase: float = 0.0,
    aspect: float = 0.5,
    size: int | None = None,
) -> Array:
    """A wave under a bell: finds edges and lines of one direction and width.

    Parameters
    ----------
    wavelength : float
        Pixels from crest to crest.
    angle : float
        Direction in which the wave runs, in radians from x towards y.
    sigma : float, optional
        Standard deviation of the bell along it; 0.56 wavelengths, a band of one octave, by default.
    phase : float
        0: finds lines; π/2: finds edges.
    aspect : float
        Sigma along the wave over sigma along its crests.
    size : int, optional
        Odd; by default what three standard deviations take.

    Returns
    -------
    ndarray, (size, size) float64
        The mean is taken off, so a plain gives 0; the sum of absolute values is 1.

    Raises
    ------
    ValueError
        If `wavelength`, `sigma` or `aspect` is not positive, or `size` not odd.

    References
    ----------
    Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation
    optimized by two-dimensional visual cortical filters" (1985).
    """
    if not (wavelength > 0 and aspect > 0):
        raise ValueError(
            f"gabor: wavelength and aspect must be positive, got {wavelength} and {aspect}"
        )
    sigma = 0.56 * wavelength if sigma is None else sigma
    y, x = _places(sigma, size, 3 / min(aspect, 1.0), "gabor")
    along = x * math.cos(angle) + y * math.sin(angle)
    across = -x * math.sin(angle) + y * math.cos(angle)
    bell = np.exp(-(along**2 + (aspect * across) ** 2) / (2 * sigma**2))
    found = bell * np.cos(2 * math.pi * along / wavelength + phase)
    found -= bell * (found.sum() / bell.sum())
    return found / np.abs(found).sum()  # type: ignore[no-any-return]


def gabor_bank(
    angles: int = 8,
    wavelengths: tuple[float, ...] = (4.0, 8.0),
    phases: tuple[float, ...] = (0.0,),
    size: int | None = None,
) -> Array:
    """Gabor filters of several widths and directions, all of one size.

    Parameters
    ----------
    angles : int
        Directions, from 0 on in even steps over half a turn.
    wavelengths, phases : tuple of float
    size : int, optional
        Odd; what the widest takes by default.

    Returns
    -------
    ndarray, (len(wavelengths) · len(phases) · angles, size, size) float64
        In that order, directions fastest.
    """
    angles = check_count(angles, "angles", "gabor_bank")
    if not wavelengths or not phases:
        raise ValueError("gabor_bank: wavelengths and phases must not be empty")
    size = len(gabor(max(wavelengths))) if size is None else size
    return np.stack(
        [
            gabor(w, math.pi * k / angles, phase=p, size=size)
            for w in wavelengths for p in phases for k in range(angles)
        ]
    )  # fmt: skip


def laplacian_of_gaussian(sigma: float = 2.0, size: int | None = None) -> Array:
    """Finds blobs: bright ones give a negative minimum, dark ones a maximum, at their middle.

    Parameters
    ----------
    sigma : float
        A blob of radius √2·sigma answers most.
    size : int, optional
        Odd; by default all within four standard deviations.

    Returns
    -------
    ndarray, (size, size) float64
        Times sigma², so that answers of different sigmas compare; the sum is 0.

    Raises
    ------
    ValueError
        If `sigma` is not positive, or `size` not odd.

    References
    ----------
    Marr, Hildreth, "Theory of edge detection" (1980); Lindeberg, "Feature detection with automatic
    scale selection" (1998) for sigma².
    """
    y, x = _places(sigma, size, 4, "laplacian_of_gaussian")
    square = (x**2 + y**2) / (2 * sigma**2)
    found = -(1 - square) * np.exp(-square) / (math.pi * sigma**2)
    return found - found.mean()  # type: ignore[no-any-return]


def see(image: Any, kernels: Any, padding_mode: str = "reflect") -> Array:
    """An image through kernels, of its own size.

    Parameters
    ----------
    image : array_like, (H, W), (1, H, W) or (3, H, W)
        Of colours, the mean is taken.
    kernels : array_like, (kh, kw) or (K, kh, kw)
        Odd sizes.
    padding_mode : "reflect", "replicate", "circular" or "constant"
        What lies beyond the edges; "constant": zeros.

    Returns
    -------
    ndarray
        (H, W) for one kernel, (K, H, W) for several; float64.

    Raises
    ------
    ValueError
        For other shapes, even sizes, and a kernel too large to reflect the image.
    """
    a, k = as_picture(image, "see").astype(np.float64), np.asarray(kernels, np.float64)
    a = a.mean(2) if a.ndim == 3 else a
    if k.ndim not in (2, 3) or k.shape[-1] % 2 == 0 or k.shape[-2] % 2 == 0:
        raise ValueError(
            f"see: kernels must be (kh, kw) or (K, kh, kw) of odd sizes, got {k.shape}"
        )
    high, wide = k.shape[-2] // 2, k.shape[-1] // 2
    x = F.pad(wrap(a[None, None]), (wide, wide, high, high), mode=padding_mode)
    bank = wrap(np.ascontiguousarray(k.reshape(-1, 1, *k.shape[-2:])))
    found = np.ascontiguousarray(F.conv2d(x, bank).numpy()[0])
    return found if k.ndim == 3 else found[0]


def _places(sigma: float, size: int | None, reach: float, what: str) -> tuple[Array, Array]:
    """Coordinates around the middle."""
    if not sigma > 0:
        raise ValueError(f"{what}: sigma must be positive, got {sigma}")
    size = 2 * math.ceil(reach * sigma) + 1 if size is None else check_count(size, "size", what)
    if size % 2 == 0:
        raise ValueError(f"{what}: size must be odd, got {size}")
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return y, x

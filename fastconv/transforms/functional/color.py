"""Colour, sharpness, blur and noise of single images or whole batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...data.sample import draws
from ..picture import Array, Picture
from ..pixels import color as pixels
from ..pixels import filters
from ..pixels.values import largest


def _changed(what: str, inpt: Any, change: Callable[[Array], Array], colours: bool = True) -> Any:
    picture = Picture(inpt, what)
    if colours:
        pixels.check_colours(what, picture.pixels)
    return picture.result(change(picture.pixels))


def not_negative(what: str, name: str, value: float) -> float:
    """A factor, if it is none below zero.

    Raises
    ------
    ValueError
        For a negative one.
    """
    if value < 0:
        raise ValueError(f"{what}: {name} must not be negative, got {value}")
    return value


def adjust_brightness(inpt: Any, brightness_factor: float) -> Any:
    """Values times a factor: 0 is black, 1 the image itself."""
    factor = not_negative("adjust_brightness", "brightness_factor", brightness_factor)
    return _changed("adjust_brightness", inpt, lambda a: pixels.brighter(a, factor))


def adjust_contrast(inpt: Any, contrast_factor: float) -> Any:
    """Values moved away from the mean brightness: 0 is uniform gray, 1 the image itself."""
    factor = not_negative("adjust_contrast", "contrast_factor", contrast_factor)
    return _changed("adjust_contrast", inpt, lambda a: pixels.contrasted(a, factor))


def adjust_saturation(inpt: Any, saturation_factor: float) -> Any:
    """Colours moved away from gray: 0 is a gray image, 1 the image itself."""
    factor = not_negative("adjust_saturation", "saturation_factor", saturation_factor)
    return _changed("adjust_saturation", inpt, lambda a: pixels.saturated(a, factor))


def adjust_hue(inpt: Any, hue_factor: float) -> Any:
    """Hues turned by a part of the circle, -0.5 to 0.5: 0 is the image itself."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"adjust_hue: hue_factor must be between -0.5 and 0.5, got {hue_factor}")
    return _changed("adjust_hue", inpt, lambda a: pixels.hue_shifted(a, hue_factor))


def adjust_gamma(inpt: Any, gamma: float, gain: float = 1) -> Any:
    """``gain * value ** gamma``, of values from 0 to 1."""
    not_negative("adjust_gamma", "gamma", gamma)
    return _changed("adjust_gamma", inpt, lambda a: pixels.gamma_corrected(a, gamma, gain), False)


def adjust_sharpness(inpt: Any, sharpness_factor: float) -> Any:
    """0 is a smoothed image, 1 the image itself, 2 a sharper one."""
    factor = not_negative("adjust_sharpness", "sharpness_factor", sharpness_factor)
    return _changed("adjust_sharpness", inpt, lambda a: filters.sharpened(a, factor))


def autocontrast(inpt: Any) -> Any:
    """Each channel stretched from black to white."""
    return _changed("autocontrast", inpt, pixels.autocontrasted)


def equalize(inpt: Any) -> Any:
    """Each channel with a histogram as even as it can be."""
    return _changed("equalize", inpt, pixels.equalized)


def invert(inpt: Any) -> Any:
    """Black for white."""
    return _changed("invert", inpt, pixels.inverted)


def posterize(inpt: Any, bits: int) -> Any:
    """Values of so many bits, 0 to 8."""
    if not 0 <= bits <= 8:
        raise ValueError(f"posterize: bits must be between 0 and 8, got {bits}")
    return _changed("posterize", inpt, lambda a: pixels.posterized(a, bits))


def solarize(inpt: Any, threshold: float) -> Any:
    """Values from the threshold on inverted."""

    def change(a: Array) -> Array:
        if threshold > largest(a.dtype):
            raise ValueError(
                f"solarize: threshold must not be above {largest(a.dtype)}, the largest value of "
                f"{a.dtype}, got {threshold}"
            )
        return pixels.solarized(a, threshold)

    return _changed("solarize", inpt, change)


def rgb_to_grayscale(inpt: Any, num_output_channels: int = 1) -> Any:
    """``0.2989 red + 0.587 green + 0.114 blue``, in one channel or three alike."""
    if num_output_channels not in (1, 3):
        raise ValueError(
            f"rgb_to_grayscale: num_output_channels must be 1 or 3, got {num_output_channels}"
        )
    return _changed("rgb_to_grayscale", inpt, lambda a: pixels.gray(a, num_output_channels))


to_grayscale = rgb_to_grayscale


def grayscale_to_rgb(inpt: Any) -> Any:
    """Three channels alike of one; an image of three stays."""
    return _changed(
        "grayscale_to_rgb", inpt, lambda a: a if a.shape[1] == 3 else np.repeat(a, 3, axis=1)
    )


def blur_settings(
    what: str, kernel_size: Any, sigma: Any = None
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Kernel size and sigma along x and y.

    Raises
    ------
    ValueError
        For an even or negative size, or a sigma that is not positive.
    """
    sizes = list(kernel_size) if isinstance(kernel_size, Sequence) else [kernel_size] * 2
    sizes = sizes * 2 if len(sizes) == 1 else sizes
    if len(sizes) != 2 or any(not isinstance(k, int) or k <= 0 or k % 2 == 0 for k in sizes):
        raise ValueError(
            f"{what}: kernel_size must be a positive odd integer or two, got {kernel_size!r}"
        )
    if sigma is None:
        spread = [0.15 * k + 0.35 for k in sizes]
    else:
        spread = list(sigma) if isinstance(sigma, Sequence) else [sigma] * 2
        spread = spread * 2 if len(spread) == 1 else spread
    if len(spread) != 2 or min(spread) <= 0:
        raise ValueError(f"{what}: sigma must be a positive number or two, got {sigma!r}")
    return (sizes[0], sizes[1]), (float(spread[0]), float(spread[1]))


def gaussian_blur(
    inpt: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:
    """A Gaussian blur of odd `kernel_size` (x, y); sigma is ``0.15 * size + 0.35`` by default."""
    size, spread = blur_settings("gaussian_blur", kernel_size, sigma)
    return _changed("gaussian_blur", inpt, lambda a: filters.blurred(a, size, spread), False)


def gaussian_noise(inpt: Any, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> Any:
    """Gaussian noise added to values from 0 to 1, or 255 times as much to uint8.

    Raises
    ------
    TypeError
        For values that are neither floating-point nor uint8.
    ValueError
        For a negative sigma.
    """
    not_negative("gaussian_noise", "sigma", sigma)

    def change(a: Array) -> Array:
        if a.dtype.kind != "f" and a.dtype != np.uint8:
            raise TypeError(f"gaussian_noise: expected floating-point or uint8, got {a.dtype}")
        return filters.noisy(a, mean, sigma, clip, draws())

    return _changed("gaussian_noise", inpt, change, False)

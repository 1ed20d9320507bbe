"""Transforms of colour, sharpness, blur and noise. Masks stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .functional.color import blur_settings, not_negative
from .geometry import between
from .picture import Array, Picture
from .pixels import color as pixels
from .pixels import filters
from .pixels.values import largest
from .transform import PixelTransform, chance, chosen


class Grayscale(PixelTransform):
    """Gray images of one channel, or of three alike.

    Parameters
    ----------
    num_output_channels : {1, 3}
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        if num_output_channels not in (1, 3):
            raise ValueError(
                f"Grayscale: num_output_channels must be 1 or 3, got {num_output_channels}"
            )
        self.num_output_channels = num_output_channels

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels gray."""
        return pixels.gray(picture.pixels, self.num_output_channels)


class ColorJitter(PixelTransform):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    Parameters
    ----------
    brightness, contrast, saturation : number or (number, number), optional
        Range of the factor; of one number v, from max(0, 1 - v) to 1 + v.
    hue : number or (number, number), optional
        Range of the turn within -0.5 to 0.5; of one number, from minus it to it.

    Raises
    ------
    ValueError
        For a range that is none, or leaves its limits.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] | None = None,
        contrast: float | Sequence[float] | None = None,
        saturation: float | Sequence[float] | None = None,
        hue: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.brightness = self._range("brightness", brightness)
        self.contrast = self._range("contrast", contrast)
        self.saturation = self._range("saturation", saturation)
        self.hue = self._range("hue", hue, 0, (-0.5, 0.5))

    @staticmethod
    def _range(
        name: str, value: Any, centre: float = 1, limits: tuple[float, float | None] = (0, None)
    ) -> tuple[float, float] | None:
        if value is None:
            return None
        if isinstance(value, (int, float, np.number)):
            not_negative("ColorJitter", name, float(value))
            least = centre - float(value)
            value = (max(0.0, least) if centre else least, centre + float(value))
        found = between("ColorJitter", name, value, *limits)
        return None if found == (centre, centre) else found

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """The order of each image, and what each change is given."""
        count = picture.count
        order = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        return order, [None if ends is None else rng.uniform(*ends, count) for ends in ranges]

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels changed."""
        order, factors = drawn
        a = picture.pixels
        pixels.check_colours("ColorJitter", a)
        changes = (pixels.brighter, pixels.contrasted, pixels.saturated, pixels.hue_shifted)
        for turn in range(4):
            for k, change in enumerate(changes):
                factor = factors[k]
                if factor is not None:
                    a = chosen(
                        a, order[:, turn] == k, lambda b, at, f=change, v=factor: f(b, v[at])
                    )
        return a


class _Sometimes(PixelTransform):
    """A change of the image with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = chance(type(self).__name__, p)

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Which images."""
        return rng.random(picture.count) < self.p

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels, changed where they are to be."""
        return chosen(picture.pixels, drawn, lambda a, at: self.change(a))

    def change(self, a: Array) -> Array:
        """The change."""
        raise NotImplementedError


class RandomGrayscale(_Sometimes):
    """Gray with probability `p`, with as many channels as before.

    Parameters
    ----------
    p : float
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def change(self, a: Array) -> Array:
        """Gray values."""
        return pixels.gray(a, a.shape[1])


class RandomInvert(_Sometimes):
    """Black for white, with probability `p`.

    Parameters
    ----------
    p : float
    """

    def change(self, a: Array) -> Array:
        """Inverted values."""
        return pixels.inverted(a)


class RandomPosterize(_Sometimes):
    """Values of fewer bits, with probability `p`.

    Parameters
    ----------
    bits : int
        0 to 8.
    p : float
    """

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        if not 0 <= bits <= 8:
            raise ValueError(f"RandomPosterize: bits must be between 0 and 8, got {bits}")
        self.bits = bits

    def change(self, a: Array) -> Array:
        """Posterised values."""
        return pixels.posterized(a, self.bits)


class RandomSolarize(_Sometimes):
    """Values from a threshold on inverted, with probability `p`.

    Parameters
    ----------
    threshold : float
        Of the values that the image has: 0 to 255, or 0 to 1.
    p : float
    """

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, a: Array) -> Array:
        """Solarised values."""
        if self.threshold > largest(a.dtype):
            raise ValueError(
                f"RandomSolarize: threshold must not be above {largest(a.dtype)}, the largest "
                f"value of {a.dtype}, got {self.threshold}"
            )
        return pixels.solarized(a, self.threshold)


class RandomAdjustSharpness(_Sometimes):
    """Smoother (a factor below 1) or sharper, with probability `p`.

    Parameters
    ----------
    sharpness_factor : float
    p : float
    """

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = not_negative(
            "RandomAdjustSharpness", "sharpness_factor", sharpness_factor
        )

    def change(self, a: Array) -> Array:
        """Sharpened values."""
        return filters.sharpened(a, self.sharpness_factor)


class RandomAutocontrast(_Sometimes):
    """Each channel stretched from black to white, with probability `p`.

    Parameters
    ----------
    p : float
    """

    def change(self, a: Array) -> Array:
        """Stretched values."""
        return pixels.autocontrasted(a)


class RandomEqualize(_Sometimes):
    """Each channel with an even histogram, with probability `p`.

    Parameters
    ----------
    p : float
    """

    def change(self, a: Array) -> Array:
        """Equalised values."""
        return pixels.equalized(a)


class GaussianBlur(PixelTransform):
    """A Gaussian blur of random width.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Odd, along x and y.
    sigma : number or (number, number)
        Range of the standard deviation, in pixels.
    """

    def __init__(
        self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)
    ) -> None:
        super().__init__()
        self.kernel_size = blur_settings("GaussianBlur", kernel_size)[0]
        ends = (sigma, sigma) if isinstance(sigma, (int, float, np.number)) else sigma
        self.sigma = between("GaussianBlur", "sigma", ends)
        if self.sigma[0] <= 0:
            raise ValueError(f"GaussianBlur: sigma must be positive, got {sigma!r}")

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Standard deviations."""
        return rng.uniform(*self.sigma, picture.count)

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels blurred."""
        return filters.blurred(picture.pixels, self.kernel_size, (drawn, drawn))


class GaussianNoise(PixelTransform):
    """Gaussian noise added.

    Parameters
    ----------
    mean, sigma : float
        Of values from 0 to 1; uint8 gets 255 times as much.
    clip : bool
        Keep the values within their range.
    """

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        self.mean, self.clip = mean, clip
        self.sigma = not_negative("GaussianNoise", "sigma", sigma)

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """The source of the noise."""
        return rng

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels with noise."""
        a = picture.pixels
        if a.dtype.kind != "f" and a.dtype != np.uint8:
            raise TypeError(f"GaussianNoise: expected floating-point or uint8, got {a.dtype}")
        return filters.noisy(a, self.mean, self.sigma, self.clip, drawn)

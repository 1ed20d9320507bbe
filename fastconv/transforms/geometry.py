"""Transforms of place: sizes, windows, flips. Masks go along."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .functional.geometry import BILINEAR, _five, four, shape_mode, two
from .interpolation import InterpolationMode, interpolation_mode
from .picture import Array, Picture
from .pixels import geometry as pixels
from .transform import Crops, GeometricTransform, Sample, Transform, chance


def fill_of(fill: Any, picture: Picture) -> Any:
    """The fill for a picture: masks get 0, unless `fill` is a mapping with one for "mask"."""
    if isinstance(fill, Mapping):
        return fill.get("mask" if picture.mask else "image", 0)
    return 0 if picture.mask else fill


class Resize(GeometricTransform):
    """Resize to a height and width.

    Parameters
    ----------
    size : int, sequence of int, or None
        A height and width; or one number, the length of the shorter edge, the other in proportion.
    interpolation : InterpolationMode
        Masks are resized to the nearest pixel.
    max_size : int, optional
        Bound of the longer edge, where `size` is one number; its length where `size` is None.
    antialias : bool
        Widen the bilinear and bicubic filters where the image gets smaller, so that every pixel
        counts; Pillow images always are.

    Raises
    ------
    ValueError
        When the size is none, or `max_size` does not go with it.
    """

    def __init__(
        self,
        size: int | Sequence[int] | None,
        interpolation: InterpolationMode | int = BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        pixels.resized_size("Resize", (1, 1), size, max_size)
        if size is not None:
            two("Resize", "size", size)
        self.size, self.max_size, self.antialias = size, max_size, antialias
        self.interpolation = interpolation_mode("Resize", interpolation)

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels resized."""
        size = pixels.resized_size("Resize", picture.size, self.size, self.max_size)
        mode = shape_mode(self.interpolation, picture)
        return pixels.resized(picture.pixels, size, mode, bool(self.antialias) or picture.pil)


class CenterCrop(GeometricTransform):
    """The window in the middle, padded with zeros where the image is smaller.

    Parameters
    ----------
    size : int or (int, int)
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = two("CenterCrop", "size", size)

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels of the window."""
        return pixels.centre_cropped(picture.pixels, *self.size)


class Pad(GeometricTransform):
    """Pad on all sides.

    Parameters
    ----------
    padding : int, or 1, 2 or 4 of them
        All sides; left and right, top and bottom; left, top, right, bottom.
    fill : number, sequence or mapping
        The colour, for "constant"; of masks 0, or as in ``{"image": 127, "mask": 255}``.
    padding_mode : {"constant", "edge", "reflect", "symmetric"}
    """

    def __init__(
        self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant"
    ) -> None:
        super().__init__()
        four("Pad", padding)
        _padding_mode("Pad", padding_mode)
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels padded."""
        sides = four("Pad", self.padding)
        fill = fill_of(self.fill, picture)
        return pixels.padded("Pad", picture.pixels, sides, self.padding_mode, fill)


def _padding_mode(what: str, mode: Any) -> None:
    if mode not in pixels.PADDING_MODES:
        raise ValueError(
            f"{what}: padding_mode must be one of {', '.join(pixels.PADDING_MODES)}, got {mode!r}"
        )


class RandomCrop(GeometricTransform):
    """A window at a random place.

    Parameters
    ----------
    size : int or (int, int)
    padding : int or sequence, optional
        Added first, as in `Pad`.
    pad_if_needed : bool
        Pad on both sides where the image is smaller than the window.
    fill, padding_mode
        As in `Pad`.

    Raises
    ------
    ValueError
        In the call, when the image is smaller than the window.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = two("RandomCrop", "size", size)
        if padding is not None:
            four("RandomCrop", padding)
        _padding_mode("RandomCrop", padding_mode)
        self.padding, self.pad_if_needed = padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Padding, and tops and lefts of windows."""
        left, top, right, bottom = four("RandomCrop", self.padding or 0)
        height, width = picture.size
        height, width = height + top + bottom, width + left + right
        if self.pad_if_needed:
            down, across = max(0, self.size[0] - height), max(0, self.size[1] - width)
            left, right, top, bottom = left + across, right + across, top + down, bottom + down
            height, width = height + 2 * down, width + 2 * across
        if self.size[0] > height or self.size[1] > width:
            raise ValueError(
                f"RandomCrop: size {self.size} is larger than the padded image of {height}×{width}"
            )
        count = picture.count
        tops = rng.integers(0, height - self.size[0] + 1, count)
        return (
            (left, top, right, bottom),
            tops,
            rng.integers(0, width - self.size[1] + 1, count),
        )

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels of the windows."""
        sides, tops, lefts = drawn
        fill = fill_of(self.fill, picture)
        a = pixels.padded("RandomCrop", picture.pixels, sides, self.padding_mode, fill)
        return pixels.cropped(a, tops, lefts, *self.size)


class RandomResizedCrop(GeometricTransform):
    """A window of random size, shape and place, resized.

    Parameters
    ----------
    size : int or (int, int)
    scale : (float, float)
        Range of the window's share of the area.
    ratio : (float, float)
        Range of width over height, drawn evenly on a logarithmic scale.
    interpolation, antialias
        As in `Resize`.

    Raises
    ------
    ValueError
        For a range whose ends are not positive or not in order.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode | int = BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = two("RandomResizedCrop", "size", size)
        self.scale = between("RandomResizedCrop", "scale", scale, low=0)
        self.ratio = between("RandomResizedCrop", "ratio", ratio, low=0)
        if self.ratio[0] <= 0:
            raise ValueError(f"RandomResizedCrop: ratio must be positive, got {ratio!r}")
        self.interpolation = interpolation_mode("RandomResizedCrop", interpolation)
        self.antialias = antialias

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Windows (top, left, height, width)."""
        height, width = picture.size
        return [self._window(rng, height, width) for _ in range(picture.count)]

    def _window(
        self, rng: np.random.Generator, height: int, width: int
    ) -> tuple[int, int, int, int]:
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(low, high))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top = int(rng.integers(0, height - h + 1))
                return top, int(rng.integers(0, width - w + 1)), h, w
        w, h = width, height  # none fits: the largest window in the middle
        if width / height < self.ratio[0]:
            h = round(w / self.ratio[0])
        elif width / height > self.ratio[1]:
            w = round(h * self.ratio[1])
        return (height - h) // 2, (width - w) // 2, h, w

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels of the windows, resized."""
        mode = shape_mode(self.interpolation, picture)
        filtered = bool(self.antialias) or picture.pil
        return pixels.resized_crops(picture.pixels, drawn, self.size, mode, filtered)


def between(
    what: str, name: str, values: Any, low: float | None = None, high: float | None = None
) -> tuple[float, float]:
    """A range as a pair of numbers.

    Raises
    ------
    ValueError
        When it is no pair in order, or leaves the limits.
    """
    if not isinstance(values, (Sequence, np.ndarray)) or len(values) != 2:
        raise ValueError(f"{what}: {name} must be a pair (least, most), got {values!r}")
    first, last = float(values[0]), float(values[1])
    if not first <= last or (low is not None and first < low) or (high is not None and last > high):
        limits = "" if low is None else f" from {low}" + ("" if high is None else f" to {high}")
        raise ValueError(f"{what}: {name} must be a pair in order{limits}, got {values!r}")
    return first, last


class FiveCrop(Transform):
    """The four corners and the centre: a tuple of five images.

    In a `Compose`, the transforms that follow change each of them, and `Lambda` gets the tuple:
    ``Lambda(lambda crops: fastconv.stack(crops))`` makes a batch of them.

    Parameters
    ----------
    size : int or (int, int)
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = two(type(self).__name__, "size", size)

    def forward(self, *inputs: Any) -> Any:
        """The inputs with windows in place of the image and its masks."""
        sample = Sample(inputs if len(inputs) > 1 else inputs[0], type(self).__name__)
        return sample.rebuild(
            {i: Crops(map(p.result, self.windows(p))) for i, p in sample.pictures.items()}
        )

    def windows(self, picture: Picture) -> tuple[Array, ...]:
        """The pixels of the windows."""
        return _five(picture, picture.pixels, self.size, type(self).__name__)


class TenCrop(FiveCrop):
    """`FiveCrop` of the image, and of its mirror image.

    Parameters
    ----------
    size : int or (int, int)
    vertical_flip : bool
        Mirror top and bottom, not left and right.
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def windows(self, picture: Picture) -> tuple[Array, ...]:
        """The pixels of the windows."""
        turned = np.flip(picture.pixels, 2 if self.vertical_flip else 3)
        return super().windows(picture) + _five(picture, turned, self.size, "TenCrop")


class _RandomFlip(GeometricTransform):
    axis = 3

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = chance(type(self).__name__, p)

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Which images are flipped."""
        return rng.random(picture.count) < self.p

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels, flipped where they are to be."""
        return pixels.flipped(picture.pixels, drawn, self.axis)


class RandomHorizontalFlip(_RandomFlip):
    """Left for right, with probability `p`.

    Parameters
    ----------
    p : float
    """


class RandomVerticalFlip(_RandomFlip):
    """Top for bottom, with probability `p`.

    Parameters
    ----------
    p : float
    """

    axis = 2

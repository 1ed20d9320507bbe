"""Random rotation, affine maps and perspective. Masks go along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .functional.geometry import BILINEAR, NEAREST, _center, rotation
from .geometry import between, fill_of
from .interpolation import InterpolationMode, interpolation_mode
from .picture import Array, Picture
from .pixels import places
from .transform import GeometricTransform, chance, chosen


def angles(what: str, name: str, value: Any) -> tuple[float, float]:
    """A range of angles: of a number, from minus it to it.

    Raises
    ------
    ValueError
        For a negative number, or what is no range.
    """
    if isinstance(value, (int, float, np.number)):
        if value < 0:
            raise ValueError(f"{what}: {name} as one number must not be negative, got {value}")
        return -float(value), float(value)
    return between(what, name, value)


class _Warp(GeometricTransform):
    interpolation: InterpolationMode
    fill: Any

    def warped(self, picture: Picture, a: Array, maps: Array, size: tuple[int, int]) -> Array:
        """Pixels read at places: of a mask the nearest ones."""
        mode = NEAREST if picture.mask else self.interpolation
        fill = fill_of(self.fill, picture)
        return places.warped(type(self).__name__, a, maps, size, mode, fill, picture.pil)


class RandomRotation(_Warp):
    """Rotate by a random angle.

    Parameters
    ----------
    degrees : number or (number, number)
        Range of angles, counter-clockwise; of one number, from minus it to it.
    interpolation : InterpolationMode
        NEAREST or BILINEAR; masks are NEAREST.
    expand : bool
        Enlarge the result to hold the whole image. Not for a batch.
    center : (x, y), optional
        What stays in place: the middle when not given.
    fill : number, sequence or mapping
        The colour outside; of masks 0, or as in ``{"image": 127, "mask": 255}``.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: InterpolationMode | int = NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = angles("RandomRotation", "degrees", degrees)
        self.interpolation = interpolation_mode("RandomRotation", interpolation)
        _center("RandomRotation", center)
        self.expand, self.center, self.fill = expand, center, fill

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Angles."""
        return rng.uniform(*self.degrees, picture.count)

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels rotated."""
        maps, size = rotation(picture, drawn, self.expand, self.center)
        return self.warped(picture, picture.pixels, maps, size)


class RandomAffine(_Warp):
    """Shear, scale, rotate and translate at random, about the centre.

    Parameters
    ----------
    degrees : number or (number, number)
        Range of angles, clockwise; of one number, from minus it to it; 0 for none.
    translate : (float, float), optional
        Largest shares of width and height by which the image moves.
    scale : (float, float), optional
        Range of the factor.
    shear : number, or 2 or 4 of them, optional
        Range of angles along x: from minus one number to it, or from the first to the second; four
        are the ranges along x and y.
    interpolation : InterpolationMode
        NEAREST or BILINEAR; masks are NEAREST.
    fill, center
        As in `RandomRotation`.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode | int = NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        what = "RandomAffine"
        self.degrees = angles(what, "degrees", degrees)
        if translate is not None and (
            len(translate) != 2 or not all(0.0 <= t <= 1.0 for t in translate)
        ):
            raise ValueError(
                f"{what}: translate must be two numbers from 0 to 1, got {translate!r}"
            )
        self.translate = translate
        self.scale = None if scale is None else between(what, "scale", scale)
        if self.scale is not None and self.scale[0] <= 0:
            raise ValueError(f"{what}: scale must be positive, got {scale!r}")
        self.shear: tuple[float, ...] | None = None
        if shear is not None:
            four = isinstance(shear, Sequence) and len(shear) == 4
            parts = [shear[:2], shear[2:]] if four else [shear]  # type: ignore[index]
            self.shear = tuple([end for part in parts for end in angles(what, "shear", part)])
        self.interpolation = interpolation_mode(what, interpolation)
        _center(what, center)
        self.fill, self.center = fill, center

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Maps from the result to the image."""
        (height, width), count = picture.size, picture.count
        angle = rng.uniform(*self.degrees, count)
        x = y = np.zeros(count)
        if self.translate is not None:
            most_x, most_y = self.translate[0] * width, self.translate[1] * height
            x = np.rint(rng.uniform(-most_x, most_x, count))
            y = np.rint(rng.uniform(-most_y, most_y, count))
        factor = np.ones(count) if self.scale is None else rng.uniform(*self.scale, count)
        along = down = np.zeros(count)
        if self.shear is not None:
            along = rng.uniform(self.shear[0], self.shear[1], count)
            if len(self.shear) == 4:
                down = rng.uniform(self.shear[2], self.shear[3], count)
        middle = (width / 2, height / 2) if self.center is None else self.center
        return places.affine_maps(angle, (x, y), factor, (along, down), middle)

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels mapped."""
        return self.warped(picture, picture.pixels, drawn, picture.size)


class RandomPerspective(_Warp):
    """Move the four corners inwards at random, with probability `p`.

    Parameters
    ----------
    distortion_scale : float
        Share of half the width and height by which a corner may move, 0 to 1.
    p : float
    interpolation, fill
        As in `RandomRotation`, but BILINEAR.
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode | int = BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        if not 0 <= distortion_scale <= 1:
            raise ValueError(
                f"RandomPerspective: distortion_scale must be from 0 to 1, got {distortion_scale}"
            )
        self.distortion_scale, self.p = distortion_scale, chance("RandomPerspective", p)
        self.interpolation = interpolation_mode("RandomPerspective", interpolation)
        self.fill = fill

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Which images, and the maps of all."""
        height, width = picture.size
        which = rng.random(picture.count) < self.p
        far = [int(self.distortion_scale * (n // 2)) for n in (width, height)]
        start = [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]
        maps = []
        for _ in range(picture.count):
            dx, dy = (rng.integers(0, n + 1, 4).tolist() for n in far)
            end = [(abs(x - a), abs(y - b)) for (x, y), a, b in zip(start, dx, dy, strict=True)]
            coefficients = places.perspective_map(start, end)
            maps.append(np.array([*coefficients, 1.0]).reshape(3, 3))
        return which, np.stack(maps)

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels, mapped where they are to be."""
        which, maps = drawn
        return chosen(
            picture.pixels, which, lambda a, at: self.warped(picture, a, maps[at], picture.size)
        )

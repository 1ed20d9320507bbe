"""Policies of random changes without settings of one's own: RandAugment, TrivialAugmentWide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .functional.geometry import NEAREST, rotation
from .geometry import fill_of
from .interpolation import InterpolationMode, interpolation_mode
from .picture import Array, Picture
from .pixels import color, filters, places
from .pixels.values import largest
from .transform import GeometricTransform, chosen

#: What a strength from 0 to 1 means for an operation, and whether it goes both ways.
Strength = tuple[Callable[[Array, int], Array], bool]
NONE: Strength = (lambda share, extent: np.zeros_like(share), False)
#: Changes of colour by a factor about 1.
FACTORS: dict[str, Callable[[Array, Any], Array]] = {
    "Brightness": color.brighter,
    "Color": color.saturated,
    "Contrast": color.contrasted,
    "Sharpness": filters.sharpened,
}
PLACES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


def _up_to(most: float) -> Strength:
    return (lambda share, extent: most * share), True


def _bits(fewest: int) -> Strength:
    return (lambda share, extent: 8 - np.rint((8 - fewest) * share)), False


def operations(
    shear: float, translate: Callable[[Array, int], Array], turn: float, factor: float, bits: int
) -> dict[str, Strength]:
    """The operations of a policy with what its strengths mean."""
    return {
        "Identity": NONE,
        "ShearX": _up_to(shear),
        "ShearY": _up_to(shear),
        "TranslateX": (translate, True),
        "TranslateY": (translate, True),
        "Rotate": _up_to(turn),
        "Brightness": _up_to(factor),
        "Color": _up_to(factor),
        "Contrast": _up_to(factor),
        "Sharpness": _up_to(factor),
        "Posterize": _bits(bits),
        "Solarize": (lambda share, extent: 1 - share, False),
        "AutoContrast": NONE,
        "Equalize": NONE,
    }


class _Policy(GeometricTransform):
    space: dict[str, Strength]
    interpolation: InterpolationMode
    fill: Any

    def moved(self, picture: Picture, a: Array, name: str, value: Array) -> Array:
        """An operation of place; `value` one of each image of `a`."""
        mode = NEAREST if picture.mask else self.interpolation
        fill = fill_of(self.fill, picture)
        size, zero = picture.size, np.zeros(len(value))
        if name == "Rotate":
            maps, size = rotation(picture, value, False, None)
        elif name.startswith("Shear"):
            slope = np.rad2deg(np.arctan(value))
            shear = (slope, zero) if name == "ShearX" else (zero, slope)
            maps = places.affine_maps(zero, (zero, zero), 1, shear, (0, 0))
        else:
            whole = np.trunc(value)
            move = (whole, zero) if name == "TranslateX" else (zero, whole)
            maps = places.affine_maps(zero, move, 1, (zero, zero), (0, 0))
        return places.warped(type(self).__name__, a, maps, size, mode, fill, picture.pil)

    def changed(self, picture: Picture, a: Array, name: str, value: Array) -> Array:
        """An operation by its name."""
        if name in PLACES:
            return self.moved(picture, a, name, value)
        if picture.mask or name == "Identity":
            return a
        if name in FACTORS:
            return FACTORS[name](a, 1 + value)
        if name == "Posterize":
            return color.posterized(a, value)
        if name == "Solarize":
            return color.solarized(a, value * largest(a.dtype))
        return color.autocontrasted(a) if name == "AutoContrast" else color.equalized(a)

    def strengths(
        self, rng: np.random.Generator, picture: Picture, which: Array, share: Array
    ) -> Array:
        """What each image's operation is given, of a random sign where it goes both ways."""
        height, width = picture.size
        sign = np.where(rng.random(len(which)) <= 0.5, -1.0, 1.0)
        out = np.zeros(len(which))
        for k, (name, (value, both)) in enumerate(self.space.items()):
            at = which == k
            extent = height if name == "TranslateY" else width
            out[at] = value(share[at], extent) * (sign[at] if both else 1)
        return out

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels after the operations drawn."""
        a = picture.pixels
        for which, value in drawn:
            for k, name in enumerate(self.space):
                a = chosen(
                    a,
                    which == k,
                    lambda b, at, n=name, v=value: self.changed(picture, b, n, v[at]),
                )
        return a


class RandAugment(_Policy):
    """Some operations chosen at random, all of one strength (Cubuk et al. 2020).

    Parameters
    ----------
    num_ops : int
        Operations one after the other.
    magnitude : int
        The strength, of `num_magnitude_bins`.
    num_magnitude_bins : int
    interpolation : InterpolationMode
        NEAREST or BILINEAR; masks are NEAREST.
    fill : number, sequence or mapping, optional
        The colour outside.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode | int = NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        if num_ops < 0:
            raise ValueError(f"RandAugment: num_ops must not be negative, got {num_ops}")
        if num_magnitude_bins < 2 or not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(
                f"RandAugment: magnitude must be from 0 to {num_magnitude_bins - 1} "
                f"(num_magnitude_bins - 1), got {magnitude}"
            )
        self.num_ops, self.magnitude, self.num_magnitude_bins = (
            num_ops,
            magnitude,
            num_magnitude_bins,
        )
        self.interpolation, self.fill = interpolation_mode("RandAugment", interpolation), fill
        self.space = operations(0.3, lambda share, extent: 150 / 331 * extent * share, 30, 0.9, 4)

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """Operations and what they are given."""
        count = picture.count
        share = np.full(count, self.magnitude / (self.num_magnitude_bins - 1))
        drawn = []
        for _ in range(self.num_ops):
            which = rng.integers(len(self.space), size=count)
            drawn.append((which, self.strengths(rng, picture, which, share)))
        return drawn


class TrivialAugmentWide(_Policy):
    """One operation at random, of a random strength (Müller and Hutter 2021).

    Parameters
    ----------
    num_magnitude_bins : int
    interpolation, fill
        As in `RandAugment`.
    """

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode | int = NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        if num_magnitude_bins < 2:
            raise ValueError(
                "TrivialAugmentWide: num_magnitude_bins must be 2 or more, "
                f"got {num_magnitude_bins}"
            )
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation_mode("TrivialAugmentWide", interpolation)
        self.fill = fill
        self.space = operations(0.99, lambda share, extent: 32 * share, 135, 0.99, 2)

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """The operation and what it is given."""
        count = picture.count
        which = rng.integers(len(self.space), size=count)
        steps = rng.integers(self.num_magnitude_bins, size=count)
        return [(which, self.strengths(rng, picture, which, steps / (self.num_magnitude_bins - 1)))]

"""Resizing, cropping, padding, flips and maps of single images or whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..interpolation import InterpolationMode, interpolation_mode
from ..picture import Picture
from ..pixels import geometry as pixels
from ..pixels import places

NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR


def two(what: str, name: str, value: Any) -> tuple[int, int]:
    """A height and width from a number, or a sequence of one or two.

    Raises
    ------
    ValueError
        For anything else, or sizes below one.
    """
    values = list(value) if isinstance(value, (Sequence, np.ndarray)) else [value]
    if len(values) == 1:
        values *= 2
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values)
    if len(values) != 2 or not whole or min(values) < 1:
        raise ValueError(
            f"{what}: {name} must be a positive integer or a pair of them, got {value!r}"
        )
    return int(values[0]), int(values[1])


def four(what: str, padding: Any) -> tuple[int, int, int, int]:
    """Left, top, right and bottom from a number, a pair (left and right, top and bottom) or four.

    Raises
    ------
    ValueError
        For anything else.
    """
    values = list(padding) if isinstance(padding, (Sequence, np.ndarray)) else [padding]
    if not all(isinstance(v, (int, np.integer)) for v in values) or len(values) not in (1, 2, 4):
        raise ValueError(
            f"{what}: padding must be an integer, or 1, 2 or 4 of them, got {padding!r}"
        )
    values = [int(v) for v in values]
    if len(values) == 1:
        values *= 4
    elif len(values) == 2:
        values *= 2
    return values[0], values[1], values[2], values[3]


def shape_mode(mode: InterpolationMode, picture: Picture) -> InterpolationMode:
    """The mode for a picture: masks keep their values, and Pillow's nearest is from centres."""
    if picture.mask:
        mode = NEAREST
    exact = mode is NEAREST and picture.pil
    return InterpolationMode.NEAREST_EXACT if exact else mode


def resize(
    inpt: Any,
    size: int | Sequence[int] | None,
    interpolation: InterpolationMode | int = BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Resize to a height and width; see :class:`fastconv.transforms.Resize`."""
    mode = interpolation_mode("resize", interpolation)
    picture = Picture(inpt, "resize")
    new = pixels.resized_size("resize", picture.size, size, max_size)
    filtered = bool(antialias) or picture.pil
    return picture.result(pixels.resized(picture.pixels, new, shape_mode(mode, picture), filtered))


def crop(inpt: Any, top: int, left: int, height: int, width: int) -> Any:
    """The window of `height` × `width` at (top, left); zeros where it leaves the image."""
    picture = Picture(inpt, "crop")
    return picture.result(pixels.cropped(picture.pixels, top, left, height, width))


def center_crop(inpt: Any, output_size: int | Sequence[int]) -> Any:
    """The window in the middle, padded with zeros where the image is smaller."""
    picture = Picture(inpt, "center_crop")
    height, width = two("center_crop", "output_size", output_size)
    return picture.result(pixels.centre_cropped(picture.pixels, height, width))


def resized_crop(
    inpt: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A window resized: `crop`, then `resize`."""
    window = crop(inpt, top, left, height, width)
    return resize(window, size, interpolation, antialias=antialias)


def _five(picture: Picture, a: np.ndarray, size: Any, what: str) -> tuple[np.ndarray, ...]:
    """Windows of pixels `a` of the picture's size."""
    height, width = two(what, "size", size)
    h, w = picture.size
    if height > h or width > w:
        raise ValueError(f"{what}: size {(height, width)} is larger than the image of {h}×{w}")
    corners = [(t, l) for t in (0, h - height) for l in (0, w - width)]
    corners.append(pixels.centre((h, w), height, width))
    return tuple(pixels.cropped(a, t, l, height, width) for t, l in corners)


def five_crop(inpt: Any, size: int | Sequence[int]) -> tuple[Any, ...]:
    """The four corners (top left, top right, bottom left, bottom right) and the centre."""
    picture = Picture(inpt, "five_crop")
    return tuple(
        picture.result(window) for window in _five(picture, picture.pixels, size, "five_crop")
    )


def ten_crop(inpt: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image, and of its mirror image."""
    turned = vflip(inpt) if vertical_flip else hflip(inpt)
    return five_crop(inpt, size) + five_crop(turned, size)


def pad(
    inpt: Any,
    padding: int | Sequence[int],
    fill: float | Sequence[float] | None = 0,
    padding_mode: str = "constant",
) -> Any:
    """Pad on all sides; see :class:`fastconv.transforms.Pad`."""
    picture = Picture(inpt, "pad")
    sides = four("pad", padding)
    return picture.result(pixels.padded("pad", picture.pixels, sides, padding_mode, fill))


def horizontal_flip(inpt: Any) -> Any:
    """Left for right."""
    picture = Picture(inpt, "horizontal_flip")
    return picture.result(np.flip(picture.pixels, 3))


def vertical_flip(inpt: Any) -> Any:
    """Top for bottom."""
    picture = Picture(inpt, "vertical_flip")
    return picture.result(np.flip(picture.pixels, 2))


hflip, vflip = horizontal_flip, vertical_flip


def rotation(
    picture: Picture, angle: Any, expand: bool, center: Sequence[float] | None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Maps of a rotation by each angle, counter-clockwise, and the size of the result."""
    height, width = picture.size
    angles = np.atleast_1d(angle)
    size = (height, width)
    if expand:
        sizes = {places.turned_size(float(a), height, width) for a in angles}
        if len(sizes) > 1:
            raise ValueError(
                "rotate: expand gives the images of a batch different sizes: "
                f"{sorted(sizes)}; rotate them one by one"
            )
        size = sizes.pop()
    x, y = (width / 2, height / 2) if center is None else center
    still = places.affine_maps(-angles, (0, 0), 1, (0, 0), (x, y))
    return still @ places.moved((width - size[1]) / 2, (height - size[0]) / 2), size


def _center(what: str, center: Any) -> None:
    if center is not None and (not isinstance(center, (list, tuple)) or len(center) != 2):
        raise ValueError(f"{what}: center must be a pair (x, y), got {center!r}")


def rotate(
    inpt: Any,
    angle: float,
    interpolation: InterpolationMode | int = NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: float | Sequence[float] | None = None,
) -> Any:
    """Rotate by degrees, counter-clockwise; see :class:`fastconv.transforms.RandomRotation`."""
    mode = interpolation_mode("rotate", interpolation)
    _center("rotate", center)
    picture = Picture(inpt, "rotate")
    maps, size = rotation(picture, angle, expand, center)
    maps = np.repeat(maps, picture.count, 0)
    return picture.result(
        places.warped("rotate", picture.pixels, maps, size, mode, fill, picture.pil)
    )


def affine(
    inpt: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | int = NEAREST,
    fill: float | Sequence[float] | None = None,
    center: Sequence[float] | None = None,
) -> Any:
    """Shear, scale, rotate (clockwise, degrees) and translate (x, y in pixels) about the centre.

    Raises
    ------
    ValueError
        For a scale that is not positive, or a pair that is none.
    """
    mode = interpolation_mode("affine", interpolation)
    _center("affine", center)
    if len(translate) != 2:
        raise ValueError(f"affine: translate must be a pair (x, y), got {translate!r}")
    if scale <= 0:
        raise ValueError(f"affine: scale must be positive, got {scale}")
    sheared = list(shear) if isinstance(shear, (Sequence, np.ndarray)) else [shear]
    if len(sheared) == 1:
        sheared.append(0.0)
    if len(sheared) != 2:
        raise ValueError(f"affine: shear must be one or two angles, got {shear!r}")
    picture = Picture(inpt, "affine")
    height, width = picture.size
    middle = (width / 2, height / 2) if center is None else tuple(center)
    move = (translate[0], translate[1])
    maps = places.affine_maps(angle, move, scale, (sheared[0], sheared[1]), middle)
    maps = np.repeat(maps, picture.count, 0)
    return picture.result(
        places.warped("affine", picture.pixels, maps, picture.size, mode, fill, picture.pil)
    )


def perspective(
    inpt: Any,
    startpoints: Sequence[Sequence[float]] | None,
    endpoints: Sequence[Sequence[float]] | None,
    interpolation: InterpolationMode | int = BILINEAR,
    fill: float | Sequence[float] | None = None,
    coefficients: Sequence[float] | None = None,
) -> Any:
    """Move the corners `startpoints` to `endpoints`, each (x, y), and all between in perspective.

    `coefficients`, eight of them, say the same as the map from the result to the image.

    Raises
    ------
    ValueError
        Unless there are four points of each, or eight coefficients instead.
    """
    mode = interpolation_mode("perspective", interpolation)
    if coefficients is None:
        if len(startpoints or ()) != 4 or len(endpoints or ()) != 4:
            raise ValueError("perspective: give four startpoints and four endpoints, each (x, y)")
        coefficients = places.perspective_map(startpoints or (), endpoints or ())
    elif startpoints is not None or endpoints is not None:
        raise ValueError("perspective: give points or coefficients, not both")
    if len(coefficients) != 8:
        raise ValueError(f"perspective: expected 8 coefficients, got {len(coefficients)}")
    picture = Picture(inpt, "perspective")
    maps = np.tile(np.array([*coefficients, 1.0]).reshape(1, 3, 3), (picture.count, 1, 1))
    return picture.result(
        places.warped("perspective", picture.pixels, maps, picture.size, mode, fill, picture.pil)
    )

"""InterpolationMode: how values between pixels are found."""

from __future__ import annotations

from enum import Enum
from typing import Any


class InterpolationMode(Enum):
    """Ways to interpolate, with torchvision's names.

    Rotation, affine maps and perspective know NEAREST, NEAREST_EXACT and BILINEAR; resizing knows
    all. BOX, HAMMING and LANCZOS are Pillow's filters.
    """

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


#: Pillow's integer constants.
_NUMBERS = {0: "NEAREST", 1: "LANCZOS", 2: "BILINEAR", 3: "BICUBIC", 4: "BOX", 5: "HAMMING"}


def interpolation_mode(what: str, mode: Any) -> InterpolationMode:
    """The mode that an argument stands for: itself, or one of Pillow's numbers.

    Raises
    ------
    ValueError
        For anything else, naming the caller `what`.
    """
    if isinstance(mode, InterpolationMode):
        return mode
    if isinstance(mode, int) and not isinstance(mode, bool) and int(mode) in _NUMBERS:
        return InterpolationMode[_NUMBERS[int(mode)]]
    raise ValueError(
        f"{what}: interpolation must be an InterpolationMode or one of Pillow's constants, "
        f"got {mode!r}"
    )

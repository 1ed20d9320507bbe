"""Images read at places that a matrix gives: rotation, affine maps, perspective."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastconv import planner
from fastconv.memory import empty
from fastconv.ops.layout import Array

MODES = ("nearest", "bilinear")
PADDINGS = ("zeros", "border", "reflection", "inside")
#: What the kernels read and write; other types go through one that holds their values.
TYPES = (np.uint8, np.float32, np.float64)


def warp(
    x: Array,
    matrix: Array,
    size: tuple[int, int],
    mode: str = "bilinear",
    padding: str = "zeros",
    fill: Sequence[float] | None = None,
    align_corners: bool = False,
) -> Array:
    """Read each image at the places that a matrix gives for the pixels of the result.

    Parameters
    ----------
    x : ndarray, (N, C, H, W)
        Of uint8, float32 or float64.
    matrix : ndarray of float64, (N, 3, 3) or (3, 3)
        From pixel (column, row, 1) of the result to a place (column, row) of the image, both from
        the centre of the first pixel. Where its last row is not (0, 0, 1), the place is divided
        by the third coordinate.
    size : (int, int)
        Height and width of the result.
    mode : {"bilinear", "nearest"}
    padding : {"zeros", "border", "reflection", "inside"}
        What lies beyond the image: `fill`, blended with the pixels at the edge; the pixel at the
        edge; the image reflected; or `fill` from the edges of the outermost pixels on, not blended
        (Pillow's way).
    fill : sequence of C floats, optional
        Zeros when not given.
    align_corners : bool
        Reflect at the centres of the outermost pixels, not at their edges.

    Returns
    -------
    ndarray, (N, C, *size)
        Of the type of `x`, channels-last in memory. Values of uint8 are rounded, half to even.

    Raises
    ------
    TypeError
        For another type.
    ValueError
        When the shapes do not fit, or an image has no pixels.
    """
    if x.dtype not in TYPES:
        raise TypeError(f"warp: x must be uint8, float32 or float64, got {x.dtype}")
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"warp: x must be (N, C, H, W) with pixels, got shape {x.shape}")
    n, c, _, _ = x.shape
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape not in ((3, 3), (n, 3, 3)):
        raise ValueError(f"warp: matrix must be (3, 3) or ({n}, 3, 3), got shape {matrix.shape}")
    if mode not in MODES:
        raise ValueError(f"warp: mode must be one of {MODES}, got {mode!r}")
    if padding not in PADDINGS:
        raise ValueError(f"warp: padding must be one of {PADDINGS}, got {padding!r}")
    if min(size) < 1:
        raise ValueError(f"warp: size must be positive, got {size}")
    colour = None
    if fill is not None:
        colour = np.ascontiguousarray(fill, np.float32 if x.dtype == np.uint8 else x.dtype)
        if colour.shape != (c,):
            raise ValueError(f"warp: fill must have {c} values, got {len(colour)}")
    rows = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    out = empty((n, c, *size), x.dtype, True)
    planner.kernel("warp")(
        rows,
        np.ascontiguousarray(np.broadcast_to(matrix, (n, 3, 3))),
        colour,
        out.transpose(0, 2, 3, 1),
        mode,
        padding,
        align_corners,
    )
    return out

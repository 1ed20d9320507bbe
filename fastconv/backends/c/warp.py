"""Warping of C-contiguous (batch, H, W, channels) arrays by a matrix for each image."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.backends.c.library import (
    NULL,
    SERIAL_ELEMENTS,
    Array,
    check_same,
    check_status,
    dtype_code,
    ffi,
    from_buffer,
    lib,
    thread_count,
)

MODES = {"nearest": lib.FC_WARP_NEAREST, "bilinear": lib.FC_WARP_BILINEAR}
PADDINGS = {
    "zeros": lib.FC_WARP_ZEROS,
    "border": lib.FC_WARP_BORDER,
    "reflection": lib.FC_WARP_REFLECTION,
    "inside": lib.FC_WARP_INSIDE,
}
UINT8 = np.dtype(np.uint8)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)


def warp(
    x: Array,
    matrix: Array,
    fill: Array | None,
    out: Array,
    mode: str,
    padding: str,
    align_corners: bool,
) -> None:
    """Pixel (u, v) of image n of the result is image n of `x` at ``matrix[n] (u, v, 1)``."""
    what = "warp"
    if x.ndim != 4 or out.ndim != 4:
        raise ValueError(f"{what}: expected (batch, H, W, channels), got {x.shape} and {out.shape}")
    if 0 in x.shape[1:3]:
        raise ValueError(f"{what}: an image has no pixels: {x.shape}")
    work = FLOAT32 if x.dtype == UINT8 else x.dtype
    code = lib.FC_F32 if x.dtype == UINT8 else dtype_code(what, x)
    batch, channels = x.shape[0], x.shape[3]
    check_same(what, "out", out, (batch, *out.shape[1:3], channels), x.dtype)
    check_same(what, "matrix", matrix, (batch, 3, 3), FLOAT64)
    if fill is not None:
        check_same(what, "fill", fill, (channels,), work)
    geometry: Any = ffi.new("fc_warp_geom *")
    geometry.batch, geometry.channels = batch, channels
    geometry.in_size, geometry.out_size = list(x.shape[1:3]), list(out.shape[1:3])
    geometry.mode, geometry.padding = MODES[mode], PADDINGS[padding]
    geometry.align_corners, geometry.bytes = align_corners, x.dtype == UINT8
    status = lib.fc_warp(
        code, geometry, from_buffer(x), from_buffer("double[]", matrix),
        NULL if fill is None else from_buffer(fill), from_buffer("char[]", out, True),
        thread_count(out.size >= SERIAL_ELEMENTS),
    )  # fmt: skip
    if status:
        check_status(status, what)

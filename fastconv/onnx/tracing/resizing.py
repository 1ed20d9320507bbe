"""Rules of resampling: interpolate and grid_sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ops.resample import axis as resampling
from .pointwise import first
from .pools import product
from .record import Call
from .writer import Writer, rule


@rule("Resample")
def _resample(w: Writer, call: Call, twin: Call) -> Any:
    x, scalings = call.args
    name = first(w, call, twin)
    used = [s for s in scalings if s is not None]
    if not used:
        return name
    modes, aligned = {s.mode for s in used}, {s.align for s in used}
    how = _resize_mode(modes.pop() if len(modes) == 1 else "", aligned == {True})
    scales = [1.0, 1.0, *[1.0 if s is None else (s.scale or s.out / s.size) for s in scalings]]
    wanted = list(call.made[0].shape)
    # what readers make of scales in float32, in which they may multiply or not
    exact = all(
        [math.floor(kind(n) * kind(np.float32(f))) for n, f in zip(x.shape, scales, strict=True)]
        == wanted
        for kind in (np.float32, float)
    )
    varies = x.shape[2:] != twin.args[0].shape[2:]
    if how is not None and how["mode"] == "nearest":
        runs = (used, [s for s in twin.args[1] if s is not None])
        if not all(_sure(s) for run in runs for s in run):
            how = None  # where elements meet, one reader takes the left one, another the right one
    if varies and (how is None or len(aligned) > 1):
        raise w.fail(
            f"nearest elements by a factor that is no whole number, and modes that ONNX's Resize "
            f"does not have, are not written where {w.grown()}"
        )
    if varies and any(s is not None and s.scale is None for s in scalings):
        if not all(s is None or s.scale is None for s in scalings):
            raise w.fail(f"a size together with a scale is not written where {w.grown()}")
        sizes = w.shape(wanted, twin.made[0].shape)
        return w.node("Resize", [name, "", "", sizes], **(how or {}))
    exact = exact or varies
    if how is None or len(aligned) > 1 or not exact:
        y = name  # a product with the matrix of each axis
        for k, s in enumerate(scalings):
            if s is not None:
                y = product(w, y, _matrix(s), 2 + k, len(x.shape), x.dtype)
        return y
    return w.node("Resize", [name, "", w.constant(np.asarray(scales, np.float32))], **how)


def _sure(s: Any) -> bool:
    """Whether nearest elements are the same however a reader rounds."""
    factor = s.scale or s.out / s.size
    return factor == int(factor) or math.log2(factor) % 1 == 0


def _resize_mode(mode: str, align: bool) -> dict[str, Any] | None:
    """The attributes of Resize for a mode of ours."""
    place = "align_corners" if align else "half_pixel"
    if mode == "nearest":
        return {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor"}  # fmt: skip
    if mode == "nearest-exact":
        return {"mode": "nearest", "coordinate_transformation_mode": "half_pixel",
                "nearest_mode": "round_prefer_ceil"}  # fmt: skip
    if mode == "linear":
        return {"mode": "linear", "coordinate_transformation_mode": place}
    if mode == "cubic":
        return {"mode": "cubic", "coordinate_transformation_mode": place, "cubic_coeff_a": -0.75}
    return None


def _matrix(scaling: Any) -> np.ndarray:
    found = resampling(scaling, "d")
    matrix = np.zeros((found.out, found.size))
    rows = np.repeat(np.arange(found.out), np.diff(found.starts))
    np.add.at(matrix, (rows, found.sources), found.weight)
    return matrix


@rule("GridSample")
def _grid_sample(w: Writer, call: Call, twin: Call) -> Any:
    given, other = call.args[0], twin.args[0]
    if len(given["input"].shape) > 4 and w.opset < 20:
        raise w.fail("grid_sample of volumes is written from opset 20 on")
    mode = given["mode"]
    if w.opset >= 20:
        mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    inputs = [w.name(given[k], other[k]) for k in ("input", "grid")]
    return w.node(
        "GridSample", inputs, mode=mode, padding_mode=given["padding_mode"],
        align_corners=int(bool(given["align_corners"])),
    )  # fmt: skip

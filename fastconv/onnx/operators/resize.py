"""Resize and Upsample in all their modes, and GridSample with AffineGrid.

Every resized axis is a few taps: each output is a sum of weighted inputs. What PyTorch has too goes
to the kernel of ``interpolate``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

import fastconv as T
import fastconv.nn.functional as F

from ...functions.resample import Resample
from ...ops.resample import Scaling
from ..errors import OnnxError
from ..registry import Node, operator
from ..values import Array, arr, axes, ints, is_tensor, room, ten, value


class Plan(NamedTuple):
    """How one axis goes from `size` to `out`."""

    size: int
    out: int
    scale: float
    roi: tuple[float, float]


class How(NamedTuple):
    """The attributes of Resize."""

    mode: str = "nearest"
    place: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    coefficient: float = -0.75
    exclude: bool = False
    fill: float = 0.0
    antialias: bool = False


PLACES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
          "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize")  # fmt: skip
ROUNDINGS: dict[str, Any] = {
    "round_prefer_floor": lambda s: np.ceil(s - 0.5),
    "round_prefer_ceil": lambda s: np.floor(s + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def sources(plan: Plan, place: str) -> Array:
    """Where each output lies among the inputs."""
    x, n, m, scale = np.arange(plan.out, dtype=np.float64), plan.size, plan.out, plan.scale
    length = scale * n  # not cut to whole elements, in these two
    if place == "align_corners":
        return x * (n - 1) / (length - 1) if length != 1 else x * 0
    if place == "asymmetric":
        return x / scale
    if place == "tf_crop_and_resize":
        start, end = plan.roi
        if m == 1:
            return np.full(1, 0.5 * (start + end) * (n - 1))
        return start * (n - 1) + x * (end - start) * (n - 1) / (length - 1)
    if place == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if place == "half_pixel_symmetric":
        offset = n / 2 * (1 - m / (scale * n))
        return offset + (x + 0.5) / scale - 0.5
    if place == "pytorch_half_pixel" and m == 1:
        return x * 0
    return (x + 0.5) / scale - 0.5


def _cubic(s: Array, a: float) -> Array:
    """The cubic convolution kernel (Keys 1981)."""
    s = np.abs(s)
    near = ((a + 2) * s - (a + 3)) * s * s + 1
    far = a * (((s - 5) * s + 8) * s - 4)
    return np.where(s <= 1, near, np.where(s < 2, far, 0))


def taps(plan: Plan, how: How) -> tuple[Array, Array, Array]:
    """Inputs (out, taps), their weights, and which outputs lie inside."""
    n, where = plan.size, sources(plan, how.place)
    inside = (where >= 0) & (where <= n - 1)
    if how.mode == "nearest":
        index = ROUNDINGS[how.nearest](where)
        return index.clip(0, n - 1).astype(np.int64)[:, None], np.ones((plan.out, 1)), inside
    low = np.floor(where)
    shrink = min(plan.scale, 1.0) if how.antialias else 1.0
    reach = 1 if how.mode == "linear" else 2
    first = math.floor(-reach / shrink) + 1
    index = low[:, None] + np.arange(first, 2 - first)
    distance = (index - where[:, None]) * shrink
    if how.mode == "linear":
        weight = np.maximum(0, 1 - np.abs(distance))
    else:
        weight = _cubic(distance, how.coefficient)
    if how.exclude:
        weight = np.where((index >= 0) & (index < n), weight, 0)
    if how.exclude or how.antialias:
        weight = weight / weight.sum(1, keepdims=True)
    return index.clip(0, n - 1).astype(np.int64), weight, inside


def _along(x: Any, k: int, index: Array, weight: Array) -> Any:
    """Sums of weighted inputs along axis k."""
    out: Any = None
    kind = arr(x).dtype
    shape = (-1, *(1,) * (len(x.shape) - k - 1))
    for t in range(index.shape[1]):
        if is_tensor(x):
            part = T.index_select(x, k, T.from_numpy(np.ascontiguousarray(index[:, t])))
        else:
            part = np.take(x, index[:, t], k)
        if index.shape[1] == 1 and (weight == 1).all():
            return part
        w = weight[:, t].reshape(shape)
        if is_tensor(x):
            part = part * T.from_numpy(w.astype(kind))
        else:
            part = part * w
        out = part if out is None else out + part
    return out


def _by_kernel(how: How, plans: list[Plan | None]) -> list[Scaling | None] | None:
    """The same as the kernel of ``interpolate`` wants it; None if that differs."""
    made: list[Scaling | None] = []
    for plan in plans:
        if plan is None:
            made.append(None)
            continue
        align = how.place == "align_corners"
        even = plan.scale == plan.out / plan.size
        if how.antialias or how.exclude or not even:
            return None
        if how.mode == "nearest":
            if how.place != "asymmetric" or how.nearest != "floor" or plan.out % plan.size:
                return None
        elif not (
            align or how.place == "half_pixel" or (how.place == "pytorch_half_pixel" and
                                                    plan.out > 1)
        ):  # fmt: skip
            return None
        if how.mode == "cubic" and how.coefficient != -0.75:
            return None
        made.append(Scaling(how.mode, plan.size, plan.out, None, align))
    return made


def resize(x: Any, plans: list[Plan | None], how: How) -> Any:
    """x with every axis resized as its Plan says (None: as it is)."""
    if how.mode not in ("nearest", "linear", "cubic") or how.place not in PLACES:
        raise OnnxError(f"mode {how.mode!r}, coordinate_transformation_mode {how.place!r}")
    if how.nearest not in ROUNDINGS:
        raise OnnxError(f"nearest_mode {how.nearest!r} is none of {', '.join(ROUNDINGS)}")
    room([m if p is None else p.out for m, p in zip(x.shape, plans)], math.prod(x.shape))
    if 0 in x.shape:
        raise OnnxError(f"input of shape {tuple(x.shape)} is empty")
    rank = len(plans)
    if is_tensor(x) and 3 <= rank <= 5 and plans[0] is None and plans[1] is None:
        scalings = _by_kernel(how, plans[2:])
        if scalings is not None:
            return Resample.apply(x, tuple(scalings))
    exact = None if is_tensor(x) or how.mode == "nearest" else x.dtype
    y = x if exact is None else x.astype(np.float64)
    mask: Any = None
    for k, plan in enumerate(plans):
        if plan is None:
            continue
        index, weight, inside = taps(plan, how)
        y = _along(y, k, index, weight)
        if how.place == "tf_crop_and_resize":
            line = inside.reshape(-1, *(1,) * (rank - k - 1))
            mask = line if mask is None else mask & line
    if mask is not None and not mask.all():
        if is_tensor(y):
            y = T.where(T.from_numpy(mask), y, T.full((), how.fill, dtype=y.dtype))
        else:
            y = np.where(mask, y, how.fill)
    if exact is not None:
        y = np.rint(y) if exact.kind in "iu" else y
        return y.astype(exact)
    return y if is_tensor(y) else y.astype(x.dtype)


def _plans(
    x: Any, where: tuple[int, ...], scales: Any, sizes: Any, roi: Any, policy: str = "stretch"
) -> list[Plan | None]:
    """The Plan of each axis, from the scales or the sizes of the axes `where`."""
    plans: list[Plan | None] = [None] * len(x.shape)
    shape = [x.shape[k] for k in where]
    corners = [(0.0, 1.0)] * len(where)
    if roi is not None and arr(roi).size:
        flat = arr(roi).astype(np.float64).reshape(2, -1)
        corners = list(zip(flat[0].tolist(), flat[1].tolist(), strict=True))
    if sizes is not None:
        wanted = list(ints(sizes))
        if len(wanted) != len(where):
            raise OnnxError(f"sizes {wanted} do not fit axes {where} of {tuple(x.shape)}")
        factors = [m / max(1, n) for m, n in zip(wanted, shape, strict=True)]
        if policy != "stretch":
            if policy not in ("not_larger", "not_smaller"):
                raise OnnxError(f"keep_aspect_ratio_policy {policy!r} is not known")
            one = (min if policy == "not_larger" else max)(factors)
            factors = [one] * len(where)
            wanted = [math.floor(one * n + 0.5) for n in shape]
    else:
        factors = arr(scales).astype(np.float64).reshape(-1).tolist()
        if len(factors) != len(where) or not all(0 < f < math.inf for f in factors):
            raise OnnxError(f"scales {factors} do not fit axes {where} of {tuple(x.shape)}")
        wanted = [math.floor(n * f) for n, f in zip(shape, factors, strict=True)]
    for k, n, m, f, r in zip(where, shape, wanted, factors, corners, strict=True):
        if m < 1:
            raise OnnxError(f"axis {k} of {tuple(x.shape)} would have size {m}")
        if m != n or f != 1 or r != (0.0, 1.0):
            plans[k] = Plan(n, m, f, r)
    return plans


@operator("Resize", since=11)
def _resize(n: Node, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None) -> Any:
    if scales is not None and not arr(scales).size:
        scales = None
    if sizes is not None and not arr(sizes).size:
        sizes = None
    if (scales is None) == (sizes is None):
        raise OnnxError("one of scales and sizes must be given, not both")
    how = How(
        n.get("mode", "nearest"), n.get("coordinate_transformation_mode", "half_pixel"),
        n.get("nearest_mode", "round_prefer_floor"), n.get("cubic_coeff_a", -0.75),
        bool(n.get("exclude_outside", 0)), n.get("extrapolation_value", 0.0),
        bool(n.get("antialias", 0)),
    )  # fmt: skip
    where = axes(n.get("axes"), len(x.shape))
    crop = roi if how.place == "tf_crop_and_resize" else None
    policy = n.get("keep_aspect_ratio_policy", "stretch")
    return resize(x, _plans(x, where, scales, sizes, crop, policy), how)


OLD = How(place="asymmetric", nearest="floor")


@operator("Resize", since=10)
def _resize10(n: Node, x: Any, scales: Any) -> Any:
    how = OLD._replace(mode=n.get("mode", "nearest"))
    return resize(x, _plans(x, axes(None, len(x.shape)), scales, None, None), how)


operator("Upsample", since=9)(_resize10)


@operator("Upsample", since=7)
def _upsample7(n: Node, x: Any) -> Any:
    return _resize10(n, x, np.array(n.get("scales", []), np.float32))


# -- grids -----------------------------------------------------------------------------------------

#: Modes of GridSample by the names of both versions.
SAMPLING = {"bilinear": "bilinear", "linear": "bilinear", "nearest": "nearest",
            "bicubic": "bicubic", "cubic": "bicubic"}  # fmt: skip


@operator("GridSample", since=16)
def _grid_sample(n: Node, x: Any, grid: Any) -> Any:
    mode = SAMPLING.get(n.get("mode", "bilinear"))
    if mode is None:
        raise OnnxError(f"mode {n.get('mode')!r} is none of {', '.join(SAMPLING)}")
    padding, align = n.get("padding_mode", "zeros"), bool(n.get("align_corners", 0))
    if is_tensor(x):
        return F.grid_sample(x, ten(grid), mode, padding, align)
    wide = F.grid_sample(T.from_numpy(x.astype(np.float64)), ten(grid).double(), mode, padding,
                         align)  # fmt: skip
    return value(arr(wide).astype(x.dtype))


@operator("AffineGrid", since=20)
def _affine_grid(n: Node, theta: Any, size: Any) -> Any:
    return F.affine_grid(ten(theta), ints(size), bool(n.get("align_corners", 0)))

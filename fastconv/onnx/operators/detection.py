"""Object detection: NonMaxSuppression and RoiAlign."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv as T

from ...functions.boxes import nms_indices
from ..errors import OnnxError
from ..registry import Node, operator
from ..values import Array, arr, number, ten


@operator("NonMaxSuppression", since=10)
def _nms(
    n: Node, boxes: Any, scores: Any, most: Any = None, overlap: Any = None, least: Any = None
) -> Array:
    """Rows (image, class, box) of what stays, for each class of each image."""
    b, s = arr(boxes).astype(np.float64), arr(scores)
    if b.ndim != 3 or b.shape[2] != 4 or s.ndim != 3 or s.shape[::2] != b.shape[:2]:
        raise OnnxError(f"boxes {b.shape} and scores {s.shape} must be (N, B, 4) and (N, C, B)")
    count = 0 if most is None else int(number(most))
    limit = 0.0 if overlap is None else float(number(overlap))
    if n.get("center_point_box", 0):
        corners = np.concatenate([b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2], -1)
    else:  # any two opposite corners
        ends = np.stack([b[..., :2], b[..., 2:]])
        corners = np.concatenate([ends.min(0), ends.max(0)], -1)
    rows = []
    for image in range(s.shape[0]):
        for kind in range(s.shape[1]):
            score = s[image, kind]
            where = np.arange(len(score)) if least is None else np.flatnonzero(
                score > number(least)
            )  # fmt: skip
            kept = where[nms_indices(corners[image][where], score[where], limit)][:count]
            rows += [(image, kind, int(k)) for k in kept]
    return np.array(rows, np.int64).reshape(-1, 3)


def _roi_align(n: Node, x: Any, rois: Any, images: Any, half: float) -> Any:
    x = ten(x)
    oh, ow = n.get("output_height", 1), n.get("output_width", 1)
    ratio, scale = n.get("sampling_ratio", 0), n.get("spatial_scale", 1.0)
    mode = n.get("mode", "avg")
    if mode not in ("avg", "max"):
        raise OnnxError(f"mode {mode!r} is neither avg nor max")
    r, which = arr(rois).astype(np.float64), arr(images)
    if r.ndim != 2 or r.shape[1] != 4 or which.shape != r.shape[:1]:
        raise OnnxError(f"rois {r.shape} and batch_indices {which.shape} must be (R, 4) and (R,)")
    if which.size and (which.min() < 0 or which.max() >= x.shape[0]):
        raise OnnxError(f"batch_indices must be in [0, {x.shape[0]})")
    results = []
    for (x1, y1, x2, y2), image in zip(r * scale - half, which.tolist(), strict=True):
        wide, high = x2 - x1, y2 - y1
        if not half:
            wide, high = max(wide, 1.0), max(high, 1.0)
        across = ratio or max(1, int(np.ceil(wide / ow)))
        down = ratio or max(1, int(np.ceil(high / oh)))
        ys = y1 + (np.arange(oh * down) + 0.5) * high / (oh * down)
        xs = x1 + (np.arange(ow * across) + 0.5) * wide / (ow * across)
        results.append(_region(x[image], ys, xs, (oh, down, ow, across), mode))
    if not results:
        return T.zeros(0, x.shape[1], oh, ow, dtype=x.dtype)
    return T.stack(results)


def _taps(places: Array, size: int) -> tuple[list[tuple[Array, Array]], Array]:
    """Two inputs of each place with their weights; places past the border read zero."""
    inside = (places >= -1) & (places <= size)
    p = np.clip(places, 0, None)
    low = np.minimum(p.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = np.where(low >= size - 1, 0.0, p - low)
    return [(low, 1 - share), (high, share)], inside


def _region(picture: Any, ys: Array, xs: Array, cells: Any, mode: str) -> Any:
    """(C, oh, ow) from samples at the crossings of ys and xs, `down` × `across` for each cell."""
    oh, down, ow, across = cells
    channels, height, width = picture.shape
    rows, rows_in = _taps(ys, height)
    columns, columns_in = _taps(xs, width)
    inside = rows_in[:, None] & columns_in
    kind = arr(picture).dtype
    parts = []
    for r, wr in rows:
        for c, wc in columns:
            read = T.index_select(T.index_select(picture, 1, T.from_numpy(r)), 2, T.from_numpy(c))
            weight = (wr[:, None] * wc * inside).astype(kind)
            parts.append(read * T.from_numpy(weight))
    if mode == "avg":
        total = parts[0] + parts[1] + parts[2] + parts[3]
        return total.reshape(channels, oh, down, ow, across).mean((2, 4))
    # the largest weighted corner, as the standard defines it
    largest = T.maximum(T.maximum(parts[0], parts[1]), T.maximum(parts[2], parts[3]))
    return T.amax(largest.reshape(channels, oh, down, ow, across), (2, 4))


@operator("RoiAlign", since=16)
def _roi_align16(n: Node, x: Any, rois: Any, images: Any) -> Any:
    kind = n.get("coordinate_transformation_mode", "half_pixel")
    return _roi_align(n, x, rois, images, 0.5 if kind == "half_pixel" else 0.0)


@operator("RoiAlign", since=10)
def _roi_align10(n: Node, x: Any, rois: Any, images: Any) -> Any:
    return _roi_align(n, x, rois, images, 0.0)

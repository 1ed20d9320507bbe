"""Boxes of detectors: areas, overlaps, conversions, and non-maximum suppression.

A box is (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2. Names and arguments are those of
``torchvision.ops``. Areas and overlaps have gradients; what picks boxes has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import TensorBase, wrap
from .elementwise import maximum, minimum
from .join import stack

Array = np.ndarray
__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "nms",
    "nms_indices",
    "remove_small_boxes",
]
FORMATS = ("xyxy", "xywh", "cxcywh")


def _boxes(value: Any, name: str, function: str, rank: int | None = None) -> Any:
    """`value` as a Tensor (…, 4) of a floating type; integers become float32."""
    if not isinstance(value, TensorBase):
        value = wrap(np.asarray(value))
    shape = value._array.shape
    if not shape or shape[-1] != 4 or (rank is not None and len(shape) != rank):
        wanted = "(N, 4)" if rank == 2 else "(…, 4)"
        raise ValueError(f"{function}(): {name} must have shape {wanted}, got {shape}")
    if value._array.dtype.kind != "f":
        value = wrap(value._array.astype(np.float32))
    return value


def box_area(boxes: Any) -> Any:
    """Areas (N,) of boxes (N, 4).

    Raises
    ------
    ValueError
        If `boxes` has another shape.
    """
    b = _boxes(boxes, "boxes", "box_area")
    return (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])


def box_iou(boxes1: Any, boxes2: Any) -> Any:
    """Intersection over union of every pair of two sets of boxes.

    Parameters
    ----------
    boxes1, boxes2 : Tensor
        (N, 4) and (M, 4).

    Returns
    -------
    Tensor
        (N, M); 0 where neither box has an area.

    Raises
    ------
    ValueError
        If one has another shape.
    """
    a = _boxes(boxes1, "boxes1", "box_iou", 2)
    b = _boxes(boxes2, "boxes2", "box_iou", 2)
    low = maximum(a[:, None, :2], b[None, :, :2])
    high = minimum(a[:, None, 2:], b[None, :, 2:])
    sides = (high - low).clamp(min=0)
    inter = sides[..., 0] * sides[..., 1]
    union = box_area(a)[:, None] + box_area(b)[None, :] - inter
    return inter / union.clamp(min=float(np.finfo(union._array.dtype).tiny))


def nms_indices(boxes: Array, scores: Array, iou_threshold: float) -> Array:
    """:func:`nms` on ndarrays: int64 indices of the boxes that are kept, best first.

    Equal scores keep their order. A box goes if it overlaps a better one that is kept by more than
    `iou_threshold`.
    """
    order = np.argsort(-scores, kind="stable")
    x1, y1, x2, y2 = boxes[order].T
    area = (x2 - x1) * (y2 - y1)
    alive = np.ones(len(order), bool)
    kept = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(i)
        rest = i + 1 + np.flatnonzero(alive[i + 1 :])
        wide = np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest])
        high = np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest])
        inter = np.maximum(wide, 0) * np.maximum(high, 0)
        union = area[i] + area[rest] - inter
        alive[rest[inter > iou_threshold * union]] = False
    return order[kept].astype(np.int64)


def _scored(boxes: Any, scores: Any, function: str) -> tuple[Array, Array]:
    b = _boxes(boxes, "boxes", function, 2)._array
    s = np.asarray(scores._array if isinstance(scores, TensorBase) else scores)
    if s.shape != b.shape[:1]:
        raise ValueError(
            f"{function}(): scores must have shape {b.shape[:1]}, one for each of the boxes of "
            f"shape {b.shape}, got {s.shape}"
        )
    return b, s


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Non-maximum suppression: of boxes that overlap, the one with the highest score stays.

    Parameters
    ----------
    boxes : Tensor
        (N, 4).
    scores : Tensor
        (N,).
    iou_threshold : float
        A box goes if its overlap with a better one that stays is larger.

    Returns
    -------
    Tensor
        int64 indices of the boxes that stay, the highest score first.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    return wrap(nms_indices(*_scored(boxes, scores, "nms"), float(iou_threshold)))


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
    """:func:`nms` for each category on its own.

    Parameters
    ----------
    boxes, scores : Tensor
        (N, 4) and (N,).
    idxs : Tensor
        (N,), the category of each box. Boxes of different categories never meet.
    iou_threshold : float

    Returns
    -------
    Tensor
        int64 indices of the boxes that stay, the highest score first.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    b, s = _scored(boxes, scores, "batched_nms")
    kinds = np.asarray(idxs._array if isinstance(idxs, TensorBase) else idxs)
    if kinds.shape != s.shape:
        raise ValueError(f"batched_nms(): idxs must have shape {s.shape}, got {kinds.shape}")
    kept = []
    for kind in np.unique(kinds):
        where = np.flatnonzero(kinds == kind)
        kept.append(where[nms_indices(b[where], s[where], float(iou_threshold))])
    found = np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)
    return wrap(found[np.argsort(-s[found], kind="stable")].astype(np.int64))


def clip_boxes_to_image(boxes: Any, size: tuple[int, int]) -> Any:
    """Boxes (…, 4) with their corners moved into a picture of `size` (height, width)."""
    b = _boxes(boxes, "boxes", "clip_boxes_to_image")
    height, width = size
    x, y = b[..., 0::2].clamp(0, width), b[..., 1::2].clamp(0, height)
    return stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), -1)


def remove_small_boxes(boxes: Any, min_size: float) -> Any:
    """int64 indices of the boxes (N, 4) with both sides at least `min_size`."""
    b = _boxes(boxes, "boxes", "remove_small_boxes", 2)._array
    sides = b[:, 2:] - b[:, :2]
    return wrap(np.flatnonzero((sides >= min_size).all(1)).astype(np.int64))


def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Any:
    """Boxes (…, 4) in another format.

    Parameters
    ----------
    boxes : Tensor
    in_fmt, out_fmt : {"xyxy", "xywh", "cxcywh"}
        Two corners; the first corner and the sides; the centre and the sides.

    Raises
    ------
    ValueError
        For another format.
    """
    for name, given in (("in_fmt", in_fmt), ("out_fmt", out_fmt)):
        if given not in FORMATS:
            raise ValueError(f"box_convert(): {name} must be one of {FORMATS}, got {given!r}")
    b = _boxes(boxes, "boxes", "box_convert")
    if in_fmt == out_fmt:
        return b
    p, q, r, s = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    if in_fmt == "xywh":
        r, s = p + r, q + s
    elif in_fmt == "cxcywh":
        p, q, r, s = p - r / 2, q - s / 2, p + r / 2, q + s / 2
    if out_fmt == "xywh":
        r, s = r - p, s - q
    elif out_fmt == "cxcywh":
        p, q, r, s = (p + r) / 2, (q + s) / 2, r - p, s - q
    return stack((p, q, r, s), -1)

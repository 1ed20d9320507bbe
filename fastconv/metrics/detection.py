"""How good a detector is: average precision of its boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..functions.boxes import box_iou

__all__ = ["detection_average_precision", "matched_boxes"]


def matched_boxes(
    found: Mapping[str, Any], truth: Mapping[str, Any], iou_threshold: float = 0.5
) -> np.ndarray:
    """Which true object each object found in an image is.

    Best scores first, each takes the object of its class that it overlaps most, and that nobody has
    taken, if the overlap is at least `iou_threshold`.

    Parameters
    ----------
    found : mapping
        ``boxes`` (M, 4), ``scores`` (M,) and ``labels`` (M,).
    truth : mapping
        ``boxes`` (K, 4) and ``labels`` (K,).
    iou_threshold : float

    Returns
    -------
    ndarray of int64
        (M,): the number of a true object, or −1.

    Raises
    ------
    ValueError
        If boxes, scores and labels are not as many.
    """
    boxes, scores = _numbers(found, "boxes").reshape(-1, 4), _numbers(found, "scores")
    labels = _numbers(found, "labels")
    true, kinds = _numbers(truth, "boxes").reshape(-1, 4), _numbers(truth, "labels")
    if not len(boxes) == len(scores) == len(labels) or len(true) != len(kinds):
        raise ValueError(
            "matched_boxes(): boxes, scores and labels must be as many, got "
            f"{len(boxes)}, {len(scores)}, {len(labels)}; of the truth {len(true)}, {len(kinds)}"
        )
    result = np.full(len(boxes), -1)
    if not len(boxes) or not len(true):
        return result
    overlap = np.asarray(box_iou(boxes.astype(np.float64), true.astype(np.float64)))
    overlap = np.where(labels[:, None] == kinds, overlap, -1.0)
    for i in np.argsort(-scores, kind="stable"):
        best = overlap[i].argmax()
        if overlap[i, best] >= iou_threshold and overlap[i, best] > 0:
            result[i] = best
            overlap[:, best] = -1.0
    return result


def detection_average_precision(
    found: Sequence[Mapping[str, Any]],
    truth: Sequence[Mapping[str, Any]],
    iou_threshold: float = 0.5,
) -> float:
    """Mean over the classes of the area under precision over recall: mAP@0.5, as of PASCAL VOC.

    Precision is the highest that is reached with at least this recall (the curve since 2010).

    Parameters
    ----------
    found, truth : sequence of mapping
        For each image as of :func:`matched_boxes`.
    iou_threshold : float

    Returns
    -------
    float
        A mean over the classes that `truth` has; NaN where it has none.

    Raises
    ------
    ValueError
        If there are not as many images found as true.
    """
    if len(found) != len(truth):
        raise ValueError(
            f"detection_average_precision(): found has {len(found)} images, truth {len(truth)}"
        )
    right = [matched_boxes(f, t, iou_threshold) >= 0 for f, t in zip(found, truth, strict=True)]
    hits = np.concatenate([*right, np.zeros(0, bool)])
    scores = np.concatenate([*(_numbers(one, "scores") for one in found), np.zeros(0)])
    labels = np.concatenate([*(_numbers(one, "labels") for one in found), np.zeros(0)])
    true = np.concatenate([*(_numbers(one, "labels") for one in truth), np.zeros(0)])
    areas = []
    for kind in np.unique(true):
        of_kind = np.flatnonzero(labels == kind)
        order = of_kind[np.argsort(-scores[of_kind], kind="stable")]
        hit = hits[order].cumsum()
        precision = hit / np.arange(1, len(hit) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        areas.append(float(precision[hits[order]].sum() / (true == kind).sum()))
    return float(np.mean(areas)) if areas else float("nan")


def _numbers(one: Mapping[str, Any], name: str) -> np.ndarray:
    return np.asarray(one[name])

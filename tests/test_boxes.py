"""Boxes: overlaps, suppression and conversions against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as T
from fastconv.autograd import gradcheck
from fastconv.functions import boxes as B


def drawn(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 30, (n, 2))], 1)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return inter / (sum(area) - inter)


def plain_nms(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if all(overlap(boxes[i], boxes[j]) <= limit for j in kept):
            kept.append(i)
    return kept


def test_iou() -> None:
    a, b = drawn(7), drawn(5, 1)
    found = B.box_iou(T.tensor(a), T.tensor(b)).numpy()
    np.testing.assert_allclose(found, [[overlap(p, q) for q in b] for p in a], rtol=1e-12)
    empty = B.box_iou(np.zeros((1, 4)), np.zeros((1, 4)))
    assert empty.item() == 0
    a_, b_ = (T.tensor(v, requires_grad=True) for v in (a, b))
    assert gradcheck(B.box_iou, (a_, b_))


@pytest.mark.parametrize("limit", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_nms(limit: float) -> None:
    boxes = drawn(60)
    scores = np.random.default_rng(3).integers(0, 20, 60) / 20  # with ties
    assert B.nms(T.tensor(boxes), T.tensor(scores), limit).tolist() == plain_nms(
        boxes, scores, limit
    )


def test_batched_nms() -> None:
    boxes, scores = drawn(60), np.random.default_rng(3).uniform(size=60)
    kinds = np.random.default_rng(4).integers(0, 3, 60)
    wanted = [
        i
        for k in range(3)
        for i in np.flatnonzero(kinds == k)[
            plain_nms(boxes[kinds == k], scores[kinds == k], 0.3)
        ].tolist()
    ]
    wanted.sort(key=lambda i: -scores[i])
    assert B.batched_nms(boxes, scores, kinds, 0.3).tolist() == wanted
    none = B.batched_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), 0.5)
    assert none.shape == (0,)


def test_conversions() -> None:
    boxes = T.tensor(drawn(4))
    for a in B.FORMATS:
        for b in B.FORMATS:
            there = B.box_convert(B.box_convert(boxes, "xyxy", a), a, b)
            back = B.box_convert(there, b, "xyxy")
            np.testing.assert_allclose(back.numpy(), boxes.numpy(), rtol=1e-12)
    assert B.box_convert([[1.0, 2, 3, 6]], "xyxy", "cxcywh").tolist() == [[2, 4, 2, 4]]
    assert B.clip_boxes_to_image([[-1.0, 2, 30, 6]], (5, 10)).tolist() == [[0, 2, 10, 5]]
    assert B.remove_small_boxes([[0.0, 0, 2, 2], [0, 0, 5, 1]], 2).tolist() == [0]
    assert B.box_area([[0, 0, 2, 3]]).tolist() == [6]


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"boxes must have shape \(N, 4\), got \(3,\)"):
        B.nms(np.zeros(3), np.zeros(3), 0.5)
    with pytest.raises(ValueError, match=r"scores must have shape \(2,\)"):
        B.nms(np.zeros((2, 4)), np.zeros(3), 0.5)
    with pytest.raises(ValueError, match="idxs must have shape"):
        B.batched_nms(np.zeros((2, 4)), np.zeros(2), np.zeros(3), 0.5)
    with pytest.raises(ValueError, match="in_fmt must be one of"):
        B.box_convert(np.zeros((2, 4)), "yxyx", "xyxy")

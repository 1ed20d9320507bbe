"""The detector: what it is told, what it loses, what it finds; and the measure of detectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import metrics, models
from fastconv.nn import functional as F

SMALL: dict[str, Any] = {"widths": (4, 6, 8), "channels": 8, "depth": 1}


def test_step() -> None:
    """Forward and backward: shapes, and a gradient for every parameter."""
    fc.manual_seed(0)
    network = models.fcos_tiny(num_classes=2, keypoints=3, **SMALL)
    out = network(fc.rand(2, 3, 16, 24))
    places = 4 * 6 + 2 * 3
    shapes = {name: tuple(value.shape) for name, value in out.items()}
    assert shapes == {
        "classes": (2, places, 2),
        "sides": (2, places, 4),
        "centerness": (2, places),
        "points": (2, places, 3, 2),
    }
    points = np.full((1, 3, 2), 5.0)
    one = network.encode((16, 24), [[2, 2, 10, 10]], [1], points)
    none = network.encode((16, 24), [], [], np.zeros((0, 3, 2)))
    models.detection_loss(out, fc.tensor(np.stack([one, none]))).backward()
    for key, parameter in network.named_parameters():
        gradient = np.asarray(parameter.grad)
        assert parameter.grad is not None and np.isfinite(gradient).all(), key
    assert float(models.detection_loss(out, fc.tensor(np.stack([none, none])))) > 0
    plain = models.fcos_tiny(num_classes=2, keypoints=0, **SMALL)
    assert set(plain(fc.rand(2, 3, 16, 16))) == {"classes", "sides", "centerness"}


def test_places_are_the_middles_of_their_pixels() -> None:
    network = models.fcos_tiny(**SMALL)
    places, strides = network.places((16, 24))
    assert network.strides == [4, 8]
    np.testing.assert_array_equal(places[[0, 1, 6, 24, 25, 29]],
                                  [[2, 2], [6, 2], [2, 6], [4, 4], [12, 4], [20, 12]])  # fmt: skip
    np.testing.assert_array_equal(strides, [4] * 24 + [8] * 6)


def test_a_place_belongs_to_the_smallest_object_of_its_map() -> None:
    network = models.fcos_tiny(num_classes=5, keypoints=1, reach=3.0, **SMALL)
    boxes = [[0, 0, 30, 30], [10, 10, 20, 18]]  # 15 from the middle: the second map's
    target = network.encode((32, 32), boxes, [3, 4], [[[1, 2]], [[np.nan, np.nan]]])
    places, strides = network.places((32, 32))
    small, large = target[:, 0] == 4, target[:, 0] == 3
    assert small.any() and large.any() and (small | large | (target[:, 0] == -1)).all()
    assert (strides[small] == 4).all() and (strides[large] == 8).all()
    for mine, box in ((small, boxes[1]), (large, boxes[0])):
        x, y = places[mine].T
        sides = np.stack([x - box[0], y - box[1], box[2] - x, box[3] - y], 1)
        assert (sides > 0).all()
        np.testing.assert_allclose(target[mine, 1:5] * strides[mine, None], sides)
        middle = np.abs(places[mine] - [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        assert (middle < 1.5 * strides[mine, None]).all()
    np.testing.assert_allclose(
        target[large, 5:] * strides[large, None] + places[large], [[1, 2]] * large.sum()
    )
    assert np.isnan(target[small, 5:]).all()


def test_what_is_encoded_is_detected() -> None:
    """A head that says what it was told has every object again: boxes, classes, points."""
    network = models.fcos_tiny(num_classes=4, keypoints=2, **SMALL)
    boxes = np.array([[2, 3, 12, 11], [14, 6, 31, 30], [3, 2, 13, 12]], np.float32)
    labels = np.array([2, 0, 1])
    points = np.array([[[3, 4], [9, 9]], [[15, 8], [30, 20]], [[4, 4], [5, 5]]], np.float32)
    target = network.encode((32, 32), boxes[:2], labels[:2], points[:2])
    here = target[:, 0] >= 0
    classes = np.where(target[:, :1] == np.arange(4), 6.0, -9.0)[None].astype(np.float32)
    sides = np.where(here[:, None], target[:, 1:5], 1.0)[None].astype(np.float32)
    pairs = np.stack([sides[..., 0::2], sides[..., 1::2]], 2)
    middle = np.sqrt((pairs.min(3) / pairs.max(3)).prod(2))
    logits = np.log(middle + 1e-6) - np.log(1 - middle + 1e-6)
    offsets = np.nan_to_num(target[:, 5:]).reshape(1, -1, 2, 2)
    said = {"classes": classes, "sides": sides, "centerness": logits, "points": offsets}
    network.forward = lambda x: {k: fc.tensor(v.astype(np.float32)) for k, v in said.items()}
    (found,) = network.detect(fc.zeros(1, 3, 32, 32))
    assert sorted(found["labels"].tolist()) == [0, 2]
    for box, label, keypoints in zip(found["boxes"], found["labels"], found["keypoints"]):
        i = labels[:2].tolist().index(int(label))
        np.testing.assert_allclose(box.numpy(), boxes[i], atol=1e-4)
        np.testing.assert_allclose(keypoints.numpy(), points[i], atol=1e-4)
    assert (np.diff(found["scores"].numpy()) <= 0).all()
    every = network.detect(fc.zeros(1, 3, 32, 32), iou_threshold=1.0)[0]["labels"]
    assert len(every) == here.sum()  # no box goes: each place has its own
    assert len(network.detect(fc.zeros(1, 3, 32, 32), iou_threshold=1.0, limit=1)[0]["labels"]) == 1
    assert len(network.detect(fc.zeros(1, 3, 32, 32), score_threshold=1.0)[0]["labels"]) == 0


def test_generalized_iou() -> None:
    """Against boxes with corners, and its gradient by differences."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.5, 3, (2, 6, 4))
    found = models.generalized_iou(fc.tensor(a), fc.tensor(b)).numpy()
    for one, other, value in zip(a, b, found, strict=True):
        corners = [np.concatenate([-s[:2], s[2:]]) for s in (one, other)]
        low, high = np.maximum(*(c[:2] for c in corners)), np.minimum(*(c[2:] for c in corners))
        inter = np.prod(high - low)
        union = sum(np.prod(c[2:] - c[:2]) for c in corners) - inter
        hull = np.prod(
            np.maximum(*(c[2:] for c in corners)) - np.minimum(*(c[:2] for c in corners))
        )
        assert value == pytest.approx(inter / union - (hull - union) / hull)
    assert models.generalized_iou(fc.tensor(a), fc.tensor(a)).numpy() == pytest.approx(1)
    pair = fc.tensor(a, requires_grad=True), fc.tensor(b, requires_grad=True)
    assert fc.autograd.gradcheck(models.generalized_iou, pair)


def test_the_loss_by_hand() -> None:
    """Two places, one of them with an object: each part written out."""
    rng = np.random.default_rng(1)
    out = {
        "classes": fc.tensor(rng.normal(size=(1, 2, 3))),
        "sides": fc.tensor(rng.uniform(1, 2, (1, 2, 4))),
        "centerness": fc.tensor(rng.normal(size=(1, 2))),
        "points": fc.tensor(rng.normal(size=(1, 2, 2, 2))),
    }
    nan = np.nan
    target = np.array([[[-1, 0, 0, 0, 0, nan, nan, nan, nan], [2, 1, 2, 3, 1, 0.5, -1, nan, nan]]])
    wanted = fc.zeros(1, 2, 3, dtype=fc.float64)
    wanted[0, 1, 2] = 1
    focal = float(F.sigmoid_focal_loss(out["classes"], wanted, reduction="sum"))
    middle = np.sqrt(1 / 3 * 1 / 2)
    sides = fc.tensor(target[:, 1, 1:5])
    box = 1 - float(models.generalized_iou(out["sides"][:, 1], sides)[0])
    p = 1 / (1 + np.exp(-float(out["centerness"][0, 1])))
    entropy = -(middle * np.log(p) + (1 - middle) * np.log(1 - p))
    far = np.abs(out["points"][0, 1, 0].numpy() - [0.5, -1])
    point = np.where(far < 0.25, far**2 / 0.5, far - 0.125).sum() / 4
    loss = models.detection_loss(out, fc.tensor(target))
    assert float(loss) == pytest.approx(focal + box + entropy + point, rel=1e-9)


def test_a_detector_learns() -> None:
    """Squares of two sizes and shades on a plain ground."""
    fc.manual_seed(0)
    rng = np.random.default_rng(0)
    network = models.fcos_tiny(num_classes=2, keypoints=1, in_channels=1, **SMALL)
    images, truths = np.zeros((24, 1, 32, 32), np.float32), []
    for i, image in enumerate(images):
        side, (x, y) = 6 + 8 * (i % 2), rng.integers(1, 17, 2)
        image[0, y : y + side, x : x + side] = 1 - 2 * (i % 2)
        middle = [[[x + side / 2, y + side / 2]]]
        box = [[x, y, x + side, y + side]]
        truths.append({"boxes": box, "labels": [i % 2], "keypoints": middle})
    x = fc.tensor(images)
    target = fc.tensor(np.stack([network.encode((32, 32), **truth) for truth in truths]))
    optimizer = fc.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = models.detection_loss(network(x), target)
        loss.backward()
        optimizer.step()
    found = network.eval().detect(x)
    assert metrics.detection_average_precision(found, truths) > 0.9
    off = [
        np.abs(one["keypoints"][0].numpy() - truth["keypoints"][0]).max()
        for one, truth in zip(found, truths)
        if len(one["labels"])
    ]
    assert np.median(off) < 2


def test_wrong_arguments() -> None:
    for options, text in (
        ({"levels": 5}, "levels must be from 1 to 4, got 5"),
        ({"widths": ()}, "must be positive"),
        ({"keypoints": -1}, "not negative"),
        ({"reach": 0.0}, "must be positive"),
    ):
        with pytest.raises(ValueError, match=text):
            models.fcos_tiny(**options)
    network = models.fcos_tiny(num_classes=2, keypoints=1, **SMALL)
    with pytest.raises(ValueError, match=r"divisible by 8, got \(16, 20\)"):
        network(fc.rand(1, 3, 16, 20))
    with pytest.raises(ValueError, match=r"1 boxes need labels \(1,\) and keypoints \(1, 1, 2\)"):
        network.encode((16, 16), [[0, 0, 1, 1]], [0, 1])
    with pytest.raises(ValueError, match=r"labels must be from 0 to 1, got \[2\]"):
        network.encode((16, 16), [[0, 0, 1, 1]], [2])
    out = network(fc.rand(1, 3, 16, 16))
    with pytest.raises(ValueError, match=r"target must be \(1, 20, 7\), got \(1, 20, 5\)"):
        models.detection_loss(out, fc.zeros(1, 20, 5))


# -- the measure -----------------------------------------------------------------------------------


def objects(boxes: Any, labels: Any, scores: Any = None) -> dict[str, Any]:
    found = {"boxes": np.reshape(np.asarray(boxes, float), (-1, 4)), "labels": np.array(labels)}
    return found if scores is None else {**found, "scores": np.array(scores, float)}


def test_matches() -> None:
    """The better score takes an object; another class, or too little overlap, has none."""
    truth = objects([[0, 0, 10, 10], [20, 20, 30, 30]], [0, 1])
    found = objects(
        [[0, 0, 10, 9], [0, 0, 10, 10], [20, 20, 30, 30], [20, 20, 30, 24]],
        [0, 0, 0, 1],
        [0.9, 0.8, 0.7, 0.6],
    )
    assert metrics.matched_boxes(found, truth).tolist() == [0, -1, -1, -1]
    assert metrics.matched_boxes(found, truth, 0.4).tolist() == [0, -1, -1, 1]
    nothing = objects([], [], [])
    assert metrics.matched_boxes(nothing, truth).tolist() == []
    assert metrics.matched_boxes(found, objects([], [])).tolist() == [-1] * 4
    with pytest.raises(ValueError, match="must be as many, got 1, 2, 1"):
        metrics.matched_boxes(objects([0, 0, 1, 1], [0], [1, 2]), truth)


def test_average_precision_by_hand() -> None:
    """Found right, wrong, right of three: 1/3 · 1 + 1/3 · 2/3; a class never found adds 0."""
    box, far = [0, 0, 10, 10], [50, 50, 60, 60]
    truth = [objects([box], [0]), objects([box, far], [0, 0])]
    found = [objects([box, far], [0, 0], [0.9, 0.8]), objects([box], [0], [0.7])]
    measure = metrics.detection_average_precision
    assert measure(found, truth) == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    truth.append(objects([box], [4]))
    found.append(objects([], [], []))
    assert measure(found, truth) == pytest.approx((1 / 3 + 1 / 3 * 2 / 3) / 2)
    assert (
        measure(truth and [{**t, "scores": np.ones(len(t["labels"]))} for t in truth], truth) == 1
    )
    assert np.isnan(measure([objects([box], [0], [1])], [objects([], [])]))
    with pytest.raises(ValueError, match="found has 0 images, truth 3"):
        measure([], truth)


def test_average_precision_is_scikit_learns_where_that_can_tell() -> None:
    """With every object found, and the envelope of precision: the area over all recalls."""
    rng = np.random.default_rng(0)
    hit = rng.random(60) < 0.6
    scores = rng.random(60)
    box, far = [0, 0, 10, 10], [50, 50, 60, 60]
    truth = [objects([box] if h else [], [0] if h else []) for h in hit]
    found = [objects([box if h else far], [0], [s]) for h, s in zip(hit, scores, strict=True)]
    curve = pytest.importorskip("sklearn.metrics").precision_recall_curve(hit, scores)
    precision, recall = np.maximum.accumulate(curve[0]), curve[1]
    expected = float((-np.diff(recall) * precision[:-1]).sum())
    assert metrics.detection_average_precision(found, truth) == pytest.approx(expected)

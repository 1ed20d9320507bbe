"""Measures against scikit-learn, at once and batch by batch."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import metrics as M

sk = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(0)


def samples(classes: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Scores (count, classes), and targets that they tell something about."""
    true = RNG.integers(0, classes, count)
    scores = RNG.standard_normal((count, classes)) + 1.2 * np.eye(classes)[true]
    return scores, true


RATES = [
    ("precision", M.Precision, lambda t, p, **k: sk.precision_score(t, p, zero_division=0, **k)),
    ("recall", M.Recall, lambda t, p, **k: sk.recall_score(t, p, zero_division=0, **k)),
    ("f1", M.F1, lambda t, p, **k: sk.f1_score(t, p, zero_division=0, **k)),
    ("dice", M.Dice, lambda t, p, **k: sk.f1_score(t, p, zero_division=0, **k)),
    ("iou", M.IoU, lambda t, p, **k: sk.jaccard_score(t, p, zero_division=0, **k)),
]


@pytest.mark.parametrize("name, kind, reference", RATES, ids=[r[0] for r in RATES])
@pytest.mark.parametrize("average", ["binary", "micro", "macro", "weighted", "auto", None])
@pytest.mark.parametrize("classes", [2, 4])
def test_rates(name: str, kind: Any, reference: Any, average: Any, classes: int) -> None:
    if average == "binary" and classes > 2:
        with pytest.raises(ValueError, match="two classes"):
            getattr(M, name)(*samples(classes), average=average)
        return
    scores, true = samples(classes)
    predicted = scores.argmax(1)
    theirs = ("binary" if classes == 2 else "macro") if average == "auto" else average
    want = reference(true, predicted, average=theirs)
    np.testing.assert_allclose(getattr(M, name)(scores, true, average), want)
    np.testing.assert_allclose(getattr(M, name)(predicted, fc.tensor(true), average), want)
    streamed = kind(average)
    for part in np.array_split(np.arange(len(true)), 7):
        streamed.update(fc.tensor(scores[part]), fc.tensor(true[part]))
    np.testing.assert_allclose(streamed.compute(), want)


def test_a_class_that_nobody_names() -> None:
    predicted, true = np.array([0, 0, 2]), np.array([0, 2, 2])
    for average in ("macro", "weighted", "micro"):
        want = sk.f1_score(true, predicted, average=average)
        assert M.f1(predicted, true, average) == pytest.approx(want)
    assert M.precision(predicted, true, None).tolist() == [0.5, 0.0, 1.0]


def test_none_is_one_value_per_class() -> None:
    """Of two classes and of no samples too; the default is a number."""
    predicted, true = np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])
    np.testing.assert_allclose(M.recall(predicted, true, average=None), [0.5, 1.0])
    assert M.recall(predicted, true) == M.recall(predicted, true, average="auto") == 1.0
    empty = M.Recall(None, num_classes=3).compute()
    assert empty.shape == (3,) and np.isnan(empty).all()


def test_negative_rates() -> None:
    scores, true = samples(2)
    (tn, fp), (fn, tp) = sk.confusion_matrix(true, scores.argmax(1))
    assert M.specificity(scores, true) == pytest.approx(tn / (tn + fp))
    assert M.false_positive_rate(scores, true) == pytest.approx(fp / (tn + fp))
    assert M.false_negative_rate(scores, true) == pytest.approx(fn / (fn + tp))
    assert M.recall(scores, true) == pytest.approx(tp / (fn + tp))


def test_one_column_is_thresholded() -> None:
    probabilities = fc.tensor([[0.9], [0.2], [0.8]])
    assert M.accuracy(probabilities, fc.tensor([1, 0, 1])) == 1.0
    logits = fc.tensor([[2.0], [-1.0], [0.3]])
    assert M.accuracy(logits, fc.tensor([1, 0, 1]), threshold=0) == 1.0
    with pytest.raises(ValueError, match="threshold=0"):
        M.accuracy(logits, fc.tensor([1, 0, 1]))
    assert M.confusion_matrix(probabilities, fc.tensor([1, 0, 0])).tolist() == [[1, 1], [0, 1]]
    masks = fc.tensor(np.full((2, 1, 3, 3), 0.7))
    assert M.iou(masks, np.ones((2, 1, 3, 3))) == 1.0


def test_segmentation() -> None:
    scores = RNG.standard_normal((2, 3, 5, 4))
    true = RNG.integers(0, 3, (2, 5, 4))
    predicted = scores.argmax(1)
    want = sk.confusion_matrix(true.ravel(), predicted.ravel())
    np.testing.assert_array_equal(M.confusion_matrix(fc.tensor(scores), fc.tensor(true)), want)
    assert M.accuracy(scores, true) == pytest.approx((predicted == true).mean())
    assert M.iou(scores, true) == pytest.approx(
        sk.jaccard_score(true.ravel(), predicted.ravel(), average="macro")
    )
    ignoring = M.IoU(ignore_index=2)
    ignoring.update(predicted, true)
    kept = true != 2
    want = sk.confusion_matrix(true[kept], predicted[kept], labels=[0, 1, 2])
    np.testing.assert_array_equal(ignoring.counts, want)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 9])
def test_top_k(k: int) -> None:
    scores, true = samples(4)
    want = sk.top_k_accuracy_score(true, scores, k=k) if k < 4 else 1.0
    assert M.top_k_accuracy(scores, true, k) == pytest.approx(want)


def test_curves() -> None:
    scores, true = samples(2, 200)
    one = np.round(scores[:, 1] - scores[:, 0], 1)  # with ties
    for ours, theirs in (
        (M.roc_curve(one, true), sk.roc_curve(true, one)),
        (M.roc_curve(one, true, False), sk.roc_curve(true, one, drop_intermediate=False)),
        (M.precision_recall_curve(one, true), sk.precision_recall_curve(true, one)),
    ):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b)
    assert M.roc_auc(one, true) == pytest.approx(sk.roc_auc_score(true, one))
    assert M.average_precision(one, true) == pytest.approx(sk.average_precision_score(true, one))
    area, precision, curve = M.AUC(), M.AveragePrecision(), M.ROC()
    for part in np.array_split(np.arange(200), 6):
        for metric in (area, precision, curve):
            metric.update(fc.tensor(one[part]), fc.tensor(true[part]))
    assert area.compute() == pytest.approx(sk.roc_auc_score(true, one))
    assert precision.compute() == pytest.approx(sk.average_precision_score(true, one))
    np.testing.assert_allclose(curve.compute()[0], sk.roc_curve(true, one)[0])


@pytest.mark.parametrize("average", ["macro", "weighted", None])
def test_area_of_many_classes(average: Any) -> None:
    scores, true = samples(4, 100)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    want = sk.roc_auc_score(true, p, multi_class="ovr", average=average)
    np.testing.assert_allclose(M.roc_auc(p, true, average), want)
    want = sk.average_precision_score(np.eye(4)[true], p, average=average)
    np.testing.assert_allclose(M.average_precision(p, true, average), want)


def test_regression() -> None:
    p, t = RNG.standard_normal((50, 1)), RNG.standard_normal(50) + 1e6
    p += 1e6
    for name, kind, want in (
        ("mean_absolute_error", M.MeanAbsoluteError, sk.mean_absolute_error(t, p)),
        ("mean_squared_error", M.MeanSquaredError, sk.mean_squared_error(t, p)),
        ("root_mean_squared_error", M.RootMeanSquaredError, math.sqrt(sk.mean_squared_error(t, p))),
        ("r2_score", M.R2, sk.r2_score(t, p)),
    ):
        assert getattr(M, name)(fc.tensor(p), fc.tensor(t)) == pytest.approx(want, rel=1e-9)
        streamed = kind()
        for part in np.array_split(np.arange(50), 4):
            streamed.update(p[part], t[part])
        assert streamed.compute() == pytest.approx(want, rel=1e-9)
    assert M.r2_score([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert M.r2_score([1.0, 2.0], [1.0, 1.0]) == 0.0
    assert math.isnan(M.r2_score([1.0], [1.0]))


ALL = [M.Accuracy(), M.TopKAccuracy(2), M.Precision(), M.Recall(), M.IoU(), M.ConfusionMatrix()]


@pytest.mark.parametrize("metric", ALL, ids=repr)
def test_merge_call_and_reset(metric: Any) -> None:
    scores, true = samples(3)
    whole, left, right = (copy.deepcopy(metric) for _ in range(3))
    whole.update(scores, true)
    alone = left(scores[:20], true[:20])
    np.testing.assert_allclose(alone, left.compute())
    right.update(scores[20:], true[20:])
    np.testing.assert_allclose(left.merge(right).compute(), whole.compute())
    left.reset()
    left.update(scores, true)
    np.testing.assert_allclose(left.compute(), whole.compute())
    assert metric.name


def test_nothing_gives_nan() -> None:
    for metric in (M.Accuracy(), M.TopKAccuracy(), M.Precision(), M.AUC(), M.R2()):
        assert math.isnan(metric.compute())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: M.precision([0], [0], "mean"), "average must be one of"),
        (lambda: M.precision([0], [0], "none"), "'weighted', None, got 'none'"),
        (lambda: M.ConfusionMatrix(0), "num_classes"),
        (lambda: M.TopKAccuracy(0), "k must be"),
        (lambda: M.confusion_matrix([0, 5], [0, 1], 3), "0 to 2"),
        (lambda: M.accuracy([0, 1, 1], [0, 1]), "target"),
        (lambda: M.accuracy(["a"], [0]), "numbers"),
        (lambda: M.roc_auc([0.1, np.nan], [0, 1]), "NaN"),
        (lambda: M.roc_auc([0.1, 0.2], [0, 3]), "classes 0 and 1"),
        (lambda: M.roc_curve([], []), "no samples"),
        (lambda: M.auc([0, 1, 0.5], [0, 1, 1]), "order"),
        (lambda: M.top_k_accuracy([[0.1, 0.2]], [4]), "0 to 1"),
        (lambda: M.mean_squared_error([1.0, 2.0], [1.0]), "shape"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()

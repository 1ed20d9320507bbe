"""Measures of the order in which scores put the samples: ROC, precision against recall."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Metric
from .labels import _array, score_pair

Curve = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Scores(Metric):
    """Keeps the scores of class 1, of all samples."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.scores: list[np.ndarray] = []
        self.targets: list[np.ndarray] = []

    def update(self, prediction: Any, target: Any) -> None:
        scores, true = score_pair(prediction, target)
        self.scores.append(scores)
        self.targets.append(true)

    def merge(self, other: Any) -> Any:
        self.scores += other.scores
        self.targets += other.targets
        return self

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores and targets of all batches."""
        if not self.scores:
            return np.zeros(0), np.zeros(0, np.int64)
        return np.concatenate(self.scores), np.concatenate(self.targets)


def _cumulated(scores: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False and true positives above each distinct score, from the largest on; the scores."""
    order = np.argsort(-scores, kind="stable")
    scores, true = scores[order], true[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    tp = np.cumsum(true)[ends]
    return 1 + ends - tp, tp, scores[ends]


def roc_curve(prediction: Any, target: Any, drop_intermediate: bool = True) -> Curve:
    """True against false positive rate at every threshold.

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores of class 1: (N,), (N, 1), or (N, 2), of which the second column counts.
    target : Tensor or array_like
        Classes 0 and 1, (N,).
    drop_intermediate : bool
        Leave out points on a straight line between their neighbours.

    Returns
    -------
    false_positive_rate, true_positive_rate, thresholds : ndarray
        From (0, 0), whose threshold is infinite, to (1, 1). Rates of a class without samples are
        NaN.
    """
    scores, true = score_pair(prediction, target)
    if not scores.size:
        raise ValueError("roc_curve: there are no samples")
    fp, tp, at = _cumulated(scores, true)
    if drop_intermediate and len(at) > 2:
        bends = np.logical_or(np.diff(fp, 2), np.diff(tp, 2))
        kept = np.r_[True, bends, True]
        fp, tp, at = fp[kept], tp[kept], at[kept]
    fp, tp, at = np.r_[0, fp], np.r_[0, tp], np.r_[np.inf, at]
    nothing = np.full(len(at), np.nan)
    return (fp / fp[-1] if fp[-1] else nothing), (tp / tp[-1] if tp[-1] else nothing), at


def precision_recall_curve(prediction: Any, target: Any) -> Curve:
    """Precision and recall at every threshold; arguments as :func:`roc_curve`.

    Returns
    -------
    precision, recall : ndarray
        From the smallest threshold on, ending in (1, 0).
    thresholds : ndarray
        Of all points but the last.
    """
    scores, true = score_pair(prediction, target)
    if not scores.size:
        raise ValueError("precision_recall_curve: there are no samples")
    fp, tp, at = _cumulated(scores, true)
    precision = tp / (tp + fp)
    recall = tp / tp[-1] if tp[-1] else np.ones(len(tp))
    return np.r_[precision[::-1], 1.0], np.r_[recall[::-1], 0.0], at[::-1]


def auc(x: Any, y: Any) -> float:
    """The area under a curve, by trapezoids.

    Parameters
    ----------
    x, y : array_like
        (N,), x in rising or falling order.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"x and y must be (N,) with N >= 2, got {x.shape} and {y.shape}")
    steps = np.diff(x)
    if not ((steps >= 0).all() or (steps <= 0).all()):
        raise ValueError("x must be in rising or falling order")
    return float(abs((steps * (y[1:] + y[:-1])).sum()) / 2)


def _area(scores: np.ndarray, true: np.ndarray) -> float:
    if not 0 < true.sum() < len(true):
        return float("nan")
    fpr, tpr, _ = roc_curve(scores, true)
    return auc(fpr, tpr)


def _average_precision(scores: np.ndarray, true: np.ndarray) -> float:
    if not true.sum():
        return float("nan") if not len(true) else 0.0
    precision, recall, _ = precision_recall_curve(scores, true)
    return float(-(np.diff(recall) * precision[:-1]).sum())


class ROC(_Scores):
    """The ROC curve of all batches: what :func:`roc_curve` returns."""

    name = "ROC"

    def compute(self) -> Any:
        return roc_curve(*self.all())


class AUC(_Scores):
    """The area under the ROC curve of all batches; NaN without samples of both classes."""

    name = "AUC"

    def compute(self) -> Any:
        return _area(*self.all())


class AveragePrecision(_Scores):
    """The mean of precision over the steps of recall, of all batches."""

    name = "average precision"

    def compute(self) -> Any:
        return _average_precision(*self.all())


def roc_auc(prediction: Any, target: Any, average: str | None = "macro") -> Any:
    """The area under the ROC curve.

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores of class 1, as for :func:`roc_curve`; or (N, C) with C > 2, each class against the
        rest.
    target : Tensor or array_like
        Classes (N,).
    average : "macro", "weighted" or None
        Over the classes of (N, C); None gives one for each.
    """
    return _each_class(_area, prediction, target, average)


def average_precision(prediction: Any, target: Any, average: str | None = "macro") -> Any:
    """The mean of precision over the steps of recall; arguments as :func:`roc_auc`."""
    return _each_class(_average_precision, prediction, target, average)


def _each_class(measure: Any, prediction: Any, target: Any, average: str | None) -> Any:
    scores = _array(prediction, "prediction")
    if scores.ndim < 2 or scores.shape[1] <= 2:
        return measure(*score_pair(prediction, target))
    if average not in ("macro", "weighted", None):
        raise ValueError(f"average must be 'macro', 'weighted' or None, got {average!r}")
    true = _array(target, "target").reshape(-1)
    columns = range(scores.shape[1])
    each = np.array([measure(*score_pair(scores[:, c], true == c)) for c in columns])
    if average is None:
        return each
    weights = (
        np.bincount(true.astype(np.int64), minlength=len(each)) if average == "weighted" else None
    )
    return float(np.average(each, weights=weights))

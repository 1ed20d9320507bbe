"""Measures that come from counts of true and predicted classes; segmentation is one of them.

All of them are functions of the confusion matrix, a row per true class: with its diagonal TP, the
rest of a column FP and the rest of a row FN,

    precision = TP / (TP + FP)          recall = sensitivity = TPR = TP / (TP + FN)
    specificity = TNR = TN / (TN + FP)  FPR = 1 - TNR            FNR = 1 - TPR
    F1 = Dice = 2 TP / (2 TP + FP + FN) IoU = Jaccard = TP / (TP + FP + FN)

A quotient 0 / 0 counts as 0, as in scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Metric
from .labels import _array, _labels, label_pair

AVERAGES = ("auto", "binary", "micro", "macro", "weighted", None)


class ConfusionMatrix(Metric):
    """Counts of samples by true class (row) and predicted class (column).

    Parameters
    ----------
    num_classes : int, optional
        The largest class index seen plus one when not given.
    threshold : float
        A single column of scores above this is class 1: 0.5 for probabilities, 0 for logits.
    ignore_index : int, optional
        Targets of this class do not count.

    Notes
    -----
    ``compute`` gives (num_classes, num_classes) int64. Predictions are scores (N, C, *), one column
    (N, 1, *), or class indices (N, *); targets are class indices (N, *).
    """

    name = "confusion matrix"

    def __init__(
        self,
        num_classes: int | None = None,
        threshold: float = 0.5,
        ignore_index: int | None = None,
    ) -> None:
        if num_classes is not None and (not isinstance(num_classes, int) or num_classes < 1):
            raise ValueError(f"num_classes must be a positive int, got {num_classes!r}")
        self.num_classes, self.threshold = num_classes, threshold
        self.ignore_index = ignore_index
        self.reset()

    def reset(self) -> None:
        size = self.num_classes or 0
        self.counts = np.zeros((size, size), np.int64)

    def update(self, prediction: Any, target: Any) -> None:
        predicted, true = label_pair(prediction, target, self.threshold, self.ignore_index)
        size = len(self.counts)
        if predicted.size:
            least = min(predicted.min(), true.min())
            most = int(max(predicted.max(), true.max()))
            if least < 0 or (self.num_classes is not None and most >= self.num_classes):
                limit = "non-negative" if self.num_classes is None else f"0 to {size - 1}"
                raise ValueError(f"class indices must be {limit}, found {least} to {most}")
            self._grow(most + 1)
        if self.num_classes is None:
            self._grow(_columns(prediction))
        size = len(self.counts)
        found = np.bincount(true * size + predicted, minlength=size * size)
        self.counts += found.reshape(size, size)

    def _grow(self, size: int) -> None:
        have = len(self.counts)
        if size > have:
            self.counts = np.pad(self.counts, (0, size - have))

    def merge(self, other: Any) -> Any:
        self._grow(len(other.counts))
        size = len(other.counts)
        self.counts[:size, :size] += other.counts
        return self

    def compute(self) -> Any:
        return self.counts.copy()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_classes={self.num_classes})"


def _columns(prediction: Any) -> int:
    """The number of classes that scores tell of."""
    array = _array(prediction, "prediction")
    return max(2, array.shape[1]) if array.dtype.kind == "f" and array.ndim >= 2 else 0


class Accuracy(ConfusionMatrix):
    """Share of samples (of a segmentation: pixels) that are classified right.

    Parameters as for :class:`ConfusionMatrix`.
    """

    name = "accuracy"

    def compute(self) -> Any:
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")


class TopKAccuracy(Metric):
    """Share of samples whose class is among the `k` largest scores.

    Parameters
    ----------
    k : int

    Notes
    -----
    Predictions are scores (N, C, *), targets class indices (N, *). Of equal scores the class of the
    smaller index counts as the larger.
    """

    def __init__(self, k: int = 5) -> None:
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k must be a positive int, got {k!r}")
        self.k, self.name = k, f"top-{k} accuracy"
        self.reset()

    def reset(self) -> None:
        self.hits = self.total = 0

    def update(self, prediction: Any, target: Any) -> None:
        scores, true = _array(prediction, "prediction"), _labels(target, "target")
        if scores.ndim < 2 or true.shape != (scores.shape[0], *scores.shape[2:]):
            raise ValueError(
                f"prediction must be scores (N, C, *) for target (N, *), got {scores.shape} and "
                f"{true.shape}"
            )
        if true.size and (true.min() < 0 or true.max() >= scores.shape[1]):
            raise ValueError(
                f"class indices must be 0 to {scores.shape[1] - 1}, found {true.min()} to "
                f"{true.max()}"
            )
        if self.k >= scores.shape[1]:
            self.hits += true.size
        else:
            best = np.argsort(-scores, axis=1, kind="stable")[:, : self.k]
            self.hits += int((best == true[:, None]).any(axis=1).sum())
        self.total += true.size

    def merge(self, other: Any) -> Any:
        self.hits, self.total = self.hits + other.hits, self.total + other.total
        return self

    def compute(self) -> Any:
        return self.hits / self.total if self.total else float("nan")

    def __repr__(self) -> str:
        return f"TopKAccuracy(k={self.k})"


class _Rate(ConfusionMatrix):
    """A quotient of counts for each class, averaged over the classes.

    Parameters
    ----------
    average : str or None
        "binary": that of class 1. "micro": of the counts of all classes together. "macro": the
        mean of all classes. "weighted": their mean by the number of samples. None: an array with
        one for each class. "auto", the default: "binary" for two classes and "macro" for more.
    num_classes, threshold, ignore_index
        As for :class:`ConfusionMatrix`.
    """

    def __init__(
        self,
        average: str | None = "auto",
        num_classes: int | None = None,
        threshold: float = 0.5,
        ignore_index: int | None = None,
    ) -> None:
        if average not in AVERAGES:
            raise ValueError(
                f"average must be one of {', '.join(map(repr, AVERAGES))}, got {average!r}"
            )
        self.average = average
        super().__init__(num_classes, threshold, ignore_index)

    @staticmethod
    def quotient(tp: Any, fp: Any, fn: Any, tn: Any) -> tuple[Any, Any]:
        """Numerator and denominator."""
        raise NotImplementedError

    def compute(self) -> Any:
        counts = self.counts
        average = self.average
        if average == "auto":
            average = "binary" if len(counts) <= 2 else "macro"
        if not counts.sum():
            return float("nan") if average is not None else np.full(len(counts), np.nan)
        if average == "binary" and len(counts) != 2:
            if len(counts) > 2:
                raise ValueError(f"average='binary' is for two classes, found {len(counts)}")
            counts = np.pad(counts, (0, 2 - len(counts)))
        tp = np.diag(counts)
        fp, fn = counts.sum(0) - tp, counts.sum(1) - tp
        tn = counts.sum() - tp - fp - fn
        if average == "micro":
            return float(_divided(*self.quotient(tp.sum(), fp.sum(), fn.sum(), tn.sum())))
        each = _divided(*self.quotient(tp, fp, fn, tn))
        if average is None:
            return each
        if average == "binary":
            return float(each[1])
        support = tp + fn
        if average == "weighted":
            return float((each * support).sum() / support.sum())
        seen = support + fp > 0  # as scikit-learn: classes that neither side names do not count
        return float(each[seen].mean())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(average={self.average!r})"


def _divided(a: Any, b: Any) -> Any:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.where(b == 0, 0.0, a / np.where(b == 0, 1, b))


class Precision(_Rate):
    """Of the samples called a class, the share that is of it. Parameters as :class:`Recall`."""

    name = "precision"

    @staticmethod
    def quotient(tp: Any, fp: Any, fn: Any, tn: Any) -> tuple[Any, Any]:
        return tp, tp + fp


class Recall(_Rate):
    __doc__ = (_Rate.__doc__ or "").replace(
        "A quotient of counts for each class, averaged over the classes.",
        "Of the samples of a class, the share that is called so: sensitivity, true positive rate.",
    )
    name = "recall"

    @staticmethod
    def quotient(tp: Any, fp: Any, fn: Any, tn: Any) -> tuple[Any, Any]:
        return tp, tp + fn


class Specificity(_Rate):
    """Of the samples not of a class, the share not called so: the true negative rate.

    Parameters as :class:`Recall`.
    """

    name = "specificity"

    @staticmethod
    def quotient(tp: Any, fp: Any, fn: Any, tn: Any) -> tuple[Any, Any]:
        return tn, tn + fp


class FalsePositiveRate(_Rate):
    """Of the samples not of a class, the share called so. Parameters as :class:`Recall`."""

    name = "false positive rate"

    @staticmethod
    def quotient(tp: Any, fp: Any, fn: Any, tn: Any) -> tuple[Any, Any]:
        return fp, tn + fp


class FalseNegativeRate(_Rate):
    """Of the samples of a class, the share not called so. Parameters as :class:`Recall`."""

    name = "false negative rate"

    @staticmethod
    def quotient(tp: Any, fp: Any, fn: Any, tn: Any) -> tuple[Any, Any]:
        return fn, tp + fn


class F1(_Rate):
    """The harmonic mean of precision and recall. Parameters as :class:`Recall`."""

    name = "F1"

    @staticmethod
    def quotient(tp: Any, fp: Any, fn: Any, tn: Any) -> tuple[Any, Any]:
        return 2 * tp, 2 * tp + fp + fn


class Dice(F1):
    """Twice the overlap of two sets over their sizes: F1. Parameters as :class:`Recall`."""

    name = "Dice"


class IoU(_Rate):
    """The overlap of two sets over their union: the Jaccard index.

    Parameters as :class:`Recall`.
    """

    name = "IoU"

    @staticmethod
    def quotient(tp: Any, fp: Any, fn: Any, tn: Any) -> tuple[Any, Any]:
        return tp, tp + fp + fn


Jaccard = IoU

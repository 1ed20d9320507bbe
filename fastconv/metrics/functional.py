"""The measures as functions of all samples at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import classification as c
from . import regression as r
from .base import Metric


def confusion_matrix(
    prediction: Any, target: Any, num_classes: int | None = None, threshold: float = 0.5
) -> Any:
    """Counts of samples by true class (row) and predicted class (column).

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores (N, C, *), one column (N, 1, *), or class indices (N, *), as :func:`accuracy` takes
        them.
    target : Tensor or array_like
        Class indices (N, *), or (N, 1).
    num_classes : int, optional
        The largest class index plus one when not given (at least the number of scores).
    threshold : float
        A single column above this is class 1.

    Returns
    -------
    ndarray
        (num_classes, num_classes) int64.

    Raises
    ------
    ValueError
        When the lengths differ or an index is not below `num_classes`.
    """
    return _measured(c.ConfusionMatrix(num_classes, threshold), prediction, target)


def accuracy(prediction: Any, target: Any, threshold: float = 0.5) -> float:
    """Share of samples that are classified right.

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores (N, C, *), of which the largest counts; one column (N, 1, *), of probabilities of
        class 1; or class indices (N, *).
    target : Tensor or array_like
        Class indices (N, *) or (N, 1); whole floats count as such.
    threshold : float
        A single column above this is class 1: 0.5 for what comes out of a sigmoid, 0 for logits.

    Returns
    -------
    float
        NaN for no samples.
    """
    return float(_measured(c.Accuracy(threshold=threshold), prediction, target))


def top_k_accuracy(prediction: Any, target: Any, k: int = 5) -> float:
    """Share of samples whose class is among the `k` largest of the scores (N, C, *)."""
    return float(_measured(c.TopKAccuracy(k), prediction, target))


def _measured(metric: Metric, prediction: Any, target: Any) -> Any:
    metric.update(prediction, target)
    return metric.compute()


def _rate(kind: Callable[..., Metric], name: str, what: str) -> Callable[..., Any]:
    def function(
        prediction: Any,
        target: Any,
        average: str | None = "auto",
        num_classes: int | None = None,
        threshold: float = 0.5,
    ) -> Any:
        return _measured(kind(average, num_classes, threshold), prediction, target)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{what}

    Parameters
    ----------
    prediction, target, threshold
        As for :func:`accuracy`.
    average : str or None
        "binary": that of class 1. "micro": of the counts of all classes together. "macro": the
        mean of all classes. "weighted": their mean by the number of samples. None: an array with
        one for each class. "auto", the default: "binary" for two classes and "macro" for more.
    num_classes : int, optional
        The largest class index plus one when not given.

    Returns
    -------
    float, or ndarray
        NaN for no samples; 0 where nothing is divided by nothing.
    """
    return function


precision = _rate(c.Precision, "precision", "Of what is called a class, the share that is of it.")
recall = _rate(c.Recall, "recall", "Of a class, the share that is called so: sensitivity, TPR.")
specificity = _rate(
    c.Specificity, "specificity", "Of what is not of a class, the share not called so: TNR."
)
false_positive_rate = _rate(
    c.FalsePositiveRate, "false_positive_rate", "Of what is not of a class, the share called so."
)
false_negative_rate = _rate(
    c.FalseNegativeRate, "false_negative_rate", "Of a class, the share not called so."
)
f1 = _rate(c.F1, "f1", "The harmonic mean of precision and recall.")
dice = _rate(c.Dice, "dice", "Twice the overlap of two sets over their sizes: F1.")
iou = _rate(c.IoU, "iou", "The overlap of two sets over their union: the Jaccard index.")
jaccard = iou


def _of_values(kind: Callable[..., Metric], name: str, what: str) -> Callable[..., float]:
    def function(prediction: Any, target: Any) -> float:
        return float(_measured(kind(), prediction, target))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{what}\n\n    Parameters\n    ----------\n    prediction, target : Tensor or array_like\n"
        "        Of equal shape.\n\n    Returns\n    -------\n    float\n"
    )
    return function


mean_absolute_error = _of_values(
    r.MeanAbsoluteError, "mean_absolute_error", "The mean of |prediction - target|."
)
mean_squared_error = _of_values(
    r.MeanSquaredError, "mean_squared_error", "The mean of (prediction - target)²."
)
root_mean_squared_error = _of_values(
    r.RootMeanSquaredError, "root_mean_squared_error", "The root of the mean squared error."
)
r2_score = _of_values(
    r.R2, "r2_score", "The share of the targets' variance that the prediction explains."
)

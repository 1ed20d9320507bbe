"""Measures of a classifier, on label arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tensor import Tensor


def _array(values: Any, name: str) -> np.ndarray:
    array = values._array if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got {array.dtype}")
    return array


def predicted_labels(prediction: Any, threshold: float = 0.5) -> np.ndarray:
    """The class that each row of scores stands for.

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores (N, C), of which the largest counts; one column (N, 1) of scores of class 1; or
        class indices (N,) or (N, 1), which are ints.
    threshold : float
        A single column's score above this is class 1, else class 0. The default is for
        probabilities, as a sigmoid gives them; for logits it is 0.

    Returns
    -------
    ndarray
        (N,) int64.

    Raises
    ------
    ValueError
        For other shapes, and for a column that is not of probabilities, in [0, 1], under the
        default threshold.
    """
    array = _array(prediction, "prediction")
    if not isinstance(threshold, (int, float)) or isinstance(threshold, bool):
        raise TypeError(f"threshold must be a number, got {threshold!r:.80}")
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(axis=1)
    if array.dtype.kind == "f" and array.ndim == 2 and array.shape[1] == 1:
        column = array[:, 0]
        if threshold == 0.5 and ((column < 0) | (column > 1)).any():
            raise ValueError(
                f"prediction has one column, with values from {column.min():g} to "
                f"{column.max():g}: threshold=0.5 is for probabilities; for logits say threshold=0"
            )
        return (column > threshold).astype(np.int64)
    return _labels(array, "prediction")


def _labels(values: Any, name: str) -> np.ndarray:
    """Class indices (N,) of labels (N,) or (N, 1); as floats too where they are the target."""
    array = _array(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    whole = array.dtype.kind != "f" or (name == "target" and bool((array % 1 == 0).all()))
    if array.ndim != 1 or not whole:
        scores = " or scores (N, C)" if name == "prediction" else ""
        raise ValueError(
            f"{name} must be integer labels of shape (N,){scores}, "
            f"got shape {array.shape} {array.dtype}"
        )
    return array.astype(np.int64, copy=False)


def _pair(prediction: Any, target: Any, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    predicted, true = predicted_labels(prediction, threshold), _labels(target, "target")
    if predicted.shape != true.shape:
        raise ValueError(f"prediction is {predicted.shape} labels, target {true.shape}")
    return predicted, true


def accuracy(prediction: Any, target: Any, threshold: float = 0.5) -> float:
    """Share of samples that are classified right.

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores (N, C), of which the largest counts; one column (N, 1), of probabilities of class 1;
        or class indices (N,).
    target : Tensor or array_like
        Class indices (N,) or (N, 1); whole floats count as such.
    threshold : float
        A single column above this is class 1: 0.5 for what comes out of a sigmoid, 0 for logits.

    Returns
    -------
    float
        NaN for no samples.
    """
    predicted, true = _pair(prediction, target, threshold)
    return float((predicted == true).mean()) if true.size else float("nan")


def confusion_matrix(
    prediction: Any, target: Any, num_classes: int | None = None, threshold: float = 0.5
) -> np.ndarray:
    """Counts of samples by true class (row) and predicted class (column).

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores (N, C), one column (N, 1), or class indices (N,), as :func:`accuracy` takes them.
    target : Tensor or array_like
        Class indices (N,) or (N, 1).
    num_classes : int, optional
        The largest class index plus one when not given.
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
    predicted, true = _pair(prediction, target, threshold)
    both = np.concatenate([predicted, true])
    if num_classes is None:
        num_classes = int(both.max()) + 1 if both.size else 0
    if both.size and (both.min() < 0 or both.max() >= num_classes):
        raise ValueError(
            f"class indices must be 0 to {num_classes - 1}, found {both.min()} to {both.max()}"
        )
    counts = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)

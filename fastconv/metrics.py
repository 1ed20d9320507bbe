"""Measures of a classifier, on label arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tensor import Tensor


def _labels(values: Any, name: str) -> np.ndarray:
    """Class indices (N,) of labels (N,) or of scores (N, C)."""
    array = values._array if isinstance(values, Tensor) else np.asarray(values)
    if name == "prediction" and array.ndim == 2:
        return array.argmax(axis=1)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise ValueError(
            f"{name} must be integer labels of shape (N,){' or scores (N, C)' * (name[0] == 'p')}, "
            f"got shape {array.shape} {array.dtype}"
        )
    return array.astype(np.int64, copy=False)


def _pair(prediction: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    predicted, true = _labels(prediction, "prediction"), _labels(target, "target")
    if predicted.shape != true.shape:
        raise ValueError(f"prediction is {predicted.shape} labels, target {true.shape}")
    return predicted, true


def accuracy(prediction: Any, target: Any) -> float:
    """Share of samples that are classified right.

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores (N, C), of which the largest counts, or class indices (N,).
    target : Tensor or array_like
        Class indices (N,).

    Returns
    -------
    float
        NaN for no samples.
    """
    predicted, true = _pair(prediction, target)
    return float((predicted == true).mean()) if true.size else float("nan")


def confusion_matrix(prediction: Any, target: Any, num_classes: int | None = None) -> np.ndarray:
    """Counts of samples by true class (row) and predicted class (column).

    Parameters
    ----------
    prediction : Tensor or array_like
        Scores (N, C) or class indices (N,).
    target : Tensor or array_like
        Class indices (N,).
    num_classes : int, optional
        The largest class index plus one when not given.

    Returns
    -------
    ndarray
        (num_classes, num_classes) int64.

    Raises
    ------
    ValueError
        When the lengths differ or an index is not below `num_classes`.
    """
    predicted, true = _pair(prediction, target)
    both = np.concatenate([predicted, true])
    if num_classes is None:
        num_classes = int(both.max()) + 1 if both.size else 0
    if both.size and (both.min() < 0 or both.max() >= num_classes):
        raise ValueError(
            f"class indices must be 0 to {num_classes - 1}, found {both.min()} to {both.max()}"
        )
    counts = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)

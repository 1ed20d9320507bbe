"""From scores to classes, and checks of both."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor


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
        Scores (N, C, *), of which the largest counts; one column (N, 1, *) of scores of class 1;
        or class indices (N, *) or (N, 1), which are ints.
    threshold : float
        A single column's score above this is class 1, else class 0. The default is for
        probabilities, as a sigmoid gives them; for logits it is 0.

    Returns
    -------
    ndarray
        (N, *) int64.

    Raises
    ------
    ValueError
        For other shapes, and for a column that is not of probabilities, in [0, 1], under the
        default threshold.
    """
    array = _array(prediction, "prediction")
    if not isinstance(threshold, (int, float)) or isinstance(threshold, bool):
        raise TypeError(f"threshold must be a number, got {threshold!r:.80}")
    if array.dtype.kind == "f" and array.ndim >= 2 and array.shape[1] > 1:
        return array.argmax(axis=1)
    if array.dtype.kind == "f" and array.ndim >= 2 and array.shape[1] == 1:
        column = array[:, 0]
        if threshold == 0.5 and ((column < 0) | (column > 1)).any():
            raise ValueError(
                f"prediction has one column, with values from {column.min():g} to "
                f"{column.max():g}: threshold=0.5 is for probabilities; for logits say threshold=0"
            )
        return (column > threshold).astype(np.int64)
    return _labels(array, "prediction")


def _labels(values: Any, name: str) -> np.ndarray:
    """Class indices (N, *) of labels (N, *) or (N, 1); as floats too where they are the target."""
    array = _array(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    whole = array.dtype.kind != "f" or (name == "target" and bool((array % 1 == 0).all()))
    if array.ndim < 1 or not whole:
        scores = " or scores (N, C)" if name == "prediction" else ""
        raise ValueError(
            f"{name} must be integer labels of shape (N,){scores}, "
            f"got shape {array.shape} {array.dtype}"
        )
    return array.astype(np.int64, copy=False)


def label_pair(
    prediction: Any, target: Any, threshold: float, ignore_index: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true classes, flat, of the same length; without targets of `ignore_index`.

    Raises
    ------
    ValueError
        When they are not as many.
    """
    predicted, true = predicted_labels(prediction, threshold), _labels(target, "target")
    if true.ndim == predicted.ndim + 1 and true.shape[1] == 1:  # masks (N, 1, H, W)
        true = true[:, 0]
    if predicted.shape != true.shape:
        raise ValueError(f"prediction is {predicted.shape} labels, target {true.shape}")
    predicted, true = predicted.reshape(-1), true.reshape(-1)
    if ignore_index is not None:
        kept = true != ignore_index
        predicted, true = predicted[kept], true[kept]
    return predicted, true


def score_pair(prediction: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N,) of class 1 as float64 and true classes (N,) that are 0 or 1.

    Scores come as (N,) or (N, 1), or as (N, 2), of which the second column counts.

    Raises
    ------
    ValueError
        For other shapes, NaN scores, and targets that are neither 0 nor 1.
    """
    scores, true = _array(prediction, "prediction"), _labels(target, "target").reshape(-1)
    if scores.ndim == 2 and scores.shape[1] == 2:
        scores = scores[:, 1]
    scores = scores.reshape(-1).astype(np.float64)
    if scores.shape != true.shape:
        raise ValueError(f"prediction is {scores.size} scores, target {true.size} classes")
    if np.isnan(scores).any():
        raise ValueError("prediction holds NaN, which has no place in an order of scores")
    if true.size and not ((true == 0) | (true == 1)).all():
        raise ValueError(f"target must be classes 0 and 1, found {true.min()} to {true.max()}")
    return scores, true


def value_pair(prediction: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values of a regression as float64, of equal shape (a last axis of size 1 may be missing).

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    a, b = _array(prediction, "prediction"), _array(target, "target")
    if a.shape != b.shape:
        if (*a.shape, 1) != b.shape and a.shape != (*b.shape, 1):
            raise ValueError(f"prediction has shape {a.shape}, target {b.shape}")
        a = a.reshape(b.shape)
    return a.astype(np.float64), b.astype(np.float64)

"""How good a classifier is, as pictures over :mod:`fastconv.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import metrics
from ..tensor import Tensor
from ._draw import Figure, figure
from ._model import Array, check_count

__all__ = ["Calibration", "calibration", "show_calibration", "show_confusion", "show_roc"]


class Calibration(NamedTuple):
    """How often the network is right beside how sure it is.

    Attributes
    ----------
    confidence, accuracy : ndarray, (bins,)
        Their means in each bin; NaN in an empty one.
    samples : ndarray, (bins,) int64
    error : float
        The expected calibration error: the mean of \\|accuracy - confidence\\| over all samples.
    """

    confidence: Array
    accuracy: Array
    samples: Array
    error: float


def _array(value: Any) -> Array:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def calibration(probabilities: Any, target: Any, bins: int = 10) -> Calibration:
    """Confidence and accuracy in bins of the confidence.

    Parameters
    ----------
    probabilities : Tensor or array_like, (N, classes) or (N,)
        Of the classes: the largest is the confidence, and right if it is the target's. (N,): of
        class 1, whose share in each bin is the accuracy.
    target : Tensor or array_like, (N,) int
    bins : int
        Of equal width from 0 to 1; each holds its upper end.

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError
        For shapes that do not fit, no samples, and numbers that are no probabilities.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks" (ICML 2017), section 2.
    """
    p, true = _array(probabilities).astype(np.float64), _array(target)
    bins = check_count(bins, "bins", "calibration")
    if p.ndim not in (1, 2) or not len(p) or true.shape != p.shape[:1]:
        raise ValueError(
            "calibration: probabilities must be (N, classes) or (N,) and target (N,), got "
            f"{p.shape} and {true.shape}"
        )
    if not (p.min() >= 0 and p.max() <= 1 + 1e-6):
        raise ValueError(
            f"calibration: probabilities must be from 0 to 1, got {p.min():.4g} to {p.max():.4g}: "
            "take the softmax of scores"
        )
    sure = p.max(1) if p.ndim == 2 else p
    right = p.argmax(1) == true if p.ndim == 2 else true.astype(np.float64)
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, sure, bins) / count
        accuracy = np.bincount(place, right, bins) / count
    gap = np.where(count > 0, np.abs(accuracy - confidence), 0)
    return Calibration(confidence, accuracy, count, float((gap * count).sum() / len(p)))


def show_calibration(found: Calibration) -> Figure:
    """Accuracy over confidence with the diagonal, and how many samples each bin holds.

    Parameters
    ----------
    found : Calibration

    Returns
    -------
    matplotlib.figure.Figure
    """
    bins = len(found.samples)
    edges = np.linspace(0, 1, bins + 1)
    fig = figure(4.2, 4.8)
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    height = np.nan_to_num(found.accuracy)
    above.bar(edges[:-1], height, 1 / bins, align="edge", color="#4c78a8", edgecolor="white")
    above.plot([0, 1], [0, 1], "--", color="0.4", linewidth=1, label="as sure as right")
    above.plot(found.confidence, found.accuracy, "o", color="#e45756", markersize=4,
               label="means of the bins")  # fmt: skip
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    above.set_title(f"expected calibration error {found.error:.3f}", fontsize=10)
    fig.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    below.bar(edges[:-1], found.samples, 1 / bins, align="edge", color="0.6", edgecolor="white")
    below.set(xlabel="confidence", ylabel="samples")
    return fig


def show_confusion(matrix: Any, classes: Sequence[str] | None = None) -> Figure:
    """Counts by true class (rows) and predicted class (columns), shaded by their share of the row.

    Parameters
    ----------
    matrix : array_like, (classes, classes) int
        From :func:`fastconv.metrics.confusion_matrix`.
    classes : sequence of str, optional
        Their names.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If it is not square, or has another number of names.
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"show_confusion: matrix must be square, got shape {counts.shape}")
    names = [str(k) for k in range(len(counts))] if classes is None else list(classes)
    if len(names) != len(counts):
        raise ValueError(f"show_confusion: {len(counts)} classes, but {len(names)} names")
    size = 0.42 * len(names) + 1.2 + 0.07 * max(map(len, names))
    fig = figure(size, size)
    ax = fig.subplots()
    share = np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1))
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        dark = share[row, column] > 0.55
        ax.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8,
                color="white" if dark else "black")  # fmt: skip
    turn = 45 if max(map(len, names)) > 2 else 0
    ticks = range(len(names))
    ax.set_xticks(ticks, names, rotation=turn, ha="right" if turn else "center")
    ax.set_yticks(ticks, names)
    ax.set(xlabel="predicted", ylabel="true")
    return fig


def show_roc(prediction: Any, target: Any, classes: Sequence[str] | None = None) -> Figure:
    """ROC curves with the areas under them: of class 1, or of each class against the rest.

    Parameters
    ----------
    prediction : Tensor or array_like, (N,), (N, 1) or (N, classes)
        Scores, as :func:`fastconv.metrics.roc_curve` takes them.
    target : Tensor or array_like, (N,) int
    classes : sequence of str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    scores, true = _array(prediction), _array(target).reshape(-1)
    columns = scores.shape[1] if scores.ndim == 2 and scores.shape[1] > 2 else 1
    fig = figure(5.4 if columns > 1 else 4.2, 3.9)
    ax = fig.subplots()
    for c in range(columns):
        some = scores[:, c] if columns > 1 else scores
        wanted = true == c if columns > 1 else true
        fpr, tpr, _ = metrics.roc_curve(some, wanted)
        name = str(c if columns > 1 else 1) if classes is None else classes[c if columns > 1 else 1]
        ax.plot(fpr, tpr, linewidth=1.4, label=f"{name}: {metrics.auc(fpr, tpr):.3f}")
    ax.plot([0, 1], [0, 1], "--", color="0.6", linewidth=1)
    ax.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1),
           ylim=(0, 1.01))  # fmt: skip
    if columns > 1:
        fig.legend(
            title="area under the curve", loc="outside right center", fontsize=8, frameon=False
        )
    else:
        ax.legend(title="area under the curve", loc="lower right", fontsize=8)
    return fig

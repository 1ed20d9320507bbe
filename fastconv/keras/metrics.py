"""Metrics by Keras's names, over :mod:`fastconv.metrics`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import metrics as measures
from .losses import Loss


class _Named(measures.Metric):
    """A measure of Keras's layout: the classes of a prediction are its last axis."""

    def __init__(self, name: str, inner: measures.Metric, one_hot: Any = None) -> None:
        self.name, self.inner, self.one_hot = name, inner, one_hot

    def reset(self) -> None:
        self.inner.reset()

    def update(self, prediction: Any, target: Any) -> None:
        p, t = np.asarray(prediction), np.asarray(target)
        one_hot = self.one_hot
        if one_hot is None:
            one_hot = p.ndim == t.ndim and p.shape == t.shape and p.shape[-1] > 1
        if one_hot:
            t = t.argmax(-1)
        if p.ndim > 2:
            p = np.moveaxis(p, -1, 1)
        if t.ndim > 1 and t.shape[-1] == 1:
            t = t[..., 0]
        if p.ndim > 1 and p.shape[1] == 1:
            p = p.reshape(-1, 1)
            t = t.reshape(-1)
        self.inner.update(p, t)

    def merge(self, other: Any) -> Any:
        self.inner.merge(other.inner)
        return self

    def compute(self) -> Any:
        return self.inner.compute()


class _Function(measures.Metric):
    """The mean of a user's function of (y_true, y_pred) over samples."""

    def __init__(self, function: Any) -> None:
        self.function, self.name = function, getattr(function, "__name__", "metric")
        self.reset()

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, prediction: Any, target: Any) -> None:
        value = float(np.asarray(self.function(target, prediction)).mean())
        self.total, self.count = self.total + value * len(target), self.count + len(target)

    def merge(self, other: Any) -> Any:
        self.total, self.count = self.total + other.total, self.count + other.count
        return self

    def compute(self) -> Any:
        return self.total / self.count if self.count else float("nan")


def _threshold(loss: Any) -> float:
    return 0.0 if isinstance(loss, Loss) and loss.from_logits else 0.5


def get_all(metrics: Any, loss: Any) -> dict[str, measures.Metric]:
    """Measures by name, in Keras's words."""
    threshold = _threshold(loss)
    known: dict[str, Any] = {
        "accuracy": lambda: measures.Accuracy(threshold=threshold),
        "acc": lambda: measures.Accuracy(threshold=threshold),
        "binary_accuracy": lambda: measures.Accuracy(threshold=threshold),
        "categorical_accuracy": measures.Accuracy,
        "sparse_categorical_accuracy": measures.Accuracy,
        "top_k_categorical_accuracy": measures.TopKAccuracy,
        "sparse_top_k_categorical_accuracy": measures.TopKAccuracy,
        "precision": lambda: measures.Precision(threshold=threshold),
        "recall": lambda: measures.Recall(threshold=threshold),
        "auc": measures.AUC,
    }
    values: dict[str, Any] = {
        "mse": measures.MeanSquaredError,
        "mean_squared_error": measures.MeanSquaredError,
        "mae": measures.MeanAbsoluteError,
        "mean_absolute_error": measures.MeanAbsoluteError,
        "root_mean_squared_error": measures.RootMeanSquaredError,
        "r2_score": measures.R2,
    }
    found: dict[str, measures.Metric] = {}
    for metric in metrics:
        if isinstance(metric, str) and metric.lower() in known:
            found[metric] = _Named(metric, known[metric.lower()]())
        elif isinstance(metric, str) and metric.lower() in values:
            found[metric] = values[metric.lower()]()
        elif isinstance(metric, measures.Metric):
            found[metric.name.replace(" ", "_")] = _Named(metric.name, metric)
        elif callable(metric):
            found[getattr(metric, "__name__", "metric")] = _Function(metric)
        else:
            names = ", ".join([*known, *values])
            raise ValueError(f"there is no metric {metric!r}; there are {names}")
    return found

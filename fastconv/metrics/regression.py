"""Measures of a regression."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import Metric
from .labels import value_pair


class _Sums(Metric):
    """Keeps sums over all elements, in float64."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.count, self.absolute, self.square = 0, 0.0, 0.0
        self.mean, self.spread = 0.0, 0.0  # of the targets; squares about it

    def update(self, prediction: Any, target: Any) -> None:
        p, t = value_pair(prediction, target)
        if not t.size:
            return
        d = p - t
        mean = float(t.mean())
        self._join(
            t.size, float(np.abs(d).sum()), float((d * d).sum()), mean,
            float(((t - mean) ** 2).sum()),
        )  # fmt: skip

    def _join(self, count: int, absolute: float, square: float, mean: float, spread: float) -> None:
        """Add the sums of further elements; the means are joined without cancellation."""
        total = self.count + count
        apart = mean - self.mean
        if total:
            self.spread += spread + apart * apart * self.count * count / total
            self.mean += apart * count / total
        self.count, self.absolute, self.square = (
            total, self.absolute + absolute, self.square + square,
        )  # fmt: skip

    def merge(self, other: Any) -> Any:
        self._join(other.count, other.absolute, other.square, other.mean, other.spread)
        return self


class MeanAbsoluteError(_Sums):
    """The mean of |prediction - target|."""

    name = "MAE"

    def compute(self) -> Any:
        return self.absolute / self.count if self.count else math.nan


class MeanSquaredError(_Sums):
    """The mean of (prediction - target)²."""

    name = "MSE"

    def compute(self) -> Any:
        return self.square / self.count if self.count else math.nan


class RootMeanSquaredError(_Sums):
    """The root of the mean of (prediction - target)²."""

    name = "RMSE"

    def compute(self) -> Any:
        return math.sqrt(self.square / self.count) if self.count else math.nan


class R2(_Sums):
    """The share of the targets' variance that the prediction explains: 1 - SS_res / SS_tot.

    Of constant targets it is 1 for a perfect prediction and 0 for any other, as in scikit-learn;
    of fewer than two elements it is NaN.
    """

    name = "R²"

    def compute(self) -> Any:
        if self.count < 2:
            return math.nan
        if self.spread == 0:
            return 1.0 if self.square == 0 else 0.0
        return 1 - self.square / self.spread

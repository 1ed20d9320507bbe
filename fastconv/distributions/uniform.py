"""The uniform distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import wrap
from ..creation import uniform
from .distribution import Distribution, tensors

__all__ = ["Uniform"]


class Uniform(Distribution):
    """All of [low, high) alike.

    Parameters
    ----------
    low, high : Tensor or float
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If `low` is not below `high`, or of a value outside in :meth:`log_prob`.
    """

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = tensors("Uniform", low=low, high=high)
        super().__init__(self.low.shape, (), validate_args)
        self._check(self.low._array < self.high._array, "low", self.low, "below high")

    @property
    def mean(self) -> Any:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Any:
        """The variance."""
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draws ``low + (high - low) * share``, with gradients of both."""
        share = wrap(uniform(self._extended(sample_shape), self.low._array.dtype))
        return self.low + share * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density at `value`; -inf at `high` itself."""
        v, low, high = value._array, self.low._array, self.high._array
        self._check((v >= low) & (v <= high), "value", value, "between low and high")
        inside = np.where((v >= low) & (v < high), 0, -np.inf).astype(low.dtype)
        return wrap(inside) - (self.high - self.low).log()

    def entropy(self) -> Any:
        """The entropy."""
        return (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        """The probability of at most `value`."""
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

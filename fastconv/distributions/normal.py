"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import wrap
from ..creation import normal_array
from ..functions.unary import erf
from .distribution import Distribution, tensors

__all__ = ["Normal"]


class Normal(Distribution):
    """Mean `loc`, standard deviation `scale`.

    Parameters
    ----------
    loc, scale : Tensor or float
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If a scale is not positive.
    """

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors("Normal", loc=loc, scale=scale)
        super().__init__(self.loc.shape, (), validate_args)
        self._check(self.scale._array > 0, "scale", self.scale, "positive")

    @property
    def mean(self) -> Any:
        """`loc`."""
        return self.loc

    mode = mean

    @property
    def stddev(self) -> Any:
        """`scale`."""
        return self.scale

    @property
    def variance(self) -> Any:
        """The square of `scale`."""
        return self.scale * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draws ``loc + scale * noise``, with gradients of both."""
        noise = wrap(normal_array(self._extended(sample_shape), self.loc._array.dtype))
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density at `value`."""
        distance = (value - self.loc) / self.scale
        return -0.5 * distance * distance - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> Any:
        """The entropy."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()

    def cdf(self, value: Any) -> Any:
        """The probability of at most `value`."""
        return 0.5 * (1 + erf((value - self.loc) / (self.scale * math.sqrt(2))))

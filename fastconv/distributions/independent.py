"""Several distributions as one over their last axes."""

from __future__ import annotations

from typing import Any

from .distribution import Distribution

__all__ = ["Independent"]


class Independent(Distribution):
    """The last axes of a batch taken for one event: their logarithms are added up.

    Parameters
    ----------
    base_distribution : Distribution
    reinterpreted_batch_ndims : int
    validate_args : bool, optional
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        cut = len(base_distribution.batch_shape) - reinterpreted_batch_ndims
        if cut < 0:
            raise ValueError(
                f"Independent: reinterpreted_batch_ndims is {reinterpreted_batch_ndims}, the base "
                f"has {len(base_distribution.batch_shape)} batch axes"
            )
        super().__init__(shape[:cut], shape[cut:], validate_args)
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.has_rsample = base_distribution.has_rsample

    def _added(self, values: Any) -> Any:
        dims = tuple(range(-self.reinterpreted_batch_ndims, 0))
        return values.sum(dims) if dims else values

    @property
    def mean(self) -> Any:
        """That of the base."""
        return self.base_dist.mean

    @property
    def variance(self) -> Any:
        """That of the base."""
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draws of the base."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draws of the base, with gradients."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        """Sums of the base's."""
        return self._added(self.base_dist.log_prob(value))

    def entropy(self) -> Any:
        """Sums of the base's."""
        return self._added(self.base_dist.entropy())

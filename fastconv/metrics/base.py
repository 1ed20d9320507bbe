"""What every measure shares: batches go in, one number comes out at the end."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

M = TypeVar("M", bound="Metric")


class Metric:
    """A measure that is collected batch by batch.

    ``metric.update(prediction, target)`` takes a batch in, ``metric.compute()`` gives the measure
    of all of them, ``metric.reset()`` begins anew. ``metric(prediction, target)`` is the measure of
    that batch alone, which it takes in too. ``a.merge(b)`` takes in what another has collected.

    Attributes
    ----------
    name : str
        For tables and logs.
    """

    name = "metric"

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch in."""
        raise NotImplementedError

    def compute(self) -> Any:
        """The measure of all batches so far; NaN where there were none."""
        raise NotImplementedError

    def merge(self: M, other: M) -> M:
        """Take in what `other` has collected; returns this one."""
        raise NotImplementedError

    def __call__(self, prediction: Any, target: Any) -> Any:
        alone = copy.deepcopy(self)
        alone.reset()
        alone.update(prediction, target)
        self.merge(alone)
        return alone.compute()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

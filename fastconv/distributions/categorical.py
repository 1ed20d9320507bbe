"""The distribution of a die."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._grad_mode import no_grad
from ..autograd import wrap
from ..creation import multinomial
from ..functions.reduce import logsumexp
from .bernoulli import both
from .distribution import Distribution

__all__ = ["Categorical"]


class Categorical(Distribution):
    """Classes 0 to K - 1 with the probabilities in the last axis.

    Parameters
    ----------
    probs : Tensor, optional
        (…, K), not negative; divided by their sum.
    logits : Tensor, optional
        Logarithms of these, of any sum. One of the two.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        For none or both; for negative probabilities, or no axis.
    """

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given, is_probs = both("Categorical", probs, logits)
        if not given.ndim:
            raise ValueError("Categorical: the parameter must have at least one axis")
        super().__init__(given.shape[:-1], (), validate_args)
        if is_probs:
            self._check(given._array >= 0, "probs", given, "not negative")
            self.probs = given / given.sum(-1, keepdim=True)
            limit = float(np.finfo(given._array.dtype).eps)
            self.logits = self.probs.clamp(limit, 1 - limit).log()
        else:
            self.logits = given - logsumexp(given, -1, keepdim=True)
            self.probs = self.logits.exp()
        self._num_events = given.shape[-1]

    @property
    def mode(self) -> Any:
        """The likeliest class."""
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draws of classes, int64."""
        shape = self._extended(sample_shape)
        rows = self.probs.detach().reshape(-1, self._num_events)
        count = int(np.prod(shape[: len(shape) - len(self.batch_shape)], dtype=np.int64))
        with no_grad():
            drawn = multinomial(rows, max(count, 1), True)._array[:, :count]
        return wrap(np.ascontiguousarray(drawn.T).reshape(shape))

    def log_prob(self, value: Any) -> Any:
        """The logarithms of the probabilities of classes."""
        v = value._array
        self._check((v >= 0) & (v < self._num_events), "value", value, "a class")
        index = value.long().unsqueeze(-1)
        shape = np.broadcast_shapes(index.shape[:-1], self.batch_shape)
        logits = self.logits.expand(*shape, self._num_events)
        return logits.gather(-1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Any:
        """The entropy."""
        least = float(np.finfo(self.logits._array.dtype).min)
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

"""The distribution of a coin."""

from __future__ import annotations

from typing import Any

from .._grad_mode import no_grad
from ..autograd import TensorBase
from ..creation import bernoulli
from .distribution import Distribution, tensors

__all__ = ["Bernoulli"]


def both(name: str, probs: Any, logits: Any) -> tuple[Any, bool]:
    """The one of the two that is given, as a tensor, and whether it is `probs`."""
    if (probs is None) == (logits is None):
        raise ValueError(f"{name}: either `probs` or `logits` must be specified, but not both")
    (found,) = tensors(name, **({"logits": logits} if probs is None else {"probs": probs}))
    return found, probs is not None


class Bernoulli(Distribution):
    """1 with probability `probs`, 0 otherwise.

    Parameters
    ----------
    probs : Tensor or float, optional
    logits : Tensor or float, optional
        log(p / (1 - p)). One of the two.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        For none or both; for probabilities outside [0, 1].
    """

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given, is_probs = both("Bernoulli", probs, logits)
        super().__init__(given.shape, (), validate_args)
        if is_probs:
            p = given._array
            self._check((p >= 0) & (p <= 1), "probs", given, "between 0 and 1")
            self.probs = given
            limit = 1.2e-7 if p.dtype.itemsize == 4 else 2.2e-16  # as PyTorch keeps logits finite
            inside = given.clamp(limit, 1 - limit)
            self.logits = inside.log() - (-inside).log1p()
        else:
            self.logits, self.probs = given, given.sigmoid()

    @property
    def mean(self) -> Any:
        """`probs`."""
        return self.probs

    @property
    def variance(self) -> Any:
        """p (1 - p)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draws of 0 and 1."""
        with no_grad():
            return bernoulli(self.probs.expand(self._extended(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability of 0 or 1."""
        from ..nn.functional import binary_cross_entropy_with_logits

        if not isinstance(value, TensorBase):
            (value,) = tensors("Bernoulli", value=value)
        self._check((value._array == 0) | (value._array == 1), "value", value, "0 or 1")  # type: ignore[attr-defined]
        return -_spread(binary_cross_entropy_with_logits, self.logits, value)

    def entropy(self) -> Any:
        """The entropy."""
        from ..nn.functional import binary_cross_entropy_with_logits

        return _spread(binary_cross_entropy_with_logits, self.logits, self.probs)


def _spread(loss: Any, logits: Any, target: Any) -> Any:
    from ..functions.shape import broadcast_tensors

    a, b = broadcast_tensors(logits, target.to(logits.dtype))
    return loss(a, b, reduction="none")

"""What distributions have in common."""

from __future__ import annotations

from typing import Any

from .._grad_mode import no_grad
from ..autograd import TensorBase
from ..creation import tensor
from ..dtypes import Size
from ..functions.shape import broadcast_tensors

__all__ = ["Distribution"]


def tensors(function: str, **given: Any) -> list[Any]:
    """Parameters as tensors of one shape and floating-point type; numbers take that of the others.

    Raises
    ------
    TypeError
        For what is neither a Tensor nor a number.
    """
    kind = next((t.dtype for t in given.values() if isinstance(t, TensorBase)), None)  # type: ignore[attr-defined]
    found = []
    for name, value in given.items():
        if isinstance(value, TensorBase):
            found.append(value)
        elif isinstance(value, (int, float)):
            found.append(tensor(float(value), dtype=kind))
        else:
            raise TypeError(f"{function}: {name} must be a Tensor or number, got {value!r:.80}")
    return list(broadcast_tensors(*found)) if len(found) > 1 else found


class Distribution:
    """Base class.

    Attributes
    ----------
    batch_shape, event_shape : Size
        Of the parameters; of one draw.
    """

    has_rsample = False
    batch_shape: Size
    event_shape: Size

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ) -> None:
        self.batch_shape, self.event_shape = Size(batch_shape), Size(event_shape)
        self.validates = validate_args is not False

    def _extended(self, sample_shape: Any = ()) -> tuple[int, ...]:
        shape = sample_shape if isinstance(sample_shape, (tuple, list)) else (sample_shape,)
        return (*shape, *self.batch_shape, *self.event_shape)

    def _check(self, ok: Any, name: str, value: Any, expected: str) -> None:
        """Raise ValueError unless all of the array `ok` is true."""
        if self.validates and not bool(ok.all()):
            raise ValueError(
                f"{type(self).__name__}: {name} must be {expected}, got {value.tolist()!r:.120}"
            )

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draws through which gradients reach the parameters."""
        raise NotImplementedError(f"{type(self).__name__}: no gradient goes through its draws")

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draws without a graph, of shape ``sample_shape + batch_shape + event_shape``."""
        with no_grad():
            return self.rsample(sample_shape)

    def sample_n(self, n: int) -> Any:
        """`n` draws."""
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density, or of the probability."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def entropy(self) -> Any:
        """The entropy, in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def cdf(self, value: Any) -> Any:
        """The probability of at most `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def __repr__(self) -> str:
        shown = {k: v for k, v in vars(self).items() if isinstance(v, TensorBase) and k[0] != "_"}
        parts = [
            f"{k}: {v.item() if v._array.size == 1 else tuple(v._array.shape)}"  # type: ignore[attr-defined]
            for k, v in shown.items()
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

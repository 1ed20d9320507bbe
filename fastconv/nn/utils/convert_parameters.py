"""The parameters of a network as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...functions._named import named
from ...functions.join import cat
from ...tensor import Tensor
from .clip_grad import tensors_of

__all__ = ["parameters_to_vector", "vector_to_parameters"]


@named
def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of the parameters one after the other."""
    return cat([p.reshape(-1) for p in tensors_of(parameters, "parameters")])


@named
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters views of a vector's elements, one after the other.

    As in PyTorch they share its memory from then on.

    Raises
    ------
    ValueError
        When there are too few or too many.
    """
    targets = list(parameters)
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected Tensor, but got: {type(vec).__name__}")
    needed = sum(p._array.size for p in targets)
    if vec._array.shape != (needed,):
        raise ValueError(f"vec must have shape ({needed},), got {vec._array.shape}")
    start = 0
    for p in targets:
        count = p._array.size
        p.data = vec.data[start : start + count].reshape(p._array.shape)
        start += count

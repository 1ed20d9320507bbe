"""Sequences of different lengths without padding, as the recurrent layers take them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor, wrap


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one; None of None."""
    if permutation is None:
        return None
    if not isinstance(permutation, Tensor) or permutation._array.ndim != 1:
        raise TypeError(
            f"invert_permutation: permutation must be a 1-D Tensor, got {permutation!r:.80}"
        )
    return wrap(np.argsort(permutation._array, kind="stable"))


class PackedSequence(_Packed):
    """The steps of sequences, longest first: all first steps, all second ones, and so on.

    Made by :func:`~fastconv.nn.utils.rnn.pack_padded_sequence`.

    Attributes
    ----------
    data : Tensor
        (sum of lengths, *).
    batch_sizes : Tensor
        (T,) int64: how many sequences have a first, second, … step.
    sorted_indices, unsorted_indices : Tensor or None
        The order in which the sequences stand, and the one that undoes it.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if not isinstance(data, Tensor) or not isinstance(batch_sizes, Tensor):
            raise TypeError(
                "PackedSequence: data and batch_sizes must be Tensors, got "
                f"{type(data).__name__} and {type(batch_sizes).__name__}"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with `data` as ``Tensor.to`` makes it."""
        return self.with_data(self.data.to(*args, **kwargs))

    def cpu(self) -> PackedSequence:
        return self

    def double(self) -> PackedSequence:
        return self.with_data(self.data.double())

    def float(self) -> PackedSequence:
        return self.with_data(self.data.float())

    @property
    def is_cuda(self) -> bool:
        return False

    def with_data(self, data: Tensor) -> PackedSequence:
        """The same sequences with other elements."""
        return type(self)(data, *self[1:])

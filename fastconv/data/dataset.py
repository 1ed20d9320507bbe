"""Datasets: anything with `__getitem__` and `__len__`, or a stream that only iterates."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ..random import Generator
from ..tensor import Tensor, wrap
from .sampler import permutation

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base class of map-style datasets: subclasses define `__getitem__` and `__len__`."""

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Base class of datasets that are a stream: subclasses define `__iter__`."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples that are the rows of tensors: sample `i` is `(tensors[0][i], tensors[1][i], ...)`.

    Parameters
    ----------
    *tensors : Tensor
        All of the same first size.

    Raises
    ------
    ValueError
        When the first sizes differ, or a tensor has no dimension.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        for i, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"TensorDataset: argument {i} must be a Tensor, not {tensor!r:.80}")
            if tensor.ndim == 0:
                raise ValueError(f"TensorDataset: argument {i} has no dimension to take samples of")
        if not tensors:
            raise ValueError("TensorDataset: needs at least one tensor")
        sizes = [tensor.shape[0] for tensor in tensors]
        if len(set(sizes)) > 1:
            raise ValueError(f"TensorDataset: size mismatch between tensors: first sizes {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def gather(self, indices: Sequence[int]) -> list[Tensor] | None:
        """The collated batch of these samples, taken with one copy per tensor."""
        if any(tensor.requires_grad for tensor in self.tensors):
            return None
        rows = np.asarray(indices, dtype=np.int64)
        return [wrap(tensor._array[rows]) for tensor in self.tensors]


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def gather(self, indices: Sequence[int]) -> list[Tensor] | None:
        """The collated batch of these samples, where the dataset can give it at once."""
        gather = getattr(self.dataset, "gather", None)
        return None if gather is None else gather([self.indices[i] for i in indices])


class ConcatDataset(Dataset[T_co]):
    """Several map-style datasets, one after the other."""

    def __init__(self, datasets: Sequence[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: datasets should not be empty")
        self.cumulative_sizes: list[int] = []
        total = 0
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise TypeError("ConcatDataset: does not take an IterableDataset")
            total += len(dataset)  # type: ignore[arg-type]
            self.cumulative_sizes.append(total)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"ConcatDataset: index {index} is out of range for {size} samples")
        index %= size
        which = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]


class ChainDataset(IterableDataset[T_co]):
    """Several datasets read one after the other as a stream."""

    def __init__(self, datasets: Sequence[Dataset[T_co]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            yield from dataset  # type: ignore[misc]


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[T_co]]:
    """Split a dataset at random into parts without overlap.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int or of float
        Sizes that add up to `len(dataset)`, or fractions that add up to 1; what rounding down
        leaves over goes to the parts in turn, the first ones first.
    generator : Generator, optional
        Where the permutation comes from; the global generator when not given.

    Returns
    -------
    list of Subset

    Raises
    ------
    ValueError
        When the sizes do not add up.
    """
    total = len(dataset)  # type: ignore[arg-type]
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: lengths must not be negative, got {list(lengths)}")
    if any(isinstance(length, float) for length in lengths) and sum(lengths) <= 1 + 1e-9:
        if abs(sum(lengths) - 1) > 1e-9:
            raise ValueError(f"random_split: fractions must add up to 1, got {list(lengths)}")
        sizes = [int(total * fraction) for fraction in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = [int(length) for length in lengths]
    if sum(sizes) != total:
        raise ValueError(
            f"random_split: lengths {list(lengths)} add up to {sum(sizes)}, "
            f"but the dataset has {total} samples"
        )
    order = permutation(total, generator)
    parts, start = [], 0
    for size in sizes:
        parts.append(Subset(dataset, order[start : start + size].tolist()))
        start += size
    return parts

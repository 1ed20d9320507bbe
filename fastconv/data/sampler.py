"""Samplers: the order in which a DataLoader visits the samples of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ..random import Generator
from ..random import rng as source
from ..tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


def permutation(size: int, generator: Generator | None = None) -> np.ndarray:
    """A random order of `range(size)`, from `generator` or the global one."""
    return source(generator).permutation(size)


class Sampler(Generic[T_co]):
    """Base class: subclasses define `__iter__`, which gives indices, and `__len__` if they can."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A random order, drawn anew for every epoch.

    Parameters
    ----------
    data_source : sized
    replacement : bool
        Draw with replacement.
    num_samples : int, optional
        How many to draw: the size of `data_source` when not given.
    generator : Generator, optional
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement must be a bool, got {replacement!r}")
        if num_samples is not None and (
            not isinstance(num_samples, (int, np.integer)) or num_samples <= 0
        ):
            raise ValueError(
                f"RandomSampler: num_samples should be a positive integer, got {num_samples!r}"
            )
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size, left = len(self.data_source), self.num_samples
        rng = source(self.generator)
        if self.replacement:
            yield from rng.integers(0, size, left).tolist()
            return
        while left > 0 and size > 0:
            yield from rng.permutation(size)[:left].tolist()
            left -= size

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in permutation(len(self.indices), self.generator):
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with probability proportional to `weights`.

    Parameters
    ----------
    weights : sequence of float
        Not negative; they need not add up to one.
    num_samples : int
    replacement : bool
    generator : Generator, optional
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        values = weights._array if isinstance(weights, Tensor) else np.asarray(weights)
        values = values.astype(np.float64)
        if values.ndim != 1:
            raise ValueError(
                f"WeightedRandomSampler: weights must be 1-D, got shape {values.shape}"
            )
        if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
            raise ValueError(
                "WeightedRandomSampler: weights must be finite, not negative, and not all zero"
            )
        if not isinstance(num_samples, (int, np.integer)) or num_samples <= 0:
            raise ValueError(
                f"WeightedRandomSampler: num_samples should be a positive integer, "
                f"got {num_samples!r}"
            )
        if not replacement and num_samples > np.count_nonzero(values):
            raise ValueError(
                f"WeightedRandomSampler: cannot draw {num_samples} samples without replacement "
                f"from {np.count_nonzero(values)} weights that are not zero"
            )
        self.weights = values
        self.num_samples = int(num_samples)
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        rng = source(self.generator)
        share = self.weights / self.weights.sum()
        drawn = rng.choice(len(share), self.num_samples, replace=self.replacement, p=share)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of another sampler, `batch_size` at a time.

    Parameters
    ----------
    sampler : iterable of int
    batch_size : int
    drop_last : bool
        Leave out a last batch that is not full.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        check_batch_size(batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a bool, got {drop_last!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        size = len(self.sampler)  # type: ignore[arg-type]
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)


def check_batch_size(batch_size: Any) -> None:
    """Raise ValueError unless `batch_size` is a positive integer."""
    integral = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not integral or batch_size <= 0:
        raise ValueError(f"batch_size should be a positive integer, got {batch_size!r}")

"""`DistributedSampler`: a share of the indices for each of several processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from typing import Any

from ..random import Generator
from .sampler import Sampler, permutation

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index, from `rank` on; shuffled alike in all processes.

    Parameters
    ----------
    dataset : sized
    num_replicas, rank : int, optional
        1 and 0 by default: the one process that there is.
    shuffle : bool
        Call :meth:`set_epoch` before each epoch for another order.
    seed : int
    drop_last : bool
        Leave out what does not divide; otherwise the first indices come again.

    Raises
    ------
    ValueError
        If `rank` is not below `num_replicas`.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset: Any = dataset
        self.num_replicas = 1 if num_replicas is None else num_replicas
        self.rank = 0 if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(
                f"Invalid rank {self.rank}, rank should be in the interval "
                f"[0, {self.num_replicas - 1}]"
            )
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0
        size = len(dataset)
        if drop_last and size % self.num_replicas:
            self.num_samples = size // self.num_replicas
        else:
            self.num_samples = math.ceil(size / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = [int(i) for i in permutation(size, generator)]
        else:
            indices = list(range(size))
        if self.drop_last:
            indices = indices[: self.total_size]
        elif indices:
            times = math.ceil(self.total_size / size)
            indices = (indices * times)[: self.total_size]
        return iter(indices[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Have another order in the next epoch."""
        self.epoch = epoch

"""DataLoader: batches of a dataset, made by the caller or ahead of it by processes or threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from ..random import Generator, default_generator
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .prefetch import Prefetcher
from .sample import Task, numbered
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    check_batch_size,
)
from .threads import ThreadWorker
from .workers import Fetching

T_co = TypeVar("T_co", covariant=True)


class DataLoader(Generic[T_co]):
    """Iterate over the batches of a dataset.

    The arguments are PyTorch's, and so is what they promise. Batches come in the sampler's order.

    Workers are processes. Each has a copy of the dataset, runs kernels on one thread, and draws
    from generators of its own: those of `fastconv`, `numpy.random` and `random` begin from the
    epoch's base seed plus the worker's number (`get_worker_info().seed`). Base seeds come from
    `generator`, or the package's, as a sequence of their own: draws differ between workers and
    epochs, come again after the same `manual_seed`, and leave those of the main program as they
    are. Arrays come back through shared memory. An exception in a worker is raised here, of the
    same class, with the worker's traceback as its message; a worker that was killed is a
    RuntimeError.

    What `fastconv.transforms` draw for a sample comes from the epoch's seed and the sample's index
    (`fastconv.data.sample.draws`): the same for any number of workers, or none.

    With ``threads=True`` workers are threads of this process. Nothing is copied, and the dataset
    need not be: it is shared, and so are all random generators and everything `worker_init_fn`
    sets. Draws in `__getitem__` then come in an order that is not the same each time (draw from a
    `Generator` seeded with `get_worker_info().seed` instead), and Python code in it runs one thread
    at a time.

    Parameters
    ----------
    dataset : Dataset
        Map-style (`__getitem__`, `__len__`) or an IterableDataset.
    batch_size : int, optional
        Samples in a batch; None gives the samples themselves, not batched.
    shuffle : bool
        Visit the samples in a new random order each epoch.
    sampler, batch_sampler : iterable, optional
        The order of the samples, or of lists of samples.
    num_workers : int
        Processes (or threads) that load ahead; 0 loads in the calling thread. Each worker reads an
        IterableDataset from its beginning: let its `__iter__` take a share by `get_worker_info`.
    collate_fn : callable, optional
        Makes a batch of a list of samples: `default_collate` when not given.
    pin_memory : bool
        Accepted for PyTorch's sake; there is no device to pin memory for.
    drop_last : bool
        Leave out a last batch that is not full.
    timeout : float
        Seconds to wait for a worker's batch; 0 waits for ever.
    worker_init_fn : callable, optional
        Called in each worker with the worker's number, after it was seeded.
    multiprocessing_context : str or context, optional
        How processes start: "fork", "spawn", "forkserver". When not given, "fork" on Linux and the
        platform's default elsewhere. All but "fork" need a dataset that can be pickled.
    generator : Generator, optional
        Source of the random order and of the workers' seeds.
    prefetch_factor : int, optional
        Batches that each worker may be ahead: 2 when not given.
    persistent_workers : bool
        Keep the workers, their datasets and their random sequences from epoch to epoch.
    in_order : bool
        False gives batches as they are ready.
    threads : bool
        Workers are threads. Not in PyTorch.

    Raises
    ------
    ValueError
        For arguments that exclude each other or are out of range.
    """

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        threads: bool = False,
    ) -> None:
        for argument, count in (("num_workers", num_workers), ("prefetch_factor", prefetch_factor)):
            if count is not None and (isinstance(count, bool) or not hasattr(count, "__index__")):
                raise TypeError(f"DataLoader: {argument} must be an int, got {count!r}")
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError(f"DataLoader: generator must be a Generator, got {generator!r}")
        if num_workers < 0:
            raise ValueError(f"DataLoader: num_workers should not be negative, got {num_workers}")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"DataLoader: timeout must be a number, got {timeout!r}")
        for argument, function in (("collate_fn", collate_fn), ("worker_init_fn", worker_init_fn)):
            if function is not None and not callable(function):
                raise TypeError(f"DataLoader: {argument} must be callable, got {function!r:.80}")
        if not timeout >= 0:
            raise ValueError(f"DataLoader: timeout should not be negative, got {timeout}")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("DataLoader: prefetch_factor needs num_workers > 0")
        if prefetch_factor is not None and prefetch_factor <= 0:
            raise ValueError(f"DataLoader: prefetch_factor must be > 0, got {prefetch_factor}")
        if persistent_workers and num_workers == 0:
            raise ValueError("DataLoader: persistent_workers needs num_workers > 0")
        if multiprocessing_context is not None and (num_workers == 0 or threads):
            raise ValueError(
                "DataLoader: multiprocessing_context needs worker processes: num_workers > 0 and "
                "not threads"
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self.threads = threads
        self.multiprocessing_context = None
        if num_workers > 0 and not threads:
            from .processes import start_context

            self.multiprocessing_context = start_context(multiprocessing_context)
        self._stream = isinstance(dataset, IterableDataset)
        self._kept: Prefetcher | None = None
        if self._stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader: an IterableDataset gives its own order: shuffle, sampler and "
                "batch_sampler do not apply to it"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler excludes shuffle")
        self._once = sampler is None and batch_sampler is None  # no index comes twice
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last"
                )
            batch_size = None
        elif batch_size is None:
            if drop_last:
                raise ValueError("DataLoader: batch_size=None excludes drop_last")
        else:
            check_batch_size(batch_size)
        if sampler is None and not self._stream:
            if shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_sampler is None and batch_size is not None and not self._stream:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        batched = batch_sampler is not None or (self._stream and batch_size is not None)
        if collate_fn is None:
            collate_fn = default_collate if batched else default_convert
        self.collate_fn = collate_fn
        self._fetching = Fetching(
            dataset, collate_fn, self._stream, batched, self.batch_size, drop_last
        )

    def __iter__(self) -> Iterator[Any]:
        source = default_generator if self.generator is None else self.generator
        seed = source.child_seed()  # one for each epoch, whatever the number of workers
        if self.num_workers == 0:
            if self._stream:
                return self._fetching.batches()
            return map(self._fetching.open(), self._tasks(seed))
        if self._kept is not None and self._kept.anew(self._tasks(seed)):
            return self._kept
        iterator = Prefetcher(
            self._start(seed),
            self._tasks(seed),
            self.prefetch_factor,
            self.timeout,
            self.in_order,
            self.persistent_workers,
        )
        self._kept = iterator if self.persistent_workers else None
        return iterator

    def _tasks(self, seed: int) -> Iterator[Any]:
        """What workers are asked for: indices of a batch or sample; a stream's worker, no more."""
        if self._stream:
            return itertools.repeat(None)
        order: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
        if not self._once:
            return numbered(seed, order, self.batch_sampler is not None)
        return map(Task, itertools.repeat(seed), order)

    def _start(self, seed: int) -> list[Any]:
        """Workers that begin with an epoch of this seed."""
        if not self.threads:
            from .processes import ProcessWorker, in_worker
        if not self.threads and in_worker():
            raise RuntimeError(
                "DataLoader: a worker process cannot have workers of its own: use num_workers=0 "
                "or threads=True in it"
            )
        count = self.num_workers
        common = (self._fetching, self.worker_init_fn)
        workers: list[Any] = []
        bell = threading.Condition()
        try:
            for number in range(count):
                if self.threads:
                    workers.append(ThreadWorker(bell, *common, number, count, seed))
                else:
                    context = self.multiprocessing_context
                    workers.append(ProcessWorker(context, *common, number, count, seed))
        except BaseException:
            if workers:
                type(workers[0]).end(workers, True)
            raise
        return workers

    def __len__(self) -> int:
        if self._stream:
            size = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return size
            return size // self.batch_size if self.drop_last else -(-size // self.batch_size)
        order = self.sampler if self.batch_sampler is None else self.batch_sampler
        return len(order)  # type: ignore[arg-type]

    def __getstate__(self) -> dict[str, Any]:
        """A loader travels without its workers."""
        return {**self.__dict__, "_kept": None}

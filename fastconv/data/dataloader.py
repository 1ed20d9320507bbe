"""DataLoader: batches of a dataset, made in the calling thread or ahead of it in worker threads."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ..random import Generator
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    check_batch_size,
)

T_co = TypeVar("T_co", covariant=True)
Fetch = Callable[[Any], Any]


class DataLoader(Generic[T_co]):
    """Iterate over the batches of a dataset.

    The arguments are PyTorch's. Workers are threads of this process: NumPy and the kernels
    release the interpreter lock, so decoding and collation overlap with the training step, and
    nothing is copied between processes. Batches come in the sampler's order.

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
        Threads that load ahead; 0 loads in the calling thread. An IterableDataset is one stream
        and is read by a single thread whatever the number.
    collate_fn : callable, optional
        Makes a batch of a list of samples: `default_collate` when not given.
    pin_memory : bool
        Accepted for PyTorch's sake; there is no device to pin memory for.
    drop_last : bool
        Leave out a last batch that is not full.
    timeout : float
        Seconds to wait for a worker's batch; 0 waits for ever.
    worker_init_fn : callable, optional
        Called in each worker thread with the worker's number.
    generator : Generator, optional
        Source of the random order.
    prefetch_factor : int, optional
        Batches that each worker may be ahead: 2 when not given.

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
    ) -> None:
        for argument, count in (("num_workers", num_workers), ("prefetch_factor", prefetch_factor)):
            if count is not None and (isinstance(count, bool) or not hasattr(count, "__index__")):
                raise TypeError(f"DataLoader: {argument} must be an int, got {count!r}")
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError(f"DataLoader: generator must be a Generator, got {generator!r}")
        if num_workers < 0:
            raise ValueError(f"DataLoader: num_workers should not be negative, got {num_workers}")
        if timeout < 0:
            raise ValueError(f"DataLoader: timeout should not be negative, got {timeout}")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("DataLoader: prefetch_factor needs num_workers > 0")
        if prefetch_factor is not None and prefetch_factor <= 0:
            raise ValueError(f"DataLoader: prefetch_factor must be > 0, got {prefetch_factor}")
        if persistent_workers and num_workers == 0:
            raise ValueError("DataLoader: persistent_workers needs num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader: an IterableDataset gives its own order: shuffle, sampler and "
                "batch_sampler do not apply to it"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler excludes shuffle")
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
        if sampler is None and not self._iterable:
            if shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_sampler is None and batch_size is not None and not self._iterable:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        batched = batch_sampler is not None or (self._iterable and batch_size is not None)
        if collate_fn is None:
            collate_fn = default_collate if batched else default_convert
        self.collate_fn = collate_fn

    def __iter__(self) -> Iterator[Any]:
        if self._iterable:
            stream = self._stream()
            if self.num_workers == 0:
                return stream
            return Prefetcher(
                iter(lambda: None, 0),
                lambda _: next(stream),
                1,
                self.num_workers * self.prefetch_factor,
                self.timeout,
                self.worker_init_fn,
            )
        if self.batch_sampler is not None:
            tasks: Iterator[Any] = iter(self.batch_sampler)
            fetch = batch_fetcher(self.dataset, self.collate_fn)
        else:
            tasks = iter(self.sampler)  # type: ignore[arg-type]
            dataset: Any = self.dataset
            convert: Any = self.collate_fn

            def fetch(index: Any) -> Any:
                return convert(dataset[index])

        if self.num_workers == 0:
            return map(fetch, tasks)
        return Prefetcher(
            tasks,
            fetch,
            self.num_workers,
            self.num_workers * self.prefetch_factor,
            self.timeout,
            self.worker_init_fn,
        )

    def _stream(self) -> Iterator[Any]:
        """The batches of an iterable dataset."""
        if self.batch_size is None:
            for sample in self.dataset:  # type: ignore[attr-defined]
                yield self.collate_fn(sample)
            return
        batch: list[Any] = []
        for sample in self.dataset:  # type: ignore[attr-defined]
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)

    def __len__(self) -> int:
        if self._iterable:
            size = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return size
            return size // self.batch_size if self.drop_last else -(-size // self.batch_size)
        order = self.sampler if self.batch_sampler is None else self.batch_sampler
        return len(order)  # type: ignore[arg-type]


def batch_fetcher(dataset: Any, collate_fn: Callable[[list[Any]], Any]) -> Fetch:
    """The function that makes the batch of a list of indices."""
    gather = getattr(dataset, "gather", None) if collate_fn is default_collate else None
    whole = getattr(dataset, "__getitems__", None)

    def fetch(indices: Sequence[Any]) -> Any:
        if gather is not None:
            batch = gather(indices)
            if batch is not None:
                return batch
        if whole is not None:
            return collate_fn(whole(indices))
        return collate_fn([dataset[index] for index in indices])

    return fetch


class Slot:
    """A batch on its way: the task, then the result or the exception."""

    __slots__ = ("task", "result", "error", "ready")

    def __init__(self, task: Any) -> None:
        self.task = task
        self.result: Any = None
        self.error: BaseException | None = None
        self.ready = threading.Event()


class Prefetcher:
    """Iterator that runs `fetch` on the tasks in worker threads, a bounded number ahead, in order.

    The workers do not refer to the prefetcher, so that one which is dropped half-way ends them.
    """

    def __init__(
        self,
        tasks: Iterator[Any],
        fetch: Fetch,
        workers: int,
        ahead: int,
        timeout: float,
        init: Callable[[int], None] | None,
    ) -> None:
        self._tasks = tasks
        self._timeout = timeout or None
        self._pending: deque[Slot] = deque()
        self._queue: queue.SimpleQueue[Slot | None] = queue.SimpleQueue()
        self._workers = workers
        self._open = True
        for number in range(workers):
            threading.Thread(
                target=work,
                args=(self._queue, fetch, init, number),
                name=f"fastconv-loader-{number}",
                daemon=True,
            ).start()
        for _ in range(ahead):
            self._submit()

    def _submit(self) -> None:
        for task in self._tasks:
            slot = Slot(task)
            self._pending.append(slot)
            self._queue.put(slot)
            return

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> Any:
        if not self._pending:
            self.close()
            raise StopIteration
        slot = self._pending[0]
        if not slot.ready.wait(self._timeout):
            self.close()
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        self._pending.popleft()
        if slot.error is not None:
            self.close()
            raise slot.error
        self._submit()
        return slot.result

    def close(self) -> None:
        """Tell the workers to end; batches not yet begun are dropped."""
        if not self._open:
            return
        self._open = False
        self._pending.clear()
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            pass
        for _ in range(self._workers):
            self._queue.put(None)

    def __del__(self) -> None:
        if getattr(self, "_queue", None) is not None:
            self.close()


def work(
    tasks: queue.SimpleQueue[Slot | None],
    fetch: Fetch,
    init: Callable[[int], None] | None,
    number: int,
) -> None:
    """A worker thread: fill slots until told to end."""
    failure: BaseException | None = None
    try:
        if init is not None:
            init(number)
    except BaseException as error:
        failure = error
    while (slot := tasks.get()) is not None:
        try:
            if failure is not None:
                raise failure
            slot.result = fetch(slot.task)
        except BaseException as error:
            slot.error = error
        slot.ready.set()
        del slot

"""What a worker is, process or thread: its number, what it draws from, what it fetches."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..random import manual_seed
from .collate import default_collate
from .sample import Task, enter_sample, sample_draws

Fetch = Callable[[Any], Any]


@dataclass(frozen=True)
class WorkerInfo:
    """A worker, as `get_worker_info` tells it.

    Attributes
    ----------
    id : int
        0 to `num_workers` - 1.
    num_workers : int
    seed : int
        The epoch's base seed plus `id`; a process's generators begin from it.
    dataset : Dataset
        The worker's own copy in a process, everybody's in a thread.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_process: WorkerInfo | None = None
_thread = threading.local()


def get_worker_info() -> WorkerInfo | None:
    """Which DataLoader worker this is; None in the main program.

    Returns
    -------
    WorkerInfo or None
    """
    return getattr(_thread, "info", _process)


def set_info(info: WorkerInfo, whole_process: bool) -> None:
    """Note who this process, or this thread, is."""
    global _process
    if whole_process:
        _process = info
    else:
        _thread.info = info


def seed_process(seed: int) -> None:
    """Let all generators of this process begin from a seed: fastconv's, NumPy's, Python's."""
    random.seed(seed)
    manual_seed(seed)
    words = np.random.SeedSequence(seed)
    # a new one: the lock of the old may have been taken by a thread that a fork left behind
    np.random.set_bit_generator(np.random.MT19937(words))  # type: ignore[attr-defined]


@dataclass
class Fetching:
    """How batches are made of a dataset."""

    dataset: Any
    collate_fn: Callable[[Any], Any]
    stream: bool  # an IterableDataset
    batched: bool
    batch_size: int | None
    drop_last: bool

    def open(self) -> Fetch:
        """The function that makes the batch of a task; for a stream, of any task the next one.

        That raises StopIteration at the end of the stream, and of no stream otherwise.
        """
        if self.stream:
            batches = self.batches()
            return lambda task: next(batches)
        if self.batched:
            return batch_fetcher(self.dataset, self.collate_fn)
        return sample_fetcher(self.dataset, self.collate_fn)

    def batches(self) -> Iterator[Any]:
        """The batches of an iterable dataset."""
        if self.batch_size is None:
            for sample in self.dataset:
                yield self.collate_fn(sample)
            return
        batch: list[Any] = []
        for sample in self.dataset:
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)


def sample_fetcher(dataset: Any, convert: Callable[[Any], Any]) -> Fetch:
    """The function that makes the sample of a task."""

    def fetch(task: Task) -> Any:
        with sample_draws():
            enter_sample(task.seed, task.what, task.times[0] if task.times else 0)
            return convert(dataset[task.what])

    return fetch


def batch_fetcher(dataset: Any, collate_fn: Callable[[list[Any]], Any]) -> Fetch:
    """The function that makes the batch of a task, a list of indices."""
    gather = getattr(dataset, "gather", None) if collate_fn is default_collate else None
    whole = getattr(dataset, "__getitems__", None)

    def fetch(task: Task) -> Any:
        seed, indices, times = task
        if gather is not None:
            batch = gather(indices)
            if batch is not None:
                return batch
        with sample_draws():
            if whole is None:
                samples = []
                for i, index in enumerate(indices):
                    enter_sample(seed, index, times[i] if times else 0)
                    samples.append(dataset[index])
            enter_sample(seed, indices, sum(times) if times else 0)
            return collate_fn(whole(indices) if whole is not None else samples)

    return fetch


#: What a worker answers to a task, beside the batch: kinds of answers.
BATCH, END, ERROR = "batch", "end", "error"
#: Tasks that are none: begin a new epoch; finish.
ANEW, STOP = "fastconv: anew", "fastconv: stop"


class Fetcher:
    """A worker's side: answers tasks with a kind and a value, never with an exception."""

    def __init__(self, fetching: Fetching, init: Callable[[int], None] | None, number: int) -> None:
        self._fetching = fetching
        self._failure: Exception | None = None
        self._over = False
        try:
            if init is not None:
                init(number)
            self._fetch = fetching.open()
        except Exception as error:
            self._failure = error

    def anew(self) -> None:
        """Begin a new epoch."""
        self._over = False
        try:
            self._fetch = self._fetching.open()
        except Exception as error:
            self._failure = error

    def answer(self, task: Any) -> tuple[str, Any]:
        """The kind of the answer, and the batch or the exception."""
        if self._failure is not None:
            return ERROR, self._failure
        if self._over:
            return END, None
        try:
            return BATCH, self._fetch(task)
        except StopIteration as error:
            if self._fetching.stream:
                self._over = True
                return END, None
            wrong = RuntimeError("the dataset raised StopIteration, which would end the epoch")
            wrong.__cause__ = error
            return ERROR, wrong
        except Exception as error:
            return ERROR, error

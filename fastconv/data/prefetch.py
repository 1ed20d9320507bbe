"""The iterator over batches that workers make ahead."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

from .workers import ANEW, BATCH, ERROR


class Prefetcher:
    """Iterator that hands tasks to workers, a bounded number ahead, and gives their batches.

    Task i of those handed out is worker i's, modulo their number, so that what a worker draws is
    the same each time. A stream's worker that has come to its end leaves the round.

    Parameters
    ----------
    workers : list of ProcessWorker or of ThreadWorker
    tasks : iterator
        As many as there are batches, or without end for streams.
    ahead : int
        Tasks that one worker may have.
    timeout : float
        Seconds to wait for a batch; 0 waits for ever.
    in_order : bool
        False gives the batches that are ready first, and tasks to the workers that are.
    keep : bool
        Leave the workers for another epoch when the tasks have come to an end.
    """

    def __init__(
        self,
        workers: list[Any],
        tasks: Iterator[Any],
        ahead: int,
        timeout: float,
        in_order: bool,
        keep: bool,
    ) -> None:
        self._workers = workers
        self._ahead = ahead
        self._timeout = timeout
        self._in_order = in_order
        self._keep = keep
        self._process = os.getpid()
        self._begin(tasks)

    def _begin(self, tasks: Iterator[Any]) -> None:
        self._tasks = tasks
        self._round = deque(range(len(self._workers)))  # the next one's turn is first
        self._pending: deque[int] = deque()  # workers, in the order of their tasks
        try:
            for _ in range(self._ahead * len(self._workers)):
                self._hand_out()
        except BaseException:
            self.close(True)
            raise

    def _hand_out(self, number: int | None = None) -> None:
        """Give the next task, if there is one, to the worker whose turn it is, or to `number`."""
        if not self._round:
            return
        for task in self._tasks:
            if number is None:
                number = self._round[0]
                self._round.rotate(-1)
            self._workers[number].send(task)
            self._pending.append(number)
            return

    def anew(self, tasks: Iterator[Any]) -> bool:
        """Begin another epoch with the same workers; False where they are gone, or not ours."""
        if not self._workers or self._process != os.getpid():
            return False
        try:
            while self._pending:
                self._receive()
            for worker in self._workers:
                worker.send(ANEW)
        except BaseException:
            self.close(True)
            raise
        self._begin(tasks)
        return True

    def _receive(self) -> tuple[int, str, Any]:
        """Wait for an answer: who gave it, its kind, its value."""
        if self._in_order:
            asked = [self._workers[self._pending[0]]]
        else:
            asked = [self._workers[number] for number in dict.fromkeys(self._pending)]
        ready = type(asked[0]).wait(asked, self._timeout or None)
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        kind, value = ready[0].receive()
        number = next(i for i, worker in enumerate(self._workers) if worker is ready[0])
        self._pending.remove(number)
        return number, kind, value

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> Any:
        if self._process != os.getpid():
            raise RuntimeError(
                f"DataLoader: this iterator belongs to process {self._process}, and its workers "
                f"answer that one only: in a child process ({os.getpid()}), call iter(loader) "
                "for a new one"
            )
        try:
            while self._pending:
                number, kind, value = self._receive()
                if kind == ERROR:
                    self.close()
                    raise value
                if kind == BATCH:
                    self._hand_out(None if self._in_order else number)
                    return value
                if number in self._round:  # its stream has come to an end
                    self._round.remove(number)
                    self._drop(number)
                    self._hand_out()
        except BaseException:
            self.close(True)
            raise
        if not self._keep:
            self.close()
        raise StopIteration

    def _drop(self, number: int) -> None:
        """Wait for the answers of a worker that has no more batches: they are empty."""
        while number in self._pending:
            self._workers[number].receive()
            self._pending.remove(number)

    def close(self, at_once: bool = False) -> None:
        """End the workers; batches that nobody has asked for are dropped."""
        workers, self._workers = self._workers, []
        self._pending.clear()
        if workers and self._process == os.getpid():  # a forked child leaves its parent's alone
            type(workers[0]).end(workers, at_once)

    def __del__(self) -> None:
        if getattr(self, "_workers", None) and not sys.is_finalizing():
            self.close()

"""Workers that are threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from .workers import ANEW, STOP, Fetcher, Fetching, WorkerInfo, set_info


class ThreadWorker:
    """A worker thread; it does not refer to this, so that one which is dropped ends it."""

    def __init__(
        self,
        bell: threading.Condition,
        fetching: Fetching,
        init: Callable[[int], None] | None,
        number: int,
        count: int,
        base_seed: int,
    ) -> None:
        self._bell = bell
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        info = WorkerInfo(number, count, base_seed + number, fetching.dataset)
        threading.Thread(
            target=work,
            args=(self._tasks, self._answers, bell, fetching, init, info),
            name=f"fastconv-loader-{number}",
            daemon=True,
        ).start()

    def send(self, task: Any) -> None:
        self._tasks.put(task)

    def receive(self) -> tuple[str, Any]:
        """The answer to the oldest task."""
        return self._answers.get()

    @staticmethod
    def wait(workers: list[ThreadWorker], timeout: float | None) -> list[ThreadWorker]:
        """Those of the workers that have an answer; none after the timeout."""
        with workers[0]._bell:
            workers[0]._bell.wait_for(
                lambda: any(not worker._answers.empty() for worker in workers), timeout
            )
            return [worker for worker in workers if not worker._answers.empty()]

    @staticmethod
    def end(workers: list[ThreadWorker], at_once: bool) -> None:
        """Let all finish; what they have not begun is dropped."""
        for worker in workers:
            try:
                while True:
                    worker._tasks.get_nowait()
            except queue.Empty:
                worker._tasks.put(STOP)


def work(
    tasks: queue.SimpleQueue[Any],
    answers: queue.SimpleQueue[tuple[str, Any]],
    bell: threading.Condition,
    fetching: Fetching,
    init: Callable[[int], None] | None,
    info: WorkerInfo,
) -> None:
    """A worker thread: answer tasks until told to end."""
    set_info(info, False)
    fetcher = Fetcher(fetching, init, info.id)
    while (task := tasks.get()) is not STOP:
        if task is ANEW:
            fetcher.anew()
            continue
        answer = fetcher.answer(task)
        with bell:
            answers.put(answer)
            bell.notify_all()
        del answer

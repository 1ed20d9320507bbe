"""Workers that are processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import connection as connections
from multiprocessing.connection import Connection
from typing import Any

from .._locks import make_lock
from ..config import set_num_threads
from . import transport
from .workers import ANEW, ERROR, STOP, Fetcher, Fetching, WorkerInfo, seed_process, set_info

#: Seconds that a worker has to finish its last batch before it is ended.
GRACE = 5.0
#: One worker is started at a time: no other's fork may inherit its end of the socket.
_starting = make_lock()


def in_worker() -> bool:
    """Whether this process may have no children."""
    return multiprocessing.current_process().daemon


def start_context(asked: Any) -> Any:
    """The multiprocessing context: fork on Linux, unless another was asked for or set.

    Raises
    ------
    TypeError, ValueError
        For what is neither a context nor the name of a start method.
    """
    if asked is None:
        name = multiprocessing.get_start_method(allow_none=True)
        if name is None and sys.platform == "linux":
            name = "fork"
        return multiprocessing.get_context(name)
    if isinstance(asked, str):
        if asked not in multiprocessing.get_all_start_methods():
            raise ValueError(
                "DataLoader: multiprocessing_context must be one of "
                f"{multiprocessing.get_all_start_methods()}, got {asked!r}"
            )
        return multiprocessing.get_context(asked)
    if not hasattr(asked, "Process") or not hasattr(asked, "Pipe"):
        raise TypeError(
            "DataLoader: multiprocessing_context must be a start method's name or a context of "
            f"multiprocessing, got {asked!r:.80}"
        )
    return asked


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Python 3.12's warning of threads that a fork leaves behind.

    The child runs kernels serially and draws from new generators: it waits for none of them.
    """
    if sys.version_info < (3, 12):
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


class ProcessWorker:
    """The main program's side of a worker process."""

    def __init__(
        self,
        context: Any,
        fetching: Fetching,
        init: Callable[[int], None] | None,
        number: int,
        count: int,
        base_seed: int,
    ) -> None:
        self._number = number
        with _starting:
            self._connection, theirs = context.Pipe(duplex=True)
            forked = context.get_start_method() == "fork"
            inherited = self._connection if forked else None
            self._process = context.Process(
                target=work,
                args=(theirs, inherited, fetching, init, number, count, base_seed),
                name=f"fastconv-loader-{number}",
                daemon=True,
            )
            try:
                with quiet():
                    self._process.start()
            except BaseException:
                self._connection.close()
                raise
            finally:
                theirs.close()

    def send(self, task: Any) -> None:
        """Hand out a task; that nobody is there to take it shows when its answer is asked for."""
        with contextlib.suppress(OSError):
            self._connection.send_bytes(pickle.dumps(task))

    def receive(self) -> tuple[str, Any]:
        """The answer to the oldest task, which `wait` has found ready."""
        try:
            kind, value = transport.receive(self._connection)
        except (EOFError, OSError):
            raise self._gone() from None
        return (kind, remote_error(*value)) if kind == ERROR else (kind, value)

    def _gone(self) -> RuntimeError:
        self._process.join(1)
        code = self._process.exitcode
        how = f"exited with code {code}"
        if code is not None and code < 0:
            names = {int(s): s.name for s in signal.Signals}
            how = f"was killed by signal {names.get(-code, str(-code))}"
        return RuntimeError(
            f"DataLoader worker {self._number} (pid {self._process.pid}) {how}, "
            "before it had sent its batch"
        )

    @staticmethod
    def wait(workers: list[ProcessWorker], timeout: float | None) -> list[ProcessWorker]:
        """Those of the workers that have an answer, or are gone; none after the timeout."""
        ends: dict[Any, ProcessWorker] = {}
        for worker in workers:
            ends[worker._connection] = worker
            ends[worker._process.sentinel] = worker
        ready = {id(ends[end]) for end in connections.wait(list(ends), timeout)}
        return [worker for worker in workers if id(worker) in ready]

    @staticmethod
    def end(workers: list[ProcessWorker], at_once: bool) -> None:
        """Let all finish, and wait until they have; those that are busy for too long are ended."""
        for worker in workers:
            with contextlib.suppress(OSError):
                worker._connection.send_bytes(pickle.dumps(STOP))
            worker._connection.close()
        until = time.monotonic() + (0 if at_once else GRACE)
        for worker in workers:
            worker._process.join(max(until - time.monotonic(), 0))
        for worker in workers:
            if worker._process.is_alive():
                worker._process.terminate()
        for worker in workers:
            worker._process.join(1)
            if worker._process.is_alive():
                worker._process.kill()
                worker._process.join()
            worker._process.close()


# ---------------------------------------------------------------- in the worker


def work(
    connection: Connection,
    inherited: Connection | None,
    fetching: Fetching,
    init: Callable[[int], None] | None,
    number: int,
    count: int,
    base_seed: int,
) -> None:
    """A worker process: answer tasks until told to end, or until the main program is gone."""
    if inherited is not None:
        inherited.close()  # the other end: we would not notice when the main program's is closed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main program ends us
    set_num_threads(1)
    seed = base_seed + number
    seed_process(seed)
    set_info(WorkerInfo(number, count, seed, fetching.dataset), True)
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # tasks are always taken, so that the main program never waits to hand one out
    threading.Thread(target=read, args=(connection, tasks), daemon=True).start()
    fetcher = Fetcher(fetching, init, number)
    while (task := tasks.get()) is not STOP:
        if task is ANEW:
            fetcher.anew()
            continue
        kind, value = fetcher.answer(task)
        try:
            if kind != ERROR:
                try:
                    transport.send(connection, kind, value)
                    continue
                except OSError:
                    raise
                except Exception as error:
                    kind, value = ERROR, error
            transport.send(connection, kind, described(value, number))
        except OSError:
            return  # nobody wants it
        del value


def read(connection: Connection, tasks: queue.SimpleQueue[Any]) -> None:
    """Take tasks from the socket; told to end, drop those that have not begun.

    Where the main program is gone without a word, nobody needs this process: it ends at once.
    """
    task: Any = None
    while task is not STOP:
        try:
            task = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
        if isinstance(task, str):  # the two names are compared by identity
            task = {ANEW: ANEW, STOP: STOP}.get(task, task)
        if task is STOP:
            with contextlib.suppress(queue.Empty):
                while True:
                    tasks.get_nowait()
        tasks.put(task)


def described(error: Exception, number: int) -> tuple[Any, str]:
    """An exception's class, where the main program can have it, and its traceback as text."""
    kind: Any = type(error)
    try:
        pickle.loads(pickle.dumps(kind))
    except Exception:
        kind = None
    text = "".join(traceback.format_exception(error))
    head = f"Caught {type(error).__name__} in DataLoader worker process {number}."
    return kind, f"{head}\nOriginal {text}"


class Lines(str):
    """A message that KeyError shows as it is."""

    def __repr__(self) -> str:
        return str(self)


def remote_error(kind: Any, text: str) -> Exception:
    """The worker's exception as the main program raises it: same class, the traceback as text."""
    if kind is not None and kind is not StopIteration:
        message = Lines(text) if issubclass(kind, KeyError) else text
        try:
            error = kind(message)
            if isinstance(error, Exception):
                return error
        except Exception:  # a class with arguments of its own
            pass
    return RuntimeError(text)

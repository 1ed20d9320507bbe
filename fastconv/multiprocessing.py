"""Python's `multiprocessing`, with `spawn`; tensors are sent as copies of their arrays."""

from __future__ import annotations

import multiprocessing as _python
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from typing import Any

__all__ = [*_python.__all__, "ProcessContext", "get_all_sharing_strategies",
           "get_sharing_strategy", "set_sharing_strategy", "spawn"]  # fmt: skip


def get_all_sharing_strategies() -> set[str]:
    """The one way: arrays are copied."""
    return {"copy"}


def get_sharing_strategy() -> str:
    """'copy': arrays are copied."""
    return "copy"


def set_sharing_strategy(new_strategy: str) -> None:
    """Do nothing: arrays are copied."""


class ProcessContext:
    """The processes that :func:`spawn` has started.

    Attributes
    ----------
    processes : list of multiprocessing.Process
    """

    def __init__(self, processes: list[Any]) -> None:
        self.processes = processes

    def pids(self) -> list[int]:
        """Their numbers."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait for them; whether all have ended.

        Raises
        ------
        RuntimeError
            If one of them failed.
        """
        for process in self.processes:
            process.join(timeout)
        for rank, process in enumerate(self.processes):
            if process.exitcode not in (None, 0):
                raise RuntimeError(f"process {rank} ended with exit code {process.exitcode}")
        return all(process.exitcode is not None for process in self.processes)


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call ``fn(rank, *args)`` in `nprocs` new processes.

    Parameters
    ----------
    fn : callable
        At the top level of its module.
    args : tuple
    nprocs : int
    join : bool
        Wait for them; otherwise a ProcessContext is returned.
    daemon : bool
    start_method : str

    Raises
    ------
    RuntimeError
        If one of them failed and `join`.
    """
    start = _python.get_context(start_method)
    made: list[Any] = []
    for rank in range(nprocs):
        process = start.Process(target=fn, args=(rank, *args), daemon=daemon)  # type: ignore[attr-defined]
        process.start()
        made.append(process)
    context = ProcessContext(made)
    if not join:
        return context
    context.join()
    return None

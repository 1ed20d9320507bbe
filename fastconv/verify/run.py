"""A run: problem after problem, in this process or in several; what fails is made smaller.

Problems are numbered, and each process takes every so-manieth. A process that dies (a kernel that
ends it is a failure like any other) is known by the number it was at, and another goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from fastconv.verify.coverage import Coverage
from fastconv.verify.families import family
from fastconv.verify.problem import Declined, Failure, Problem
from fastconv.verify.sources import Source

__all__ = ["Result", "check", "run", "run_here", "shrink"]

#: Checks that making a failure smaller may take.
SHRINK_CHECKS = 600
#: Seconds between reports of a process.
REPORT_EVERY = 0.25


_KINDS = ("one thread", "wrote outside", "changed its operand")


class Found(NamedTuple):
    """A failure, where it was met, and what it became."""

    number: int
    first: Failure
    smallest: Failure


class Result:
    """What a run has come to so far."""

    def __init__(self) -> None:
        self.done = 0
        self.declined = 0
        self.found: list[Found] = []
        self.coverage = Coverage()
        #: What else families have to say, such as largest errors: the larger value counts.
        self.largest: dict[str, float] = {}

    def different(self) -> int:
        """How many of the failures differ when they are as small as they become."""
        return len({found.smallest.problem for found in self.found})

    def add(self, other: Result) -> None:
        """Add a part."""
        self.done += other.done
        self.declined += other.declined
        self.found += other.found
        self.coverage.update(other.coverage)
        for name, value in other.largest.items():
            self.largest[name] = max(value, self.largest.get(name, value))


def check(problem: Problem) -> Failure | None:
    """Run one problem.

    Raises
    ------
    Declined
        If it cannot be run here.
    """
    return family(problem.family).check(problem)


def shrink(failure: Failure, most: int = SHRINK_CHECKS) -> Failure:
    """The smallest failing problem that single steps lead to, within so many checks.

    The failure must stay one of the same kind: an exception may not become a wrong result.
    """
    kind, left = _kind(failure), most
    smaller = True
    while smaller:
        smaller = False
        for problem in family(failure.problem.family).smaller(failure.problem):
            if not left:
                return failure
            left -= 1
            try:
                found = check(problem)
            except Declined:
                continue
            if found is not None and _kind(found) == kind:
                failure, smaller = found, True
                break
    return failure


def _kind(failure: Failure) -> str:
    """What it raised, or which of the things that are looked at was not as it must be."""
    _, _, rest = failure.what.partition("raised ")
    if rest:
        return rest.split()[0]
    return next((kind for kind in _KINDS if kind in failure.what), "")


def run_here(
    source: Source, numbers: Iterator[int], deadline: float | None = None,
    report: Callable[[Result], None] | None = None, at: Any = None, failures: int | None = None,
) -> Result:  # fmt: skip
    """Run problems in this process.

    Parameters
    ----------
    source : Drawn or Listed
    numbers : iterator of int
    deadline : float, optional
        In ``time.monotonic()``'s seconds.
    report : callable, optional
        Gets what has come since the last report, now and then, and is then responsible for it.
    at : object with an attribute `value`, optional
        Told the number of each problem before it is run.
    failures : int, optional
        Stop after so many that differ when they are as small as they become.
    """
    part, last, different = Result(), time.monotonic(), set()
    for number in numbers:
        if at is not None:
            at.value = number
        problem = source.problem(number)
        one = family(problem.family)
        try:
            failure = one.check(problem)
        except Declined:
            part.declined += 1
            continue
        part.done += 1
        part.coverage.add(problem)
        if failure is not None:
            smallest = shrink(failure)
            different.add(smallest.problem)
            part.found.append(Found(number, failure, smallest))
            if len(different) == failures:
                break
        now = time.monotonic()
        if report is not None and (source.each or now - last >= REPORT_EVERY):
            last = now
            report(part)
            part = Result()
        if deadline is not None and now >= deadline:
            break
    for name in source.families:
        part.largest.update(family(name).largest())
    if report is not None:
        report(part)
    return part


def _work(
    source: Source, first: int, step: int, deadline: float | None, failures: int | None,
    pipe: Connection, at: Any,
) -> None:  # fmt: skip
    """A process of its own: sends its parts, then None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it says when to end
    numbers = iter(range(first, source.count, step))
    run_here(source, numbers, deadline, pipe.send, at, failures)
    pipe.send(None)


@contextmanager
def _waiting_asleep() -> Iterator[None]:
    """Processes started inside have OpenMP threads that sleep while they wait.

    There may be three for each process, on fewer processors, and calls are short.
    """
    name = "OMP_WAIT_POLICY"
    before = os.environ.get(name)
    os.environ.setdefault(name, "passive")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


class _Worker:
    def __init__(self, source: Source, first: int, step: int, *rest: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.source, self.step, self.rest = source, step, rest
        self.at = context.Value("q", first, lock=False)
        self.pipe, far = context.Pipe(duplex=False)
        arguments = (source, first, step, *rest, far, self.at)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        with _waiting_asleep():
            self.process.start()
        far.close()

    def dead(self) -> Found:
        """The failure of a process that has ended by itself."""
        self.process.join()
        number = self.at.value
        failure = Failure(
            self.source.problem(number), f"ended the process, exit code {self.process.exitcode}"
        )
        return Found(number, failure, failure)


def run(
    source: Source, jobs: int = 1, seconds: float | None = None, failures: int | None = None,
    progress: Callable[[Result], None] | None = None,
) -> Result:  # fmt: skip
    """Run all problems of a source in `jobs` processes.

    Parameters
    ----------
    seconds : float, optional
        Begin no problem after so long.
    failures : int, optional
        Stop after so many that differ when they are as small as they become.
    progress : callable, optional
        Gets the result so far, several times a second.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    rest = deadline, failures
    jobs = max(1, min(jobs, source.count))
    workers = [_Worker(source, i, jobs, *rest) for i in range(jobs)]
    result = Result()
    try:
        while workers:
            ready = wait([w.pipe for w in workers], timeout=1.0)
            for worker in [w for w in workers if w.pipe in ready]:
                try:
                    part = worker.pipe.recv()
                except EOFError:
                    workers.remove(worker)
                    result.add(_of(worker.dead()))
                    first = worker.at.value + worker.step
                    if first < source.count:
                        workers.append(_Worker(source, first, worker.step, *rest))
                    continue
                if part is None:
                    workers.remove(worker)
                    worker.process.join()
                else:
                    result.add(part)
            if progress is not None:
                progress(result)
            if failures is not None and result.different() >= failures:
                break
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.process.join()
    return result


def _of(found: Found) -> Result:
    result = Result()
    result.done, result.found = 1, [found]
    return result

"""Time rungs in turns, beside what the machine can do in the same minutes."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import fastconv
from bench.ladder.disassembly import inner_loop, summary
from bench.ladder.rung import Layer, Machine, Rung, extension
from bench.ladder.verify import operands
from fastconv import backends
from fastconv.sysinfo import info

__all__ = ["Result", "Run", "best", "facts", "machine", "part_of", "read", "time_rungs"]

#: A rung that would take longer than this for the layer is timed on a part of it.
LONGEST = 0.4
#: One that would take longer than this is not even tried on the whole.
PATIENCE = 8.0
#: About as long as that part takes.
PART = 0.03
#: Seconds of a turn.
BURST = 5e-3
#: Bytes that fit L1, and L2 but not L1.
CACHES = 1 << 14, 1 << 18


class Result(NamedTuple):
    """What was measured of a rung, with the seconds scaled to the whole layer."""

    name: str
    title: str
    direction: str
    threads: int
    seconds: float
    calls: int
    part: float  # of the layer that was timed
    traffic: float
    limits: dict[str, float]
    loop: dict[str, Any] | None  # the inner loop's instructions, counted
    listing: list[str] | None


class Run(NamedTuple):
    """One layer, every rung."""

    layer: Layer
    threads: int
    results: list[Result]

    def of(self, direction: str) -> list[Result]:
        """The results of one direction, in order."""
        return [result for result in self.results if result.direction == direction]


def machine(threads: int, seconds: float = 0.1) -> Machine:
    """Measure so many threads' FMA peak, clock, caches and memory.

    The peak, the clock and the caches are those of one core, times the threads.
    """
    c: Any = backends.load("c")
    measured: Any = extension("machine").lib  # type: ignore[attr-defined]
    l1, l2 = (threads * measured.read_rate(nbytes, seconds) for nbytes in CACHES)
    peak, clock = c.fma_peak(seconds=seconds), measured.clock_rate(seconds)
    memory = c.stream(seconds=seconds, threads=threads)
    return Machine(threads * peak, threads * clock, l1, l2, memory)


def best(a: Machine | None, b: Machine) -> Machine:
    """The larger of each figure."""
    return b if a is None else Machine(*map(max, a, b))


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold NumPy's BLAS to one thread, where threadpoolctl is there to do it."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ModuleNotFoundError):
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(1, user_api="blas"))
        yield


def part_of(rung: Rung, layer: Layer) -> Layer:
    """The layer, or fewer of its output channels or rows where the rung would take too long."""

    def once(part: Layer) -> float:
        made = operands(rung, part, integers=False)
        least = float("inf")
        for _ in range(2):
            start = time.perf_counter()
            rung.conv(part, made.a, made.b, made.out, 1)
            least = min(least, time.perf_counter() - start)
        return least

    row = once(layer._replace(K=1, H=1))
    # A row may cost as much as many, for tiles and packing, so the whole layer is tried too.
    if row * layer.K * layer.H < PATIENCE and once(layer) < LONGEST:
        return layer
    rows = max(1, int(PART / row))
    if rows <= layer.H:
        return layer._replace(K=1, H=rows)
    return layer._replace(K=max(1, min(layer.K, rows // layer.H)))


def _take_turns(
    calls: dict[str, Callable[[], Any]],
    seconds: float,
    clock: Callable[[], float],
    found: dict[str, tuple[float, int]],
) -> None:
    """Time calls in turns for about `seconds` each; keep the shortest of each and count them.

    A turn is a burst as long as :data:`BURST` if nobody disturbs, so that threads are awake and
    caches warm for all but its first call.
    """
    spent = dict.fromkeys(calls, 0.0)
    turns = 0
    while turns < 2 or min(spent.values(), default=seconds) < seconds:
        for name, call in calls.items():
            if turns >= 2 and spent[name] >= seconds:
                continue
            least, total = found.get(name, (float("inf"), 0))
            burst = 2 if total == 0 else max(1, math.ceil(BURST / least))
            for _ in range(burst):
                start = clock()
                call()
                elapsed = clock() - start
                spent[name] += elapsed
                least = min(least, elapsed)
            found[name] = least, total + burst
        turns += 1


def time_rungs(
    rungs: Iterable[Rung],
    layer: Layer,
    threads: int,
    *,
    seconds: float,
    passes: int,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[Run, dict[int, Machine]]:
    """Time rungs in turns, `seconds` for each in all, and the machine in every pass.

    In a pass those of one thread take turns, then those of more.

    Returns
    -------
    run : Run
    machine : dict
        What it was found to do with one thread, and with all.
    """
    calls: dict[str, Callable[[], Any]] = {}
    parts: dict[str, Layer] = {}
    chosen = list(rungs)

    def threads_of(rung: Rung) -> int:
        return threads if rung.threaded else 1

    before = fastconv.get_num_threads()
    found: dict[str, tuple[float, int]] = {}
    able: dict[int, Machine] = {}
    try:
        with one_blas_thread():
            for rung in chosen:
                part = parts[rung.name] = part_of(rung, layer)
                calls[rung.name] = _call(rung, part, threads_of(rung))
            for turn in range(passes):
                note(f"{layer}: pass {turn + 1} of {passes}")
                for count in sorted({1, threads}):
                    able[count] = best(able.get(count), machine(count))
                    # On one thread by the processor's time, on more by the clock on the wall.
                    group = {r.name: calls[r.name] for r in chosen if threads_of(r) == count}
                    clock = time.process_time if count == 1 else time.perf_counter
                    _take_turns(group, seconds / passes, clock, found)
    finally:
        fastconv.set_num_threads(before)
    results = []
    for rung in chosen:
        share = parts[rung.name].products / layer.products
        count = threads_of(rung)
        loop = inner_loop(rung.name)
        results.append(
            Result(
                rung.name, rung.title, rung.direction, count,
                found[rung.name][0] / share, found[rung.name][1], share,
                rung.traffic(layer), rung.limits(layer, able[count]),
                summary(loop) if loop else None, loop,
            )
        )  # fmt: skip
    return Run(layer, threads, results), able


def _call(rung: Rung, layer: Layer, threads: int) -> Callable[[], Any]:
    made = operands(rung, layer, integers=False)
    return lambda: rung.conv(layer, made.a, made.b, made.out, threads)


# ---------------------------------------------------------------- JSON


def facts(
    command: str, runs: Sequence[Run], able: dict[int, Machine], load: Sequence[float]
) -> dict[str, Any]:
    """Everything that ``--json`` writes, as plain data."""
    about = info()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command,
        "machine": {key: about[key] for key in ("cpu", "machine", "cpus", "isa")},
        "versions": {key: about[key] for key in ("fastconv", "compiler", "python", "numpy")},
        "load": [*load, os.getloadavg()[0]],  # processes that wanted a core, before and after
        "able": {str(threads): found._asdict() for threads, found in sorted(able.items())},
        "runs": [
            {
                "layer": run.layer._asdict(),
                "threads": run.threads,
                "results": [result._asdict() for result in run.results],
            }
            for run in runs
        ],
    }


def read(data: dict[str, Any]) -> tuple[list[Run], dict[int, Machine]]:
    """Runs and machine of what :func:`facts` gave.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        runs = [
            Run(
                Layer(**run["layer"]),
                run["threads"],
                [Result(**result) for result in run["results"]],
            )
            for run in data["runs"]
        ]
        return runs, {int(count): Machine(**found) for count, found in data["able"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a file of bench.ladder ({error})") from None

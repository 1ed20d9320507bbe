"""What the results say, as tables and as words."""

from __future__ import annotations

from bench.ladder.measure import Result, Run
from bench.ladder.rung import Machine
from bench.summary import Table, milliseconds
from fastconv.text import grouped

__all__ = [
    "duration",
    "footnote",
    "gain",
    "gflops",
    "ladder_table",
    "limit",
    "loop_table",
    "share",
    "times",
]


def gflops(run: Run, result: Result) -> float:
    """Operations of the direct algorithm per second, in thousand millions."""
    return run.layer.flops / result.seconds / 1e9


def share(run: Run, result: Result, able: dict[int, Machine]) -> float:
    """Of the FMA peak of the threads that the rung used."""
    return run.layer.flops / result.seconds / able[result.threads].peak


def gain(run: Run, result: Result) -> tuple[float | None, float]:
    """Times as fast as the rung before, if there is one, and as the naive one."""
    rungs = run.of(result.direction)
    place = rungs.index(result)
    before = rungs[place - 1].seconds / result.seconds if place else None
    return before, rungs[0].seconds / result.seconds


def limit(result: Result) -> tuple[str, float]:
    """The resource that is needed longest, and for how many seconds: the prediction."""
    return max(result.limits.items(), key=lambda item: item[1])


def digits(value: float) -> str:
    """Three significant digits, no exponent: 0.0123, 1.23, 123, 1 234."""
    if value >= 100:
        return grouped(value)
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def duration(seconds: float) -> str:
    """Milliseconds, or seconds from one on."""
    return f"{digits(seconds)} s" if seconds >= 1 else f"{milliseconds(seconds)} ms"


def times(value: float) -> str:
    """A ratio with its sign."""
    return f"{digits(value)}×"


def percent(value: float) -> str:
    """A share; two digits below ten percent."""
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.2g} %"


def ladder_table(run: Run, direction: str, able: dict[int, Machine]) -> Table:
    """One row per rung of a direction."""
    head = ["rung", "threads", "time", "GFLOP/s", "of peak", "× rung before", "× naive",
            "predicted", "by"]  # fmt: skip
    rows = []
    for result in run.of(direction):
        before, naive = gain(run, result)
        name, seconds = limit(result)
        rows.append([
            short(result), str(result.threads),
            ("≈ " if result.part < 1 else "") + duration(result.seconds),
            digits(gflops(run, result)), percent(share(run, result, able)),
            "" if before is None else digits(before), digits(naive), duration(seconds), name,
        ])  # fmt: skip
    return head, rows


def short(result: Result) -> str:
    """'7 register tile' for '07_register_tile'."""
    number, _, name = result.name.partition("_")
    return f"{int(number)} {name.replace('_', ' ')}"


def footnote(run: Run, direction: str) -> str:
    """Which rungs were timed on a part of the layer; empty if none was."""
    parts = [f"{short(r)} on {percent(r.part)}" for r in run.of(direction) if r.part < 1]
    return f"≈ timed on a part of the layer and scaled: {', '.join(parts)}." if parts else ""


def loop_table(run: Run) -> Table:
    """The inner loops of the C rungs: instructions by kind, and numbers multiplied by each."""
    head = ["rung", "instructions", "products", "vector loads", "broadcasts", "stores",
            "of the stack", "results per instruction"]  # fmt: skip
    rows = []
    for result in run.results:
        loop = result.loop
        if loop is not None:
            rows.append([
                short(result), *(str(loop[key]) for key in (
                    "instructions", "fma", "loads", "broadcasts", "stores", "spills"
                )), digits(loop["products"] / loop["instructions"]),
            ])  # fmt: skip
    return head, rows

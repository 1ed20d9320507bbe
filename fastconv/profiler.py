"""Where the time goes: a table of operations, and a trace for Chrome's viewer.

    with fastconv.profile() as p:
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    print(p)
    p.export_chrome_trace("trace.json")  # for chrome://tracing or ui.perfetto.dev

Outside such a block an operation pays for one comparison.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from . import _watch
from ._locks import make_lock

__all__ = ["Average", "Event", "profile", "record_function"]

Shapes = tuple[tuple[int, ...], ...]
_lock = make_lock()


class Event(NamedTuple):
    """One run of an operation; times in nanoseconds of ``time.perf_counter_ns``."""

    name: str
    phase: str  # 'forward', 'backward', or '' for a block named by record_function
    shapes: Shapes  # of the tensors that went in
    thread: int
    start: int
    duration: int
    own: int  # without the operations that ran inside


class Average:
    """The events of one name, phase and, if asked for, shapes; times in microseconds.

    Attributes
    ----------
    key, phase : str
        The operation, and 'forward' or 'backward' ('' for a block of record_function).
    input_shapes : tuple of tuple of int
    count : int
    cpu_time_total, self_cpu_time_total : float
        Of all runs; without the operations that ran inside.
    """

    __slots__ = (
        "count", "cpu_time_total", "input_shapes", "key", "phase", "self_cpu_time_total",
    )  # fmt: skip

    def __init__(
        self, key: str, phase: str, input_shapes: Shapes, count: int, total: float, own: float
    ) -> None:
        self.key, self.phase, self.input_shapes = key, phase, input_shapes
        self.count, self.cpu_time_total, self.self_cpu_time_total = count, total, own

    @property
    def cpu_time(self) -> float:
        """Mean time of one run."""
        return self.cpu_time_total / self.count

    def __repr__(self) -> str:
        return (
            f"Average({self.key!r}, {self.phase!r}, count={self.count}, "
            f"self_cpu_time_total={self.self_cpu_time_total:.1f})"
        )


class _Recorder:
    """Gathers events of all threads."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.inside = threading.local()

    def forward(self, cls: Any, ctx: Any, args: Sequence[Any]) -> Any:
        """Run an operation's ``forward``."""
        return self.measure(cls.__name__, "forward", args, cls.forward, ctx, *args)

    def backward(self, node: Any, grads: Sequence[Any], retain: bool) -> Any:
        """Run a node of the graph."""
        name = type(node).__name__
        return self.measure(name, "backward", grads, node.run, grads, retain)

    def measure(
        self, name: str, phase: str, args: Sequence[Any], call: Callable[..., Any], *given: Any
    ) -> Any:
        """Run ``call(*given)`` as one event."""
        local = self.inside
        outer = getattr(local, "spent", 0)
        local.spent = 0
        start = time.perf_counter_ns()
        try:
            return call(*given)
        finally:
            duration = time.perf_counter_ns() - start
            own = duration - local.spent
            local.spent = outer + duration
            shapes = tuple([a.shape for a in args if isinstance(a, np.ndarray)])
            self.events.append(
                Event(name, phase, shapes, threading.get_ident(), start, duration, own)
            )


class profile:
    """Record every operation of every thread while a ``with`` block runs.

    The table has one row per operation and direction, with the time spent inside its kernels and
    their Python. Time outside all operations (Python of the model and the graph) is a row of its
    own.

    Raises
    ------
    RuntimeError
        On entering, if another profile is running, or this one has run already.

    Examples
    --------
    >>> import fastconv
    >>> with fastconv.profile() as p:
    ...     y = fastconv.ones(2, 3) + 1
    >>> [(a.key, a.phase, a.count) for a in p.key_averages() if a.key == "Add"]
    [('Add', 'forward', 1)]
    """

    def __init__(self) -> None:
        self._recorder = _Recorder()
        self._began = self._ended = 0
        self._thread = 0

    def __enter__(self) -> profile:
        with _lock:
            if _watch.recorder is not None:
                raise RuntimeError("profile(): another profile is running; they do not nest")
            if self._began:
                raise RuntimeError("profile(): this one has run already; make a new one")
            self._thread = threading.get_ident()
            self._began = time.perf_counter_ns()
            _watch.recorder = self._recorder
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = time.perf_counter_ns()
        _watch.recorder = None

    def events(self) -> list[Event]:
        """What was recorded, in the order in which it ended."""
        return list(self._recorder.events)

    def key_averages(self, group_by_input_shape: bool = False) -> list[Average]:
        """Sums over the runs of each operation, longest first.

        Parameters
        ----------
        group_by_input_shape : bool
            Keep runs on different shapes apart.
        """
        sums: dict[tuple[str, str, Shapes], list[int]] = {}
        for e in self.events():
            key = e.name, e.phase, e.shapes if group_by_input_shape else ()
            entry = sums.setdefault(key, [0, 0, 0])
            entry[0] += 1
            entry[1] += e.duration
            entry[2] += e.own
        found = [
            Average(*key, count, total / 1e3, own / 1e3)
            for key, (count, total, own) in sums.items()
        ]
        return sorted(found, key=lambda a: -a.self_cpu_time_total)

    @property
    def seconds(self) -> float:
        """How long the block took, or has taken so far."""
        end = self._ended or time.perf_counter_ns()
        return (end - self._began) / 1e9 if self._began else 0.0

    def table(self, group_by_input_shape: bool = False, row_limit: int = 40) -> str:
        """The averages as text: the longest rows, and the time outside operations.

        Parameters
        ----------
        group_by_input_shape : bool
            One row for every set of shapes.
        row_limit : int
            Rows at most; the rest is added up in one. All of them where negative.

        Returns
        -------
        str
        """
        averages = self.key_averages(group_by_input_shape)
        shown = averages if row_limit < 0 else averages[:row_limit]
        whole = 1e6 * self.seconds or 1.0
        # Other threads run at the same time: only this one's operations fill the block.
        inside = sum(e.own for e in self.events() if e.thread == self._thread) / 1e3

        def line(name: str, phase: str, count: str, us: float, each: str, shapes: str) -> list[str]:
            return [name, phase, count, f"{us / 1e3:.3f}", f"{100 * us / whole:.1f} %", each,
                    *([shapes] if group_by_input_shape else [])]  # fmt: skip

        rows = [
            line(
                a.key, a.phase, str(a.count), a.self_cpu_time_total,
                f"{a.self_cpu_time_total / a.count:.1f}", " ".join(map(_shape, a.input_shapes)),
            )
            for a in shown
        ]  # fmt: skip
        if len(averages) > len(shown):
            rest = averages[len(shown) :]
            count = sum(a.count for a in rest)
            us = sum(a.self_cpu_time_total for a in rest)
            rows.append(line(f"{len(rest)} more", "", str(count), us, "", ""))
        rows.append(line("outside operations", "", "", max(0.0, whole - inside), "", ""))
        rows.append(line("all", "", "", whole, "", ""))
        head = ["operation", "direction", "calls", "ms", "share", "µs each"]
        return _aligned(head + ["shapes"] * group_by_input_shape, rows)

    def __str__(self) -> str:
        return self.table()

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events as JSON for ``chrome://tracing`` or ui.perfetto.dev.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        import json

        from .files import write_text

        threads: dict[int, int] = {self._thread: 0}
        events = [
            {
                "name": e.name,
                "cat": e.phase or "block",
                "ph": "X",
                "ts": (e.start - self._began) / 1e3,
                "dur": e.duration / 1e3,
                "pid": os.getpid(),
                "tid": threads.setdefault(e.thread, len(threads)),
                "args": {"shapes": " ".join(map(_shape, e.shapes))},
            }
            for e in self.events()
        ]
        text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})
        write_text(path, text + "\n")


class record_function:
    """Give a ``with`` block a row of its own in the profile that is running, if one is.

    Parameters
    ----------
    name : str
    """

    __slots__ = ("_name", "_outer", "_recorder", "_start")

    def __init__(self, name: str) -> None:
        self._name = name
        self._recorder: Any = None

    def __enter__(self) -> record_function:
        recorder = self._recorder = _watch.recorder
        if recorder is not None:
            local = recorder.inside
            self._outer = getattr(local, "spent", 0)
            local.spent = 0
            self._start = time.perf_counter_ns()
        return self

    def __exit__(self, *exception: object) -> None:
        recorder = self._recorder
        if recorder is not None:
            duration = time.perf_counter_ns() - self._start
            local = recorder.inside
            own = duration - local.spent
            local.spent = self._outer + duration
            thread = threading.get_ident()
            recorder.events.append(Event(self._name, "", (), thread, self._start, duration, own))


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _aligned(head: list[str], rows: list[list[str]]) -> str:
    """Names and shapes to the left, numbers to the right."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    left = {0, 1, 6}
    text = [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(text)

"""The roofline with every rung on it, and the rungs' speeds as bars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.ladder.measure import Result, Run
from bench.ladder.rung import Machine
from bench.ladder.tables import digits, gflops, short
from bench.pictures import new_figure
from fastconv.files import atomic_path
from fastconv.report.style import LIGHT, Theme, rc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BARS", "ROOFLINE", "bars", "draw", "roofline"]

#: What :func:`draw` makes in the folder that it is given.
BARS, ROOFLINE = "ladder-bars.png", "ladder-roofline.png"


def _number(result: Result) -> str:
    return str(int(result.name.partition("_")[0]))


def _title(run: Run) -> str:
    return f"3×3, {run.layer}; {run.threads} thread{'s' * (run.threads > 1)} where a rung uses them"


def bars(run: Run, able: dict[int, Machine], theme: Theme) -> Figure:
    """GFLOP/s of every forward rung, logarithmic, beside the peak of one thread and of all."""
    results = run.of("forward")
    figure = new_figure(9.4, 0.33 * len(results) + 1.5)
    axes = figure.subplots()
    for place, result in enumerate(results):
        speed = gflops(run, result)
        threaded = result.threads > 1
        axes.barh(place, speed, 0.72, color=theme.series[threaded], alpha=0.88)
        axes.annotate(
            digits(speed), (speed, place), (4, 0), textcoords="offset points", va="center",
            color=theme.ink, fontsize=9, zorder=4,
            bbox={"facecolor": theme.surface, "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    _peaks(axes.axvline, able, run, theme)
    axes.set_xscale("log")
    slowest = min(gflops(run, result) for result in results)
    fastest = max(gflops(run, result) for result in results)
    axes.set_xlim(slowest / 2, max(fastest, able[run.threads].peak / 1e9) * 2.2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_yticks(range(len(results)), [short(result) for result in results])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("GFLOP/s of the direct algorithm's products, logarithmic")
    axes.set_title(_title(run))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _peaks(line: object, able: dict[int, Machine], run: Run, theme: Theme) -> None:
    """The FMA peak of one thread and of all, by axvline or axhline."""
    for threads, style in ((1, "-"), (run.threads, (0, (4, 3)))):
        if threads == 1 or run.threads > 1:
            peak = able[threads].peak / 1e9
            label = f"FMA peak, {threads} thread{'s' * (threads > 1)}: {peak:.0f} GFLOP/s"
            line(peak, color=theme.ink, linewidth=1.3, linestyle=style, label=label)  # type: ignore[operator]


def roofline(run: Run, able: dict[int, Machine], theme: Theme) -> Figure:
    """GFLOP/s over FLOP per byte that a rung's inner loops load and store."""
    results = run.of("forward")
    figure = new_figure(9.4, 5.6)
    axes = figure.subplots()
    x = np.array([run.layer.flops / result.traffic for result in results])
    y = np.array([gflops(run, result) for result in results])
    span = np.geomspace(x.min() / 2, x.max() * 2.5, 200)
    roof = able[1]
    for name, rate, style in (
        ("L1 cache", roof.l1, "-"), ("L2 cache", roof.l2, (0, (5, 2))),
        ("memory", roof.memory, (0, (1, 2))),
    ):  # fmt: skip
        axes.plot(span, np.minimum(roof.peak, rate * span) / 1e9, color=theme.muted, linewidth=1.3,
                  linestyle=style, label=f"{name}, one thread: {rate / 1e9:.0f} GB/s")  # fmt: skip
    _peaks(axes.axhline, able, run, theme)
    for threaded, label in ((False, "one thread"), (True, f"{run.threads} threads")):
        chosen = np.array([(result.threads > 1) == threaded for result in results])
        if chosen.any():
            axes.plot(x[chosen], y[chosen], "o", markersize=7, color=theme.series[threaded],
                      markeredgewidth=0, label=f"a rung, {label}")  # fmt: skip
    _label(axes, x, y, [_number(result) for result in results], theme)
    axes.set(xscale="log", yscale="log", ylim=(y.min() / 2, max(y.max(), able[run.threads].peak
             / 1e9) * 2), xlabel="FLOP per byte loaded and stored by the rung's loops",
             ylabel="GFLOP/s of the direct algorithm's products")  # fmt: skip
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(which="major")
    axes.tick_params(length=0, which="both")
    axes.set_title(_title(run))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _label(axes: Axes, x: np.ndarray, y: np.ndarray, names: list[str], theme: Theme) -> None:
    """Number the points; of those that lie together the outer ones to their own sides."""
    sides = {"left": (-6, -3, "right"), "right": (6, -3, "left"), "below": (0, -14, "center"),
             "above": (0, 7, "center")}  # fmt: skip
    left = sorted(range(len(names)), key=lambda i: (x[i], y[i]))
    while left:
        near, rest = left[:1], left[1:]
        for i in list(rest):
            if any(abs(np.log(x[i] / x[j])) < 0.25 > abs(np.log(y[i] / y[j])) / 2 for j in near):
                near.append(i)
                rest.remove(i)
        left = rest
        for place, i in enumerate(near):
            outer = {len(near) - 1: "right", 0: "left" if len(near) > 1 else "right"}
            dx, dy, align = sides[outer.get(place, ("below", "above")[place % 2])]
            axes.annotate(names[i], (x[i], y[i]), (dx, dy), textcoords="offset points", ha=align,
                          color=theme.ink, fontsize=9)  # fmt: skip


def draw(run: Run, able: dict[int, Machine], folder: Path) -> None:
    """Write both pictures into a folder.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing.
    """
    import matplotlib

    with matplotlib.rc_context(rc(LIGHT)):
        for name, figure in (
            (BARS, bars(run, able, LIGHT)),
            (ROOFLINE, roofline(run, able, LIGHT)),
        ):
            with atomic_path(folder / name) as temporary:
                figure.savefig(temporary, dpi=130, metadata={"Software": None})

"""Drawings of a run of ``bench.peers``: ratios by family, and a roofline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.layers import FAMILIES
from bench.pairs import Row
from bench.summary import Layer, by_layer, standings
from fastconv.files import atomic_path
from fastconv.report.style import LIGHT, Theme, rc

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bars", "draw", "new_figure", "roofline"]


def new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def bars(layers: Sequence[Layer], theme: Theme) -> Figure:
    """Geometric mean of a family's ratios, every layer as a dot, and the bar that is aimed for.

    Parameters
    ----------
    layers : sequence of Layer
        Of one type and number of threads.
    theme : Theme
    """
    found = {(s.family, s.what): s for s in standings(layers)}
    families = [name for name in FAMILIES if any(key[0] == name for key in found)]
    figure = new_figure(9.4, 0.62 * len(families) + 1.3)
    axes = figure.subplots()
    height = 0.36
    for i, (what, label) in enumerate(
        (("forward", "forward"), ("training", "forward + both backward passes"))
    ):
        for place, family in enumerate(families):
            standing = found.get((family, what))
            if standing is None:
                continue
            y = place + (i - 0.5) * height
            axes.barh(
                y, standing.mean - 1, height * 0.9, left=1, color=theme.series[i], alpha=0.85,
                label=f"{label}, geometric mean" if place == 0 else None,
            )  # fmt: skip
            ratios = [
                getattr(layer, what)
                for layer in layers
                if layer.family == family and getattr(layer, what) is not None
            ]
            axes.plot(
                ratios, [y] * len(ratios), "o", markersize=3, color=theme.ink, alpha=0.55,
                markeredgewidth=0, label="one layer" if place == i == 0 else None,
            )  # fmt: skip
            axes.plot(
                [standing.bar] * 2, [y - height / 2, y + height / 2], color=theme.ink, linewidth=2,
                label="aimed for" if place == i == 0 else None,
            )  # fmt: skip
    values = [v for layer in layers for v in (layer.forward, layer.training) if v is not None]
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, *values) * 0.9, max(4.0, *values) * 1.15)
    axes.axvline(1, color=theme.muted, linewidth=1)
    ticks = [t for t in (0.25, 0.5, 1, 2, 3, 5, 10, 20, 50, 100) if t < axes.get_xlim()[1]]
    axes.set_xticks([t for t in ticks if t > axes.get_xlim()[0]])
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.minorticks_off()
    axes.set_yticks(range(len(families)), [FAMILIES[name].title for name in families])
    axes.grid(axis="x")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(families) - 0.5, -0.5)
    axes.set_xlabel("PyTorch's time over fastconv's, logarithmic: to the right of 1× is faster")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def roofline(
    rows: Sequence[Row], peak: float, bandwidth: float, threads: int, theme: Theme
) -> Figure:
    """GFLOP/s of the direct algorithm over FLOP per byte moved at least, both sides.

    Parameters
    ----------
    rows : sequence of Row
        Of one type and number of threads.
    peak, bandwidth : float
        GFLOP/s and GB/s of the threads used.
    threads : int
    theme : Theme
    """
    figure = new_figure(9.4, 5.2)
    axes = figure.subplots()
    x = np.array([row.flops / row.nbytes for row in rows])
    ours = np.array([row.flops / row.own.seconds / 1e9 for row in rows])
    theirs = np.array([row.flops / row.best.seconds / 1e9 for row in rows])
    span = np.geomspace(x.min() * 0.7, x.max() * 1.4, 200)
    axes.plot(span, np.minimum(peak, bandwidth * span), color=theme.ink, linewidth=1.6,
              label=f"roof: {peak:.0f} GFLOP/s, {bandwidth:.1f} GB/s")  # fmt: skip
    axes.axhline(4 * peak, color=theme.muted, linewidth=1, linestyle=(0, (4, 3)),
                 label="Winograd F(4×4, 3×3): a quarter of the products")  # fmt: skip
    axes.plot(x, theirs, "o", markersize=4.5, markerfacecolor="none", color=theme.series[1],
              label="PyTorch")  # fmt: skip
    winograd = np.array(["winograd" in row.algorithm for row in rows])
    for chosen, marker, label in (
        (~winograd, "o", "fastconv"),
        (winograd, "^", "fastconv, Winograd"),
    ):
        if chosen.any():
            axes.plot(x[chosen], ours[chosen], marker, markersize=4.5, alpha=0.85,
                      color=theme.series[0], markeredgewidth=0, label=label)  # fmt: skip
    axes.set(xscale="log", yscale="log",
             xlabel="FLOP per byte of operands and result, each moved once",
             ylabel="GFLOP/s, products of the direct algorithm")  # fmt: skip
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(which="major")
    axes.tick_params(length=0, which="both")
    axes.set_title(f"Every layer and direction, {threads} thread{'s' * (threads > 1)}")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def draw(facts: dict[str, Any], rows: Sequence[Row], bars_to: Path, roofline_to: Path) -> None:
    """Draw the rows of the fewest threads of a run.

    Parameters
    ----------
    facts : dict
        ``peak_gflops`` of a core, ``bandwidth_gbytes`` by number of threads.
    rows : sequence of Row
    bars_to, roofline_to : Path
        Files to write; their endings say the format.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing.
    """
    import matplotlib

    threads = min(row.threads for row in rows)
    rows = [row for row in rows if row.threads == threads]
    bandwidth = facts["bandwidth_gbytes"][str(threads)]
    with matplotlib.rc_context(rc(LIGHT)):
        for path, figure in (
            (bars_to, bars(by_layer(rows), LIGHT)),
            (
                roofline_to,
                roofline(rows, facts["peak_gflops"] * threads, bandwidth, threads, LIGHT),
            ),
        ):
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=130, metadata={"Software": None})

"""The figures of a report: plain data in, a matplotlib figure out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.report.style import Theme
from fastconv.text import grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]


def _figure(width: float, height: float, hspace: float = 0.02) -> Figure:
    """A figure of its own, outside pyplot's register of windows; ``hspace`` is between rows."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(hspace=hspace))


def seconds_text(seconds: float) -> str:
    """A duration with three significant digits: '12.3 ms'."""
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    unit, scale = next((pair for pair in units if seconds >= pair[1]), units[-1])
    value = seconds / scale
    digits = max(0, 2 - int(np.floor(np.log10(value)))) if value > 0 else 0
    return f"{value:.{digits}f} {unit}"


def curve(history: Sequence[Row], what: str, theme: Theme) -> Figure:
    """Loss or accuracy over epochs, training beside validation; the kept epoch is marked.

    Parameters
    ----------
    history : sequence of mapping
        As ``cli.report`` gives it.
    what : {'loss', 'accuracy'}
    theme : Theme

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.ticker import LogLocator, MaxNLocator

    figure = _figure(4.6, 3.1)
    axes = figure.subplots()
    scale = 100.0 if what == "accuracy" else 1.0
    epochs = [row["epoch"] for row in history]
    kept = [row for row in history if row["kept"]][-1]
    marker = "o" if len(epochs) < 8 else None
    for part, label, colour in (
        ("train", "training", theme.series[0]),
        ("validation", "validation", theme.series[1]),
    ):
        values = [scale * row[f"{part}_{what}"] for row in history]
        axes.plot(
            epochs, values, color=colour, linewidth=1.8, label=label, marker=marker, markersize=4
        )
    axes.plot(
        kept["epoch"],
        scale * kept[f"validation_{what}"],
        "o",
        markersize=8,
        markerfacecolor="none",
        markeredgecolor=theme.ink,
        label=f"kept (epoch {kept['epoch']})",
    )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    if what == "loss":
        axes.set(title="Loss", ylabel="cross-entropy (log scale)", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.legend(loc="upper right")
    else:
        axes.set(title="Accuracy", ylabel="accuracy (%)")
        low = scale * min(row["validation_accuracy"] for row in history[len(history) // 10 :])
        axes.set_ylim(max(0.0, np.floor(low - 2)), 100.4)
        axes.legend(loc="lower right")
    return figure


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], theme: Theme) -> Figure:
    """Counts by true class (rows) and predicted class (columns).

    The shade of a cell is its share of the row, by square root so that single mistakes show.
    """
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.asarray(matrix)
    size = 0.42 * len(classes) + 0.9 + 0.07 * max(len(name) for name in classes)
    figure = _figure(size, size)
    axes = figure.subplots()
    share = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    ramp = LinearSegmentedColormap.from_list("ramp", theme.ramp)
    axes.imshow(share, cmap=ramp, vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        full = share[row, column] > 0.55
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=9,
            color=theme.surface if full else theme.ink,
        )
    ticks = range(len(classes))
    turn = 45 if max(len(name) for name in classes) > 2 else 0
    axes.set_xticks(ticks, classes, rotation=turn, ha="right" if turn else "center")
    axes.set_yticks(ticks, classes)
    axes.set_xticks([i - 0.5 for i in ticks][1:], minor=True)
    axes.set_yticks([i - 0.5 for i in ticks][1:], minor=True)
    axes.grid(which="minor", color=theme.grid, linewidth=0.6)
    axes.tick_params(length=0, which="both")
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def filters(weights: np.ndarray, theme: Theme) -> Figure:
    """The first layer's filters, one grey picture each, mid grey for a weight of zero.

    Parameters
    ----------
    weights : ndarray, shape (K, C, kH, kW)
        Channels are averaged. One scale serves all filters, symmetric around zero.
    theme : Theme
    """
    pictures = np.asarray(weights, np.float64).mean(axis=1)
    limit = float(np.abs(pictures).max()) or 1.0
    columns = min(8, math.ceil(math.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    side = 4.2 / max(columns, 4)
    figure = _figure(side * columns + 0.7, side * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number < len(pictures):
            axes.imshow(pictures[number], vmin=-limit, vmax=limit, cmap="gray")
        _bare(axes, theme)
        axes.set_visible(number < len(pictures))
    bar = figure.colorbar(
        grid[0][0].images[0], ax=grid, fraction=0.04, pad=0.03, ticks=[-limit, 0, limit]
    )
    bar.ax.set_yticklabels([f"{-limit:.2f}", "0", f"+{limit:.2f}"])
    bar.ax.tick_params(length=0, labelsize=8)
    bar.outline.set_visible(False)
    return figure


def mistakes(rows: Sequence[Row], theme: Theme) -> Figure:
    """Pictures that were classified wrong, the surest mistakes first.

    Parameters
    ----------
    rows : sequence of mapping
        ``image`` (H, W), names ``true`` and ``predicted``, and ``probability`` of the latter.
    theme : Theme
    """
    columns = min(6, len(rows))
    lines = -(-len(rows) // columns)
    figure = _figure(1.45 * columns, 1.85 * lines, hspace=0.12)
    grid = figure.subplots(lines, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        _bare(axes, theme)
        axes.set_visible(number < len(rows))
        if number < len(rows):
            row = rows[number]
            axes.imshow(np.asarray(row["image"]), cmap="gray_r")
            axes.set_title(
                f"{row['true']}, read as {row['predicted']}",
                fontsize=9,
                fontweight="normal",
                loc="center",
                pad=5,
            )
            axes.set_xlabel(f"{100 * row['probability']:.0f} % sure", fontsize=8.5)
    return figure


def speed(rows: Sequence[Row], theme: Theme) -> Figure:
    """Time of one training step by backend, on a logarithmic scale.

    Parameters
    ----------
    rows : sequence of mapping
        ``backend`` and ``seconds``, slowest first.
    theme : Theme
    """
    figure = _figure(9.2, 0.52 * len(rows) + 0.75)
    axes = figure.subplots()
    times = [row["seconds"] for row in rows]
    names = [row["backend"] for row in rows]
    places = np.arange(len(rows))
    colours = [theme.series[0] if t == min(times) else theme.series[2] for t in times]
    axes.barh(places, times, color=colours, height=0.6)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", labelsize=10.5, labelcolor=theme.ink)
    axes.invert_yaxis()
    axes.set_xscale("log")
    low = 10 ** np.floor(np.log10(min(times)) - 0.3)
    axes.set_xlim(low, max(times) * 8)
    for place, time in zip(places, times, strict=True):
        factor = max(times) / time
        text = seconds_text(time) + (f"   {grouped(factor)}×" if factor >= 1.5 else "")
        axes.text(time * 1.12, float(place), text, va="center", fontsize=10, color=theme.ink)
    axes.xaxis.set_major_formatter(
        lambda value, _: seconds_text(value).replace(".00", "").replace(".0", "")
    )
    axes.minorticks_off()
    axes.grid(axis="x")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("time of one training step, logarithmic: shorter is better")
    return figure


def throughput(cells: Sequence[Row], peak: float | None, theme: Theme) -> Figure:
    """GFLOP/s by shape, direction and variant, with the machine's peak as a line.

    Parameters
    ----------
    cells : sequence of mapping
        ``shape``, ``direction``, ``variant``, ``gflops``.
    peak : float or None
        GFLOP/s of the machine with the threads used, if known.
    theme : Theme
    """
    shapes = list(dict.fromkeys(cell["shape"] for cell in cells))
    directions = list(dict.fromkeys(cell["direction"] for cell in cells))
    variants = list(dict.fromkeys(cell["variant"] for cell in cells))
    columns = min(3, len(shapes))
    lines = -(-len(shapes) // columns)
    figure = _figure(1.2 + 3.0 * columns, 0.7 + 2.5 * lines)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    value = {(c["shape"], c["direction"], c["variant"]): c["gflops"] for c in cells}
    width = 0.8 / len(variants)
    colours = {  # the same variant has the same colour in every drawing
        "naive": theme.ink,
        "numba": theme.series[2],
        "c generic": theme.series[3],
        "c avx2": theme.series[0],
        "c avx512": theme.series[1],
    }
    for number, axes in enumerate(grid.flat):
        axes.set_visible(number < len(shapes))
        if number >= len(shapes):
            continue
        shape = shapes[number]
        for i, variant in enumerate(variants):
            heights = [value.get((shape, d, variant), 0.0) for d in directions]
            places = np.arange(len(directions)) + (i - (len(variants) - 1) / 2) * width
            colour = colours.get(variant, theme.muted)
            axes.bar(places, heights, width * 0.92, color=colour, label=variant)
        if peak is not None:
            axes.axhline(
                peak, color=theme.ink, linewidth=1, linestyle=(0, (4, 3)), label="FMA peak"
            )
        axes.set_xticks(range(len(directions)), [d.replace(" ", "\n") for d in directions])
        axes.set_title(shape, fontsize=9.5)
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        if number % columns == 0:
            axes.set_ylabel("GFLOP/s")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)))
    return figure


def _bare(axes: Axes, theme: Theme) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=theme.grid)

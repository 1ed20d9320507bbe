"""What rows of ``bench.pairs`` say: tables, families against their bars, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.layers import FAMILIES
from bench.pairs import Row, Side
from fastconv.cli.measure import DIRECTIONS
from fastconv.files import write_text

__all__ = [
    "Layer",
    "Standing",
    "by_layer",
    "direction_table",
    "family_table",
    "geometric_mean",
    "layer_table",
    "read_json",
    "scaling_table",
    "standings",
    "variant_table",
    "write_json",
]


def geometric_mean(values: Iterable[float]) -> float:
    """The n-th root of the product of n positive values; nan of none."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


class Layer(NamedTuple):
    """The rows of one layer under one type and number of threads."""

    name: str
    family: str
    dtype: str
    threads: int
    rows: dict[str, Row]  # by direction

    @property
    def complete(self) -> bool:
        """Whether all three directions were measured."""
        return len(self.rows) == len(DIRECTIONS)

    @property
    def forward(self) -> float | None:
        """PyTorch's time over ours in the forward pass."""
        return self.rows["forward"].ratio if "forward" in self.rows else None

    @property
    def training(self) -> float | None:
        """The same for the forward and both backward passes together."""
        if not self.complete:
            return None
        rows = self.rows.values()
        return sum(row.best.seconds for row in rows) / sum(row.own.seconds for row in rows)


def by_layer(rows: Iterable[Row]) -> list[Layer]:
    """Gather rows into layers, in the order in which they come."""
    found: dict[tuple[str, str, int], Layer] = {}
    for row in rows:
        key = (row.layer, row.dtype, row.threads)
        layer = found.setdefault(key, Layer(row.layer, row.family, row.dtype, row.threads, {}))
        layer.rows[row.direction] = row
    return list(found.values())


class Standing(NamedTuple):
    """A family's ratios in one respect, and the layer that is the worst."""

    family: str
    what: str  # 'forward' or 'training'
    layers: int
    mean: float
    least: float
    worst: str
    bar: float


def standings(layers: Sequence[Layer]) -> list[Standing]:
    """Geometric mean and minimum of every family, forward and training."""
    found = []
    for family, aim in FAMILIES.items():
        for what, bar in (("forward", aim.forward), ("training", aim.training)):
            ratios = {
                layer.name: getattr(layer, what)
                for layer in layers
                if layer.family == family and getattr(layer, what) is not None
            }
            if ratios:
                worst = min(ratios, key=lambda name: ratios[name])
                mean = geometric_mean(ratios.values())
                found.append(Standing(family, what, len(ratios), mean, ratios[worst], worst, bar))
    return found


# ---------------------------------------------------------------- tables

Table = tuple[list[str], list[list[str]]]


def milliseconds(seconds: float) -> str:
    """Three significant digits."""
    value = 1e3 * seconds
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value else "0"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def family_table(layers: Sequence[Layer]) -> Table:
    """One row per family: mean and least ratio against the bar, forward and training."""
    head = ["family", "layers", "forward", "bar", "least", "fwd + bwd", "bar", "least", "worst"]
    found = {(s.family, s.what): s for s in standings(layers)}
    rows = []
    for family, aim in FAMILIES.items():
        parts = [found.get((family, what)) for what in ("forward", "training")]
        count = max((part.layers for part in parts if part), default=0)
        if not count:
            continue
        row = [aim.title, str(count)]
        for part in parts:
            row += (
                ["", "", ""]
                if part is None
                else [
                    f"{part.mean:.2f}{'' if part.mean >= part.bar else ' ✗'}",
                    f"{part.bar:g}",
                    f"{part.least:.2f}{'' if part.least >= 1 else ' ✗'}",
                ]
            )
        worst = min((part for part in parts if part), key=lambda part: part.least)
        rows.append([*row, worst.worst])
    return head, rows


def direction_table(layers: Sequence[Layer], peak: float) -> Table:
    """One row per layer and direction, one more for their sum; ``peak`` in GFLOP/s of a core."""
    head = ["layer", "direction", "algorithm", "ours ms", "torch ms", "format", "ratio",
            "GFLOP/s", "torch", "of peak"]  # fmt: skip
    rows = []
    for layer in layers:
        for direction, row in layer.rows.items():
            form = min(row.theirs, key=lambda form: row.theirs[form])
            speed = row.flops / row.own.seconds / 1e9
            rows.append([
                layer.name, direction, row.algorithm, milliseconds(row.own.seconds),
                milliseconds(row.best.seconds), form, _ratio(row.ratio), f"{speed:.1f}",
                f"{row.flops / row.best.seconds / 1e9:.1f}",
                f"{100 * speed / (peak * layer.threads):.0f} %",
            ])  # fmt: skip
        if layer.complete:
            ours = sum(row.own.seconds for row in layer.rows.values())
            theirs = sum(row.best.seconds for row in layer.rows.values())
            rows.append([
                layer.name, "all", "", milliseconds(ours), milliseconds(theirs), "",
                _ratio(layer.training), "", "", "",
            ])  # fmt: skip
    return head, rows


def layer_table(layers: Sequence[Layer], peak: float) -> Table:
    """One row per layer: ratios of the three directions and of their sum, and the forward pass."""
    head = ["layer", "forward, ms (ours / PyTorch)", "GFLOP/s", "of peak", "forward", "bwd input",
            "bwd weight", "fwd + bwd", "algorithms"]  # fmt: skip
    rows = []
    for layer in layers:
        forward = layer.rows.get("forward")
        first = ["", "", ""]
        if forward is not None:
            speed = forward.flops / forward.own.seconds / 1e9
            times = (milliseconds(side.seconds) for side in (forward.own, forward.best))
            first = [" / ".join(times), f"{speed:.0f}",
                     f"{100 * speed / (peak * layer.threads):.0f} %"]  # fmt: skip
        parts = [layer.rows.get(direction) for direction in DIRECTIONS]
        names = dict.fromkeys(part.algorithm for part in parts if part)
        rows.append([
            layer.name, *first, *(_ratio(part.ratio if part else None) for part in parts),
            _ratio(layer.training), ", ".join(names),
        ])  # fmt: skip
    return head, rows


def variant_table(layers: Sequence[Layer]) -> Table | None:
    """Speed of our further variants over the first, by family; None where there is only one."""
    names = list(dict.fromkeys(name for layer in layers for row in layer.rows.values()
                               for name in row.ours))  # fmt: skip
    if len(names) < 2:
        return None
    rows = []
    for family, aim in FAMILIES.items():
        for direction in DIRECTIONS:
            found = [layer.rows[direction] for layer in layers
                     if layer.family == family and direction in layer.rows]  # fmt: skip
            if found:
                rows.append([aim.title, direction, *(
                    _ratio(geometric_mean(
                        row.own.seconds / row.ours[name].seconds for row in found
                    )) for name in names
                )])  # fmt: skip
    return ["family", "direction", *names], rows


#: Layers whose time on one thread is above this are asked to scale.
SCALING_SECONDS = 2e-3


def scaling_table(rows: Sequence[Row]) -> Table | None:
    """Our time on one thread over that on more, by family; None where there is nothing to say."""
    alone = {(row.layer, row.direction): row for row in rows if row.threads == 1}
    more = sorted({row.threads for row in rows} - {1})
    found: dict[tuple[str, str, int], dict[str, float]] = {}
    for row in rows:
        single = alone.get((row.layer, row.direction))
        if row.threads == 1 or single is None or single.own.seconds < SCALING_SECONDS:
            continue
        gains = found.setdefault((row.family, row.direction, row.threads), {})
        gains[row.layer] = single.own.seconds / row.own.seconds
    if not found:
        return None
    lines = []
    for family, aim in FAMILIES.items():
        for direction in DIRECTIONS:
            for threads in more:
                gains = found.get((family, direction, threads), {})
                if gains:
                    worst = min(gains, key=lambda name: gains[name])
                    lines.append([
                        aim.title, direction, str(threads), str(len(gains)),
                        _ratio(geometric_mean(gains.values())), _ratio(gains[worst]), worst,
                    ])  # fmt: skip
    return ["family", "direction", "threads", "layers", "gain", "least", "worst"], lines


# ---------------------------------------------------------------- JSON


def write_json(path: Path, run: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write what was run and every row to ``path``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    data = {**run, "rows": [_plain(row) for row in rows]}
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def _plain(row: Row) -> dict[str, Any]:
    sides = {
        who: {name: side._asdict() for name, side in getattr(row, who).items()}
        for who in ("ours", "theirs")
    }
    return {**row._asdict(), **sides}


def read_json(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """Read what :func:`write_json` wrote.

    Raises
    ------
    OSError, ValueError
        If the file is missing or is something else.
    """
    run = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    try:
        for fields in run.pop("rows"):
            sides = {
                who: {name: Side(**side) for name, side in fields[who].items()}
                for who in ("ours", "theirs")
            }
            rows.append(Row(**{**fields, **sides}))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a file of bench.peers ({error})") from None
    return run, rows

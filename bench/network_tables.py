"""What rows of ``bench.steps`` say: tables, the bar, JSON, a drawing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.pairs import Side
from bench.steps import Alone, Row
from bench.summary import Table, geometric_mean, milliseconds
from fastconv.files import atomic_path, write_text

__all__ = [
    "AIMS",
    "draw",
    "memory_table",
    "read_json",
    "runtime_table",
    "standing",
    "time_table",
    "write_json",
]

#: By mode: the geometric mean of the ratios, and the least one.
AIMS = {"training": (2.0, 1.4), "inference": (2.0, 1.2)}


def standing(rows: Sequence[Row]) -> str:
    """Mean and least ratio of rows of one mode against what is aimed for."""
    mean_aim, least_aim = AIMS[rows[0].mode]
    mean = geometric_mean(row.ratio for row in rows)
    worst = min(rows, key=lambda row: row.ratio)
    return (
        f"geometric mean {mean:.2f} (aim {mean_aim:g}){'' if mean >= mean_aim else ' ✗'}, "
        f"least {worst.ratio:.2f} (aim {least_aim:g}){'' if worst.ratio >= least_aim else ' ✗'}, "
        f"{worst.network}"
    )


def time_table(rows: Sequence[Row]) -> Table:
    """One row per network: our time, PyTorch's in its better format, the ratio."""
    head = ["network", "ours ms", "PyTorch ms", "format", "ratio"]
    least = AIMS[rows[0].mode][1]
    lines = []
    for row in rows:
        title = f"{row.network}, batch {row.batch}" if row.mode == "training" else row.network
        form = min(row.theirs, key=lambda form: row.theirs[form])
        lines.append([
            title, milliseconds(row.ours.seconds), milliseconds(row.best.seconds), form,
            f"{row.ratio:.2f}{'' if row.ratio >= least else ' ✗'}",
        ])  # fmt: skip
    return head, lines


def runtime_table(rows: Sequence[Row]) -> Table | None:
    """Inference beside other runtimes; None where there are none."""
    names = list(dict.fromkeys(name for row in rows for name in row.others))
    if not names:
        return None
    lines = [
        [row.network, milliseconds(row.ours.seconds), milliseconds(row.best.seconds),
         *(milliseconds(row.others[n]) if n in row.others else "" for n in names)]
        for row in rows
    ]  # fmt: skip
    return ["network", "fastconv", "PyTorch", *names], lines


def memory_table(rows: Sequence[Row]) -> Table | None:
    """Peak memory and page faults of training steps, fewest threads; None without any."""
    rows = [row for row in rows if row.mode == "training" and row.alone]
    if not rows:
        return None
    threads = min(row.threads for row in rows)
    lines = []
    for row in rows:
        if row.threads != threads:
            continue
        ours = row.alone["fastconv"]
        theirs = [side for name, side in row.alone.items() if name != "fastconv"]
        least = min(side.nbytes for side in theirs)
        more = "" if ours.nbytes <= least else " ✗"
        fewest = min(side.faults for side in theirs)
        lines.append([
            f"{row.network}, batch {row.batch}", f"{ours.nbytes / 2**20:.0f}",
            f"{least / 2**20:.0f}", f"{ours.nbytes / least:.2f}{more}",
            f"{ours.faults:.0f}", f"{fewest:.0f}",
        ])  # fmt: skip
    head = ["network", "ours MiB", "PyTorch MiB", "ours over theirs", "our faults", "PyTorch's"]
    return head, lines


# ---------------------------------------------------------------- JSON


def write_json(path: Path, run: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write what was run and every row to ``path``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    plain = [
        {
            **row._asdict(),
            "ours": row.ours._asdict(),
            "theirs": {name: side._asdict() for name, side in row.theirs.items()},
            "alone": {name: side._asdict() for name, side in row.alone.items()},
        }
        for row in rows
    ]
    write_text(path, json.dumps({**run, "rows": plain}, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """Read what :func:`write_json` wrote.

    Raises
    ------
    OSError, ValueError
        If the file is missing or is something else.
    """
    run = json.loads(path.read_text(encoding="utf-8"))
    try:
        rows = [
            Row(**{
                **fields,
                "ours": Side(**fields["ours"]),
                "theirs": {name: Side(**side) for name, side in fields["theirs"].items()},
                "alone": {name: Alone(**side) for name, side in fields["alone"].items()},
            })
            for fields in run.pop("rows")
        ]  # fmt: skip
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a file of bench.peers networks ({error})") from None
    return run, rows


# ---------------------------------------------------------------- drawing


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw PyTorch's time over ours: one bar per network and number of threads, both modes.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from fastconv.report.style import LIGHT, rc

    modes = [mode for mode in AIMS if any(row.mode == mode for row in rows)]
    threads = sorted({row.threads for row in rows})
    names = list(dict.fromkeys(row.network for row in rows))
    titles = {"training": "training step", "inference": "inference, batch 1"}
    with matplotlib.rc_context(rc(LIGHT)):
        figure = Figure(figsize=(9.4, 0.42 * len(names) + 1.5), layout="constrained")
        panels = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
        height = 0.8 / len(threads)
        for axes, mode in zip(panels, modes, strict=True):
            for i, count in enumerate(threads):
                some = {r.network: r.ratio for r in rows if (r.mode, r.threads) == (mode, count)}
                places = [
                    names.index(name) + (i - (len(threads) - 1) / 2) * height for name in some
                ]
                bars = axes.barh(
                    places, [ratio - 1 for ratio in some.values()], height * 0.9, left=1,
                    color=LIGHT.series[i % len(LIGHT.series)], alpha=0.85,
                    label=f"{count} thread{'s' * (count > 1)}",
                )  # fmt: skip
                axes.bar_label(bars, [f"{ratio:.2f}" for ratio in some.values()], padding=2, size=8)
            axes.axvline(1, color=LIGHT.ink, linewidth=1.2)
            axes.axvline(AIMS[mode][1], color=LIGHT.muted, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_yticks(range(len(names)), names)
            axes.set_title(titles[mode])
            axes.set_xlabel("PyTorch's time over ours")
            axes.margins(x=0.12)
            axes.tick_params(length=0)
            axes.grid(axis="x")
        panels[0].invert_yaxis()
        panels[0].legend()
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=130, metadata={"Software": None})

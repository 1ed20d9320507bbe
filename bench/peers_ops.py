"""``python -m bench.peers ops``: pooling, normalisation, activations, resampling, optimisers.

Each against PyTorch in its better memory format and against the bandwidth of a copy in the same
run. What is asked of each: twice PyTorch's speed, or 80 % of the bandwidth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import single_ops
from bench.running import both_sides, facts_of_run, headline, made_with, progress, threads_title
from bench.single_ops import Row
from bench.summary import Table, geometric_mean
from fastconv import backends
from fastconv.cli.arguments import CommandError, new_command, positive_float, positive_int
from fastconv.cli.bench import insert
from fastconv.cli.table import markdown_table, text_table

#: The section of a Markdown file that ``--markdown`` replaces.
MARKS = "<!-- peers ops: begin -->", "<!-- peers ops: end -->"
#: Enough of either: PyTorch's time over ours, or the share of the bandwidth.
RATIO, SHARE = 2.0, 0.8


def add_command(commands: Any) -> None:
    """Add ``ops`` to the commands of ``bench.peers``."""
    parser = new_command(commands, "ops", "single operations around convolution", run)
    parser.add_argument("--ops", metavar="WORDS", help="parts of names, separated by commas; "
                        "all if not given")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the operations and stop")
    parser.add_argument("--threads", type=positive_int, nargs="+", default=[1], metavar="N",
                        help="threads of both sides, one run each")  # fmt: skip
    parser.add_argument("--passes", type=positive_int, default=2, metavar="N",
                        help="times to go through the list")  # fmt: skip
    parser.add_argument("--seconds", type=positive_float, default=0.3, metavar="S",
                        help="time spent on each side of each direction in all, about")  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE",
                        help=f"write the tables between '{MARKS[0]}' and '{MARKS[1]}'")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and write what was asked for."""
    chosen = single_ops.choose(arguments.ops)
    if not chosen:
        raise CommandError("no operation fits; see --list")
    if arguments.list:
        for operation in chosen:
            print(f"{operation.name:32}  {', '.join(map(str, operation.x_shapes))}")
        return 0
    torch = both_sides()
    c: Any = backends.load("c")
    found: dict[tuple[str, str, int], Row] = {}
    copy = dict.fromkeys(arguments.threads, 0.0)
    with progress(len(chosen) * arguments.passes * len(arguments.threads)) as bar:
        for number in range(arguments.passes):
            for threads in arguments.threads:
                copy[threads] = max(copy[threads], c.stream(threads=threads))
                for operation in chosen:
                    bar.set_postfix_str(f"{threads} × {operation.name}", refresh=True)
                    for row in single_ops.time_operation(
                        operation, threads=threads, check=number == 0,
                        seconds=arguments.seconds / arguments.passes,
                    ):  # fmt: skip
                        key = row.operation, row.direction, row.threads
                        found[key] = single_ops.merge(found[key], row) if key in found else row
                    bar.update()
    facts = facts_of_run(torch)
    rows = list(found.values())
    sections = [
        (
            f"Single operations, {threads_title(threads)}: copy {copy[threads] / 1e9:.1f} GB/s, "
            + standing([row for row in rows if row.threads == threads], copy[threads]),
            table([row for row in rows if row.threads == threads], copy[threads]),
        )
        for threads in arguments.threads
    ]
    print(headline(facts))
    for title, lines in sections:
        print(f"\n{title}\n\n{text_table(*lines, left=2)}")
    if arguments.markdown is not None:
        parts = [made_with(facts)]
        for title, lines in sections:
            parts += [f"### {title}", markdown_table(*lines, left=2)]
        insert(arguments.markdown, "\n\n".join(parts), *MARKS)
    return 0


def _share(row: Row, copy: float) -> float | None:
    """Of the bandwidth; None where computing is the limit."""
    return row.nbytes / row.ours.seconds / copy if row.nbytes else None


def _enough(row: Row, copy: float) -> bool:
    return row.ratio >= RATIO or (_share(row, copy) or 0.0) >= SHARE


def standing(rows: Sequence[Row], copy: float) -> str:
    """How many are fast enough, and the mean ratio."""
    mean = geometric_mean(row.ratio for row in rows)
    good = sum(_enough(row, copy) for row in rows)
    return (
        f"geometric mean {mean:.2f}, {good} of {len(rows)} at twice PyTorch's speed "
        f"or {SHARE:.0%} of that"
    )


def table(rows: Sequence[Row], copy: float) -> Table:
    """One line per direction."""
    head = ["operation", "direction", "ours µs", "PyTorch µs", "ratio", "GB/s", "of the copy"]
    lines = []
    for row in rows:
        share = _share(row, copy)
        lines.append([
            row.operation, row.direction, f"{row.ours.seconds * 1e6:.0f}",
            f"{row.best.seconds * 1e6:.0f}",
            f"{row.ratio:.2f}{'' if _enough(row, copy) else ' ✗'}",
            "" if share is None else f"{row.nbytes / row.ours.seconds / 1e9:.1f}",
            "" if share is None else f"{share:.0%}",
        ])  # fmt: skip
    return head, lines

"""``python -m bench.peers networks``: whole training steps, and inference of one input.

Both libraries take turns in this process; PyTorch has the better of its two memory formats. Memory
and page faults come from processes of their own, one for each side, and so do the times of other
inference runtimes, where they are installed: they stand beside, not in the ratios.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import networks as catalogue
from bench import runtimes, steps
from bench.alone import SIDES, run_alone
from bench.network_tables import (
    draw,
    memory_table,
    read_json,
    runtime_table,
    standing,
    time_table,
    write_json,
)
from bench.running import both_sides, facts_of_run, headline, made_with, progress, threads_title
from bench.steps import MODES, Row
from fastconv.cli.arguments import CommandError, new_command, positive_float, positive_int
from fastconv.cli.bench import insert
from fastconv.cli.table import markdown_table, text_table

#: The section of a Markdown file that ``--markdown`` replaces.
MARKS = "<!-- peers networks: begin -->", "<!-- peers networks: end -->"
#: What ``--draw`` makes in the folder that it is given.
BARS = "peers-networks.png"


def add_command(commands: Any) -> None:
    """Add ``networks`` to the commands of ``bench.peers``."""
    parser = new_command(commands, "networks", "whole networks: training steps and inference", run)
    parser.add_argument("--networks", metavar="NAMES", help="beginnings of names, separated by "
                        "commas; all if not given")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
                        help="one pass, without memory and other runtimes")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the networks and stop")
    parser.add_argument("--modes", metavar="M,M", default=",".join(MODES), help="what to measure")
    parser.add_argument("--threads", type=positive_int, nargs="+", default=[1], metavar="N",
                        help="threads of both sides, one run each")  # fmt: skip
    parser.add_argument("--passes", type=positive_int, default=3, metavar="N",
                        help="times to go through the list")  # fmt: skip
    parser.add_argument("--seconds", type=positive_float, default=2.0, metavar="S",
                        help="time spent on each side of each network in all, about")  # fmt: skip
    parser.add_argument("--no-alone", action="store_true",
                        help="measure neither memory and faults nor other runtimes")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--load", type=Path, metavar="FILE",
                        help="show what --json wrote; measure nothing")  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE",
                        help=f"write the tables between '{MARKS[0]}' and '{MARKS[1]}'")  # fmt: skip
    parser.add_argument("--draw", type=Path, nargs="?", const=Path("docs"), metavar="FOLDER",
                        help=f"draw {BARS} into docs/ or this folder")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Measure or load, print, and write what was asked for."""
    if arguments.load is not None:
        facts, rows = read_json(arguments.load)
    else:
        chosen = catalogue.choose(arguments.networks)
        if not chosen:
            raise CommandError("no network fits; see --list")
        if arguments.list:
            for network in chosen:
                print(f"{network.title:28}  input {network.x_shape}, {network.loss}")
            return 0
        facts, rows = measure(arguments, chosen)
    show(facts, rows)
    if arguments.json is not None:
        write_json(arguments.json, facts, rows)
    if arguments.markdown is not None:
        insert(arguments.markdown, markdown(facts, rows), *MARKS)
    if arguments.draw is not None:
        draw(rows, arguments.draw / BARS)
    return 0


def measure(
    arguments: argparse.Namespace, chosen: Sequence[catalogue.Network]
) -> tuple[dict[str, Any], list[Row]]:
    """Go through the networks as the arguments say.

    Raises
    ------
    CommandError
        If the C extension or PyTorch is missing, or a mode is unknown.
    """
    torch = both_sides()
    modes = arguments.modes.split(",")
    for mode in modes:
        if mode not in MODES:
            raise CommandError(f"--modes must be some of {', '.join(MODES)}, got {mode!r}")
    passes = 1 if arguments.quick else arguments.passes
    alone = not (arguments.quick or arguments.no_alone)
    facts = {**facts_of_run(torch), "passes": passes, "dtype": "float32"}
    found: dict[tuple[str, str, int], Row] = {}
    others = runtimes.installed() if alone and "inference" in modes else []
    total = len(chosen) * len(modes) * len(arguments.threads) * (passes + alone)
    with progress(total) as bar:
        for number in range(passes):
            for threads in arguments.threads:
                for network in chosen:
                    bar.set_postfix_str(f"{threads} × {network.name}", refresh=True)
                    rows = steps.time_network(
                        network, threads=threads, modes=modes, check=number == 0,
                        seconds=arguments.seconds / passes, note=lambda _: bar.update(),
                    )  # fmt: skip
                    for row in rows:
                        key = row.network, row.mode, row.threads
                        found[key] = steps.merge(found[key], row) if key in found else row
        for key, row in found.items() if alone else ():
            (network,) = (n for n in chosen if n.name == row.network)
            bar.set_postfix_str(f"{row.threads} × {row.network} alone", refresh=True)
            found[key] = _alone(row, network, others)
            bar.update()
    return facts, sorted(found.values(), key=lambda row: row.threads)


def _alone(row: Row, network: catalogue.Network, others: Sequence[str]) -> Row:
    """The row with what processes of their own say: both sides in training, others' inference."""
    given = network, row.mode, row.threads
    if row.mode == "training":
        return row._replace(alone={side: run_alone(side, *given) for side in SIDES})
    times = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if others:
            run_alone(runtimes.EXPORT, *given, folder=folder)
        for other in others:
            try:
                times[other] = run_alone(other, *given, folder=folder).seconds
            except RuntimeError as error:  # another package that cannot run this one
                print(f"\nleft out: {error}", file=sys.stderr)
    return row._replace(others=times)


# ---------------------------------------------------------------- showing


def _sections(rows: Sequence[Row]) -> list[tuple[str, Any]]:
    """Titles and tables, in the order in which they are shown."""
    found: list[tuple[str, Any]] = []
    for mode, title in (("training", "Training step"), ("inference", "Inference, batch 1")):
        for threads in sorted({row.threads for row in rows}):
            some = [row for row in rows if row.mode == mode and row.threads == threads]
            if some:
                whole = f"{title}, {threads_title(threads)}: {standing(some)}"
                found.append((whole, time_table(some)))
                beside = runtime_table(some)
                if beside is not None:
                    name = f"Beside other runtimes, milliseconds, {threads_title(threads)}"
                    found.append((name, beside))
    memory = memory_table(rows)
    if memory is not None:
        found.append(("Memory at its peak and page faults, training step", memory))
    return found


def show(facts: dict[str, Any], rows: Sequence[Row]) -> None:
    """Print the tables."""
    print(headline(facts))
    for title, table in _sections(rows):
        print(f"\n{title}\n\n{text_table(*table)}")


def markdown(facts: dict[str, Any], rows: Sequence[Row]) -> str:
    """The tables for a page."""
    parts = [made_with(facts)]
    for title, table in _sections(rows):
        parts += [f"### {title}", markdown_table(*table)]
    return "\n\n".join(parts)

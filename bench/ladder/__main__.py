"""Build, verify and time the rungs: ``python -m bench.ladder``, or ``make ladder``.

python -m bench.ladder                            every rung, 64 → 64 channels at 56×56
python -m bench.ladder --shape 256,256,28,28 --threads 1
python -m bench.ladder --rungs 07,08,09           some of them, and the naive one
python -m bench.ladder --asm 07                   the inner loop of a rung, by objdump
python -m bench.ladder --draw --docs              pictures, JSON and page of docs/, by a new run
python -m bench.ladder --load --draw --docs       the same from docs/ladder.json
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastconv
from bench.ladder import measure, tables
from bench.ladder.build import build
from bench.ladder.disassembly import inner_loop, summary
from bench.ladder.page import render
from bench.ladder.rung import DIRECTIONS, Layer, Machine, Rung, discover
from bench.ladder.verify import SMALL, verify
from fastconv import backends
from fastconv.cli.arguments import CommandError, positive_float, positive_int, sizes
from fastconv.cli.table import text_table
from fastconv.files import write_text

DOCS = Path("docs")
JSON, PAGE = "ladder.json", "ladder.md"
#: The layers of the page: its rungs are explained by the first.
LAYERS = (Layer(64, 64, 56, 56), Layer(64, 64, 112, 112), Layer(256, 256, 28, 28))


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``python -m bench.ladder``."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.ladder",
        description="One 3x3 convolution, from naive Python to the engine's kernel.",
    )
    parser.add_argument("--shape", type=_layer, nargs="+", metavar="C,K,H,W",
                        help="channels in and out, height and width of the output "
                        "(default: 64,64,56,56; with --docs those of the page)")  # fmt: skip
    parser.add_argument("--threads", type=positive_int, default=fastconv.get_num_threads(),
                        metavar="N", help="threads of the rungs that use them")  # fmt: skip
    parser.add_argument("--rungs", metavar="N,N", help="beginnings of the names of those to time "
                        "beside the naive ones; all if not given")  # fmt: skip
    parser.add_argument("--seconds", type=positive_float, default=1.0, metavar="S",
                        help="time spent on each rung, about")  # fmt: skip
    parser.add_argument("--passes", type=positive_int, default=3, metavar="N",
                        help="times to go through them")  # fmt: skip
    parser.add_argument("--asm", metavar="N", help="print the inner loop of a C rung and stop")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--load", type=Path, nargs="?", const=DOCS / JSON, metavar="FILE",
                        help="show what --json wrote; measure nothing")  # fmt: skip
    parser.add_argument("--draw", type=Path, nargs="?", const=DOCS, metavar="FOLDER",
                        help="draw the first shape into docs/ or this folder")  # fmt: skip
    parser.add_argument("--docs", action="store_true",
                        help=f"write {DOCS / JSON} and {DOCS / PAGE}")  # fmt: skip
    return parser


def _layer(text: str) -> Layer:
    found = sizes(text)
    if len(found) != 4 or min(found) < 1:
        raise argparse.ArgumentTypeError(f"must be four positive sizes C,K,H,W, got {text!r}")
    return Layer(*found)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 1 if a rung was left out."""
    arguments = build_parser().parse_args(argv)
    try:
        return run(arguments)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (CommandError, KeyError, OSError, ModuleNotFoundError, ValueError) as error:
        print(f"bench.ladder: error: {error}", file=sys.stderr)
        return 1


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say."""
    wrong = 0
    if arguments.load is not None:
        data = json.loads(arguments.load.read_text(encoding="utf-8"))
    else:
        note("building what has changed")
        complaint = build()
        if complaint:
            print(complaint, file=sys.stderr)
        rungs = choose(discover(), arguments.rungs)
        if arguments.asm is not None:
            return disassemble(arguments.asm)
        layers = arguments.shape or (LAYERS if arguments.docs else LAYERS[:1])
        good = check(rungs, layers, arguments.threads)
        wrong = len(rungs) - len(good)
        data = measure_all(good, layers, arguments)
    runs, able = measure.read(data)
    for found in runs:
        show(found, able)
    if arguments.json is not None:
        write_json(arguments.json, data)
    if arguments.draw is not None:
        from bench.ladder.pictures import draw

        draw(runs[0], able, arguments.draw)
    if arguments.docs:
        page = render(data)
        if arguments.load is None:
            write_json(DOCS / JSON, data)
        write_text(DOCS / PAGE, page)
    return int(wrong > 0)


def note(text: str) -> None:
    """Say what is being done."""
    print(f"ladder: {text}", file=sys.stderr, flush=True)


def choose(rungs: Sequence[Rung], words: str | None) -> list[Rung]:
    """Those whose names begin with one of the words, and the first of each direction.

    Raises
    ------
    CommandError
        If a word fits no rung.
    """
    if words is None:
        return list(rungs)
    asked = [word for word in words.split(",") if word]
    for word in asked:
        if not any(rung.name.startswith(word) for rung in rungs):
            raise CommandError(f"--rungs: none begins with {word!r}")
    chosen = [rung for rung in rungs if rung.name.startswith(tuple(asked))]
    directions = {rung.direction for rung in chosen}
    first = {rung.direction: rung for rung in reversed(rungs)}
    chosen += [first[direction] for direction in directions]
    return [rung for rung in rungs if rung in chosen]


def check(rungs: Sequence[Rung], layers: Sequence[Layer], threads: int) -> list[Rung]:
    """Those that run here and compute the convolution; say what is wrong with the others."""
    good = []
    for rung in rungs:
        reason = rung.reason
        if reason is None:
            note(f"verifying {rung.name}")
            reason = wrong_with(rung, layers, threads)
        if reason is None:
            good.append(rung)
        else:
            print(f"{rung.name}: left out: {reason}", file=sys.stderr)
    return good


def wrong_with(rung: Rung, layers: Sequence[Layer], threads: int) -> str | None:
    """The first thing that is wrong with a rung's results, or None."""
    counts = sorted({1, threads} if rung.threaded else {1})
    for layer in (*SMALL, *layers):
        try:
            # A layer that is timed in part only would take minutes.
            if layer not in SMALL and measure.part_of(rung, layer) != layer:
                continue
            reasons = [verify(rung, layer, count) for count in counts]
        except Exception as error:
            reasons = [f"{layer}: {type(error).__name__}: {error}"]
        for reason in filter(None, reasons):
            return reason
    return None


def measure_all(
    rungs: Sequence[Rung], layers: Sequence[Layer], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Time every layer; the backward passes of the first only."""
    if backends.why_not("c"):
        raise CommandError(f"the C extension cannot be used: {backends.why_not('c')}")
    load = [os.getloadavg()[0]]
    runs: list[measure.Run] = []
    able: dict[int, Machine] = {}
    for layer in layers:
        chosen = [r for r in rungs if layer == layers[0] or r.direction == DIRECTIONS[0]]
        found, machine = measure.time_rungs(
            chosen, layer, arguments.threads, seconds=arguments.seconds,
            passes=arguments.passes, note=note,
        )  # fmt: skip
        runs.append(found)
        for threads, one in machine.items():
            able[threads] = measure.best(able.get(threads), one)
    command = shlex.join(["python", "-m", "bench.ladder", *sys.argv[1:]])
    return measure.facts(command, runs, able, load)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a run to a file."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def disassemble(number: str) -> int:
    """Print the inner loop of a rung."""
    names = [rung.name for rung in discover() if rung.name.startswith(number)]
    loop = inner_loop(names[0]) if names else None
    if loop is None:
        raise CommandError(f"no C rung {number} on x86-64, or no objdump")
    print("\n".join(loop))
    print(", ".join(f"{count} {what}" for what, count in summary(loop).items()))
    return 0


def show(found: measure.Run, able: dict[int, Machine]) -> None:
    """Print a run's tables."""
    for threads, one in sorted(able.items()):
        print(
            f"{threads} thread{'s' * (threads > 1)}: FMA peak {one.peak / 1e9:.1f} GFLOP/s, clock "
            f"{one.clock / threads / 1e9:.2f} GHz, L1 {one.l1 / 1e9:.0f}, L2 {one.l2 / 1e9:.0f}, "
            f"memory {one.memory / 1e9:.1f} GB/s"
        )
    for direction in DIRECTIONS:
        if found.of(direction):
            print(f"\n3x3 {direction}, {found.layer}\n")
            print(text_table(*tables.ladder_table(found, direction, able)))
            if tables.footnote(found, direction):
                print(f"\n{tables.footnote(found, direction)}")
    print()


if __name__ == "__main__":
    sys.exit(main())

"""fastconv against PyTorch on this machine, layer by layer and whole networks: ``make peers``.

    python -m bench.peers layers                        every family, one thread, float32
    python -m bench.peers layers --quick                three layers of each
    python -m bench.peers layers --families depthwise,1x1 --layers 'mobilenet' --threads 1 2
    python -m bench.peers layers --dtype float64 --isa avx512 avx2 --formats channels-last nchw
    python -m bench.peers layers --json run.json --draw --markdown docs/benchmarks.md
    python -m bench.peers layers --load run.json --draw
    python -m bench.peers networks --threads 1 2        training steps and inference
    python -m bench.peers ops --threads 1 2             pooling, normalisation, activations

Both libraries run in this process and take turns; PyTorch has the better of its two memory formats
in every direction. The whole list is gone through several times and every figure is the least of
all, so a neighbour on the machine would have to come back each time to spoil one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import layers as catalogue
from bench import peers_networks, peers_ops, summary
from bench.heap import HEAPS, set_heap
from bench.pairs import FORMATS, Row, merge, time_layer
from bench.running import both_sides, facts_of_run, headline, made_with, progress, threads_title
from fastconv import backends
from fastconv.cli.arguments import CommandError, new_command, positive_float, positive_int
from fastconv.cli.bench import insert
from fastconv.cli.measure import DIRECTIONS, fma_peak
from fastconv.cli.table import markdown_table, text_table
from fastconv.shapes import Shape

#: The section of a Markdown file that ``--markdown`` replaces.
MARKS = "<!-- peers layers: begin -->", "<!-- peers layers: end -->"
#: What ``--draw`` makes in the folder that it is given.
BARS, ROOFLINE = "peers-layers.png", "peers-roofline.png"


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``python -m bench.peers``."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description="fastconv against PyTorch on this machine."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    layer = new_command(commands, "layers", "single layers, in all three directions", run)
    names = ", ".join(catalogue.FAMILIES)
    layer.add_argument("--families", metavar="F,F", help=f"of {names}; all if not given")
    layer.add_argument("--layers", metavar="WORDS", help="beginnings of words of a layer's name; "
                       "commas separate alternatives")  # fmt: skip
    layer.add_argument("--quick", action="store_true",
                       help=f"{catalogue.QUICK} layers of each family, one pass")  # fmt: skip
    layer.add_argument("--list", action="store_true", help="list the layers and stop")
    layer.add_argument("--directions", metavar="D,D", default=",".join(DIRECTIONS),
                       help="directions to measure")  # fmt: skip
    layer.add_argument("--threads", type=positive_int, nargs="+", default=[1], metavar="N",
                       help="threads of both sides, one run each")  # fmt: skip
    layer.add_argument("--dtype", choices=("float32", "float64"), default="float32",
                       help="type of the operands")  # fmt: skip
    layer.add_argument("--isa", nargs="+", metavar="I",
                       help="instruction sets of our side; the ratios are those of the first "
                       "(the best there is if not given)")  # fmt: skip
    layer.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=FORMATS[:1],
        help="memory formats of our side; the ratios are those of the first",
    )
    layer.add_argument("--heap", choices=tuple(HEAPS), default="system",
                       help="what malloc does with large blocks: as it is, mapped anew for every "
                       "result, or kept")  # fmt: skip
    layer.add_argument("--passes", type=positive_int, default=3, metavar="N",
                       help="times to go through the list")  # fmt: skip
    layer.add_argument(
        "--seconds",
        type=positive_float,
        default=0.3,
        metavar="S",
        help="time spent on each side of each direction in all, about",
    )
    layer.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    layer.add_argument("--load", type=Path, metavar="FILE", help="show what --json wrote; "
                       "measure nothing")  # fmt: skip
    layer.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help=f"write the tables there, between '{MARKS[0]}' and '{MARKS[1]}'",
    )
    layer.add_argument(
        "--draw",
        type=Path,
        nargs="?",
        const=Path("docs"),
        metavar="FOLDER",
        help=f"draw {BARS} and {ROOFLINE} into docs/ or this folder",
    )
    peers_networks.add_command(commands)
    peers_ops.add_command(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (CommandError, OSError, ModuleNotFoundError, RuntimeError, ValueError) as error:
        print(f"{arguments.parser.prog}: error: {error}", file=sys.stderr)
        return 1


def run(arguments: argparse.Namespace) -> int:
    """``layers``: measure or load, print, and write what was asked for."""
    if arguments.load is not None:
        facts, rows = summary.read_json(arguments.load)
    else:
        families = None if arguments.families is None else arguments.families.split(",")
        chosen = catalogue.choose(families, arguments.layers, arguments.quick)
        if not chosen:
            raise CommandError("no layer fits; see --list")
        if arguments.list:
            for layer in chosen:
                print(f"{layer.family:10}  {layer.name:52}  {layer.spec()}")
            return 0
        facts, rows = measure(arguments, chosen)
    show(facts, rows)
    if arguments.json is not None:
        summary.write_json(arguments.json, facts, rows)
    if arguments.markdown is not None:
        insert(arguments.markdown, markdown(facts, rows), *MARKS)
    if arguments.draw is not None:
        from bench.pictures import draw

        draw(facts, rows, arguments.draw / BARS, arguments.draw / ROOFLINE)
    return 0


# ---------------------------------------------------------------- measuring


def measure(
    arguments: argparse.Namespace, chosen: Sequence[Shape]
) -> tuple[dict[str, Any], list[Row]]:
    """Go through the layers as the arguments say.

    Raises
    ------
    CommandError
        If the C extension or PyTorch is missing, or an argument names something unknown.
    """
    torch = both_sides()
    c: Any = backends.load("c")
    isas = arguments.isa or [c.get_isa()]
    for isa in isas:
        if not c.isas().get(isa):
            have = [name for name, there in c.isas().items() if there]
            raise CommandError(f"--isa must be some of {', '.join(have)}, got {isa!r}")
    directions = arguments.directions.split(",")
    for direction in directions:
        if direction not in DIRECTIONS:
            raise CommandError(
                f"--directions must be some of {', '.join(DIRECTIONS)}, got {direction!r}"
            )
    passes = 1 if arguments.quick else arguments.passes
    set_heap(arguments.heap)
    load = [os.getloadavg()[0]]
    peaks, bandwidth = [], dict.fromkeys(arguments.threads, 0.0)
    found: dict[tuple[str, str, int], Row] = {}
    total = passes * len(chosen) * len(directions) * len(arguments.threads)
    with progress(total) as bar:
        for _ in range(passes):
            for threads in arguments.threads:
                # Again in every pass, between the layers: the clock may drift.
                peaks.append(fma_peak(arguments.dtype, 0.1) or 0.0)
                bandwidth[threads] = max(bandwidth[threads], c.stream(threads=threads) / 1e9)
                for layer in chosen:
                    bar.set_postfix_str(f"{threads} × {layer.name}", refresh=True)
                    for row in time_layer(
                        layer, dtype=arguments.dtype, threads=threads, isas=isas,
                        formats=arguments.formats, directions=directions,
                        seconds=arguments.seconds / passes, note=lambda _: bar.update(),
                    ):  # fmt: skip
                        key = row.layer, row.direction, row.threads
                        found[key] = merge(found[key], row) if key in found else row
    facts = {
        **facts_of_run(torch),
        "dtype": arguments.dtype,
        "heap": arguments.heap,
        "peak_gflops": max(peaks),
        "bandwidth_gbytes": {str(threads): value for threads, value in bandwidth.items()},
        "passes": passes,
        "load": [*load, os.getloadavg()[0]],  # processes that wanted a core, before and after
    }
    rows = sorted(found.values(), key=lambda row: row.threads)
    return facts, rows


# ---------------------------------------------------------------- showing


def measured_against(facts: dict[str, Any]) -> str:
    """What the figures are measured against."""
    bandwidth = ", ".join(
        f"{value:.1f} GB/s on {threads}" for threads, value in facts["bandwidth_gbytes"].items()
    )
    return (
        f"{facts['dtype']}, heap {facts['heap']}; "
        f"FMA peak {facts['peak_gflops']:.1f} GFLOP/s a core; memory bandwidth (copy) {bandwidth}"
    )


def _by_threads(rows: Sequence[Row]) -> dict[int, list[summary.Layer]]:
    found: dict[int, list[summary.Layer]] = {}
    for layer in summary.by_layer(rows):
        found.setdefault(layer.threads, []).append(layer)
    return found


def show(facts: dict[str, Any], rows: Sequence[Row]) -> None:
    """Print every direction of every layer, and the families."""
    print(f"{headline(facts)}\n{measured_against(facts)}")
    for threads, layers in _by_threads(rows).items():
        for family, aim in catalogue.FAMILIES.items():
            of_family = [layer for layer in layers if layer.family == family]
            if of_family:
                print(f"\n{aim.title}, {threads_title(threads)}\n")
                table = summary.direction_table(of_family, facts["peak_gflops"])
                print(text_table(*table, left=3))
        print(f"\nPyTorch's time over ours, {threads_title(threads)}: geometric mean, bar, least\n")
        print(text_table(*summary.family_table(layers)))
        table_ = summary.variant_table(layers)
        if table_ is not None:
            print(f"\nSpeed of our variants, {threads_title(threads)}\n")
            print(text_table(*table_, left=2))
    scaling = summary.scaling_table(rows)
    if scaling is not None:
        print("\nOur time on one thread over that on more, layers above 2 ms\n")
        print(text_table(*scaling, left=2))


def markdown(facts: dict[str, Any], rows: Sequence[Row]) -> str:
    """The tables for a page."""
    parts = [
        made_with(facts),
        f"{measured_against(facts)}.",
    ]
    for threads, layers in _by_threads(rows).items():
        parts.append(f"### Families, {threads_title(threads)}")
        parts.append(markdown_table(*summary.family_table(layers)))
        table = summary.variant_table(layers)
        if table is not None:
            parts.append(markdown_table(*table, left=2))
        for family, aim in catalogue.FAMILIES.items():
            of_family = [layer for layer in layers if layer.family == family]
            if of_family:
                parts.append(f"<details><summary>{aim.title}, {threads_title(threads)}</summary>")
                layer_table = summary.layer_table(of_family, facts["peak_gflops"])
                parts += [markdown_table(*layer_table), "</details>"]
    scaling = summary.scaling_table(rows)
    if scaling is not None:
        parts.append("### One thread over more, layers above 2 ms")
        parts.append(markdown_table(*scaling, left=2))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())

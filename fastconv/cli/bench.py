"""``fastconv bench``: GFLOP/s and share of the machine's peak, by shape, direction and variant."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import config
from fastconv.cli import measure
from fastconv.cli.arguments import (
    CommandError,
    UsageError,
    add_engine,
    new_command,
    positive_float,
    use_engine,
)
from fastconv.cli.info import machine
from fastconv.cli.table import markdown_table, text_table
from fastconv.files import atomic_path, write_text
from fastconv.shapes import NETWORKS, select
from fastconv.text import count

#: ``--markdown`` replaces what stands between these lines, or writes a file of its own.
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(
        commands, "bench", "measure the convolution kernels against the machine's FMA peak", run
    )
    parser.epilog = "example: fastconv bench --shapes 'resnet,depthwise 14' --plot bench.png"
    parser.add_argument(
        "--shapes",
        metavar="WORDS",
        default=argparse.SUPPRESS,
        help="beginnings of words of a shape's name; commas separate alternatives, "
        "'all' takes every one (default: three large ones)",
    )
    parser.add_argument("--list", action="store_true", help="list the shapes and stop")
    parser.add_argument(
        "--directions",
        type=_directions,
        metavar="D,D",
        default=",".join(measure.DIRECTIONS),
        help="directions to measure",
    )
    parser.add_argument(
        "--backends",
        type=_backends,
        metavar="B,B",
        default="numba,c",
        help="of naive (estimated from single outputs), numba and c",
    )
    parser.add_argument(
        "--isa",
        type=_words,
        metavar="I,I",
        default=argparse.SUPPRESS,
        help="instruction sets of the C backend (default: all there are)",
    )
    parser.add_argument(
        "--algorithm",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="algorithm to use where it can run, such as gemm (default: the planner's choice)",
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="type of the operands"
    )
    parser.add_argument(
        "--layout",
        choices=("channels-last", "nchw"),
        default="channels-last",
        help="memory format of the operands and results",
    )
    parser.add_argument(
        "--seconds", type=positive_float, default=0.5, help="time spent on each figure, about"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write every figure there",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="draw the figures (.png, .svg or .pdf)",
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write the table there, between the lines of --mark if the file has them",
    )
    parser.add_argument(
        "--mark",
        metavar="NAME",
        default="bench",
        help="the lines are '<!-- NAME: begin -->' and '<!-- NAME: end -->'",
    )
    add_engine(parser, backend=False)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and write what was asked for."""
    if arguments.list:
        for shape in NETWORKS:
            print(f"{shape.name:36} {shape.spec()}")
        return 0
    shapes = select(getattr(arguments, "shapes", None))
    if not shapes:
        raise UsageError(f"argument --shapes: no shape fits {arguments.shapes!r}; see --list")
    with contextlib.ExitStack() as stack:
        use_engine(arguments, stack)
        if hasattr(arguments, "algorithm"):
            try:
                stack.enter_context(fastconv.algorithm(arguments.algorithm))
            except ValueError as error:
                raise UsageError(f"argument --algorithm: {error}") from None
        chosen, missing = measure.variants(arguments.backends, getattr(arguments, "isa", None))
        for line in missing:
            print(line, file=sys.stderr)
        if not chosen:
            raise CommandError("none of the backends asked for can be used here")
        dtype = np.dtype(arguments.dtype)
        peak = measure.fma_peak(dtype)
        cells = measure.measure(
            shapes,
            arguments.directions,
            chosen,
            seconds=arguments.seconds,
            dtype=dtype,
            channels_last=arguments.layout == "channels-last",
            peak=peak,
            note=_note if sys.stderr.isatty() else None,
        )
        if sys.stderr.isatty():
            _note("")
        deliver(arguments, cells, peak)
    return 0


def deliver(
    arguments: argparse.Namespace, cells: Sequence[measure.Cell], peak: float | None
) -> None:
    """Print the table and write the files that were asked for."""
    heading = headline(peak, arguments.dtype, getattr(arguments, "algorithm", None))
    head, rows = table(cells)
    print(heading)
    print()
    print(text_table(head, rows, left=2))
    estimate = "≈ estimated from single outputs, one thread"
    estimated = any(cell.estimated for cell in cells)
    if estimated:
        print(f"\n{estimate}")
    over = any(cell.of_peak is not None and cell.of_peak > 1 for cell in cells)
    if over:
        print(f"\n{OVER}")
    facts = machine()
    if hasattr(arguments, "json"):
        data = {
            "machine": facts,
            "command": command(),
            "dtype": arguments.dtype,
            "layout": arguments.layout,
            "peak_gflops": peak,
            "cells": [cell._asdict() for cell in cells],
        }
        write_text(arguments.json, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    if hasattr(arguments, "markdown"):
        parts = [f"Made with `{command()}` on {facts['processor']}.", f"{heading}."]
        parts += [markdown_table(head, rows, left=2), *([f"{estimate}."] if estimated else [])]
        parts += [OVER] if over else []
        begin, end = (line.replace("bench", arguments.mark) for line in (BEGIN, END))
        insert(arguments.markdown, "\n\n".join(parts), begin, end)
    if hasattr(arguments, "plot"):
        plot(cells, None if peak is None else peak * fastconv.get_num_threads(), arguments.plot)


#: Said where a share of the peak is above 100 %.
OVER = (
    "More than 100 %: figures count the operations of a direct convolution; Winograd's transforms "
    "need up to four times fewer."
)


def headline(peak: float | None, dtype: str, algorithm: str | None) -> str:
    """The line above the table: what the figures are measured against."""
    threads = fastconv.get_num_threads()
    what = f"{dtype}, {count(threads, 'thread')}"
    if algorithm is not None:
        what += f", algorithm {algorithm}"
    if peak is None:
        return f"GFLOP/s, {what}; the FMA peak is not known without the C extension"
    total = f", {peak * threads:.1f} on {threads}" if threads > 1 else ""
    return f"GFLOP/s and share of the FMA peak ({peak:.1f} GFLOP/s a core{total}); {what}"


def table(cells: Sequence[measure.Cell]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: one row per shape and direction, one column per variant."""
    names = list(dict.fromkeys(cell.variant for cell in cells))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for cell in cells:
        figure = f"{cell.gflops:.1f}" if cell.gflops >= 1 else f"{cell.gflops:.2g}"
        share = "" if cell.of_peak is None else f" ({100 * cell.of_peak:.0f} %)"
        text = f"≈ {figure}" if cell.estimated else figure + share
        rows.setdefault((cell.shape, cell.direction), {})[cell.variant] = text
    return (
        ["shape", "direction", *names],
        [[*key, *(row.get(name, "") for name in names)] for key, row in rows.items()],
    )


def plot(cells: Sequence[measure.Cell], peak: float | None, path: Path) -> None:
    """Draw the figures and the ``peak`` of all threads to ``path``, whose ending says the format.

    Raises
    ------
    CommandError
        If matplotlib does not know the format.
    ModuleNotFoundError
        If matplotlib is missing.
    """
    import matplotlib

    from fastconv.report.figures import throughput
    from fastconv.report.style import LIGHT, rc

    with matplotlib.rc_context(rc(LIGHT)):
        figure = throughput([cell._asdict() for cell in cells], peak, LIGHT)
        try:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=160)
        except ValueError as error:
            raise CommandError(f"--plot {path}: {error}") from None


def insert(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Write ``text`` between the marks of a file, or as a file of its own where it has none."""
    try:
        old = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        old = ""
    if begin in old and end in old.split(begin, 1)[1]:
        before, rest = old.split(begin, 1)
        text = f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}"
    else:
        text += "\n"
    write_text(path, text)


def command() -> str:
    """The command line that is running."""
    return shlex.join(["fastconv", *sys.argv[1:]])


def _note(text: str) -> None:
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _backends(text: str) -> list[str]:
    return _known(text, config.BACKENDS)


def _directions(text: str) -> list[str]:
    return _known(text, tuple(measure.DIRECTIONS))


def _known(text: str, known: Sequence[str]) -> list[str]:
    words = _words(text)
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(known)}, got {text!r}")
    return words

"""``fastconv verify``: generated problems on every kernel, compared exactly."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from fastconv.cli.arguments import (
    CommandError,
    UsageError,
    new_command,
    non_negative_int,
    positive_float,
    positive_int,
)
from fastconv.verify.families import FAMILIES, OTHERS, TURNS, parse
from fastconv.verify.problem import Declined, Problem

__all__ = ["add", "run"]

#: Seconds between lines where there is no terminal.
LINE_EVERY = 10.0
COUNT = 20_000
#: Problems for another library, the corpus among them.
AGAINST = 2_000


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(
        commands, "verify", "compare every kernel with plain loops on generated problems", run
    )
    parser.epilog = "example: fastconv verify --count 2000 --seed 7 --family conv"
    parser.add_argument(
        "--count", type=positive_int, metavar="N", help=f"problems (default: {COUNT})",
        default=argparse.SUPPRESS,
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=positive_float, metavar="S", help="begin no problem after so long",
        default=argparse.SUPPRESS,
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=non_negative_int, metavar="N", default=0,
        help="another seed gives other problems",
    )  # fmt: skip
    parser.add_argument(
        "--family", type=_families, metavar="F,F", default=",".join(TURNS),
        help="kinds of problems",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=positive_int, metavar="N", help="processes", default=1,
    )  # fmt: skip
    parser.add_argument(
        "--failures",
        type=positive_int,
        metavar="N",
        default=10,
        help="stop after so many unlike",
    )
    parser.add_argument(
        "--problem", metavar="TEXT", default=argparse.SUPPRESS,
        help="run this one problem, as a failure prints it",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=Path, metavar="FILE", default=argparse.SUPPRESS,
        help="run the problems of a file: lines as --problem takes, or benchdnn's",
    )  # fmt: skip
    parser.add_argument(
        "--against", metavar="LIBRARY", default=argparse.SUPPRESS,
        help="run published cases and drawn calls by another library with PyTorch's names: torch",
    )  # fmt: skip
    parser.add_argument(
        "--graphs", type=positive_int, metavar="N", default=argparse.SUPPRESS,
        help="run N random programs with fusion, without, and by PyTorch where it is installed",
    )  # fmt: skip
    parser.add_argument(
        "--coverage", type=Path, metavar="FILE", default=argparse.SUPPRESS,
        help="write how often every property met every setting there, as JSON",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run what was asked for; 1 if anything failed."""
    if hasattr(arguments, "problem"):
        return _one(arguments.problem)
    if hasattr(arguments, "against"):
        return _against(arguments)
    if hasattr(arguments, "graphs"):
        return _graphs(arguments)
    from fastconv.verify.run import run as run_all
    from fastconv.verify.sources import Drawn, Listed, Source

    source: Source
    if hasattr(arguments, "batch"):
        source = Listed(tuple(_lines(arguments.batch)))
        if not source.count:
            raise CommandError(f"{arguments.batch} has no problems")
        what = f"{source.count} problems of {arguments.batch}"
    else:
        seconds = getattr(arguments, "seconds", None)
        count = getattr(arguments, "count", COUNT if seconds is None else 1 << 40)
        source = Drawn(tuple(arguments.family), arguments.seed, count)
        names = ", ".join(dict.fromkeys(source.families))
        what = f"problems of the families {names}, seed {source.seed}"
    jobs = arguments.jobs
    print(f"{what}, {jobs} process{'es' if jobs > 1 else ''}", flush=True)
    progress = _Progress(source.count)
    result = run_all(
        source, jobs, getattr(arguments, "seconds", None), arguments.failures, progress.show
    )
    progress.end(result)
    for name in sorted(result.coverage.pairs) if isinstance(source, Drawn) else ():
        for line in result.coverage.lines(name):
            print(line)
    for name, value in sorted(result.largest.items()):
        print(f"{name}: at most {value:.2f}")
    if hasattr(arguments, "coverage"):
        result.coverage.write(arguments.coverage)
    return 1 if result.found else 0


def _against(arguments: argparse.Namespace) -> int:
    from fastconv.verify.against import against

    count = getattr(arguments, "count", AGAINST)
    progress = _Progress(count)
    print(f"{count} problems by {arguments.against}, seed {arguments.seed}", flush=True)
    try:
        table = against(arguments.against, count, arguments.seed, arguments.jobs, progress.show)
    except Declined as reason:
        raise CommandError(str(reason)) from None
    for line in table.lines():
        print(line)
    for failure in table.found:
        if failure.what.startswith("ended") or failure.what.endswith("not by itself"):
            print(f"{failure.what}\n  {failure.command}")
    if table.declined:
        print(f"{table.declined} cannot be given to {arguments.against}")
    return 1 if table.found else 0


def _graphs(arguments: argparse.Namespace) -> int:
    from fastconv.verify import graphs

    start = time.monotonic()
    count, failures = graphs.run(
        arguments.graphs, arguments.seed, stream=sys.stdout, most=arguments.failures
    )
    seconds = time.monotonic() - start
    print(f"{count} programs, seed {arguments.seed}: {len(failures)} failed, {seconds:.0f} s")
    return 1 if failures else 0


def _one(text: str) -> int:
    from fastconv.verify.run import check

    try:
        problem = parse(text)
    except ValueError as error:
        raise UsageError(f"argument --problem: {error}") from None
    try:
        failure = check(problem)
    except Declined as reason:
        raise CommandError(f"cannot be run here: {reason}") from None
    print("right" if failure is None else f"FAILED {failure.what}")
    return 0 if failure is None else 1


def _lines(path: Path) -> list[str]:
    """The problems of a file as text: our own lines, or benchdnn's."""
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    lines = ["" if line.startswith("#") else line for line in lines]
    if not any(line.split()[0] in FAMILIES | OTHERS for line in lines if line):
        from fastconv import backends
        from fastconv.verify.benchdnn import problems

        on, isa = "numba/choice", "-"
        if not backends.why_not("c"):
            on, isa = "c/choice", backends.load("c").get_isa()
        try:
            return [str(problem) for problem in problems(path, on, isa)]
        except ValueError as error:
            raise CommandError(str(error)) from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found += [str(parse(line))] if line else []
        except ValueError as error:
            raise CommandError(f"{path}, line {number}: {error}") from None
    return found


def _families(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in FAMILIES]
    if unknown or not words:
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(FAMILIES)}, got {text!r}")
    return words


class _Progress:
    """Counts and rate: one line that changes on a terminal, lines now and then in a pipe."""

    def __init__(self, total: int) -> None:
        self.total, self.start, self.shown, self.printed = total, time.monotonic(), 0.0, 0
        self.terminal, self.known = sys.stderr.isatty(), set[Problem]()
        self.last = self.start

    def show(self, result: Any) -> None:
        """Print new failures, and how far it is."""
        for found in result.found[self.printed :]:
            if self.terminal:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            again = found.smallest.problem in self.known
            self.known.add(found.smallest.problem)
            if not again:
                print(f"FAILED {found.smallest.what}  (problem {found.number})", flush=True)
                print(f"  {found.smallest.command}", flush=True)
        self.printed = len(result.found)
        now = time.monotonic()
        if self.terminal:
            print(f"\r\x1b[K{self._line(result, now)}", end="", file=sys.stderr, flush=True)
        elif now - self.last >= LINE_EVERY:
            self.last = now
            print(self._line(result, now), flush=True)

    def _line(self, result: Any, now: float) -> str:
        seconds = max(now - self.start, 1e-9)
        total = f" of {self.total}" if self.total < 1 << 40 else ""
        failed = f"{len(result.found)} failed"
        if len(self.known) < len(result.found):
            failed += f" ({len(self.known)} different)"
        return (
            f"{result.done}{total} problems, {failed}, {seconds:.0f} s, "
            f"{result.done / seconds:.0f} a second"
        )

    def end(self, result: Any) -> None:
        """The last line."""
        self.show(result)
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        declined = f", {result.declined} could not be run here" if result.declined else ""
        print(self._line(result, time.monotonic()) + declined, flush=True)

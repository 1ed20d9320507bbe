"""Make docs/ladder.md from ``page.md``, the rungs' files and the JSON of a run.

``page.md`` is the text; what stands in double braces is filled in:

    {{code 05_c_scalar.c}}    the lines of a rung's file between '[page' and 'page]'
    {{figures 05}}            predicted, measured, and against the rung before
    {{loop 05}}               the inner loop's instructions, counted
    {{listing 05 12}}         its first 12
    {{table forward 0}}       the table of a direction of the run with this number
    {{loops}} {{about}}       the table of inner loops; what was measured where
    {{05 ms}}                 also gflops, share, gain, naive, predicted, traffic
    {{peak}}                  of one thread: peak, clock, l1, l2, memory; and threads
    {{MB x}}                  megabytes of x, w or y; {{layer 0}}, {{Mproducts}}, {{MFLOP}}
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.ladder import tables
from bench.ladder.measure import Result, Run, read
from bench.ladder.rung import RUNGS
from bench.summary import milliseconds
from fastconv.cli.table import markdown_table

__all__ = ["TEMPLATE", "code", "render"]

TEMPLATE = Path(__file__).parent / "page.md"
NOTE = "<!-- Made by `python -m bench.ladder --docs` from bench/ladder/page.md: edit that. -->\n\n"
FIELD = re.compile(r"\{\{(.+?)\}\}")
LANGUAGES = {".py": "python", ".c": "c", ".h": "c"}


def code(name: str) -> str:
    """The shown part of a rung's file, as a Markdown block.

    Raises
    ------
    ValueError
        If the file has no such part.
    """
    lines = (RUNGS / name).read_text(encoding="utf-8").splitlines()
    marks = [i for i, line in enumerate(lines) if "[page" in line or "page]" in line]
    if len(marks) != 2:
        raise ValueError(f"{name}: expected one '[page' and one 'page]', got {len(marks)} marks")
    shown = "\n".join(lines[marks[0] + 1 : marks[1]]).strip("\n")
    return f"```{LANGUAGES[Path(name).suffix]}\n{shown}\n```"


class _Page:
    """One run's answers to the fields of the template."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.runs, self.able = read(data)
        self.run: Run = self.runs[0]

    def fill(self, match: re.Match[str]) -> str:
        words = match[1].split()
        method: Callable[..., str] | None = getattr(self, f"field_{words[0]}", None)
        if method is not None:
            return method(*words[1:])
        if words[0].isdigit():
            return self.number(*words)
        return self.of_machine(*words)

    def result(self, number: str) -> Result:
        for result in self.run.results:
            if result.name.startswith(f"{number}_"):
                return result
        raise ValueError(f"{TEMPLATE.name}: no rung {number} was measured")

    def number(self, number: str, what: str) -> str:
        result = self.result(number)
        before, naive = tables.gain(self.run, result)
        return {
            "ms": tables.duration(result.seconds),
            "gflops": f"{tables.digits(tables.gflops(self.run, result))} GFLOP/s",
            "share": tables.percent(tables.share(self.run, result, self.able)),
            "gain": tables.times(before or 1),
            "naive": tables.times(naive),
            "predicted": tables.duration(tables.limit(result)[1]),
            "traffic": f"{tables.digits(result.traffic / 1e6)} MB",
            "intensity": f"{tables.digits(self.run.layer.flops / result.traffic)} FLOP per byte",
        }[what]

    def of_machine(self, what: str, threads: str = "1") -> str:
        able = self.able[int(threads) if threads != "all" else self.run.threads]
        return {
            "peak": f"{able.peak / 1e9:.0f} GFLOP/s",
            "clock": f"{able.clock / 1e9:.1f} GHz",
            "percycle": f"{able.peak / able.clock:.0f}",
            "l1": f"{able.l1 / 1e9:.0f} GB/s",
            "l2": f"{able.l2 / 1e9:.0f} GB/s",
            "memory": f"{able.memory / 1e9:.1f} GB/s",
            "threads": f"{self.run.threads} thread{'s' * (self.run.threads > 1)}",
            "ridge": f"{able.peak / able.memory:.0f}",
            "least": f"{milliseconds(self.run.layer.flops / able.peak)} ms",
            "moved": f"{milliseconds(self.run.layer.nbytes / able.memory)} ms",
            "intensity": f"{self.run.layer.flops / self.run.layer.nbytes:.0f}",
            "Mproducts": f"{self.run.layer.products / 1e6:.0f} million",
            "MFLOP": f"{self.run.layer.flops / 1e6:.0f} million",
        }[what]

    def field_layer(self, number: str) -> str:
        return str(self.runs[int(number)].layer)

    def field_MB(self, name: str) -> str:
        size = 4
        for length in self.run.layer.shapes()[name]:
            size *= length
        return f"{size / 1e6:.2f} MB"

    def field_code(self, name: str) -> str:
        return code(name)

    def field_figures(self, number: str) -> str:
        result = self.result(number)
        name, seconds = tables.limit(result)
        before, naive = tables.gain(self.run, result)
        threads = f"{result.threads} thread{'s' * (result.threads > 1)}"
        text = (
            f"**Predicted** {tables.duration(seconds)} ({name}); "
            f"**measured** {'≈ ' if result.part < 1 else ''}{self.number(number, 'ms')} on "
            f"{threads}: {self.number(number, 'gflops')}, {self.number(number, 'share')} of the "
            f"peak of {threads}"
        )
        if before is not None:
            text += f"; {tables.times(before)} the rung before, {tables.times(naive)} naive"
        return text + "."

    def field_loop(self, number: str) -> str:
        loop = self.result(number).loop
        if loop is None:
            return "(the loop was not disassembled in this run)"
        return (
            f"{loop['instructions']} instructions: {loop['fma']} products, {loop['loads']} loads, "
            f"{loop['broadcasts']} broadcasts, {loop['stores']} stores, {loop['spills']} of the "
            f"stack"
        )

    def field_listing(self, number: str, lines: str = "99") -> str:
        listing = self.result(number).listing or []
        shown = listing[: int(lines)]
        if len(shown) < len(listing):
            shown = [*shown, f"...  # {len(listing) - len(shown)} more"]
        return "```asm\n" + "\n".join(shown) + "\n```"

    def field_table(self, *words: str) -> str:
        *direction, number = words
        run, name = self.runs[int(number)], " ".join(direction)
        table = markdown_table(*tables.ladder_table(run, name, self.able))
        note = tables.footnote(run, name)
        return f"{table}\n\n{note}" if note else table

    def field_loops(self) -> str:
        return markdown_table(*tables.loop_table(self.run))

    def field_about(self) -> str:
        versions = ", ".join(f"{name} {text}" for name, text in self.data["versions"].items())
        about = self.data["machine"]
        return (
            f"Made with `{self.data['command']}` on {about['cpu']} ({about['cpus']} cores, "
            f"{about['isa']}), {self.data['date']}; {versions}."
        )


def render(data: dict[str, Any], template: str | None = None) -> str:
    """The page, from what :func:`bench.ladder.measure.facts` gave.

    Raises
    ------
    KeyError, ValueError
        If the template asks for something that is not there.
    """
    text = TEMPLATE.read_text(encoding="utf-8") if template is None else template
    return NOTE + FIELD.sub(_Page(data).fill, text)

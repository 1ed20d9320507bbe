"""Fail if a micro-kernel spills: ``python csrc/selfcheck/check_asm.py`` (``make asm``).

Compiles every unit for x86-64 to assembly with the flags of the build and looks at the functions
whose names start with ``tile_``.  Inside their loops no instruction may use a vector register and
the stack together: an accumulator that lives in memory costs most of the FMA rate.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from build import CFLAGS, CSRC, OPENMP, UNITS

FUNCTION = re.compile(r"^(tile_[\w.]+):")
LABEL = re.compile(r"^(\.L\w+):")
# Conditional only: a jmp back to a join point is no loop.
JUMP = re.compile(r"^\s+j(?!mp)\w+\s+(\.L\w+)")
VECTOR = re.compile(r"%[xyz]mm\d")
STACK_COPY = re.compile(r"^\s+(?:movq\s+%rsp|leaq\s+-?\d*\(%rsp[^)]*\)),\s*(%r\w+)")


def functions(assembly: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the lines of every micro-kernel."""
    name, lines = "", []
    for line in assembly.splitlines():
        if found := FUNCTION.match(line):
            name, lines = found[1], []
        elif name and line.lstrip().startswith(".cfi_endproc"):
            yield name, lines
            name = ""
        elif name:
            lines.append(line)


def spills(lines: list[str]) -> list[str]:
    """Return the instructions inside loops that move a vector between register and stack."""
    labels = {found[1]: i for i, line in enumerate(lines) if (found := LABEL.match(line))}
    # Arrays on the stack are also reached through registers that hold its address.
    bases = {"%rsp"} | {found[1] for line in lines if (found := STACK_COPY.match(line))}
    stack = re.compile(r"\((?:" + "|".join(sorted(bases)) + r")[,)]")
    inside: set[int] = set()
    for i, line in enumerate(lines):
        found = JUMP.match(line)
        if found and labels.get(found[1], i) < i:
            inside.update(range(labels[found[1]], i))
    return [
        lines[i].strip()
        for i in sorted(inside)
        if VECTOR.search(lines[i]) and stack.search(lines[i])
    ]


def main() -> int:
    """Check every unit; print what spills."""
    if platform.machine() not in ("x86_64", "AMD64"):
        print(f"asm: reads x86-64 assembly only, this is {platform.machine()}: skipped")
        return 0
    compiler = shlex.split(os.environ.get("CC", "cc"))
    failed = False
    for unit in UNITS:
        flags = [*CFLAGS, OPENMP, f"-I{CSRC}", "-fPIC", "-S"]
        command = [*compiler, *flags, "-o", "-", str(CSRC / unit)]
        assembly = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        count = bad = 0
        for name, lines in functions(assembly):
            count += 1
            if found := spills(lines):
                bad += 1
                print(f"{unit}: {name} spills {len(found)} times in a loop, e.g. {found[0]}")
        print(f"asm: {unit}: {count} micro-kernels, {bad} spill")
        failed |= bad > 0 or count == 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

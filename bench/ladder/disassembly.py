"""What the compiler made of a C rung's inner loop, as objdump shows it."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.ladder.rung import BUILD

__all__ = ["inner_loop", "loops", "summary"]

LINE = re.compile(r"^\s+([0-9a-f]+):\s+(\S.*?)\s*$")
JUMP = re.compile(r"^j(?!mp)\w+\s+([0-9a-f]+)")
VECTOR = re.compile(r"%[xyz]mm\d")
#: A product: with its addition, or alone.
FMA = re.compile(r"^v(?:fn?m(?:add|sub)\d+|mul)[ps][sd]")
#: A memory operand that is read: every one but the last of an instruction.
READ = re.compile(r"\([^)]*\)(?:\{[^}]*\})?,")


def loops(text: str) -> Iterator[list[str]]:
    """Yield the instructions of every innermost loop of a disassembly."""
    found = [match for line in text.splitlines() if (match := LINE.match(line))]
    place = {match[1]: i for i, match in enumerate(found)}
    ranges = []
    for i, match in enumerate(found):
        jump = JUMP.match(match[2])
        if jump and place.get(jump[1], i + 1) <= i:
            ranges.append((place[jump[1]], i + 1))
    for first, end in ranges:
        if not any(first <= a and b <= end and (a, b) != (first, end) for a, b in ranges):
            yield [re.sub(r"\s*<.*>|\s*#.*", "", match[2]) for match in found[first:end]]


def _products(loop: list[str]) -> int:
    """Products of a loop, a vector of them by its lanes."""
    lanes = {"x": 4, "y": 8, "z": 16}
    count = 0
    for line in loop:
        if FMA.match(line):
            register = VECTOR.search(line)
            scalar = line.split()[0].endswith("ss")
            count += 1 if scalar or register is None else lanes[register[0][1]]
    return count


def inner_loop(stem: str, folder: Path = BUILD) -> list[str] | None:
    """The innermost loop with the most products; None without objdump or x86-64."""
    built = sorted(folder.glob(f"ladder_{stem}.*.so"))
    if not built or not shutil.which("objdump") or platform.machine() not in ("x86_64", "AMD64"):
        return None
    command = ["objdump", "-d", "--no-show-raw-insn", str(built[-1])]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    all_ = list(loops(text))
    # A tile's loop stores nothing; where every loop stores, the densest.
    kept = [loop for loop in all_ if not summary(loop)["stores"]]
    if any(map(_products, kept)):
        return max(kept, key=_products)
    found = max(all_, key=lambda loop: _products(loop) / len(loop), default=None)
    return found if found and _products(found) else None


def summary(loop: list[str]) -> dict[str, Any]:
    """Count a loop's instructions by what they do."""
    vectors = [line for line in loop if VECTOR.search(line)]
    return {
        "instructions": len(loop),
        "fma": sum(bool(FMA.match(line)) for line in vectors),
        "products": _products(loop),
        "broadcasts": sum("broadcast" in line or "{1to" in line for line in vectors),
        "loads": sum(bool(READ.search(line)) for line in vectors if "broadcast" not in line),
        "stores": sum(line.endswith(")") and line.startswith("vmov") for line in vectors),
        "spills": sum("(%rsp" in line for line in vectors),
    }

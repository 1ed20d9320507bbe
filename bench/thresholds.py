"""Winograd against the GEMM around the planner's thresholds, in one thread.

    python -m bench.thresholds

Each section varies what one constant of ``fastconv/planner/rules/winograd.py`` is compared with,
for one direction or more, and prints the GEMM's time over Winograd's: above 1 Winograd is faster.
``*`` stands beside geometries that the planner gives to Winograd. Processor time, the least of many
in turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import fastconv
from fastconv import planner
from fastconv.cli.measure import DIRECTIONS
from fastconv.planner import tuning
from fastconv.planner.rules import winograd as rules
from fastconv.spec import ConvSpec, conv_spec


def conv(n: int, c: int, k: int, size: Any, kernel: Any, **rest: Any) -> ConvSpec:
    """A convolution in two dimensions with 'same' borders."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    size = (size, size) if isinstance(size, int) else size
    dilation = rest.get("dilation", 1)
    rest.setdefault("padding", tuple(dilation * (t // 2) for t in kernel))
    weight = (k, c // rest.get("groups", 1), *kernel)
    return conv_spec((n, c, *size), weight, name="thresholds", **rest)


def sections() -> Iterator[tuple[str, list[tuple[str, ConvSpec]], tuple[str, ...]]]:
    """Title, (label, geometry) and directions of each section."""
    every = tuple(DIRECTIONS)
    both, weight = every[:2], every[2:]
    yield (
        f"WINOGRAD_GAIN = {rules.WINOGRAD_GAIN}: kernels, 64->64 at 28²",
        [
            (f"{k[0]}x{k[1]}/{s}", conv(1, 64, 64, 28, k, stride=s))
            for k, s in (
                ((1, 2), 1), ((1, 4), 1), ((1, 5), 1), ((1, 7), 1), ((1, 3), 1), ((2, 2), 1),
                ((4, 4), 1), ((5, 5), 1), ((7, 7), 1), ((3, 3), 1), ((3, 3), 2), ((4, 4), 2),
                ((5, 5), 2), ((7, 7), 2),
            )
        ],
        every,
    )  # fmt: skip
    yield (
        f"WINOGRAD_DEPTH = {rules.WINOGRAD_DEPTH}: channels summed over (c->c at 28², 3x3)",
        [(str(c), conv(1, c, c, 28, 3)) for c in (4, 8, 12, 16, 24, 32)],
        both,
    )
    yield (
        f"WINOGRAD_CHANNELS = {rules.WINOGRAD_CHANNELS}: the smaller number (c->64 at 28², 3x3)",
        [(str(c), conv(1, c, 64, 28, 3)) for c in (4, 8, 12, 16, 24, 32)],
        weight,
    )
    sizes = ((4, 1), (8, 1), (8, 2), (12, 1), (16, 1), (16, 2))
    tiles = [
        (f"{channels}: {-((-size // 4) ** 2) * n}", conv(n, channels, channels, size, 3))
        for channels in (64, 256, 512)
        for size, n in sizes
    ]
    yield f"WINOGRAD_TILES = {rules.WINOGRAD_TILES}: channels: tiles (3x3)", tiles, both
    yield (
        f"WINOGRAD_WEIGHT_TILES = {rules.WINOGRAD_WEIGHT_TILES}: channels: tiles (3x3)",
        tiles,
        weight,
    )


def ratio(op: str, spec: ConvSpec, seconds: float) -> tuple[float, bool]:
    """The GEMM's time over Winograd's, and whether the planner takes Winograd."""
    found = [c for c in planner.candidates(op, "c") if c.algorithm in ("gemm", "winograd")]
    calls = {c.algorithm: planner.find("c", op, c.algorithm) for c in found}
    operands = tuning.arguments(op, spec, "float32")
    best = dict.fromkeys(calls, float("inf"))
    for name, call in calls.items():
        call(spec, *operands)
        best[name] = float("inf")
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 5 or time.perf_counter() < end:
        for name, call in calls.items():
            times = 1 + int(2e-4 / best[name])  # enough for the clock's resolution
            start = time.process_time()
            for _ in range(times):
                call(spec, *operands)
            best[name] = min(best[name], (time.process_time() - start) / times)
        rounds += 1
    return best["gemm"] / best["winograd"], planner.pick(op, spec, "c").algorithm == "winograd"


def main() -> None:
    """Print every section."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.15, help="spent on each figure")
    arguments = parser.parse_args()
    fastconv.set_num_threads(1)
    for title, rows, directions in sections():
        print(f"{title}\n")
        print(f"{'':12}" + "".join(f"{name:>18}" for name in directions))
        for label, spec in rows:
            line = f"{label:12}"
            for direction in directions:
                found, taken = ratio(DIRECTIONS[direction], spec, arguments.seconds)
                line += f"{found:17.2f}{'*' if taken else ' '}"
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()

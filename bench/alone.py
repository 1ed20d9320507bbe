"""One side of one network in a process of its own: peak memory, page faults, other runtimes.

    python -m bench.alone fastconv U-Net training --threads 1

prints a JSON object. Memory is that of the process at its peak over what it was when all packages
had been imported, so weights, gradients, the optimiser's state and every cache count.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import runtimes, steps
from bench.networks import Network, choose
from bench.pairs import FORMATS

__all__ = ["SIDES", "run_alone"]

#: The package and PyTorch's memory format of each side.
SIDES = {"fastconv": ("fastconv", FORMATS[1]), **{f"torch {f}": ("torch", f) for f in FORMATS}}


def resident(key: str) -> int:
    """A figure of /proc/self/status in bytes: VmRSS now, VmHWM at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"no {key} in /proc/self/status")


def faults() -> int:
    """Minor faults of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def repeat(call: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Shortest time, and faults per call after the first few."""
    for _ in range(4):
        call()
    gc.collect()
    best, count = float("inf"), 0
    before, end = faults(), time.perf_counter() + seconds
    while count < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
        count += 1
    return best, (faults() - before) / count


def measure(side: str, network: Network, mode: str, threads: int, seconds: float) -> steps.Alone:
    """Measure fastconv or PyTorch in this process."""
    name, form = SIDES[side]
    package = importlib.import_module(name)
    for part in ("nn.functional", "optim"):
        importlib.import_module(f"{name}.{part}")
    package.set_num_threads(threads)
    gc.collect()
    base = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    made = steps.setup(package, network, mode, form)
    best, per_call = repeat(made.step, seconds)
    return steps.Alone(best, per_call, resident("VmHWM") - base)


def run_alone(
    side: str,
    network: Network,
    mode: str,
    threads: int,
    seconds: float = 0.5,
    folder: Path | None = None,
) -> steps.Alone:
    """Start this module for one side and read what it prints.

    Parameters
    ----------
    side : str
        Of :data:`SIDES`, or of :data:`bench.runtimes.RUNTIMES` (inference only).
    network, mode, threads, seconds
        What to measure, and for how long.
    folder : Path, optional
        Where a runtime finds the model, once the side :data:`bench.runtimes.EXPORT` has written it.

    Raises
    ------
    RuntimeError
        If the process fails, with the last line it wrote.
    """
    own = [sys.executable, "-m", "bench.alone", side, network.name, mode,
           "--threads", str(threads), "--seconds", str(seconds)]  # fmt: skip
    own += [] if folder is None else ["--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(own, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(f"{side} on {network.name}, {mode}: {lines[-1]}")
    return steps.Alone(**json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("side", choices=[*SIDES, *runtimes.RUNTIMES, runtimes.EXPORT])
    parser.add_argument("network")
    parser.add_argument("mode", choices=steps.MODES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--folder", type=Path, help="with the exported model")
    arguments = parser.parse_args()
    (network,) = choose(arguments.network)
    if arguments.side in SIDES:
        found = measure(
            arguments.side, network, arguments.mode, arguments.threads, arguments.seconds
        )
    elif arguments.side == runtimes.EXPORT:
        runtimes.export(network, arguments.folder)
        found = steps.Alone(0, 0, 0)
    else:
        folder = arguments.folder
        call = runtimes.prepare(arguments.side, network, arguments.threads, folder)
        found = steps.Alone(*repeat(call, arguments.seconds), 0)
    print(json.dumps(found._asdict()))


if __name__ == "__main__":
    main()

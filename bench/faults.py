"""Pages that a training step makes the system map, once it runs steadily.

    python -m bench.faults

A page that is mapped (a minor fault) costs about two microseconds in LeNet-5's step, since the
system clears it first. Results and scratch come from the buffer pool to avoid that, and the C
library is told to keep its heap for NumPy's temporaries (`fc_keep_heap` in csrc/core/memory.c).
Counted by getrusage over several steps, after a few others; `--heap` compares with FASTCONV_HEAP=0.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv
from fastconv import models, nn
from fastconv.nn import functional as F
from fastconv.optim import SGD, Adam


def convolutions(channels: int) -> Any:
    """Two convolutions with normalisation, as in a residual network."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10),
    )  # fmt: skip


def upwards() -> Any:
    """Down and up again, as in a U-Net."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 2, stride=2),
        nn.LeakyReLU(0.1), nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(32, 10),
    )  # fmt: skip


CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...], Any]] = {
    "LeNet-5, batch 64": (models.LeNet5, (64, 1, 28, 28), SGD),
    "ResNet-20, batch 64, Adam": (models.resnet20, (64, 3, 32, 32), Adam),
    "two layers of 64 at 56, batch 8": (lambda: convolutions(64), (8, 3, 56, 56), SGD),
    "down and up at 64, batch 8": (upwards, (8, 3, 64, 64), SGD),
}


def faults() -> int:
    """Minor faults of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def count(
    make: Callable[[], Any], shape: tuple[int, ...], optimizer: Any, steps: int
) -> tuple[float, float]:
    """Faults per training step in steady state, and the shortest step's processor time."""
    rng = np.random.default_rng(0)
    x = fastconv.from_numpy(rng.random(shape, np.float32))
    y = fastconv.from_numpy(rng.integers(0, 10, shape[0]))
    model = make()
    opt = optimizer(model.parameters(), lr=1e-3)

    def step() -> None:
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()

    for _ in range(5):
        step()
    gc.collect()
    before, best = faults(), float("inf")
    for _ in range(steps):
        start = time.process_time()
        step()
        best = min(best, time.process_time() - start)
    return (faults() - before) / steps, best


def main() -> None:
    """Count each case in this process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--heap", action="store_true", help="also with FASTCONV_HEAP=0")
    arguments = parser.parse_args()
    print(
        f"FASTCONV_HEAP={os.environ.get('FASTCONV_HEAP', '1')}: minor faults per training step, ms"
    )
    for name, case in CASES.items():
        found, seconds = count(*case, steps=arguments.steps)
        print(f"{name:34}{found:9.1f}{1e3 * seconds:9.2f}", flush=True)
    if arguments.heap:
        own = [sys.executable, "-m", "bench.faults", "--steps", str(arguments.steps)]
        subprocess.run(own, env={**os.environ, "FASTCONV_HEAP": "0"}, check=True)


if __name__ == "__main__":
    main()

"""Pages that a training step makes the system map, once it runs steadily.

    python -m bench.faults

A page mapped (a minor fault) costs about 0.1 µs to 0.5 µs, since the system clears it first; results
and scratch come from the buffer pool to avoid that. Counted by getrusage over several steps after a few
others; `--heap` shows them with the C library's heap as NumPy finds it by default.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import subprocess
import sys
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


def count(make: Callable[[], Any], shape: tuple[int, ...], optimizer: Any, steps: int) -> float:
    """Faults per training step in steady state."""
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
    before = faults()
    for _ in range(steps):
        step()
    return (faults() - before) / steps


def main() -> None:
    """Count each case in this process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--heap", action="store_true", help="also with FASTCONV_HEAP=0")
    arguments = parser.parse_args()
    print(f"FASTCONV_HEAP={os.environ.get('FASTCONV_HEAP', '1')}: minor faults per training step")
    for name, case in CASES.items():
        print(f"{name:34}{count(*case, steps=arguments.steps):9.1f}", flush=True)
    if arguments.heap:
        own = [sys.executable, "-m", "bench.faults", "--steps", str(arguments.steps)]
        subprocess.run(own, env={**os.environ, "FASTCONV_HEAP": "0"}, check=True)


if __name__ == "__main__":
    main()

"""How long it takes to augment a batch of CIFAR-10, beside a training step of ResNet-20 with it.

    python -m bench.augment [--batch 128] [--threads 1] [--rounds 15]

Batches are uint8 (N, 3, 32, 32) in memory, as a data set gives them; what is timed ends with
normalised float32. Augmentation and step are run by turns, and the median of each is compared: on a
machine that others use the ratio is worth more than the times. Below 1, one worker keeps up.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv as fc
from fastconv import models, transforms
from fastconv.nn import functional as F
from fastconv.optim import SGD

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
BILINEAR = transforms.InterpolationMode.BILINEAR


def pipelines() -> dict[str, Any]:
    """What is drawn for every image, by name."""
    crop = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    end = [transforms.ConvertImageDtype(), transforms.Normalize(MEAN, STD, inplace=True)]
    turn = transforms.RandomRotation(15, BILINEAR)
    jitter = transforms.ColorJitter(0.2, 0.2, 0.2)
    hue = transforms.ColorJitter(0.2, 0.2, 0.2, 0.1)
    named = {
        "crop, flip": crop,
        "crop, flip, rotation": [*crop, turn],
        "crop, flip, colours": [*crop, jitter],
        "crop, flip, rotation, colours": [*crop, turn, jitter],
        "crop, flip, rotation, colours and hue": [*crop, turn, hue],
        "crop, flip, RandAugment": [*crop, transforms.RandAugment()],
    }
    return {name: transforms.Compose([*changes, *end]) for name, changes in named.items()}


def timed(call: Callable[[], Any]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    fc.set_num_threads(options.threads)
    fc.manual_seed(0)
    rng = np.random.default_rng(0)
    images = fc.from_numpy(rng.integers(0, 256, (options.batch, 3, 32, 32), np.uint8))
    labels = fc.from_numpy(rng.integers(0, 10, options.batch))
    model = models.resnet20()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    batch = [images.float()]

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), labels).backward()
        optimizer.step()

    print(f"ResNet-20, batch {options.batch}, threads {options.threads}: ms of augmentation, of a")
    print("step, and their ratio (medians)")
    for name, augment in pipelines().items():

        def change(augment: Any = augment) -> None:
            batch[0] = augment(images)

        change(), step()
        times = [(timed(change), timed(step)) for _ in range(options.rounds)]
        first, second = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
        print(f"{name:40} {first:8.1f} {second:8.1f} {first / second:8.3f}", flush=True)


if __name__ == "__main__":
    main()

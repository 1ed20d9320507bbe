"""``fastconv demo``: digits learnt in seconds, then the same step timed on every backend."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import backends, config, report
from fastconv.cli.arguments import (
    CommandError,
    add_engine,
    new_command,
    non_negative_int,
    positive_float,
    positive_int,
    use_engine,
)
from fastconv.cli.checkpoint import Checkpoint
from fastconv.cli.classify import Images, Plan, arrays, part_of, train_classifier
from fastconv.cli.report import results_of
from fastconv.cli.table import text_table
from fastconv.datasets import digits
from fastconv.models import LeNetDigits
from fastconv.nn import functional as F
from fastconv.optim import Adam
from fastconv.report.figures import seconds_text
from fastconv.text import count, grouped
from fastconv.train import stratified_split

GOAL = 0.98
#: The held-out fifth is the same whatever ``--seed`` says, so that accuracies can be compared.
SPLIT_SEED = 0
#: How many images :func:`altered_copies` makes of one.
COPIES = 7
#: A step that takes more seconds than this is timed once.
MAX_STEP = 10.0
NAMES = [str(digit) for digit in range(10)]
ABOUT = Checkpoint("lenet_digits", {}, NAMES, 8, 8, [0.0], [1.0])


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(
        commands,
        "demo",
        "train on scikit-learn's handwritten digits, time the backends, write a report",
        run,
    )
    parser.epilog = "example: fastconv demo --epochs 5 --no-speed"
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/demo"),
        metavar="DIR",
        help="folder of the report and the best model",
    )
    parser.add_argument("--epochs", type=positive_int, default=14, help="passes over the data")
    parser.add_argument("--batch-size", type=positive_int, default=64, help="images per step")
    parser.add_argument("--lr", type=positive_float, default=4e-3, help="peak learning rate")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="seed of everything drawn")
    parser.add_argument("--no-speed", action="store_true", help="do not time the backends")
    add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, time, report; fail when the accuracy is below the goal."""
    with contextlib.ExitStack() as stack:
        backend = use_engine(arguments, stack)
        fastconv.manual_seed(arguments.seed)
        train, validation, test = digit_images(arguments.seed)
        model = LeNetDigits()
        print(
            f"digits: {grouped(len(train.labels))} training and {grouped(len(validation.labels))} "
            f"validation images (shifted and turned copies included), {len(test.labels)} held out; "
            f"backend {backend}, {count(fastconv.get_num_threads(), 'thread')}",
            flush=True,
        )
        outcome = train_classifier(
            model,
            part_of(train),
            part_of(validation),
            part_of(test),
            plan=Plan(arguments.epochs, arguments.batch_size, arguments.lr),
            classes=10,
            checkpoint=arguments.out / "best.fc",
            about=ABOUT._asdict(),
        )
        accuracy = outcome.test.accuracy
        wrong = int((outcome.test.predicted != test.labels).sum())
        print(
            f"\ntest accuracy {100 * accuracy:.2f} % ({wrong} of {len(test.labels)} wrong) "
            f"after {outcome.seconds:.1f} s of training"
        )
        print(f"best model: {outcome.checkpoint.resolve()}\n", flush=True)
        results = results_of(
            "fastconv demo: handwritten digits",
            "A LeNet-style network trained on scikit-learn's 8×8 digits with fastconv's own "
            "kernels. The test images, a fifth of each class, played no part in the training or "
            "in the choice of the epoch that was kept.",
            model,
            part_of(test),
            outcome,
            NAMES,
        )
        if not arguments.no_speed:
            batch = Images(
                train.images[: arguments.batch_size], train.labels[: arguments.batch_size]
            )
            results["speed"] = time_backends(batch)
            results["speed_note"] = (
                "One training step (forward, loss, backward, optimiser) of the same network on "
                f"the same {len(batch.labels)} images; best of the steps timed."
            )
            print(speed_table(results["speed"], len(batch.labels)))
            slowest, fastest = results["speed"][0], results["speed"][-1]
            ratio = slowest["seconds"] / fastest["seconds"]
            results["tiles"].append(
                (
                    f"{grouped(ratio)}×",
                    f"{fastest['backend']} against {slowest['backend']}, one step",
                )
            )
    path = report.write(results, arguments.out / "report.html")
    print(f"\nreport: {path.resolve()}")
    if accuracy < GOAL:
        raise CommandError(
            f"test accuracy {100 * accuracy:.2f} % is below the goal of {100 * GOAL:.0f} %: "
            f"try more --epochs or another --lr"
        )
    return 0


def digit_images(seed: int) -> tuple[Images, Images, Images]:
    """Training and validation images with their altered copies, and the held-out fifth."""
    images, labels = arrays(digits())
    rest, held_out = stratified_split(labels, 0.2, SPLIT_SEED)
    fit, check = stratified_split(labels[rest], 0.1, seed)
    fit, check = rest[fit], rest[check]
    train, validation = (
        Images(altered_copies(images[part]), np.tile(labels[part], COPIES)) for part in (fit, check)
    )
    return train, validation, Images(images[held_out], labels[held_out])


def altered_copies(images: np.ndarray) -> np.ndarray:
    """The images, then each moved by a pixel in four directions and turned by 12° both ways.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W)

    Returns
    -------
    ndarray, shape (COPIES N, C, H, W)
    """
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    parts = [padded[:, :, y : y + height, x : x + width] for y, x in moves]
    return np.concatenate([*parts, turned(images, -12.0), turned(images, 12.0)])


def turned(images: np.ndarray, degrees: float) -> np.ndarray:
    """The images (N, C, H, W) turned around their centre, bilinear, zero outside."""
    height, width = images.shape[2:]
    angle = np.deg2rad(degrees)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y -= (height - 1) / 2
    x -= (width - 1) / 2
    margin = 2
    source_y = np.cos(angle) * y - np.sin(angle) * x + (height - 1) / 2 + margin
    source_x = np.sin(angle) * y + np.cos(angle) * x + (width - 1) / 2 + margin
    source_y = source_y.clip(0, height + 2 * margin - 1.001)
    source_x = source_x.clip(0, width + 2 * margin - 1.001)
    top, left = source_y.astype(np.int64), source_x.astype(np.int64)
    v, u = source_y - top, source_x - left  # weights of the lower and the right neighbour
    padded = np.pad(images, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    upper = padded[:, :, top, left] * (1 - u) + padded[:, :, top, left + 1] * u
    lower = padded[:, :, top + 1, left] * (1 - u) + padded[:, :, top + 1, left + 1] * u
    return (upper * (1 - v) + lower * v).astype(images.dtype)


# ---------------------------------------------------------------- speed


def time_backends(batch: Images, seconds: float = 1.5) -> list[dict[str, Any]]:
    """Time one training step of the same network on every backend there is, slowest first."""
    rows = []
    for name in reversed(config.BACKENDS):
        missing = backends.why_not(name)
        if missing:
            print(f"{name}: not timed, {missing}")
            continue
        print(f"timing {name} …", file=sys.stderr, flush=True)
        with fastconv.backend(name):
            rows.append({"backend": name, **time_step(batch, seconds, warm=name != "naive")})
    return sorted(rows, key=lambda row: -float(row["seconds"]))


def time_step(batch: Images, seconds: float, warm: bool) -> dict[str, Any]:
    """Best time of a training step over about ``seconds``, two steps unless one takes very long.

    ``warm`` runs one step first, which compiles what is compiled when used.
    """
    fastconv.manual_seed(0)
    model = LeNetDigits()
    optimizer = Adam(model.parameters(), lr=1e-3)
    images, labels = fastconv.from_numpy(batch.images), fastconv.from_numpy(batch.labels)

    def step() -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        return time.perf_counter() - start

    if warm:
        step()
    times = [step()]
    while sum(times) < seconds or (len(times) < 2 and times[0] < MAX_STEP):
        times.append(step())
    return {"seconds": min(times), "steps": len(times)}


def speed_table(rows: list[dict[str, Any]], batch_size: int) -> str:
    """The times as text."""
    slowest = max(row["seconds"] for row in rows)
    return text_table(
        ["backend", f"training step, {batch_size} images", "images/s", "against the slowest"],
        [
            [
                row["backend"],
                seconds_text(row["seconds"]),
                grouped(batch_size / row["seconds"]),
                f"{grouped(slowest / row['seconds'], 1)}×",
            ]
            for row in rows
        ],
    )

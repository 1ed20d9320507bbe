"""``fastconv train``: a classifier on MNIST, Fashion-MNIST, CIFAR-10 or the embedded digits."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import fastconv
from fastconv import models, report
from fastconv.cli.arguments import (
    CommandError,
    UsageError,
    add_engine,
    new_command,
    non_negative_int,
    positive_float,
    positive_int,
    use_engine,
)
from fastconv.cli.classify import Images, arrays, train_classifier
from fastconv.cli.demo import NAMES, digit_images
from fastconv.cli.report import results_of
from fastconv.datasets import cifar10, fashion_mnist, mnist
from fastconv.text import count, grouped
from fastconv.train import stratified_split

CLOTHES = [
    "T-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]
OBJECTS = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
#: Share of the training images that decides which epoch is kept (5 000 of MNIST's 60 000).
VALIDATION = 1 / 12


class Task(NamedTuple):
    """What a data set asks for."""

    title: str
    read: Any  # root, train -> TensorDataset; None for the embedded digits
    names: list[str]
    image_size: int
    model: str


TASKS = {
    "mnist": Task("MNIST", mnist, NAMES, 28, "lenet5"),
    "fashion-mnist": Task("Fashion-MNIST", fashion_mnist, CLOTHES, 28, "lenet5"),
    "cifar10": Task("CIFAR-10", cifar10, OBJECTS, 32, "resnet20"),
    "digits": Task("scikit-learn's digits", None, NAMES, 8, "lenet-digits"),
}
MODELS: dict[str, tuple[Any, int]] = {
    "lenet5": (models.LeNet5, 28),
    "lenet-digits": (models.LeNetDigits, 8),
    "resnet20": (models.resnet20, 32),
    "resnet32": (models.resnet32, 32),
}


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(commands, "train", "train a classifier and keep its best parameters", run)
    parser.epilog = "example: fastconv train mnist --data ../shared/data/mnist"
    parser.add_argument("dataset", choices=tuple(TASKS), help="what to learn")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="folder of the files (mnist, fashion-mnist: IDX; cifar10: binary records)",
    )
    parser.add_argument("--epochs", type=positive_int, default=3, help="passes over the data")
    parser.add_argument("--batch-size", type=positive_int, default=64, help="images per step")
    parser.add_argument("--lr", type=positive_float, default=4e-3, help="peak learning rate")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="seed of everything drawn")
    parser.add_argument(
        "--model",
        choices=tuple(MODELS),
        default=argparse.SUPPRESS,
        help="network (default: the one that fits the image size)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="folder of the best model (default: runs/DATASET)",
    )
    parser.add_argument("--report", action="store_true", help="write an HTML report there as well")
    add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train and print what came out."""
    task = TASKS[arguments.dataset]
    make_model, size = MODELS[getattr(arguments, "model", task.model)]
    if size != task.image_size:
        raise UsageError(
            f"argument --model: {arguments.model} is for {size}×{size} images, "
            f"{task.title} has {task.image_size}×{task.image_size}"
        )
    out = getattr(arguments, "out", Path("runs") / arguments.dataset)
    with contextlib.ExitStack() as stack:
        backend = use_engine(arguments, stack)
        fastconv.manual_seed(arguments.seed)
        train, validation, test = read(task, arguments)
        model = make_model(num_classes=len(task.names))
        print(
            f"{task.title}: {grouped(len(train.labels))} training images, "
            f"{grouped(len(validation.labels))} for validation, "
            f"{grouped(len(test.labels))} to test; backend {backend}, "
            f"{count(fastconv.get_num_threads(), 'thread')}",
            flush=True,
        )
        outcome = train_classifier(
            model,
            train,
            validation,
            test,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            learning_rate=arguments.lr,
            classes=len(task.names),
            checkpoint=out / "best.fc",
        )
        print(
            f"\ntest accuracy {100 * outcome.test.accuracy:.2f} %, loss {outcome.test.loss:.4f}; "
            f"{outcome.seconds / len(outcome.history):.2f} s per epoch"
        )
        print(f"best model: {outcome.checkpoint.resolve()}")
        if arguments.report:
            results = results_of(
                f"fastconv train: {task.title}",
                "The epoch that was kept was chosen on validation images; the test images were "
                "looked at once, at the end.",
                model,
                test,
                outcome,
                task.names,
            )
            print(f"report: {report.write(results, out / 'report.html').resolve()}")
    return 0


def read(task: Task, arguments: argparse.Namespace) -> tuple[Images, Images, Images]:
    """Training, validation and test images.

    Raises
    ------
    UsageError
        If ``--data`` is missing, or given where it means nothing.
    OSError
        If a file is missing.
    CommandError
        If a file is damaged.
    """
    if task.read is None:
        if hasattr(arguments, "data"):
            raise UsageError("argument --data: digits come with scikit-learn, there is no folder")
        return digit_images(arguments.seed)
    if not hasattr(arguments, "data"):
        raise UsageError(f"argument --data: {arguments.dataset} needs the folder of its files")
    try:
        every = arrays(task.read(arguments.data, train=True))
        test = arrays(task.read(arguments.data, train=False))
    except ValueError as error:
        raise CommandError(str(error)) from None
    fit, check = stratified_split(every.labels, VALIDATION, arguments.seed)
    return (
        Images(every.images[fit], every.labels[fit]),
        Images(every.images[check], every.labels[check]),
        test,
    )

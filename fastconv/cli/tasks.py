"""The data sets that ``fastconv train`` knows by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastconv.cli.arguments import CommandError, UsageError
from fastconv.cli.classify import Images, Part, arrays, part_of
from fastconv.cli.demo import NAMES, digit_images
from fastconv.datasets import cifar10, fashion_mnist, mnist
from fastconv.train import stratified_split

__all__ = ["TASKS", "Material", "Task", "read_task"]

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
#: Mean and deviation of each channel, from images (N, C, H, W).
Scale = Callable[[np.ndarray], tuple[list[float], list[float]]]
#: Share of the training images that decides which epoch is kept (5 000 of MNIST's 60 000).
VALIDATION = 1 / 12


class Task(NamedTuple):
    """What a data set asks for."""

    title: str
    read: Any  # root, train -> TensorDataset; None for the embedded digits
    names: list[str]
    network: str


TASKS = {
    "mnist": Task("MNIST", mnist, NAMES, "lenet5"),
    "fashion-mnist": Task("Fashion-MNIST", fashion_mnist, CLOTHES, "lenet5"),
    "cifar10": Task("CIFAR-10", cifar10, OBJECTS, "resnet20"),
    "digits": Task("scikit-learn's digits", None, NAMES, "lenet_digits"),
}


class Material(NamedTuple):
    """What a network learns, whatever it was read from."""

    title: str
    train: Part
    validation: Part
    test: Part
    classes: list[str]
    shape: tuple[int, int, int]  # channels, height, width
    mean: list[float]  # that were taken off the pixels, which went from 0 to 1
    std: list[float]
    resize: int
    network: str  # which one, unless another is asked for
    augment: tuple[str, ...] = ()
    same: bool = False  # whether `test` is `validation`
    broken: tuple[str, ...] = ()  # what is wrong with pictures that are left out


def read_task(
    name: str, data: Path | None, share: float | None, seed: int, scale: Scale | None = None
) -> Material:
    """A data set, divided.

    Parameters
    ----------
    name : str
        Of `TASKS`.
    data : Path, optional
        The folder of its files.
    share : float, optional
        Of the training images that validate.
    seed : int
        Of that draw.
    scale : callable, optional
        Gives the mean and deviation that pixels are scaled by, for each channel, from the training
        images (N, C, H, W); as they are, from 0 to 1, when not given.

    Raises
    ------
    UsageError
        If `data` is missing, or given where it means nothing.
    OSError
        If a file is missing.
    CommandError
        If a file is damaged.
    """
    task = TASKS[name]
    train, validation, test = _divided(name, task, data, share, seed)
    channels, height, width = train.images.shape[1:]
    mean, std = [0.0] * channels, [1.0] * channels
    parts = [train, validation, test]
    if scale is not None:
        mean, std = scale(train.images)
        a, b = (np.array(row, np.float32)[:, None, None] for row in (mean, std))
        parts = [Images((part.images - a) / b, part.labels) for part in parts]
    train, validation, test = parts
    return Material(
        task.title, part_of(train), part_of(validation), part_of(test), task.names,
        (channels, height, width), mean, std, height, task.network,
    )  # fmt: skip


def _divided(
    name: str, task: Task, data: Path | None, share: float | None, seed: int
) -> tuple[Images, Images, Images]:
    if task.read is None:
        if data is not None:
            raise UsageError("argument --data: digits come with scikit-learn, there is no folder")
        if share is not None:
            raise UsageError("argument --validation: digits have a division of their own")
        return digit_images(seed)
    if data is None:
        raise UsageError(f"argument --data: {name} needs the folder of its files")
    try:
        every = arrays(task.read(data, train=True))
        test = arrays(task.read(data, train=False))
    except ValueError as error:
        raise CommandError(str(error)) from None
    fit, check = stratified_split(every.labels, VALIDATION if share is None else share, seed)
    return (
        Images(every.images[fit], every.labels[fit]),
        Images(every.images[check], every.labels[check]),
        test,
    )

"""Training an image classifier: what ``demo`` and ``train`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import optim
from fastconv import train as training
from fastconv.cli.arguments import UsageError
from fastconv.data import DataLoader, TensorDataset
from fastconv.metrics import confusion_matrix
from fastconv.optim import lr_scheduler

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Answers",
    "Images",
    "Outcome",
    "Part",
    "Plan",
    "answers",
    "arrays",
    "check_batch",
    "first_filters",
    "mistakes",
    "part_of",
    "train_classifier",
]


class Images(NamedTuple):
    """Labelled images."""

    images: np.ndarray  # (N, C, H, W) float32
    labels: np.ndarray  # (N,) int64


class Part(NamedTuple):
    """Labelled images as a data set: to train with, to validate, or to test."""

    dataset: Any  # of (image (C, H, W), label)
    labels: np.ndarray  # (N,) int64
    picture: Callable[[int], np.ndarray]  # an image (H, W), grey, to look at


class Plan(NamedTuple):
    """How to train."""

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str = "adam"
    schedule: str = "cosine"
    weight_decay: float = 0.0
    workers: int = 0
    test_batch_size: int = 500


class Answers(NamedTuple):
    """A classifier's answers on N labelled images with K classes."""

    loss: float
    accuracy: float
    predicted: np.ndarray  # (N,) int64
    probabilities: np.ndarray  # (N, K) float64, rows sum to 1


class Outcome(NamedTuple):
    """A finished training."""

    history: training.History
    test: Answers
    confusion: np.ndarray  # (K, K): true, predicted
    seconds: float  # of training alone
    checkpoint: Path


#: By name: an optimiser of parameters, learning rate and weight decay.
OPTIMIZERS: dict[str, Callable[[Any, float, float], Any]] = {
    "adam": lambda p, lr, decay: optim.Adam(p, lr=lr, weight_decay=decay),
    "adamw": lambda p, lr, decay: optim.AdamW(p, lr=lr, weight_decay=decay),
    "sgd": lambda p, lr, decay: optim.SGD(
        p, lr=lr, momentum=0.9, nesterov=True, weight_decay=decay
    ),
    "rmsprop": lambda p, lr, decay: optim.RMSprop(p, lr=lr, weight_decay=decay),
    "lars": lambda p, lr, decay: optim.LARS(p, lr=lr, momentum=0.9, weight_decay=decay),
}

#: By name: a schedule of optimiser, epochs and batches per epoch, and when it steps.
SCHEDULES: dict[str, tuple[Callable[[Any, int, int], Any], str]] = {
    "cosine": (lambda o, epochs, batches: training.warm_cosine(o, epochs * batches), "step"),
    "constant": (lambda o, epochs, batches: None, "epoch"),
    "steps": (lambda o, epochs, batches: lr_scheduler.StepLR(o, max(1, -(-epochs // 3))), "epoch"),
    "plateau": (
        lambda o, epochs, batches: lr_scheduler.ReduceLROnPlateau(o, "max", patience=2),
        "epoch",
    ),
}


def arrays(dataset: Any) -> Images:
    """The images and labels of a TensorDataset, as they lie in memory."""
    images, labels = (np.asarray(tensor) for tensor in dataset.tensors)
    return Images(images, labels)


def part_of(images: Images) -> Part:
    """Images in memory as a data set."""
    dataset = TensorDataset(fastconv.from_numpy(images.images), fastconv.from_numpy(images.labels))
    return Part(dataset, images.labels, lambda i: images.images[i].mean(axis=0))


def check_batch(plan: Plan, train: Part) -> None:
    """Refuse a batch of more images than there are.

    Raises
    ------
    UsageError
        The argument's.
    """
    if plan.batch_size > len(train.labels):
        raise UsageError(
            f"argument --batch-size: {plan.batch_size} is more than the {len(train.labels)} "
            "training images"
        )


def train_classifier(
    model: Any,
    train: Part,
    validation: Part,
    test: Part,
    *,
    plan: Plan,
    classes: int,
    checkpoint: Path,
    about: Mapping[str, Any] | None = None,
    state: Path | None = None,
    log: Path | None = None,
) -> Outcome:
    """Train, keep the epoch that is most accurate on ``validation``, then test it.

    The order of the images comes from :func:`fastconv.manual_seed`. The last images of an epoch
    that do not fill a batch are left out.

    Parameters
    ----------
    model : Module
    train, validation, test : Part
    plan : Plan
    classes : int
    checkpoint : Path
        Where the best epoch is written, in one step.
    about : mapping, optional
        What that file holds beside the weights ("state_dict"); without it, it holds them alone.
    state : Path, optional
        The whole state: read if it is there, written after every epoch.
    log : Path, optional
        The history as .csv.

    Raises
    ------
    UsageError
        If there are fewer training images than one batch.
    FloatingPointError
        If the loss stops being finite.
    OSError
        If a file cannot be written.
    """
    check_batch(plan, train)
    loader: Any = DataLoader(
        train.dataset,
        batch_size=plan.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=plan.workers,
        persistent_workers=plan.workers > 0,
    )
    optimizer = OPTIMIZERS[plan.optimizer](
        [p for p in model.parameters() if p.requires_grad], plan.learning_rate, plan.weight_decay
    )
    make, when = SCHEDULES[plan.schedule]
    path = str(checkpoint).replace("{", "{{").replace("}", "}}")
    history = training.fit(
        model,
        "cross_entropy",
        optimizer,
        loader,
        _in_order(validation, plan),
        plan.epochs,
        ["accuracy"],
        [training.ModelCheckpoint(path, "valid_accuracy", about=about)],
        scheduler=make(optimizer, plan.epochs, max(1, len(loader))),
        schedule_on=when,
        monitor="valid_accuracy",
        resume=state,
        log=log,
    )
    result = answers(model, test, plan)
    return Outcome(
        history=history,
        test=result,
        confusion=confusion_matrix(result.predicted, test.labels, classes),
        seconds=sum(history["seconds"]),
        checkpoint=checkpoint,
    )


def _in_order(part: Part, plan: Plan) -> Any:
    return DataLoader(
        part.dataset, batch_size=plan.test_batch_size, shuffle=False, num_workers=plan.workers
    )


def answers(model: Any, part: Part, plan: Plan) -> Answers:
    """What a classifier says of labelled images."""
    scores = training.predict(model, _in_order(part, plan)).astype(np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    predicted = scores.argmax(axis=1)
    return Answers(
        loss=float(-logarithms[np.arange(len(predicted)), part.labels].mean()),
        accuracy=float((predicted == part.labels).mean()),
        predicted=predicted,
        probabilities=np.exp(logarithms),
    )


def first_filters(model: Any) -> np.ndarray | None:
    """Weights (K, C, kH, kW) of the first layer that has four-dimensional ones, if any has."""
    return next((np.asarray(p.detach()) for p in model.parameters() if p.ndim == 4), None)


def mistakes(test: Part, result: Answers, names: list[str]) -> list[dict[str, Any]]:
    """The test images that were classified wrong, as the report wants them."""
    return [
        {
            "image": test.picture(int(i)),
            "true": names[test.labels[i]],
            "predicted": names[result.predicted[i]],
            "probability": float(result.probabilities[i].max()),
        }
        for i in np.flatnonzero(result.predicted != test.labels)
    ]

"""Training an image classifier from arrays: what ``demo`` and ``train`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import train as training
from fastconv.cli.arguments import UsageError
from fastconv.data import DataLoader, TensorDataset
from fastconv.metrics import confusion_matrix
from fastconv.optim import Adam

__all__ = [
    "Answers",
    "Images",
    "Outcome",
    "answers",
    "arrays",
    "first_filters",
    "mistakes",
    "train_classifier",
]


class Images(NamedTuple):
    """Labelled images."""

    images: np.ndarray  # (N, C, H, W) float32
    labels: np.ndarray  # (N,) int64


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


def arrays(dataset: Any) -> Images:
    """The images and labels of a TensorDataset, as they lie in memory."""
    images, labels = (np.asarray(tensor) for tensor in dataset.tensors)
    return Images(images, labels)


def train_classifier(
    model: Any,
    train: Images,
    validation: Images,
    test: Images,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    classes: int,
    checkpoint: Path,
) -> Outcome:
    """Train with Adam and a cosine schedule, keep the best epoch on ``validation``, then test it.

    The order of the images comes from :func:`fastconv.manual_seed`. The last images of an epoch
    that do not fill a batch are left out.

    Raises
    ------
    UsageError
        If there are fewer training images than one batch.
    FloatingPointError
        If the loss stops being finite.
    OSError
        If the checkpoint cannot be written.
    """
    if batch_size > len(train.labels):
        raise UsageError(
            f"argument --batch-size: {batch_size} is more than the {len(train.labels)} "
            "training images"
        )
    dataset = TensorDataset(fastconv.from_numpy(train.images), fastconv.from_numpy(train.labels))
    loader: Any = DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True)
    optimizer = Adam(model.parameters(), lr=learning_rate)
    history = training.fit(
        model,
        "cross_entropy",
        optimizer,
        loader,
        (validation.images, validation.labels),
        epochs,
        ["accuracy"],
        batch_size=500,
        scheduler=training.warm_cosine(optimizer, epochs * max(1, len(loader))),
        schedule_on="step",
        checkpoint=checkpoint,
        monitor="valid_accuracy",
    )
    result = answers(model, test)
    return Outcome(
        history=history,
        test=result,
        confusion=confusion_matrix(result.predicted, test.labels, classes),
        seconds=sum(history["seconds"]),
        checkpoint=checkpoint,
    )


def answers(model: Any, images: Images) -> Answers:
    """What a classifier says of labelled images."""
    scores = training.predict(model, images.images, batch_size=500).astype(np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    predicted = scores.argmax(axis=1)
    return Answers(
        loss=float(-logarithms[np.arange(len(predicted)), images.labels].mean()),
        accuracy=float((predicted == images.labels).mean()),
        predicted=predicted,
        probabilities=np.exp(logarithms),
    )


def first_filters(model: Any) -> np.ndarray:
    """Weights (K, C, kH, kW) of the first layer that has four-dimensional ones."""
    return next(np.asarray(p.detach()) for p in model.parameters() if p.ndim == 4)


def mistakes(test: Images, result: Answers, names: list[str]) -> list[dict[str, Any]]:
    """The test images that were classified wrong, as the report wants them."""
    return [
        {
            "image": test.images[i].mean(axis=0),
            "true": names[test.labels[i]],
            "predicted": names[result.predicted[i]],
            "probability": float(result.probabilities[i].max()),
        }
        for i in np.flatnonzero(result.predicted != test.labels)
    ]

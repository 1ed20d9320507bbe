"""Training an image classifier from arrays: what ``demo`` and ``train`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import training
from fastconv.cli.arguments import UsageError
from fastconv.cli.progress import TrainingBar
from fastconv.data import DataLoader, TensorDataset
from fastconv.metrics import confusion_matrix
from fastconv.optim import Adam

__all__ = ["Images", "Outcome", "arrays", "first_filters", "mistakes", "train_classifier"]


class Images(NamedTuple):
    """Labelled images."""

    images: np.ndarray  # (N, C, H, W) float32
    labels: np.ndarray  # (N,) int64


class Outcome(NamedTuple):
    """A finished training."""

    history: list[training.Epoch]
    test: training.Evaluation
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
    schedule = training.cosine_schedule(optimizer, epochs * max(1, len(loader)))
    with TrainingBar(epochs, len(loader)) as bar:
        history = training.fit(
            model,
            optimizer,
            loader,
            (validation.images, validation.labels),
            epochs=epochs,
            checkpoint=checkpoint,
            schedule=schedule,
            progress=bar,
        )
    result = training.evaluate(model, test.images, test.labels)
    return Outcome(
        history=history,
        test=result,
        confusion=confusion_matrix(result.predicted, test.labels, classes),
        seconds=sum(epoch.seconds for epoch in history),
        checkpoint=checkpoint,
    )


def first_filters(model: Any) -> np.ndarray:
    """Weights (K, C, kH, kW) of the first layer that has four-dimensional ones."""
    return next(np.asarray(p.detach()) for p in model.parameters() if p.ndim == 4)


def mistakes(test: Images, result: training.Evaluation, names: list[str]) -> list[dict[str, Any]]:
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

"""A small training loop: mini-batches, validation, keep the best parameters.

Nothing here is special to a model: anything that has ``parameters()``, ``state_dict()``,
``train()`` and ``eval()`` and maps a batch of images to a matrix of class scores will do.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np

import fastconv
from fastconv.files import atomic_path
from fastconv.nn import functional as F
from fastconv.serialization import save

__all__ = [
    "Epoch",
    "Evaluation",
    "cosine_schedule",
    "evaluate",
    "fit",
    "save_atomically",
    "stratified_split",
]


class Epoch(NamedTuple):
    """What one pass over the training data gave.

    ``seconds`` is the training alone, without the validation. ``kept`` says that this epoch's
    parameters are the best so far and were written to the checkpoint.
    """

    epoch: int
    seconds: float
    learning_rate: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    kept: bool


class Evaluation(NamedTuple):
    """A model's answers on a labelled set of N images with K classes."""

    loss: float
    accuracy: float
    predicted: np.ndarray  # (N,) int64
    probabilities: np.ndarray  # (N, K) float64, rows sum to 1


class Progress(Protocol):
    """What :func:`fit` reports to; see ``fastconv.cli.progress`` for the one that draws a bar."""

    def step(self, epoch: int, loss: float, accuracy: float) -> None:
        """Take note of one optimiser step; loss and accuracy are means of the epoch so far."""

    def epoch(self, epoch: Epoch) -> None:
        """Take note of one finished epoch."""


class Batches(Protocol):
    """A re-iterable source of ``(images, labels)`` batches of Tensors, such as a DataLoader."""

    def __iter__(self) -> Any: ...

    def __len__(self) -> int: ...


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split the indices of ``labels`` in two so that each class keeps its share.

    Parameters
    ----------
    labels : ndarray, shape (N,)
        Class of each sample.
    fraction : float
        Share of every class that is held out, between 0 and 1.
    seed : int
        Seed of the draw.

    Returns
    -------
    rest, held_out : ndarray of int64
        Sorted, disjoint, and together ``arange(N)``.

    Raises
    ------
    ValueError
        If ``labels`` is not one-dimensional or ``fraction`` is not in (0, 1).
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must be one-dimensional, got shape {labels.shape}")
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}")
    rng = np.random.default_rng(seed)
    held = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held.append(members[: round(len(members) * fraction)])
    held_out = np.sort(np.concatenate(held)) if held else np.zeros(0, np.int64)
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def cosine_schedule(optimizer: Any, steps: int, warmup: float = 0.1) -> Callable[[int], float]:
    """Make a function that sets the learning rate of step ``i``: linear rise, then half a cosine.

    Parameters
    ----------
    optimizer : fastconv.optim.Optimizer
        Its current learning rates are the peaks.
    steps : int
        Number of optimiser steps of the whole training.
    warmup : float
        Share of ``steps`` spent rising from 0.

    Returns
    -------
    callable
        ``set_rate(step) -> float``; returns the rate of the first parameter group. From
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017),
        equation 5, without the restarts.

    Raises
    ------
    ValueError
        If ``steps`` is not positive or ``warmup`` is not in [0, 1).
    """
    if steps <= 0:
        raise ValueError(f"steps must be positive, got {steps}")
    if not 0.0 <= warmup < 1.0:
        raise ValueError(f"warmup must be at least 0 and below 1, got {warmup}")
    peaks = [float(group["lr"]) for group in optimizer.param_groups]
    rising = warmup * steps

    def set_rate(step: int) -> float:
        if step < rising:
            factor = (step + 1) / (rising + 1)
        else:
            factor = 0.5 * (1.0 + math.cos(math.pi * (step - rising) / (steps - rising)))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor
        return float(optimizer.param_groups[0]["lr"])

    return set_rate


def evaluate(
    model: Any, images: np.ndarray, labels: np.ndarray, batch_size: int = 500
) -> Evaluation:
    """Run ``model`` in evaluation mode without a graph.

    Parameters
    ----------
    model : fastconv.nn.Module
        Maps (B, C, H, W) to (B, K) scores. Its training mode is restored afterwards.
    images : ndarray, shape (N, C, H, W)
    labels : ndarray, shape (N,)
    batch_size : int
        Images per forward pass.

    Returns
    -------
    Evaluation
        Mean cross-entropy, accuracy, predicted classes and probabilities.

    Raises
    ------
    ValueError
        If there are no images, or not as many as labels.
    """
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(
            f"images and labels must be as many and at least one, got {len(images)}, {len(labels)}"
        )
    was_training = model.training
    model.eval()
    with fastconv.no_grad():
        scores = np.concatenate(
            [
                np.asarray(model(fastconv.from_numpy(images[i : i + batch_size])))
                for i in range(0, len(images), batch_size)
            ]
        ).astype(np.float64)
    model.train(was_training)
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    predicted = scores.argmax(axis=1)
    return Evaluation(
        loss=float(-log_probabilities[np.arange(len(labels)), labels].mean()),
        accuracy=float((predicted == labels).mean()),
        predicted=predicted,
        probabilities=np.exp(log_probabilities),
    )


def save_atomically(state: Any, path: str | os.PathLike[str]) -> None:
    """Write ``state`` with :func:`fastconv.save` so that ``path`` never holds half a file.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        save(state, temporary)


def fit(
    model: Any,
    optimizer: Any,
    batches: Batches,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    epochs: int,
    checkpoint: str | os.PathLike[str] | None = None,
    schedule: Callable[[int], float] | None = None,
    progress: Progress | None = None,
    loss_function: Callable[[Any, Any], Any] = F.cross_entropy,
) -> list[Epoch]:
    """Train a classifier and leave it with the parameters of its best epoch.

    An epoch is better than another when its validation accuracy is higher, or as high with a lower
    validation loss.

    Parameters
    ----------
    model : fastconv.nn.Module
        Maps (B, C, H, W) to (B, K) scores.
    optimizer : fastconv.optim.Optimizer
        Over the parameters of ``model``.
    batches : iterable of (Tensor, Tensor)
        Images and labels; iterated once per epoch.
    validation : (ndarray, ndarray)
        Images and labels that decide which epoch is kept.
    epochs : int
        Passes over ``batches``.
    checkpoint : path-like, optional
        Where the best ``state_dict`` is written, atomically, whenever it improves.
    schedule : callable, optional
        ``schedule(step)`` is called before every optimiser step and returns the learning rate.
    progress : Progress, optional
        Told about every step and epoch.
    loss_function : callable
        ``loss_function(scores, labels)`` returns a scalar Tensor.

    Returns
    -------
    list of Epoch

    Raises
    ------
    ValueError
        If ``epochs`` is not positive or ``batches`` is empty.
    FloatingPointError
        If the loss stops being finite; the message names epoch and step.
    """
    if epochs <= 0:
        raise ValueError(f"epochs must be positive, got {epochs}")
    if len(batches) == 0:
        raise ValueError("batches is empty: fewer training images than one batch")
    history: list[Epoch] = []
    best: tuple[float, float] | None = None
    best_state: dict[str, np.ndarray] = {}
    for number in range(1, epochs + 1):
        first_step = (number - 1) * len(batches)
        seconds, rate, loss, accuracy = _one_epoch(
            model, optimizer, batches, number, first_step, schedule, progress, loss_function
        )
        result = evaluate(model, *validation)
        score = (result.accuracy, -result.loss)
        kept = best is None or score > best
        if kept:
            best = score
            state = model.state_dict()
            best_state = {name: np.array(value) for name, value in state.items()}
            if checkpoint is not None:
                save_atomically(state, checkpoint)
        epoch = Epoch(number, seconds, rate, loss, accuracy, result.loss, result.accuracy, kept)
        history.append(epoch)
        if progress is not None:
            progress.epoch(epoch)
    model.load_state_dict({name: fastconv.tensor(value) for name, value in best_state.items()})
    return history


def _one_epoch(
    model: Any,
    optimizer: Any,
    batches: Iterable[tuple[Any, Any]],
    number: int,
    first_step: int,
    schedule: Callable[[int], float] | None,
    progress: Progress | None,
    loss_function: Callable[[Any, Any], Any],
) -> tuple[float, float, float, float]:
    """Train one epoch; return seconds, last learning rate, mean loss and mean accuracy."""
    model.train()
    rate = float(optimizer.param_groups[0]["lr"])
    loss_sum, correct, seen = 0.0, 0, 0
    start = time.perf_counter()
    for step, (images, labels) in enumerate(batches, start=first_step):
        if schedule is not None:
            rate = schedule(step)
        optimizer.zero_grad()
        scores = model(images)
        loss = loss_function(scores, labels)
        loss.backward()
        optimizer.step()
        value = float(loss.item())
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} in epoch {number}, step {step}: try a lower learning rate "
                f"than {rate:g}"
            )
        count = len(labels)
        loss_sum += value * count
        correct += int((np.asarray(scores.detach()).argmax(1) == np.asarray(labels)).sum())
        seen += count
        if progress is not None:
            progress.step(number, loss_sum / seen, correct / seen)
    return time.perf_counter() - start, rate, loss_sum / seen, correct / seen

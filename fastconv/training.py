"""A small training loop: mini-batches, validation, keep the best parameters.

Nothing here is special to a model: anything that has ``parameters()``, ``state_dict()``,
``train()`` and ``eval()`` will do. What counts as right depends on the targets. Integers are
classes: of a matrix of scores the largest column, of a single column class 1 above a threshold.
Floats are classes under a binary cross-entropy, and otherwise a regression, which has a loss and no
accuracy (NaN).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np

import fastconv
from fastconv import nn
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
    """A model's answers on a labelled set of N images with K classes.

    Of a regression ``accuracy`` is NaN, ``predicted`` what the model gave, and ``probabilities``
    has no columns.
    """

    loss: float
    accuracy: float
    predicted: np.ndarray  # (N,) int64
    probabilities: np.ndarray  # (N, K) float64, rows sum to 1; K = 2 of a single column


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


def _threshold(loss_function: Any, threshold: float | None) -> float:
    """Above which a single column is class 1: 0 where the loss takes logits, else 0.5."""
    if threshold is not None:
        return threshold
    with_logits = loss_function is F.binary_cross_entropy_with_logits
    return 0.0 if with_logits or isinstance(loss_function, nn.BCEWithLogitsLoss) else 0.5


def _classes(loss_function: Any, targets: np.ndarray) -> bool:
    """Whether the targets are classes."""
    binary = (F.binary_cross_entropy, F.binary_cross_entropy_with_logits)
    modules = (nn.BCELoss, nn.BCEWithLogitsLoss)
    one = any(loss_function is f for f in binary) or isinstance(loss_function, modules)
    return targets.dtype.kind in "biu" or (one and bool((targets % 1 == 0).all()))


def _predicted(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Classes (N, ...) of scores (N, K, ...), or (N,) of (N, 1) or (N,)."""
    if scores.ndim >= 2 and scores.shape[1] > 1:
        return scores.argmax(axis=1)
    if scores.size != len(scores):
        raise ValueError(
            f"the model's scores must be (N, K, ...), (N, 1) or (N,), got {scores.shape}"
        )
    return (scores.reshape(-1) > threshold).astype(np.int64)


def _probabilities(scores: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Softmax of scores (N, K, ...), and its logarithm; of a single column both classes' shares."""
    if scores.ndim >= 2 and scores.shape[1] > 1:
        shifted = scores - scores.max(axis=1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return np.exp(logarithms), logarithms
    one = scores.reshape(-1)
    if threshold == 0:  # logits
        small = np.exp(-np.abs(one))
        one = np.where(one >= 0, 1, small) / (1 + small)
    both = np.stack([1 - one, one], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return both, np.log(both)


def evaluate(
    model: Any,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 500,
    loss_function: Callable[[Any, Any], Any] = F.cross_entropy,
    threshold: float | None = None,
) -> Evaluation:
    """Run ``model`` in evaluation mode without a graph.

    Parameters
    ----------
    model : fastconv.nn.Module
        Maps (B, C, H, W) to (B, K) scores. Its training mode is restored afterwards.
    images : ndarray, shape (N, C, H, W)
    labels : ndarray, shape (N,)
        Classes, (N, ...) of scores (N, K, ...), or float targets of any shape (N, ...).
    batch_size : int
        Images per forward pass.
    loss_function : callable
        ``loss_function(scores, labels)`` returns the mean of a batch.
    threshold : float, optional
        A single column of scores above this is class 1. When not given 0 for
        ``binary_cross_entropy_with_logits``, which takes logits, else 0.5.

    Returns
    -------
    Evaluation
        Mean loss, accuracy, predicted classes and probabilities.

    Raises
    ------
    ValueError
        If there are no images, or not as many as labels.
    """
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(
            f"images and labels must be as many and at least one, got {len(images)}, {len(labels)}"
        )
    labels = np.asarray(labels)
    entropy = loss_function is F.cross_entropy and labels.dtype.kind in "biu"
    parts, losses = [], []
    was_training = model.training
    model.eval()
    try:
        with fastconv.no_grad():
            for i in range(0, len(images), batch_size):
                scores = model(fastconv.from_numpy(images[i : i + batch_size]))
                parts.append(np.asarray(scores))
                if not entropy:
                    targets = fastconv.from_numpy(labels[i : i + batch_size])
                    if labels.dtype.kind == "f":
                        targets = targets.to(scores.dtype)
                    losses.append(float(loss_function(scores, targets)) * len(targets))
    finally:
        model.train(was_training)
    answers = np.concatenate(parts).astype(np.float64)
    if not _classes(loss_function, labels):
        nothing = np.zeros((len(answers), 0))
        return Evaluation(sum(losses) / len(labels), float("nan"), answers, nothing)
    threshold = _threshold(loss_function, threshold)
    predicted = _predicted(answers, threshold)
    probabilities, logarithms = _probabilities(answers, threshold)
    true = labels.reshape(predicted.shape).astype(np.int64)
    if entropy:  # in float64, of all images at once
        loss = float(-np.take_along_axis(logarithms, true[:, None], 1).mean())
    else:
        loss = sum(losses) / len(labels)
    return Evaluation(loss, float((predicted == true).mean()), predicted, probabilities)


def save_atomically(state: Any, path: str | os.PathLike[str]) -> None:
    """Write ``state`` with :func:`fastconv.save` so that ``path`` never holds half a file.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    save(state, path)


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
    threshold: float | None = None,
) -> list[Epoch]:
    """Train a classifier or a regressor and leave it with the parameters of its best epoch.

    An epoch is better than another when its validation accuracy is higher, or as high with a lower
    validation loss; of a regression, whose accuracies are NaN, when its validation loss is lower.

    Parameters
    ----------
    model : fastconv.nn.Module
        Maps (B, C, H, W) to (B, K) scores.
    optimizer : fastconv.optim.Optimizer
        Over the parameters of ``model``.
    batches : iterable of (Tensor, Tensor)
        Images and labels, or float targets; iterated once per epoch.
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
        ``loss_function(scores, labels)`` returns a scalar Tensor, the mean of a batch.
    threshold : float, optional
        A single column of scores above this is class 1. When not given 0 for
        ``binary_cross_entropy_with_logits``, which takes logits, else 0.5.

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
            model,
            optimizer,
            batches,
            number,
            first_step,
            schedule,
            progress,
            loss_function,
            threshold,
        )
        result = evaluate(model, *validation, loss_function=loss_function, threshold=threshold)
        right = -1.0 if math.isnan(result.accuracy) else result.accuracy
        score = (right, -result.loss)
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
    threshold: float | None,
) -> tuple[float, float, float, float]:
    """Train one epoch; return seconds, last learning rate, mean loss and mean accuracy."""
    model.train()
    rate = float(optimizer.param_groups[0]["lr"])
    loss_sum, correct, seen = 0.0, 0.0, 0
    threshold = _threshold(loss_function, threshold)
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
        targets = np.asarray(labels)
        if _classes(loss_function, targets):
            answers = _predicted(np.asarray(scores.detach()), threshold)
            correct += float((answers == targets.reshape(answers.shape)).mean()) * count
        else:
            correct = math.nan
        seen += count
        if progress is not None:
            progress.step(number, loss_sum / seen, correct / seen)
    return time.perf_counter() - start, rate, loss_sum / seen, correct / seen

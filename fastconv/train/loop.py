"""The training loop: every kind of network, one loop."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import metrics as measures
from .. import nn, optim
from ..autograd import no_grad
from ..nn import functional as F
from ..nn.utils import clip_grad_norm_, clip_grad_value_
from ..tensor import Tensor
from . import resume as states
from .batches import joined, length, loader_of, parts, size
from .callbacks import Best, Callback, EarlyStopping, Fit, HistoryLogger
from .history import History, Row
from .progress import ProgressBar

Metrics = Sequence[Any] | dict[str, Any] | None
LOSSES: dict[str, Callable[..., Any]] = {
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "bce": F.binary_cross_entropy,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
    "kl_div": F.kl_div,
    "poisson_nll": F.poisson_nll_loss,
}


def loss_of(loss: Any) -> Callable[[Any, Any], Any]:
    """A loss by its name, or as it is."""
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"there is no loss {loss!r}; there are {', '.join(LOSSES)}")
        return LOSSES[loss]
    if not callable(loss):
        raise TypeError(f"loss must be a function, a Module or a name, got {loss!r:.80}")
    return loss  # type: ignore[no-any-return]


def optimizer_of(optimizer: Any, model: Any) -> Any:
    """An optimiser by its name ("adam"), class, or as it is."""
    if isinstance(optimizer, optim.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        known = {
            name.lower(): getattr(optim, name)
            for name in optim.__all__
            if name[0].isupper() and name != "Optimizer"
        }
        if optimizer.lower() not in known:
            raise ValueError(
                f"there is no optimizer {optimizer!r}; there are {', '.join(sorted(known))}"
            )
        optimizer = known[optimizer.lower()]
    if not callable(optimizer):
        raise TypeError(f"optimizer must be an Optimizer, a class or a name, got {optimizer!r:.80}")
    return optimizer([p for p in model.parameters() if p.requires_grad])


def threshold_of(loss: Any) -> float:
    """Above which a single column is class 1: 0 where the loss takes logits, else 0.5."""
    logits = loss is F.binary_cross_entropy_with_logits or isinstance(loss, nn.BCEWithLogitsLoss)
    return 0.0 if logits else 0.5


def metrics_of(metrics: Metrics, loss: Any) -> dict[str, Any]:
    """New measures by name."""
    if metrics is None:
        return {}
    if isinstance(metrics, (str, measures.Metric)):
        metrics = [metrics]
    if not isinstance(metrics, dict):
        named = {}
        for metric in metrics:
            name = metric if isinstance(metric, str) else metric.name.replace(" ", "_")
            named[name] = metric
        metrics = named
    found = {}
    for name, metric in metrics.items():
        if isinstance(metric, str):
            metric = measures.get(metric, threshold_of(loss))
        if not isinstance(metric, measures.Metric):
            raise TypeError(f"metric {name!r} must be a name or a Metric, got {metric!r:.80}")
        metric = copy.deepcopy(metric)
        metric.reset()
        found[name] = metric
    return found


class _Mean:
    """The mean loss of samples, from those of batches."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, value: float, count: int) -> None:
        self.total, self.count = self.total + value * count, self.count + count

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else math.nan


def _numbers(mean: _Mean, metrics: dict[str, Any], prefix: str = "") -> Row:
    return {
        f"{prefix}loss": mean.value,
        **{f"{prefix}{name}": float(metric.compute()) for name, metric in metrics.items()},
    }


def evaluate(
    model: Any, data: Any, loss: Any = None, metrics: Metrics = None, *, batch_size: int = 256
) -> Row:
    """Loss and measures of a model in evaluation mode, without a graph.

    Parameters
    ----------
    model : Module
        Its training mode is restored afterwards.
    data : DataLoader or iterable of batches, Dataset, array, or (inputs, targets)
    loss : callable or str, optional
    metrics : list or dict of str or Metric, optional
    batch_size : int
        Where `data` is not made of batches.

    Returns
    -------
    dict
        "loss" (NaN without one) and the metrics by their names.
    """
    loader = loader_of(data, batch_size, False, "data")
    loss = None if loss is None else loss_of(loss)
    return _numbers(*_evaluated(model, loader, loss, metrics_of(metrics, loss)))


def _evaluated(
    model: Any, loader: Any, loss: Any, metrics: dict[str, Any]
) -> tuple[_Mean, dict[str, Any]]:
    mean = _Mean()
    for metric in metrics.values():
        metric.reset()
    training = model.training
    model.eval()
    try:
        with no_grad():
            for batch in loader:
                x, target = parts(batch)
                out = model(x)
                if loss is not None:
                    mean.add(float(loss(out, target)), size(x))
                for metric in metrics.values():
                    metric.update(out, target)
    finally:
        model.train(training)
    return mean, metrics


def predict(model: Any, data: Any, *, batch_size: int = 256) -> Any:
    """A model's results on all inputs, in evaluation mode.

    Parameters
    ----------
    model : Module
    data : array, DataLoader, Dataset, or iterable of batches
        Targets are not looked at.
    batch_size : int

    Returns
    -------
    ndarray
        (N, …). Of a model that gives a tuple, list or dict of Tensors, or nests of them, the same
        nest of arrays, each (N, …).

    Raises
    ------
    ValueError
        Without data, or for a part of a nest whose first axis is not the batch.
    """
    loader = loader_of(data, batch_size, False, "data")
    found: list[Any] = []
    sizes: list[int | None] = []
    training = model.training
    model.eval()
    try:
        with no_grad():
            for batch in loader:
                x = parts(batch)[0]
                found.append(model(x))
                sizes.append(None if isinstance(found[-1], Tensor) else size(x))
    finally:
        model.train(training)
    if not found:
        raise ValueError("data is empty: there is nothing to predict")
    return joined(found, sizes)


def fit(
    model: Any,
    loss: Any,
    optimizer: Any,
    train: Any,
    valid: Any = None,
    epochs: int = 1,
    metrics: Metrics = None,
    callbacks: Iterable[Callback] = (),
    *,
    batch_size: int = 32,
    scheduler: Any = None,
    schedule_on: str = "epoch",
    accumulate: int = 1,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    monitor: str | None = None,
    mode: str | None = None,
    patience: int | None = None,
    min_delta: float = 0,
    restore_best: bool | None = None,
    resume: str | os.PathLike[str] | None = None,
    log: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> History:
    """Train a classifier, regressor, segmenter or autoencoder.

    Parameters
    ----------
    model : Module
    loss : callable or str
        ``loss(model(x), target)`` gives the mean of a batch. Names: "cross_entropy", "mse", …
    optimizer : Optimizer, class or str
    train, valid : DataLoader or iterable of batches, Dataset, array, or (inputs, targets)
        A batch is (input, target), or an input alone, which is then its own target. Arrays and
        data sets are cut into batches, those of `train` in a new random order each epoch.
    epochs : int
        In all, those before a resumption included.
    metrics : list or dict of str or Metric, optional
        "accuracy", "f1", "iou", "r2", … or objects of :mod:`fastconv.metrics`. Of `train` they are
        those of the batches as they passed.
    callbacks : iterable of Callback
    batch_size : int
        Where `train` or `valid` is not made of batches.
    scheduler : LRScheduler, optional
    schedule_on : "epoch" or "step"
        When the scheduler steps. ``ReduceLROnPlateau`` gets the monitored number.
    accumulate : int
        Batches whose gradients are averaged in one optimiser step.
    clip_norm, clip_value : float, optional
        Limits of all gradients' norm, and of each element.
    checkpoint : path-like, optional
        Where the ``state_dict`` of the best epoch is written, in one step.
    monitor : str, optional
        Which column decides the best epoch: "valid_loss" by default, or "loss" without `valid`.
    mode : "min", "max" or None
        None: by the name of the column.
    patience : int, optional
        End after so many epochs without a better one.
    min_delta : float
        By how much an epoch must be better.
    restore_best : bool, optional
        Leave the model with the weights of its best epoch. When not given: where there is `valid`.
    resume : path-like, optional
        A file of the whole state: read if it is there, and written after every epoch. What is
        resumed goes on to the bit, random numbers and the order of batches included.
    log : path-like, optional
        A .csv or .json file of the history, written after every epoch.
    progress : bool
        A bar on a terminal, and a line for each epoch.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError
        For arguments that make no sense, and for empty data.
    FloatingPointError
        If the loss stops being finite; the message names epoch and batch.
    """
    for name, value in (("epochs", epochs), ("accumulate", accumulate), ("batch_size", batch_size)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive int, got {value!r}")
    if schedule_on not in ("epoch", "step"):
        raise ValueError(f"schedule_on must be 'epoch' or 'step', got {schedule_on!r}")
    loss = loss_of(loss)
    optimizer = optimizer_of(optimizer, model)
    loader = loader_of(train, int(batch_size), True, "train")
    validation = None if valid is None else loader_of(valid, int(batch_size), False, "valid")
    if length(loader) == 0:
        raise ValueError("train is empty: fewer training samples than one batch")
    monitor = monitor or ("valid_loss" if validation is not None else "loss")
    best = Best(monitor, mode, min_delta)
    restore_best = validation is not None if restore_best is None else restore_best
    called = list(callbacks)
    if patience is not None:
        called.append(EarlyStopping(monitor, patience, min_delta, mode))
    if log is not None:
        called.append(HistoryLogger(log))
    if progress:
        called.append(ProgressBar())
    state = Fit(model, optimizer, scheduler, int(epochs))
    state.batches = length(loader)
    state.keeps = restore_best or checkpoint is not None
    weights: dict[str, Any] | None = None
    for callback in called:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks must be Callbacks, got {type(callback).__name__}")
    if resume is not None and os.path.exists(resume):
        kept = states.read(resume, state, called, loader)
        best.value, state.history.best_epoch, weights = (
            kept["value"], kept["epoch"], kept["weights"],
        )  # fmt: skip
    step = _Step(model, loss, optimizer, accumulate, clip_norm, clip_value)
    measured, checked = metrics_of(metrics, loss), metrics_of(metrics, loss)
    try:
        for callback in called:
            callback.on_fit_begin(state)
        while state.epoch < state.epochs and not state.stop:
            state.epoch += 1
            for callback in called:
                callback.on_epoch_begin(state)
            row = _epoch(state, step, loader, measured, called, schedule_on == "step")
            if validation is not None:
                row.update(_numbers(*_evaluated(model, validation, loss, checked), "valid_"))
            row["lr"] = float(optimizer.param_groups[0]["lr"])
            row["seconds"] = row.pop("seconds")
            state.row = row
            state.history.rows.append(row)
            if best.better(row):
                state.history.best_epoch = state.epoch
                if restore_best:
                    weights = copy.deepcopy(model.state_dict())
                if checkpoint is not None:
                    from ..serialization import save

                    save(model.state_dict(), checkpoint)
            if scheduler is not None and schedule_on == "epoch":
                _advance(scheduler, row, monitor)
            for callback in called:
                callback.on_epoch_end(state)
            if resume is not None:
                kept = {"value": best.value, "epoch": state.history.best_epoch, "weights": weights}
                states.write(resume, state, called, loader, kept)
        if weights is not None:
            model.load_state_dict(weights)
    finally:
        for callback in called:
            callback.on_fit_end(state)
    return state.history


def _advance(scheduler: Any, row: Row, monitor: str) -> None:
    if isinstance(scheduler, optim.lr_scheduler.ReduceLROnPlateau):
        scheduler.step(row[monitor])
    else:
        scheduler.step()


class _Step:
    """Forward, backward, and every `accumulate` batches a step of the optimiser."""

    def __init__(
        self, model: Any, loss: Any, optimizer: Any, accumulate: int, norm: Any, value: Any
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.accumulate, self.norm, self.value = accumulate, norm, value
        self.waiting = 0

    def batch(self, x: Any, target: Any) -> tuple[Any, float, bool]:
        """Take in a batch; the results, the loss, and whether the optimiser stepped."""
        if not self.waiting:
            self.optimizer.zero_grad()
        out = self.model(x)
        loss = self.loss(out, target)
        value = float(loss)
        if math.isfinite(value):
            (loss if self.accumulate == 1 else loss / self.accumulate).backward()
            self.waiting += 1
        return out, value, self.waiting == self.accumulate and self.step()

    def step(self) -> bool:
        """A step from the gradients so far."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        if 0 < self.waiting < self.accumulate:  # the epoch's last ones are fewer
            with no_grad():
                for p in parameters:
                    if p.grad is not None:
                        p.grad *= self.accumulate / self.waiting
        if self.norm is not None:
            clip_grad_norm_(parameters, self.norm)
        if self.value is not None:
            clip_grad_value_(parameters, self.value)
        self.optimizer.step()
        self.waiting = 0
        return True


def _epoch(
    state: Fit,
    step: _Step,
    loader: Any,
    metrics: dict[str, Any],
    called: list[Callback],
    schedule: bool,
) -> Row:
    """Train one epoch; its numbers."""
    model, optimizer = state.model, state.optimizer
    model.train()
    mean = _Mean()
    for metric in metrics.values():
        metric.reset()
    start = time.perf_counter()
    for number, batch in enumerate(loader):
        x, target = parts(batch)
        out, value, stepped = step.batch(x, target)
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} in epoch {state.epoch}, batch {number}: try a lower learning "
                f"rate than {optimizer.param_groups[0]['lr']:g}"
            )
        if stepped:
            state.steps += 1
            if schedule and state.scheduler is not None:
                state.scheduler.step()
        mean.add(value, size(x))
        if metrics:
            out = out.detach()
            for metric in metrics.values():
                metric.update(out, target)
        if called:
            values = {"loss": mean.value}
            for callback in called:
                callback.on_batch_end(state, values)
        if state.stop:
            break
    if step.waiting:
        step.step()
        state.steps += 1
    if not mean.count:
        raise ValueError("train is empty: it gave no batches")
    seconds = time.perf_counter() - start
    return {"epoch": state.epoch, **_numbers(mean, metrics), "seconds": seconds}

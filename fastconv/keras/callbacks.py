"""Callbacks with Keras's moments and names."""

from __future__ import annotations

import copy
import os
from typing import Any

from .. import train as training
from ..train.callbacks import Best

Logs = dict[str, float]


class Callback:
    """Base class; ``self.model`` is the network that is trained. Epochs count from 0."""

    model: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch."""


def logs_of(row: Any) -> Logs:
    """A row of the history in Keras's words."""
    found = {k: v for k, v in row.items() if k not in ("epoch", "seconds", "lr")}
    return {
        k.replace("valid_", "val_", 1) if k.startswith("valid_") else k: v for k, v in found.items()
    }


class Forwarded(training.Callback):
    """A Keras callback as the loop wants it."""

    def __init__(self, callback: Callback, model: Any) -> None:
        self.callback, self.batch = callback, 0
        callback.model = model

    def on_fit_begin(self, fit: Any) -> None:
        self.callback.on_train_begin({})

    def on_epoch_begin(self, fit: Any) -> None:
        self.batch = 0
        self.callback.on_epoch_begin(fit.epoch - 1, {})

    def on_batch_end(self, fit: Any, values: Any) -> None:
        self.callback.on_train_batch_end(self.batch, dict(values))
        self.batch += 1
        fit.stop = fit.stop or self.callback.model.stop_training

    def on_epoch_end(self, fit: Any) -> None:
        self.callback.on_epoch_end(fit.epoch - 1, logs_of(fit.row))
        fit.stop = fit.stop or self.callback.model.stop_training

    def on_fit_end(self, fit: Any) -> None:
        self.callback.on_train_end(logs_of(fit.row))


class EarlyStopping(Callback):
    """Ends a training when `monitor` has not become better for `patience` epochs.

    Parameters
    ----------
    monitor : str
    min_delta : float
    patience : int
    mode : "auto", "min" or "max"
    restore_best_weights : bool
    """

    def __init__(
        self, monitor: str = "val_loss", min_delta: float = 0, patience: int = 0, verbose: int = 0,
        mode: str = "auto", baseline: Any = None, restore_best_weights: bool = False,
    ) -> None:  # fmt: skip
        self.best = Best(monitor, None if mode == "auto" else mode, min_delta)
        self.patience, self.restore, self.waited = patience, restore_best_weights, 0
        self.stopped_epoch, self.weights = 0, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.best.better(logs or {}):
            self.waited = 0
            if self.restore:
                self.weights = copy.deepcopy(self.model.state_dict())
            return
        self.waited += 1
        if self.waited >= max(self.patience, 1):
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.weights is not None:
            self.model.load_state_dict(self.weights)


class ModelCheckpoint(Callback):
    """Writes the model, or its weights, after an epoch.

    Parameters
    ----------
    filepath : path-like
        May hold ``{epoch}`` (from 1) and names of the logs.
    monitor : str
    save_best_only, save_weights_only : bool
    mode : "auto", "min" or "max"
    """

    def __init__(
        self, filepath: str | os.PathLike[str], monitor: str = "val_loss", verbose: int = 0,
        save_best_only: bool = False, save_weights_only: bool = False, mode: str = "auto",
        **_: Any,
    ) -> None:  # fmt: skip
        self.path = os.fspath(filepath)
        self.best = Best(monitor, None if mode == "auto" else mode)
        self.only_best, self.only_weights = save_best_only, save_weights_only

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.only_best and not self.best.better(logs or {}):
            return
        path = self.path.format(epoch=epoch + 1, **(logs or {}))
        (self.model.save_weights if self.only_weights else self.model.save)(path)


class LearningRateScheduler(Callback):
    """Sets the learning rate of each epoch: ``schedule(epoch, rate)`` gives it."""

    def __init__(self, schedule: Any, verbose: int = 0) -> None:
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for group in self.model.optimizer.param_groups:
            try:
                group["lr"] = float(self.schedule(epoch, group["lr"]))
            except TypeError:
                group["lr"] = float(self.schedule(epoch))


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` after `patience` epochs without a better one."""

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0,
        mode: str = "auto", min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0,
    ) -> None:  # fmt: skip
        self.best = Best(monitor, None if mode == "auto" else mode, min_delta)
        self.factor, self.patience, self.min_lr, self.waited = factor, patience, min_lr, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.best.better(logs or {}):
            self.waited = 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.waited = 0
            for group in self.model.optimizer.param_groups:
                group["lr"] = max(group["lr"] * self.factor, self.min_lr)


class CSVLogger(Callback):
    """Writes the logs of every epoch as a table, in one step each time."""

    def __init__(self, filename: str | os.PathLike[str]) -> None:
        self.path = filename
        self.rows: list[Logs] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        from ..files import write_text
        from ..train.history import csv_text

        self.rows.append({"epoch": epoch, **(logs or {})})
        write_text(self.path, csv_text(self.rows))

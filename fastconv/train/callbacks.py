"""What can be told of a training while it runs, and may stop it."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .history import History, Row


class Fit:
    """The state of a training, as callbacks see it.

    Attributes
    ----------
    model, optimizer, scheduler
    epoch : int
        From 1; 0 before the first.
    epochs, steps : int
        How many there will be at most; optimiser steps so far.
    row : dict
        The numbers of the epoch that has just ended.
    history : History
    keeps : bool
        Whether the weights of the best epoch are kept, in memory or in a file.
    stop : bool
        Set it to end the training after this epoch (or batch).
    """

    def __init__(self, model: Any, optimizer: Any, scheduler: Any, epochs: int) -> None:
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.epochs, self.epoch, self.steps = epochs, 0, 0
        self.batches: int | None = None
        self.row: Row = {}
        self.history = History()
        self.keeps = False
        self.stop = False


class Callback:
    """Base of what a training calls; every method does nothing here.

    A callback with something to remember between a training and its resumption defines
    ``state_dict`` and ``load_state_dict``.
    """

    def on_fit_begin(self, fit: Fit) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, fit: Fit) -> None:
        """Before an epoch's first batch."""

    def on_batch_end(self, fit: Fit, values: Row) -> None:
        """After every batch; `values` are the epoch's numbers so far."""

    def on_epoch_end(self, fit: Fit) -> None:
        """After validation; ``fit.row`` has the epoch's numbers."""

    def on_fit_end(self, fit: Fit) -> None:
        """After the last epoch, also where an exception ends the training."""

    def state_dict(self) -> dict[str, Any]:
        """What has to be remembered."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


class LambdaCallback(Callback):
    """Functions as a callback: ``LambdaCallback(on_epoch_end=lambda fit: print(fit.row))``."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"LambdaCallback has no moment {name!r}")
            setattr(self, name, function)


class Best:
    """Whether a number is better than the best so far.

    Parameters
    ----------
    monitor : str
        A column of the history.
    mode : "min", "max" or None
        None: the larger the better where the name ends in what says so (accuracy, F1, IoU …).
    min_delta : float
        By how much a number must be better.
    """

    LARGER = (
        "accuracy", "precision", "recall", "f1", "specificity", "iou", "dice", "auc", "r2", "top",
    )  # fmt: skip

    def __init__(self, monitor: str, mode: str | None = None, min_delta: float = 0) -> None:
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min', 'max' or None, got {mode!r}")
        if not min_delta >= 0:
            raise ValueError(f"min_delta must be at least 0, got {min_delta}")
        if mode is None:
            mode = "max" if any(word in monitor for word in self.LARGER) else "min"
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.value = math.nan

    def better(self, row: Row) -> bool:
        """Take a row's number in; True if it is the best so far. NaN is never better."""
        if self.monitor not in row:
            raise KeyError(
                f"there is no {self.monitor!r} to monitor; there are {', '.join(sorted(row))}"
            )
        value = row[self.monitor]
        gain = self.value - value if self.mode == "min" else value - self.value
        found = not math.isnan(value) and (math.isnan(self.value) or gain > self.min_delta)
        if found:
            self.value = value
        return found


class EarlyStopping(Callback):
    """Ends a training when nothing has become better for `patience` epochs.

    Parameters
    ----------
    monitor : str
    patience : int
    min_delta : float
    mode : "min", "max" or None
        As for :class:`Best`.
    restore_best : bool
        Put the weights of the best epoch back at the end.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        patience: int = 5,
        min_delta: float = 0,
        mode: str | None = None,
        restore_best: bool = False,
    ) -> None:
        if not isinstance(patience, int) or patience < 1:
            raise ValueError(f"patience must be a positive int, got {patience!r}")
        self.best = Best(monitor, mode, min_delta)
        self.patience, self.restore_best = patience, restore_best
        self.waited, self.weights = 0, None

    def on_epoch_end(self, fit: Fit) -> None:
        if self.best.better(fit.row):
            self.waited = 0
            if self.restore_best:
                self.weights = copy.deepcopy(fit.model.state_dict())
            return
        self.waited += 1
        fit.stop = fit.stop or self.waited >= self.patience

    def on_fit_end(self, fit: Fit) -> None:
        if self.weights is not None:
            fit.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.value, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best.value, self.waited = state["best"], state["waited"]
        self.weights = state["weights"]


class ModelCheckpoint(Callback):
    """Writes the ``state_dict`` after an epoch, in one step.

    Parameters
    ----------
    path : path-like
        May hold ``{epoch}`` and columns of the history: ``"net-{epoch:02d}-{valid_loss:.3f}.fc"``.
    monitor : str
    save_best_only : bool
    mode : "min", "max" or None
        As for :class:`Best`.
    about : mapping, optional
        What else the file holds, such as the names of classes: a dictionary is written, of these
        and of the weights as "state_dict".
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "valid_loss",
        save_best_only: bool = True,
        mode: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.only_best = os.fspath(path), save_best_only
        self.best, self.about = Best(monitor, mode), about

    def on_epoch_end(self, fit: Fit) -> None:
        if not self.only_best or self.best.better(fit.row):
            from ..serialization import save

            weights = fit.model.state_dict()
            whole = weights if self.about is None else {**self.about, "state_dict": weights}
            save(whole, self.path.format(**fit.row))

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best.value = state["best"]


class HistoryLogger(Callback):
    """Writes the history to a file after every epoch: .csv a table, .json (or .jsonl) objects."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.suffix not in (".csv", ".json"):
            raise ValueError(f"log must end in .csv or .json, got {os.fspath(path)!r}")

    def on_epoch_end(self, fit: Fit) -> None:
        write = fit.history.to_csv if self.path.suffix == ".csv" else fit.history.to_json
        write(self.path)


class TensorBoard(Callback):
    """Writes the numbers of each epoch for TensorBoard, whose package must be installed.

    Parameters
    ----------
    log_dir : path-like

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed.
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "runs") -> None:
        from ..utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(log_dir)

    def on_epoch_end(self, fit: Fit) -> None:
        for name, value in fit.row.items():
            if name != "epoch":
                self.writer.add_scalar(name, value, int(fit.row["epoch"]))
        self.writer.flush()

    def on_fit_end(self, fit: Fit) -> None:
        self.writer.close()


class WeightAverage(Callback):
    """Keeps an average of the weights, and puts it into the model at the end.

    Parameters
    ----------
    decay : float, optional
        Of an exponential moving average over optimiser steps; None averages all epochs from
        `start` on (SWA).
    start : int
        The first epoch that counts.

    Attributes
    ----------
    averaged : optim.swa_utils.AveragedModel
    """

    def __init__(self, decay: float | None = 0.999, start: int = 1) -> None:
        self.decay, self.start = decay, start
        self.averaged: Any = None

    def on_fit_begin(self, fit: Fit) -> None:
        if self.averaged is None:
            from ..optim.swa_utils import AveragedModel, get_ema_avg_fn

            average = None if self.decay is None else get_ema_avg_fn(self.decay)
            self.averaged = AveragedModel(fit.model, avg_fn=average)

    def on_batch_end(self, fit: Fit, values: Row) -> None:
        if self.decay is not None and fit.epoch >= self.start:
            self.averaged.update_parameters(fit.model)

    def on_epoch_end(self, fit: Fit) -> None:
        if self.decay is None and fit.epoch >= self.start:
            self.averaged.update_parameters(fit.model)

    def on_fit_end(self, fit: Fit) -> None:
        if self.averaged is not None and int(self.averaged.n_averaged):
            fit.model.load_state_dict(self.averaged.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {"averaged": None if self.averaged is None else self.averaged.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.averaged is not None and state["averaged"] is not None:
            self.averaged.load_state_dict(state["averaged"])

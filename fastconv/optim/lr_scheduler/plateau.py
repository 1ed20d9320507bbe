"""Lower the learning rate when a measure has stopped getting better."""

from __future__ import annotations

import math
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, check_int, check_number, each_group, groups_of


class ReduceLROnPlateau(LRScheduler):
    """Times `factor` when the measure has not improved for more than `patience` steps.

    Parameters
    ----------
    optimizer : Optimizer
    mode : "min" or "max"
        Whether a smaller or a larger measure is better.
    factor : float
    patience : int
    threshold : float
        What counts as an improvement: relative ("rel") or absolute ("abs") by `threshold_mode`.
    cooldown : int
        Steps after a reduction in which bad ones do not count.
    min_lr : float or list of float
    eps : float
        Smallest change that is made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        groups = groups_of(optimizer, name)
        check_number(name, factor=factor, threshold=threshold, eps=eps)
        check_int(name, "patience", patience, 0)
        check_int(name, "cooldown", cooldown, 0)
        if factor >= 1.0:
            raise ValueError(f"Factor should be < 1.0, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode!r} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode!r} is unknown!")
        self.min_lrs = each_group(optimizer, min_lr, "min_lr")
        for least in self.min_lrs:
            check_number(name, min_lr=least)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr = [group["lr"] for group in groups]

    def is_better(self, value: float, best: float) -> bool:
        """Whether `value` improves on `best` by the threshold."""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "abs":
            limit = best + sign * self.threshold
        else:
            limit = best * (1 + sign * self.threshold)
        return value < limit if self.mode == "min" else value > limit

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of the measure and lower the rates when it is time."""
        if isinstance(metrics, str) or not hasattr(metrics, "__float__"):
            raise TypeError(
                f"ReduceLROnPlateau.step: metrics must be a number, got {metrics!r:.80}"
            )
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(value, self.best):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._lower()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _lower(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"ReduceLROnPlateau: the optimizer has {len(groups)} parameter groups now, "
                    f"min_lr was given for {len(self.min_lrs)}: set min_lrs anew"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            rate = max(group["lr"] * self.factor, least)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate

"""Averages of weights over a training: EMA and SWA."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn.modules.module import Module
from ..nn.modules.normalization import _BatchNorm
from ..tensor import Tensor, wrap
from .lr_scheduler import LRScheduler

Average = Callable[[Any, Any, int], Any]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average: ``decay · average + (1 − decay) · weight``."""
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value: {decay}; must be between 0 and 1")

    def average(averaged: Tensor, current: Tensor, count: int) -> Tensor:
        return averaged * decay + current * (1 - decay)

    return average


def get_swa_avg_fn() -> Average:
    """The mean of all weights so far."""

    def average(averaged: Tensor, current: Tensor, count: int) -> Tensor:
        return averaged + (current - averaged) / (count + 1)

    return average


class AveragedModel(Module):
    """A copy of a network whose weights are an average over a training.

    Parameters
    ----------
    model : Module
    device : optional
        As in PyTorch; there is only the CPU.
    avg_fn : callable, optional
        ``avg_fn(averaged, weight, count)``; the mean of all (SWA) by default,
        ``get_ema_avg_fn(0.999)`` for a moving average.
    use_buffers : bool
        Average the buffers too, instead of leaving them as they were copied.

    Attributes
    ----------
    module : Module
        The copy.
    n_averaged : Tensor
        How many weights the average has seen.
    """

    module: Module
    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Any = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if multi_avg_fn is not None:
            raise ValueError("AveragedModel: multi_avg_fn is not supported; pass avg_fn")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", wrap(np.zeros((), np.int64)))
        self.avg_fn = avg_fn or get_swa_avg_fn()
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged network's result."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present weights of `model` into the average."""
        count = int(self.n_averaged)
        pairs: list[tuple[Any, Any]] = list(
            zip(self.module.parameters(), model.parameters(), strict=True)
        )
        own, other = list(self.module.buffers()), list(model.buffers())
        with no_grad():
            if self.use_buffers:
                pairs += [p for p in zip(own, other, strict=True) if p[0].is_floating_point()]
            for mine, theirs in pairs:
                value = theirs if count == 0 else self.avg_fn(mine, theirs.detach(), count)
                mine.copy_(value.detach())
            if not self.use_buffers:
                for held, given in zip(own, other, strict=True):
                    held.copy_(given.detach())
            self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of all batch norms anew, over the batches of `loader`.

    Parameters
    ----------
    loader : iterable
        Of inputs, or of sequences whose first item is the input.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    training = model.training
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    model.train()
    try:
        with no_grad():
            for batch in loader:
                model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """Anneals every group's rate to `swa_lr` over `anneal_epochs`, and keeps it there.

    Parameters
    ----------
    optimizer : Optimizer
    swa_lr : float or sequence of float
        One for each group.
    anneal_epochs : int
    anneal_strategy : "cos" or "linear"
    last_epoch : int
    """

    def __init__(
        self,
        optimizer: Any,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        groups = optimizer.param_groups
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(groups)
        if len(rates) != len(groups):
            raise ValueError(f"swa_lr has {len(rates)} values for {len(groups)} parameter groups")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', got {anneal_strategy!r}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be a whole number >= 0, got {anneal_epochs!r}")
        for group, rate in zip(groups, rates, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self.strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _part(self, epoch: float) -> float:
        """How much of the way to `swa_lr` is gone."""
        t = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self.strategy == "cos" else t

    def get_lr(self) -> list[float]:
        """The rates of this epoch, from those before it."""
        step = self.last_epoch if self.anneal_epochs else max(1, self.last_epoch)
        before, now = self._part(step - 1), self._part(step)
        rates = []
        for group in self.optimizer.param_groups:
            goal = group["swa_lr"]
            start = goal if before == 1 else (group["lr"] - before * goal) / (1 - before)
            rates.append(start * (1 - now) + goal * now)
        return rates


__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_swa_avg_fn",
    "update_bn",
]

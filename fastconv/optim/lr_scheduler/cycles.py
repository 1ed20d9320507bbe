"""Schedules that rise and fall: warm restarts, one cycle, many cycles."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .base import (
    LRScheduler,
    check_int,
    check_number,
    check_state,
    each_group,
    groups_of,
    need,
)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines that begin anew, each `T_mult` times as long as the one before (SGDR).

    `step(epoch)` takes fractions of an epoch. Made with `last_epoch` past the first cycle it counts
    from the remainder by `T_0`, as PyTorch's: with `T_mult` above 1, load its state dict instead,
    or call `step(epoch)` once.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0!r:.80}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult!r:.80}")
        check_number("CosineAnnealingWarmRestarts", eta_min=eta_min)
        check_int("CosineAnnealingWarmRestarts", "last_epoch", last_epoch, -1)
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        weight = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * weight for base in self.base_lrs]

    def _update_lr(self, epoch: float | None = None) -> None:
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            self.last_epoch += 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            check_number("CosineAnnealingWarmRestarts.step", epoch=epoch)
            if not 0 <= epoch < math.inf:
                raise ValueError(f"Expected non-negative epoch, but got {epoch}")
            self.last_epoch = math.floor(epoch)
            self.T_cur, self.T_i = epoch % self.T_0, self.T_0
            if self.T_mult > 1:
                self.T_cur = epoch
                while self.T_cur >= self.T_i:
                    self.T_cur -= self.T_i
                    self.T_i *= self.T_mult
        self._set(self.get_lr())


def check_momentum(optimizer: Optimizer) -> None:
    """Raise ValueError for an optimiser without momentum."""
    if not any(key in optimizer.defaults for key in ("momentum", "betas")):
        raise ValueError(
            "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
        )


def set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Set momentum, or Adam's first beta."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


class OneCycleLR(LRScheduler):
    """One rise to `max_lr` and one fall far below the start (Smith, Topin 2018).

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float or list of float
    total_steps : int, optional
        Or both `epochs` and `steps_per_epoch`.
    pct_start : float
        Share of the steps in which the rate rises.
    anneal_strategy : "cos" or "linear"
    cycle_momentum : bool
        Let the momentum (or Adam's first beta) go the other way, between `max_momentum` and
        `base_momentum`.
    div_factor, final_div_factor : float
        The start is max_lr / div_factor, the end that / final_div_factor.
    three_phase : bool
        Fall to the start as long as the rise took, then below it.
    last_epoch : int
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = "OneCycleLR"
        groups = groups_of(optimizer, name)
        check_int(name, "last_epoch", last_epoch, -1)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "You must define either total_steps OR (epochs AND steps_per_epoch)"
                )
            check_int(name, "epochs", epochs, 1)
            check_int(name, "steps_per_epoch", steps_per_epoch, 1)
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps!r:.80}")
        check_number(name, pct_start=pct_start)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', got {anneal_strategy!r:.80}"
            )
        factors = {"div_factor": div_factor, "final_div_factor": final_div_factor}
        check_number(name, **factors)
        for key, factor in factors.items():
            if not factor > 0:
                raise ValueError(f"{name}: {key} must be positive, got {factor}")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        rise = float(pct_start * total_steps) - 1
        last = total_steps - 1
        if three_phase:
            self.phases = [(rise, 0, 1), (2 * rise, 1, 0), (last, 0, 2)]
        else:
            self.phases = [(rise, 0, 1), (last, 1, 2)]
        peaks = each_group(optimizer, max_lr, "max_lr")
        lows = each_group(optimizer, base_momentum, "base_momentum")
        highs = each_group(optimizer, max_momentum, "max_momentum")
        for peak, low, high in zip(peaks, lows, highs, strict=True):
            check_number(name, max_lr=peak, base_momentum=low, max_momentum=high)
        if cycle_momentum:
            check_momentum(optimizer)
        for i, (group, peak, low, high) in enumerate(zip(groups, peaks, lows, highs, strict=True)):
            if last_epoch == -1:
                group["initial_lr"] = peak / div_factor
                group["max_lr"] = peak
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    set_momentum(group, high)
                    group["max_momentum"], group["base_momentum"] = high, low
            else:
                keys = ("max_momentum", "base_momentum") if cycle_momentum else ()
                for key in ("initial_lr", "max_lr", "min_lr", *keys):
                    need(group, key, i)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        index = min(sum(step > end for end, _, _ in self.phases), len(self.phases) - 1)
        start = self.phases[index - 1][0] if index else 0.0
        end, source, target = self.phases[index]
        share = (step - start) / (end - start) if end != start else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            places = (group["initial_lr"], group["max_lr"], group["min_lr"])
            rates.append(self._anneal(places[source], places[target], share))
            if self.cycle_momentum:
                high, low = group["max_momentum"], group["base_momentum"]
                places = (high, low, high)
                set_momentum(group, self._anneal(places[source], places[target], share))
        return rates

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


class CyclicLR(LRScheduler):
    """Up from `base_lr` to `max_lr` and down again along lines, over and over (Smith 2017).

    Parameters
    ----------
    optimizer : Optimizer
    base_lr, max_lr : float or list of float
    step_size_up, step_size_down : int
        Steps of a rise, and of a fall: as many when not given.
    mode : "triangular", "triangular2" or "exp_range"
        The height of a cycle: the same, half that of the one before, or `gamma ** step`.
    gamma : float
    scale_fn : callable, optional
        The height instead: a function of the cycle (from 1) or of the step, by `scale_mode`.
    scale_mode : "cycle" or "iterations"
    cycle_momentum : bool
        Let the momentum (or Adam's first beta) go the other way, between `max_momentum` and
        `base_momentum`.
    last_epoch : int
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        name = "CyclicLR"
        groups = groups_of(optimizer, name)
        check_int(name, "last_epoch", last_epoch, -1)
        down = step_size_up if step_size_down is None else step_size_down
        check_number(name, step_size_up=step_size_up, step_size_down=down, gamma=gamma)
        if not (step_size_up > 0 and down > 0):
            raise ValueError(
                f"{name}: step_size_up and step_size_down must be positive, "
                f"got {step_size_up} and {down}"
            )
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f"{name}: mode must be 'triangular', 'triangular2' or 'exp_range', "
                f"or scale_fn be given, got {mode!r:.80}"
            )
        if scale_fn is not None and not callable(scale_fn):
            raise TypeError(f"{name}: scale_fn must be a function, got {scale_fn!r:.80}")
        bases = each_group(optimizer, base_lr, "base_lr")
        self.max_lrs = each_group(optimizer, max_lr, "max_lr")
        self.base_momentums = each_group(optimizer, base_momentum, "base_momentum")
        self.max_momentums = each_group(optimizer, max_momentum, "max_momentum")
        for base, peak in zip(bases, self.max_lrs, strict=True):
            check_number(name, base_lr=base, max_lr=peak)
        for low, high in zip(self.base_momentums, self.max_momentums, strict=True):
            check_number(name, base_momentum=low, max_momentum=high)
        self.total_size = float(step_size_up) + float(down)
        self.step_ratio = float(step_size_up) / self.total_size
        self.mode = mode
        self.gamma = gamma
        self.cycle_momentum = cycle_momentum
        self._scale_fn = scale_fn
        by_step = scale_mode == "iterations" if scale_fn is not None else mode == "exp_range"
        self.scale_mode = "iterations" if by_step else "cycle"
        if cycle_momentum:
            check_momentum(optimizer)
        if last_epoch == -1:
            for i, group in enumerate(groups):
                group["lr"] = bases[i]
                if cycle_momentum:
                    low, high = self.base_momentums[i], self.max_momentums[i]
                    set_momentum(group, high)
                    group["max_momentum"], group["base_momentum"] = high, low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bases

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, or at a step."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        ratio = self.step_ratio
        share = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        height = share * self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            ):
                set_momentum(group, high - (high - low) * height)
        return [
            base + (peak - base) * height
            for base, peak in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and a plain `scale_fn`."""
        state = super().state_dict()
        function = self._scale_fn
        plain = function is None or isinstance(function, types.FunctionType)
        state["_scale_fn"] = None if plain else dict(getattr(function, "__dict__", {}))
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; `scale_fn` stays that of the constructor."""
        state = check_state(self, state_dict)
        kept = state.pop("_scale_fn", None)
        self.__dict__.update(state)
        if kept and self._scale_fn is not None:
            self._scale_fn.__dict__.update(kept)

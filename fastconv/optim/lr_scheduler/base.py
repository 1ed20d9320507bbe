"""LRScheduler: what all schedules share, and the checks of their arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..optimizer import Optimizer


class LRScheduler:
    """Base class: a subclass defines `get_lr`, the rates at `self.last_epoch`.

    Where it also defines `_get_closed_form_lr`, `step(epoch)` sets those rates; they depend on the
    epoch alone, not on the rates before.

    Parameters
    ----------
    optimizer : Optimizer
    last_epoch : int
        -1 begins. Anything else resumes groups that have `initial_lr`: the first epoch is
        `last_epoch + 1`, and most schedules leave the groups' rates as they find them there, for
        they are those of the checkpoint.

    Attributes
    ----------
    base_lrs : list of float
        The groups' rates at the beginning.
    last_epoch : int

    Raises
    ------
    TypeError
        When `optimizer` is none, or `last_epoch` no int.
    KeyError
        When a group to be resumed has no `initial_lr`.
    """

    _is_initial = False  # while the constructor takes its step

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        groups = groups_of(optimizer, name)
        check_int(name, "last_epoch", last_epoch, -1)
        self.optimizer = optimizer
        for i, group in enumerate(groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            else:
                need(group, "initial_lr", i)
        self.base_lrs: list[float] = [group["initial_lr"] for group in groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rate of each group at `self.last_epoch`, from the rates before it."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr")

    def get_last_lr(self) -> list[float]:
        """The rates that were set last."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on by one, or to `epoch`, and set the rates."""
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            self._set(self.get_lr())
            return
        check_int(f"{type(self).__name__}.step", "epoch", epoch, 0)
        self.last_epoch = epoch
        closed: Callable[[], list[float]] = getattr(self, "_get_closed_form_lr", self.get_lr)
        self._set(closed())

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [rate * factor for rate in self._rates()]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and functions."""
        return {
            key: value
            for key, value in self.__dict__.items()
            if key != "optimizer" and not callable(value)
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises
        ------
        TypeError
            When it is not a dict.
        """
        self.__dict__.update(check_state(self, state_dict))


def groups_of(optimizer: Any, name: str) -> list[dict[str, Any]]:
    """The optimiser's groups; TypeError for what is no optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}: optimizer: {type(optimizer).__name__} is not an Optimizer")
    return optimizer.param_groups


def need(group: dict[str, Any], key: str, i: int) -> None:
    """Raise KeyError unless a group that is to be resumed has `key`."""
    if key not in group:
        raise KeyError(
            f"param {key!r} is not specified in param_groups[{i}] when resuming with "
            "last_epoch >= 0: load the optimizer's state_dict first, or begin with last_epoch=-1"
        )


def each_group(optimizer: Optimizer, value: Any, name: str) -> list[Any]:
    """One value per parameter group."""
    count = len(groups_of(optimizer, name))
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"Expected {count} values for {name}, got {len(value)}")
    return list(value)


def functions(optimizer: Optimizer, value: Any, owner: str) -> list[Callable[[int], float]]:
    """One function per parameter group; TypeError for what cannot be called."""
    found = each_group(optimizer, value, "lr_lambda")
    for function in found:
        if not callable(function):
            raise TypeError(
                f"{owner}: lr_lambda should be a function, got {type(function).__name__}"
            )
    return found


def check_state(scheduler: Any, state_dict: Any) -> dict[str, Any]:
    """A copy of a state dict; TypeError for what is none."""
    if not isinstance(state_dict, dict):
        raise TypeError(
            f"{type(scheduler).__name__}.load_state_dict: state_dict must be a dict, "
            f"got {type(state_dict).__name__}"
        )
    return dict(state_dict)


def check_int(owner: str, name: str, value: Any, least: int | None) -> None:
    """Raise unless `value` is an integer of at least `least`, any where that is None."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{owner}: {name} must be an int, got {value!r:.80}")
    if least is not None and value < least:
        wanted = "positive" if least == 1 else f"at least {least}"
        raise ValueError(f"{owner}: {name} must be {wanted}, got {value}")


def check_number(owner: str, **numbers: Any) -> None:
    """Raise TypeError for what is no real number, ValueError for NaN."""
    for name, value in numbers.items():
        if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
            raise TypeError(f"{owner}: {name} must be a number, got {value!r:.80}")
        if math.isnan(value):
            raise ValueError(f"{owner}: {name} must be a number, got nan")

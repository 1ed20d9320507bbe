"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, check_int, check_state, groups_of
from .plateau import ReduceLROnPlateau


class Combined(LRScheduler):
    """What both share: the schedules they hold are part of their state."""

    _schedulers: list[LRScheduler]

    def _take(self, optimizer: Optimizer, schedulers: Any) -> None:
        """Check the schedules and keep them.

        Raises
        ------
        TypeError
            For what is no schedule.
        ValueError
            For none at all, for one of another optimiser, and for ReduceLROnPlateau, whose step
            needs a measure.
        """
        name = type(self).__name__
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(
                    f"{name}: schedulers[{i}] is no scheduler but {type(scheduler).__name__}"
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name}: schedulers[{i}] is ReduceLROnPlateau, whose step needs a measure: "
                    "call it by itself"
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name}: all schedulers must belong to the same optimizer, "
                    f"schedulers[{i}] does not"
                )
        self.optimizer = optimizer
        self._schedulers = list(schedulers)

    def _no_epoch(self, epoch: Any) -> None:
        if epoch is not None:
            raise ValueError(f"{type(self).__name__}: step takes no epoch, got {epoch!r}")

    def state_dict(self) -> dict[str, Any]:
        """What the schedule keeps, with the state of each that it holds."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, of as many schedules.

        Raises
        ------
        ValueError
            When the number of schedules differs.
        """
        state = check_state(self, state_dict)
        inner = state.pop("_schedulers", None)
        if not isinstance(inner, list) or len(inner) != len(self._schedulers):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: state_dict needs the states of "
                f"{len(self._schedulers)} schedulers as '_schedulers'"
            )
        self.__dict__.update(state)
        for scheduler, saved in zip(self._schedulers, inner, strict=True):
            scheduler.load_state_dict(saved)


class SequentialLR(Combined):
    """Several schedules one after the other, changing at the epochs `milestones`.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : list of LRScheduler
    milestones : list of int
        One less than schedules. At each, the next schedule begins with its epoch 0.
    last_epoch : int
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        groups_of(optimizer, "SequentialLR")
        check_int("SequentialLR", "last_epoch", last_epoch, -1)
        for name, value in (("schedulers", schedulers), ("milestones", milestones)):
            if not isinstance(value, (list, tuple)):
                raise TypeError(f"SequentialLR: {name} must be a list, got {type(value).__name__}")
        for i, milestone in enumerate(milestones):
            check_int("SequentialLR", f"milestones[{i}]", milestone, 0)
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need "
                f"{max(len(schedulers) - 1, 0)} milestones, got {len(milestones)}"
            )
        self._take(optimizer, schedulers)
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # undo what their constructors have set
            group["lr"] = group["initial_lr"]
        undo(self)
        first = schedulers[bisect.bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch, with the schedule whose turn it is."""
        self._no_epoch(epoch)
        self.last_epoch += 1
        index = bisect.bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(Combined):
    """Several schedules at once: each changes the rate that the one before it has set.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
    optimizer : Optimizer, optional
        That of the first schedule when not given.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not isinstance(schedulers, (list, tuple)):
            raise TypeError(
                f"ChainedScheduler: schedulers must be a list, got {type(schedulers).__name__}"
            )
        if not schedulers:
            raise ValueError("ChainedScheduler: schedulers is empty: at least one is needed")
        if optimizer is None:
            optimizer = getattr(schedulers[0], "optimizer", None)
        if optimizer is not None:
            groups_of(optimizer, "ChainedScheduler")
        self._take(optimizer, schedulers)  # type: ignore[arg-type]
        self._last_lr = self._rates()

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch, with every schedule in turn."""
        self._no_epoch(epoch)
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._rates()


def undo(scheduler: LRScheduler) -> None:
    """Take back the step of every constructor inside."""
    if isinstance(scheduler, Combined):
        for inner in scheduler._schedulers:
            undo(inner)
    else:
        scheduler.last_epoch -= 1

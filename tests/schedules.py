"""Schedules in every way they are used, for this library and for PyTorch.

`python -m tests.schedules > tests/schedules.json` writes the rates and momenta that PyTorch gives
(2.13 made the file): test_schedules.py compares ours with them where PyTorch is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

STEPS = 12
#: Constructors, by a name; two groups with different rates each.
SINGLE: dict[str, tuple[str, dict[str, Any]]] = {
    "step": ("StepLR", dict(step_size=3, gamma=0.5)),
    "step 1": ("StepLR", dict(step_size=1)),
    "multistep": ("MultiStepLR", dict(milestones=[5, 2, 5, 8], gamma=0.5)),
    "exponential": ("ExponentialLR", dict(gamma=0.8)),
    "constant": ("ConstantLR", dict(factor=0.5, total_iters=4)),
    "linear": ("LinearLR", dict(total_iters=4)),
    "linear down": ("LinearLR", dict(start_factor=1.0, end_factor=0.25, total_iters=7)),
    "polynomial": ("PolynomialLR", dict(total_iters=6, power=2.0)),
    "cosine": ("CosineAnnealingLR", dict(T_max=4, eta_min=0.01)),
    "cosine long": ("CosineAnnealingLR", dict(T_max=30)),
    "restarts": ("CosineAnnealingWarmRestarts", dict(T_0=3, T_mult=2, eta_min=0.02)),
    "restarts alike": ("CosineAnnealingWarmRestarts", dict(T_0=4)),
    "lambda": ("LambdaLR", dict(lr_lambda=lambda epoch: 1 / (1 + epoch))),
    "lambdas": ("LambdaLR", dict(lr_lambda=[lambda e: 0.9**e, lambda e: 1.0 - e / 50])),
    "multiplicative": ("MultiplicativeLR", dict(lr_lambda=lambda epoch: 1 - 0.1 / (1 + epoch))),
    "one cycle": ("OneCycleLR", dict(max_lr=[1.0, 0.5], total_steps=40)),
    "one cycle linear": (
        "OneCycleLR",
        dict(max_lr=1.0, epochs=8, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.1),
    ),
    "three phases": ("OneCycleLR", dict(max_lr=1.0, total_steps=30, three_phase=True)),
    "cyclic": ("CyclicLR", dict(base_lr=[0.1, 0.2], max_lr=1.0, step_size_up=3)),
    "cyclic 2": (
        "CyclicLR",
        dict(base_lr=0.1, max_lr=1.0, step_size_up=2, step_size_down=3, mode="triangular2"),
    ),
    "cyclic exp": (
        "CyclicLR",
        dict(
            base_lr=0.1, max_lr=1.0, step_size_up=2, mode="exp_range", gamma=0.9,
            cycle_momentum=False,
        ),
    ),
    "cyclic own": (
        "CyclicLR",
        dict(
            base_lr=0.1, max_lr=1.0, step_size_up=2, scale_fn=lambda i: 1 / (1 + i),
            scale_mode="iterations",
        ),
    ),
}  # fmt: skip
RESUMED = (0, 1, 2, 5, 9)
MEASURES = [3, 2, 2, 2.5, 2, 1.99999, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]


class Library:
    """An optimiser and its schedules, ours or PyTorch's."""

    def __init__(self, optim: Any, parameter: Callable[[], Any]) -> None:
        self.schedules = optim.lr_scheduler
        self.optim = optim
        self.parameter = parameter

    def optimizer(self, adam: bool = False) -> Any:
        groups = [
            {"params": [self.parameter()], "lr": 0.5},
            {"params": [self.parameter()], "lr": 0.125},
        ]
        return self.optim.Adam(groups) if adam else self.optim.SGD(groups, momentum=0.9)

    def make(self, name: str, optimizer: Any, **more: Any) -> Any:
        kind, kwargs = SINGLE[name]
        return getattr(self.schedules, kind)(optimizer, **kwargs, **more)


def ours() -> Library:
    import fastconv
    from fastconv import nn, optim

    return Library(optim, lambda: nn.Parameter(fastconv.ones(1)))


def pytorch() -> Library:
    import torch

    return Library(torch.optim, lambda: torch.nn.Parameter(torch.ones(1)))


Row = list[float]


def state(optimizer: Any) -> Row:
    """The rate of each group, and its momentum where a schedule moves that."""
    row = []
    for group in optimizer.param_groups:
        row.append(group["lr"])
        if "max_momentum" in group:
            row.append(group["betas"][0] if "betas" in group else group["momentum"])
    return [float(f"{value:.9g}") for value in row]


def run(optimizer: Any, schedule: Any, steps: int = STEPS) -> list[Row]:
    rows = [state(optimizer)]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        rows.append(state(optimizer))
        assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
    return rows


def fresh(lib: Library, name: str) -> list[Row]:
    o = lib.optimizer()
    return run(o, lib.make(name, o), 20)


def adam(lib: Library, name: str) -> list[Row]:
    """Cycles move the first beta."""
    if "cycl" not in name and name != "three phases":
        return []
    o = lib.optimizer(adam=True)
    return run(o, lib.make(name, o), 6)


def resumed(lib: Library, name: str) -> list[Row]:
    """A new schedule of each `last_epoch` over an optimiser that a first one has brought there."""
    rows = []
    for last in RESUMED:
        o = lib.optimizer()
        run(o, lib.make(name, o), last)
        rows += run(o, lib.make(name, o, last_epoch=last), 8)
    return rows


def again(lib: Library, name: str) -> list[Row]:
    """State dicts of optimiser and schedule, taken over by new ones."""
    rows = []
    for last in RESUMED:
        o = lib.optimizer()
        first = lib.make(name, o)
        run(o, first, last)
        p = lib.optimizer()
        second = lib.make(name, p)
        second.load_state_dict(first.state_dict())
        p.load_state_dict(o.state_dict())
        rows += run(p, second, 6)
    return rows


def sent(lib: Library, name: str) -> list[Row]:
    """`step(epoch)` among other steps."""
    o = lib.optimizer()
    schedule = lib.make(name, o)
    rows = run(o, schedule, 2)
    for epoch in (5, 6, 1, 10, 0, 4):
        schedule.step(epoch)
        rows += run(o, schedule, 2)
    return rows


def twice(lib: Library, name: str) -> list[Row]:
    """A second schedule on the optimiser of a first that has ended, and both stepped after that."""
    o = lib.optimizer()
    first = lib.make(name, o)
    rows = run(o, first, 3)
    second = lib.make("exponential", o)
    rows += run(o, second, 2)
    for _ in range(6):
        first.step()
        second.step()
        rows.append(state(o))
    return rows


def sequential(lib: Library, name: str) -> list[Row]:
    rows = []
    for order in ((name, "linear", "step"), ("linear", name, "step"), ("constant", "step", name)):
        o = lib.optimizer()
        parts = [lib.make(n, o) for n in order]
        rows += run(o, lib.schedules.SequentialLR(o, parts, milestones=[3, 8]), 14)
    o = lib.optimizer()
    parts = [lib.make(n, o) for n in ("linear", name)]
    schedule = lib.schedules.SequentialLR(o, parts, milestones=[3])
    rows += run(o, schedule, 5)
    p = lib.optimizer()
    parts = [lib.make(n, p) for n in ("linear", name)]
    other = lib.schedules.SequentialLR(p, parts, milestones=[3])
    other.load_state_dict(schedule.state_dict())
    p.load_state_dict(o.state_dict())
    return rows + run(p, other, 5)


def chained(lib: Library, name: str) -> list[Row]:
    def make(o: Any) -> Any:
        return lib.schedules.ChainedScheduler([lib.make(n, o) for n in (name, "linear", "step")])

    o = lib.optimizer()
    schedule = make(o)
    rows = run(o, schedule, 5)
    p = lib.optimizer()
    other = make(p)
    other.load_state_dict(schedule.state_dict())
    p.load_state_dict(o.state_dict())
    return rows + run(p, other, 7)


def nested(lib: Library, name: str) -> list[Row]:
    o = lib.optimizer()
    both = lib.schedules.ChainedScheduler([lib.make(n, o) for n in ("constant", name)])
    rows = run(o, lib.schedules.SequentialLR(o, [both, lib.make("cosine", o)], [4]), 9)
    o = lib.optimizer()
    inner = lib.schedules.SequentialLR(o, [lib.make("linear", o), lib.make(name, o)], [2])
    return rows + run(o, lib.schedules.SequentialLR(o, [inner, lib.make("step", o)], [6]), 9)


WAYS = (fresh, adam, resumed, again, sent, twice, sequential, chained, nested)


def plateau(lib: Library) -> list[Row]:
    rows = []
    for kwargs in (
        dict(patience=1),
        dict(patience=0, cooldown=2, factor=0.5, min_lr=[0.1, 0.01]),
        dict(mode="max", patience=2, threshold=0.1, threshold_mode="abs"),
        dict(mode="max", patience=0, threshold_mode="rel", eps=0.01),
        dict(patience=2, threshold=0.5, threshold_mode="abs", min_lr=0.02),
    ):
        o = lib.optimizer()
        schedule = lib.schedules.ReduceLROnPlateau(o, **kwargs)
        for i, measure in enumerate(MEASURES):
            if i == 9:  # taken over by another
                kept, o_kept = schedule.state_dict(), o.state_dict()
                o = lib.optimizer()
                schedule = lib.schedules.ReduceLROnPlateau(o)
                schedule.load_state_dict(kept)
                o.load_state_dict(o_kept)
            schedule.step(measure)
            rows.append(state(o))
            assert schedule.get_last_lr() == [group["lr"] for group in o.param_groups]
    return rows


def table(lib: Library) -> dict[str, dict[str, list[Row]]]:
    """Rows of every schedule in every way."""
    found = {way.__name__: {name: way(lib, name) for name in SINGLE} for way in WAYS}
    found["plateau"] = {"plateau": plateau(lib)}
    return found


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    print(json.dumps(table(pytorch()), separators=(",", ":")))

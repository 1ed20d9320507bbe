"""Schedules against PyTorch's table: fresh, resumed, from a state, sent to an epoch, combined."""

from __future__ import annotations

import copy
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, optim
from fastconv.optim import lr_scheduler
from tests import schedules
from tests.schedules import SINGLE, WAYS, Row, ours, plateau, pytorch

TABLE = json.loads(Path(schedules.__file__).with_suffix(".json").read_text())
pytestmark = pytest.mark.filterwarnings("ignore:CosineAnnealingLR")


def compare(got: list[Row], wanted: list[Row]) -> None:
    assert [len(row) for row in got] == [len(row) for row in wanted]
    for i, (row, right) in enumerate(zip(got, wanted, strict=True)):
        np.testing.assert_allclose(row, right, rtol=3e-9, atol=1e-13, err_msg=f"row {i}")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", SINGLE)
def test_rates_are_those_of_the_table(way: Any, name: str) -> None:
    compare(way(ours(), name), TABLE[way.__name__][name])


def test_plateau_is_that_of_the_table() -> None:
    compare(plateau(ours()), TABLE["plateau"]["plateau"])


@pytest.mark.torch
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_table_is_pytorch(way: Any) -> None:
    pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in SINGLE:
            compare(way(pytorch(), name), TABLE[way.__name__][name])
        compare(plateau(pytorch()), TABLE["plateau"]["plateau"])


@pytest.mark.parametrize("name", SINGLE)
def test_states_go_through_a_file(name: str) -> None:
    lib, o = ours(), ours().optimizer()
    schedule = lib.schedules.SequentialLR(
        o, [lib.make("linear", o), lib.make(name, o)], milestones=[2]
    )
    schedules.run(o, schedule, 4)
    file = io.BytesIO()
    fc.save([schedule.state_dict(), o.state_dict()], file)
    file.seek(0)
    p = lib.optimizer()
    other = lib.schedules.SequentialLR(p, [lib.make("linear", p), lib.make(name, p)], [2])
    kept, kept_o = fc.load(file)
    before = copy.deepcopy(kept)
    other.load_state_dict(kept)
    assert kept == before  # the caller's dict stays whole
    p.load_state_dict(kept_o)
    compare(schedules.run(p, other, 4), schedules.run(o, schedule, 4))


@pytest.mark.parametrize("name", SINGLE)
def test_resuming_needs_initial_lr(name: str) -> None:
    lib = ours()
    o = lib.optimizer()
    with pytest.raises(KeyError, match=r"initial_lr.*param_groups\[0\].*state_dict"):
        lib.make(name, o, last_epoch=3)
    o.param_groups[0]["initial_lr"] = 1.0
    with pytest.raises(KeyError, match=r"param_groups\[[01]\]"):
        lib.make(name, o, last_epoch=3)


def test_one_cycle_resumed_needs_its_groups() -> None:
    o = ours().optimizer()
    for group in o.param_groups:
        group["initial_lr"] = 1.0
    with pytest.raises(KeyError, match="max_lr"):
        ours().make("one cycle", o, last_epoch=3)


def test_warm_restarts_sent_to_every_epoch() -> None:
    """Exact at the boundaries of cycles, where logarithms are not."""
    o = ours().optimizer()
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(o, 1, T_mult=3)
    starts = [(3**n - 1) // 2 for n in range(9)]
    for start in starts:
        schedule.step(start)
        assert o.param_groups[0]["lr"] == 0.5
    p = ours().optimizer()
    walked = lr_scheduler.CosineAnnealingWarmRestarts(p, 1, T_mult=3)
    for epoch in range(1, 130):
        walked.step()
        schedule.step(epoch)
        compare([schedules.state(o)], [schedules.state(p)])
    schedule.step(2.5)  # a third of the way through the cycle from 1 to 4 is 2
    assert o.param_groups[0]["lr"] == pytest.approx(0.25)


def test_a_cosine_that_cannot_rise_says_so() -> None:
    """As in PyTorch it stays at its floor for T_max epochs; ours warns."""
    o = ours().optimizer()
    schedules.run(o, lr_scheduler.CosineAnnealingLR(o, 5), 5)
    again = lr_scheduler.CosineAnnealingLR(o, 5)
    with pytest.warns(UserWarning, match="CosineAnnealingLR: lr of param_groups.0. is eta_min"):
        again.step()
    assert o.param_groups[0]["lr"] == 0
    for group in o.param_groups:
        group["lr"] = group["initial_lr"]
    right = lr_scheduler.CosineAnnealingLR(o, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right.step()
        # warming up from 0 in a chain is no such case
        p = ours().optimizer()
        warm = lr_scheduler.LambdaLR(p, lambda epoch: min(epoch / 3, 1))
        chain = lr_scheduler.ChainedScheduler([warm, lr_scheduler.CosineAnnealingLR(p, 5)])
        schedules.run(p, chain, 5)


def test_where_nothing_can_be_divided() -> None:
    """Where PyTorch raises ZeroDivisionError."""
    o = ours().optimizer()
    schedules.run(o, lr_scheduler.ConstantLR(o, 0, total_iters=2), 2)
    assert [group["lr"] for group in o.param_groups] == [0.5, 0.125]
    o = ours().optimizer()
    rows = schedules.run(o, lr_scheduler.OneCycleLR(o, 1.0, total_steps=10, pct_start=0.1), 9)
    assert rows[0][0] == 1.0 and rows[-1][0] == pytest.approx(4e-6)
    o = ours().optimizer()
    lr_scheduler.LinearLR(o, total_iters=0).step(3)
    lr_scheduler.PolynomialLR(o, total_iters=0).step(3)
    assert np.isfinite(schedules.state(o)).all()


def test_names_and_classes() -> None:
    assert lr_scheduler._LRScheduler is lr_scheduler.LRScheduler
    o = ours().optimizer()
    assert isinstance(lr_scheduler.ReduceLROnPlateau(o), lr_scheduler.LRScheduler)
    assert {*lr_scheduler.__all__} <= {*dir(lr_scheduler)}


def one() -> optim.SGD:
    return optim.SGD([nn.Parameter(fc.ones(1))], lr=1.0)


S = lr_scheduler


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda o: S.ChainedScheduler([]), ValueError, "empty"),
        (lambda o: S.ChainedScheduler(None), TypeError, "schedulers must be a list"),
        (lambda o: S.ChainedScheduler([3]), TypeError, r"schedulers\[0\]"),
        (lambda o: S.ChainedScheduler([S.StepLR(one(), 1)], o), ValueError, "same optimizer"),
        (lambda o: S.ChainedScheduler([S.ReduceLROnPlateau(o)]), ValueError, "measure"),
        (lambda o: S.SequentialLR(o, [], []), ValueError, "0 schedulers"),
        (lambda o: S.SequentialLR(o, [S.StepLR(o, 1)], ["1"]), TypeError, "milestones"),
        (lambda o: S.SequentialLR(o, S.StepLR(o, 1), []), TypeError, "schedulers must be a list"),
        (lambda o: S.SequentialLR(o, [S.ReduceLROnPlateau(o)], []), ValueError, "measure"),
        (lambda o: S.SequentialLR(o, [S.StepLR(o, 1)], []).step(1), ValueError, "no epoch"),
        (lambda o: S.CyclicLR(o, 0.1, 1.0), ValueError, "momentum"),
        (lambda o: S.CyclicLR(o, 0.1, [1.0, 2], cycle_momentum=False), ValueError, "max_lr"),
        (lambda o: S.CyclicLR(o, 0.1, 1.0, 0), ValueError, "step_size_up"),
        (lambda o: S.CyclicLR(o, 0.1, 1.0, mode="x"), ValueError, "mode"),
        (lambda o: S.StepLR(o, "3"), TypeError, "step_size"),
        (lambda o: S.StepLR(o, 3).step("1"), TypeError, "epoch"),
        (lambda o: S.StepLR(o, 3).step(-1), ValueError, "epoch"),
        (lambda o: S.StepLR(o, 3).load_state_dict(None), TypeError, "state_dict"),
        (lambda o: S.StepLR(None, 3), TypeError, "not an Optimizer"),
        (lambda o: S.LambdaLR(o, 0.5), TypeError, "lr_lambda"),
        (lambda o: S.LambdaLR(None, abs), TypeError, "not an Optimizer"),
        (lambda o: S.MultiStepLR(o, 3), TypeError, "milestones"),
        (lambda o: S.ExponentialLR(o, "0.1"), TypeError, "gamma"),
        (lambda o: S.CosineAnnealingWarmRestarts(o, "3"), ValueError, "T_0"),
        (lambda o: S.CosineAnnealingWarmRestarts(o, 3).step(-1), ValueError, "epoch"),
        (lambda o: S.ReduceLROnPlateau(o).step(None), TypeError, "metrics"),
        (lambda o: S.ReduceLROnPlateau(o, min_lr=[1, 2]), ValueError, "min_lr"),
    ],
)
def test_wrong_arguments(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make(optim.Adagrad([nn.Parameter(fc.ones(1))], lr=1.0))


def test_plateau_meets_a_new_group() -> None:
    o = one()
    schedule = S.ReduceLROnPlateau(o, patience=0)
    o.add_param_group({"params": [nn.Parameter(fc.ones(1))], "lr": 0.5})
    for _ in range(2):
        schedule.step(1.0)
    assert [group["lr"] for group in o.param_groups] == pytest.approx([0.1, 0.05])
    strict = S.ReduceLROnPlateau(o, patience=0, min_lr=[0.0, 0.0])
    o.add_param_group({"params": [nn.Parameter(fc.ones(1))]})
    strict.step(1.0)
    with pytest.raises(RuntimeError, match="3 parameter groups"):
        strict.step(1.0)

"""Optimisers and schedules: against PyTorch where it is there, and on their own."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
import fastconv.optim as optim
from fastconv.optim import lr_scheduler as schedules
from fastconv.optim.optimizer import BLOCK, _kept

RNG = np.random.default_rng(0)

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "maximize": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "maximize": True}),
    ("SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.3}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 1}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.9, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "centered": True}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.5, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"lr": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.5, 0.7), "weight_decay": 0.1, "maximize": True}),
    (
        "RAdam",
        {"lr": 0.1, "betas": (0.5, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.7), "step_sizes": (1e-3, 0.3), "maximize": True}),
    ("ASGD", {"lr": 0.1}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.6, "t0": 2, "weight_decay": 0.1}),
]
SHAPES = [(3, 4, 3, 3), (5,), (), (BLOCK + 7,)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, kwargs", OPTIMIZERS)
def test_as_pytorch(name, kwargs, dtype):
    torch = pytest.importorskip("torch")
    start = [RNG.standard_normal(shape).astype(dtype) for shape in SHAPES]
    mine = [nn.Parameter(np.array(a)) for a in start]
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in start]
    ours, them = getattr(optim, name)(mine, **kwargs), getattr(torch.optim, name)(theirs, **kwargs)
    for step in range(6):
        for p, q in zip(mine, theirs, strict=True):
            g = RNG.standard_normal(p.shape).astype(dtype)
            if step == 2 and p.ndim == 1:
                p.grad = q.grad = None
            else:
                p.grad, q.grad = fc.tensor(g), torch.tensor(g)
        ours.step()
        them.step()
        tolerance = 1e-5 if dtype == "float32" else 1e-11
        for p, q in zip(mine, theirs, strict=True):
            assert p.numpy(force=True).dtype == dtype
            np.testing.assert_allclose(
                p.numpy(force=True), q.detach().numpy(), rtol=tolerance, atol=tolerance
            )


#: Those that PyTorch does not have.
OWN = [
    ("LARS", {"lr": 0.02}),
    ("LARS", {"lr": 0.02, "weight_decay": 0.1, "nesterov": True}),
    ("Lion", {"lr": 0.1}),
    ("Lion", {"lr": 0.1, "betas": (0.5, 0.9), "weight_decay": 0.1}),
]


@pytest.mark.parametrize("name, kwargs", OPTIMIZERS + OWN)
def test_goes_down(name, kwargs):
    if kwargs.get("maximize"):
        pytest.skip("goes up")
    p = nn.Parameter(fc.tensor([3.0, -2.0]))
    o = getattr(optim, name)([p], **kwargs)
    first = None
    for _ in range(60):
        o.zero_grad()
        loss = (p * p).sum()
        first = loss.item() if first is None else first
        loss.backward()
        o.step()
    assert (p * p).sum().item() < first


def test_momentum_by_hand():
    p = nn.Parameter(fc.tensor([1.0]))
    o = optim.SGD([p], lr=0.5, momentum=0.5)
    for expected in (0.0, -1.0, -2.0):  # v = 2, 2, 2 with gradients 2, 1, 1
        p.grad = fc.tensor([2.0 if expected == 0 else 1.0])
        o.step()
        assert p.item() == expected


def test_state_dict_continues():
    for name, kwargs in OPTIMIZERS + OWN:
        p = nn.Parameter(fc.tensor([1.0, 2.0]))
        o = getattr(optim, name)([p], **kwargs)

        def step(p=p, o=o):
            p.grad = fc.tensor([0.3, -0.5])
            o.step()

        step()
        q = nn.Parameter(p.detach().clone())
        again = getattr(optim, name)([q], lr=123.0)
        again.load_state_dict(pickle.loads(pickle.dumps(o.state_dict())))
        step()
        step(q, again)
        np.testing.assert_array_equal(p.numpy(force=True), q.numpy(force=True))


def test_state_dict_goes_through_a_file(tmp_path):
    net = nn.Linear(3, 2)
    o = optim.Adam(net.parameters())
    net(fc.ones(1, 3)).sum().backward()
    o.step()
    fc.save(o.state_dict(), tmp_path / "o.pt")
    other = optim.Adam(net.parameters())
    other.load_state_dict(fc.load(tmp_path / "o.pt"))
    for p in net.parameters():
        np.testing.assert_array_equal(o.state[p]["exp_avg"], other.state[p]["exp_avg"])
        assert other.state[p]["step"] == 1


def test_state_dict_that_does_not_fit():
    one, two = nn.Linear(2, 2), nn.Linear(2, 3)
    a, b = optim.SGD(one.parameters(), momentum=0.9), optim.SGD(two.parameters(), momentum=0.9)
    one(fc.ones(1, 2)).sum().backward()
    a.step()
    with pytest.raises(ValueError, match="shape"):
        b.load_state_dict(a.state_dict())
    with pytest.raises(ValueError, match="don't match"):
        optim.SGD([two.weight]).load_state_dict(a.state_dict())
    with pytest.raises(ValueError, match="parameter groups"):
        optim.SGD([{"params": two.weight}, {"params": two.bias}]).load_state_dict(a.state_dict())


def test_groups():
    net = nn.Linear(3, 2)
    o = optim.SGD([{"params": [net.weight]}, {"params": net.bias, "lr": 0.5}], lr=0.1)
    assert [g["lr"] for g in o.param_groups] == [0.1, 0.5]
    before = net.bias.detach().clone()
    net(fc.ones(1, 3)).sum().backward()
    o.step()
    np.testing.assert_allclose(net.bias.detach().numpy(), before.numpy() - 0.5)
    extra = nn.Parameter(fc.ones(2))
    o.add_param_group({"params": [extra]})
    assert o.param_groups[2]["lr"] == 0.1
    named = optim.SGD(net.named_parameters(), lr=0.1)
    assert named.param_groups[0]["param_names"] == ["weight", "bias"]
    assert "Parameter Group 0" in repr(o) and "lr: 0.1" in repr(o)


def test_closure_and_zero_grad():
    p = nn.Parameter(fc.tensor([1.0]))
    o = optim.SGD([p], lr=0.1)

    def closure():
        o.zero_grad()
        loss = (p * 2).sum()
        loss.backward()
        return loss

    with fc.no_grad():
        assert o.step(closure).item() == 2.0
    assert p.grad is not None
    o.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0]
    o.zero_grad()
    assert p.grad is None


def test_step_is_seen_by_the_graph():
    p = nn.Parameter(fc.tensor([2.0]))
    o = optim.SGD([p], lr=0.1)
    y = (p * p).sum()
    p.grad = fc.tensor([1.0])
    o.step()
    with pytest.raises(RuntimeError, match=r"in-place|modified"):
        y.backward()


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda p: optim.SGD([]), ValueError, "empty parameter list"),
        (lambda p: optim.SGD(p), TypeError, "iterable"),
        (lambda p: optim.SGD([p], lr=-1), ValueError, "lr"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "lr"),
        (lambda p: optim.SGD([p], momentum=-0.1), ValueError, "momentum"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "Nesterov"),
        (lambda p: optim.SGD([p, p]), ValueError, "more than one"),
        (lambda p: optim.SGD([p * 2]), ValueError, "non-leaf"),
        (lambda p: optim.SGD([3]), TypeError, "only optimize Tensors"),
        (lambda p: optim.SGD([{"params": {p}}]), TypeError, "order"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "beta"),
        (lambda p: optim.Adam([p], eps=-1), ValueError, "eps"),
        (lambda p: optim.Adadelta([p], rho=2), ValueError, "rho"),
        (lambda p: optim.SGD([p], differentiable=True), ValueError, "differentiable"),
    ],
)
def test_wrong_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make(nn.Parameter(fc.tensor([1.0])))


# -- schedules -----------------------------------------------------------------------------------

SCHEDULES = [
    ("StepLR", {"step_size": 3}),
    ("MultiStepLR", {"milestones": [2, 5, 5], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 4}),
    ("LinearLR", {"total_iters": 4}),
    ("PolynomialLR", {"total_iters": 6, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 30}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.9**epoch}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.9}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20}),
    (
        "OneCycleLR",
        {"max_lr": 1.0, "epochs": 4, "steps_per_epoch": 5, "anneal_strategy": "linear"},
    ),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20, "three_phase": True}),
]


@pytest.mark.parametrize("name, kwargs", SCHEDULES)
def test_schedule_as_pytorch(name, kwargs):
    torch = pytest.importorskip("torch")
    rates = []
    for lib, parameter in ((optim, nn.Parameter), (torch.optim, torch.nn.Parameter)):
        tensor = fc.ones(1) if lib is optim else torch.ones(1)
        o = lib.SGD([parameter(tensor)], lr=0.5, momentum=0.9)
        s = getattr(lib.lr_scheduler, name)(o, **kwargs)
        seen = []
        for _ in range(18):
            seen.append((o.param_groups[0]["lr"], o.param_groups[0]["momentum"]))
            assert s.get_last_lr() == [o.param_groups[0]["lr"]]
            o.step()
            s.step()
        rates.append(seen)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-9, atol=1e-12)


def make_optimizer(lr: float = 1.0) -> optim.SGD:
    return optim.SGD([nn.Parameter(fc.ones(1))], lr=lr, momentum=0.9)


def test_schedules_by_hand():
    o = make_optimizer()
    s = schedules.CosineAnnealingLR(o, 4)
    rates = []
    for _ in range(5):
        rates.append(o.param_groups[0]["lr"])
        s.step()
    expected = [(1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)]
    np.testing.assert_allclose(rates, expected, atol=1e-12)


@pytest.mark.parametrize("name, kwargs", SCHEDULES)
def test_schedule_continues_from_its_state(name, kwargs):
    o = make_optimizer()
    s = getattr(schedules, name)(o, **kwargs)
    for _ in range(4):
        s.step()
    p = make_optimizer()
    t = getattr(schedules, name)(p, **kwargs)
    t.load_state_dict(copy.deepcopy(s.state_dict()))
    p.load_state_dict(o.state_dict())
    s.step()
    t.step()
    assert o.param_groups[0]["lr"] == p.param_groups[0]["lr"]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_as_pytorch(mode, threshold_mode):
    torch = pytest.importorskip("torch")
    measures = np.abs(np.cumsum(RNG.standard_normal(60)))
    kwargs = dict(mode=mode, threshold_mode=threshold_mode, patience=2, cooldown=1, factor=0.5)
    rates = []
    for lib, parameter, ones in (
        (optim, nn.Parameter, fc.ones),
        (torch.optim, torch.nn.Parameter, torch.ones),
    ):
        o = lib.SGD([parameter(ones(1))], lr=1.0)
        s = lib.lr_scheduler.ReduceLROnPlateau(o, min_lr=0.01, **kwargs)
        seen = []
        for m in measures:
            s.step(m)
            seen.append(o.param_groups[0]["lr"])
        rates.append(seen)
    assert rates[0] == rates[1]


def test_sequential_as_pytorch():
    torch = pytest.importorskip("torch")
    rates = []
    for lib, parameter, ones in (
        (optim, nn.Parameter, fc.ones),
        (torch.optim, torch.nn.Parameter, torch.ones),
    ):
        o = lib.SGD([parameter(ones(1))], lr=1.0)
        warm = lib.lr_scheduler.LinearLR(o, 0.1, total_iters=3)
        then = lib.lr_scheduler.CosineAnnealingLR(o, 6)
        s = lib.lr_scheduler.SequentialLR(o, [warm, then], milestones=[3])
        seen = []
        for _ in range(9):
            seen.append(o.param_groups[0]["lr"])
            o.step()
            s.step()
        rates.append(seen)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda o: schedules.StepLR(o, 0), "step_size"),
        (lambda o: schedules.OneCycleLR(o, 1.0), "total_steps"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 10, pct_start=2), "pct_start"),
        (lambda o: schedules.CosineAnnealingLR(o, 0), "T_max"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1), "Factor"),
        (lambda o: schedules.ReduceLROnPlateau(o, mode="mean"), "mode"),
        (lambda o: schedules.LambdaLR(o, [abs, abs]), "lr_lambda"),
    ],
)
def test_wrong_schedules(make, match):
    with pytest.raises(ValueError, match=match):
        make(make_optimizer())


def test_one_cycle_ends():
    o = make_optimizer()
    s = schedules.OneCycleLR(o, 1.0, 3)
    for _ in range(3):
        s.step()
    with pytest.raises(ValueError, match="steps"):
        s.step()


@pytest.mark.parametrize("method", ["SGD", "Adam"])
def test_what_a_step_keeps_is_never_of_other_arrays(method: str) -> None:
    """Whatever is exchanged between steps, they are those of an optimizer that keeps nothing."""

    def make() -> tuple[list[Any], Any]:
        fc.manual_seed(0)
        params = [fc.randn(3, 4).requires_grad_(), fc.randn(5).requires_grad_()]
        params.append(fc.randn(2).double().requires_grad_())
        options = {"momentum": 0.5} if method == "SGD" else {"amsgrad": True}
        return params, getattr(fc.optim, method)(params, lr=0.1, **options)

    def exchange(step: int, params: list[Any], optimizer: Any) -> None:
        if step == 2:
            params[0].data = fc.ones(3, 4)
        elif step == 3:
            optimizer.load_state_dict(optimizer.state_dict())
        elif step == 4:
            del optimizer.state[params[1]]
        elif step == 5:
            params[1].grad = None
        elif step == 6:
            params[0].data = fc.ones(4, 3).t()
        elif step == 7:
            optimizer.add_param_group({"params": [fc.ones(2).requires_grad_()], "lr": 1.0})
        elif step == 8:
            optimizer.param_groups[0]["params"].reverse()
        elif step == 9:
            optimizer.param_groups[0]["lr"] = 0.25
        elif step == 10:
            params[0].data = fc.ones(3, 4)

    found = []
    for keeps in (True, False):
        params, optimizer = make()
        for step in range(13):
            for i, p in enumerate(params):
                g = fc.full(tuple(p.shape), float(step + i), dtype=p.dtype)
                p.grad = g if step % 3 or g.ndim < 2 else g.t().contiguous().t()
            exchange(step, params, optimizer)
            if not keeps:
                _kept.clear()
            optimizer.step()
        found.append([p.detach().numpy().copy() for p in params])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    params[1]._array.flags.writeable = False
    params[1].grad = fc.ones(5)
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step()
    assert copy.deepcopy(optimizer).param_groups[0]["lr"] == 0.25

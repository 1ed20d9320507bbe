"""L-BFGS, LARS, Lion, and averages of weights."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, optim
from fastconv.optim import swa_utils


def test_lion_by_hand() -> None:
    p = nn.Parameter(fc.tensor([1.0, -1.0], dtype=fc.float64))
    o = optim.Lion([p], lr=0.1, betas=(0.5, 0.75), weight_decay=0.2)
    expected, mean = np.array([1.0, -1.0]), np.zeros(2)
    for g in ([1.0, -2.0], [-3.0, -1.0], [0.5, 4.0]):
        p.grad = fc.tensor(g, dtype=fc.float64)
        o.step()
        expected = expected * (1 - 0.1 * 0.2)
        expected = expected - 0.1 * np.sign(0.5 * mean + 0.5 * np.array(g))
        mean = 0.75 * mean + 0.25 * np.array(g)
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("nesterov", [False, True])
def test_lars_by_hand(nesterov: bool) -> None:
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((3, 4)), rng.standard_normal(3)
    p, q = nn.Parameter(fc.tensor(w)), nn.Parameter(fc.tensor(b))
    o = optim.LARS([p, q], 0.5, 0.9, 0, 0.01, nesterov, 0.02, 1e-6)
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    for _ in range(4):
        gw, gb = rng.standard_normal(w.shape), rng.standard_normal(b.shape)
        p.grad, q.grad = fc.tensor(gw), fc.tensor(gb)
        o.step()
        size, slope = np.linalg.norm(w), np.linalg.norm(gw)
        rate = 0.5 * 0.02 * size / (slope + 0.01 * size + 1e-6)
        gw = gw + 0.01 * w
        vw, vb = 0.9 * vw + gw, 0.9 * vb + gb
        w = w - rate * (gw + 0.9 * vw if nesterov else vw)
        b = b - 0.5 * (gb + 0.9 * vb if nesterov else vb)
        np.testing.assert_allclose(p.detach().numpy(), w, rtol=1e-12)
        np.testing.assert_allclose(q.detach().numpy(), b, rtol=1e-12)


def rosenbrock(p: Any) -> Any:
    return (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum()


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_finds_the_valley(search: Any) -> None:
    p = nn.Parameter(fc.tensor([-1.2, 1.0, 0.5], dtype=fc.float64))
    o = optim.LBFGS(
        [p], 1 if search else 1e-2, max_iter=100, tolerance_change=1e-16, line_search_fn=search
    )

    def closure() -> Any:
        o.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        return loss

    before = closure().item()
    for _ in range(5 if search else 40):
        o.step(closure)
    if search:
        np.testing.assert_allclose(p.detach().numpy(), np.ones(3), atol=1e-6)
    else:
        assert closure().item() < 0.1 * before


def lbfgs_run(lib: Any, search: Any, steps: int, **options: Any) -> tuple[list[Any], Any]:
    start = np.array([-1.2, 1.0, 0.3, 0.8])
    p = lib.nn.Parameter(lib.tensor(start))
    o = lib.optim.LBFGS([p], line_search_fn=search, **options)
    losses = []

    def closure() -> Any:
        o.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        o.step(closure)
    return losses, p.detach().numpy()


@pytest.mark.torch
@pytest.mark.parametrize(
    "options",
    [
        {"search": None, "lr": 1e-3, "max_iter": 8},
        {"search": "strong_wolfe", "max_iter": 8, "history_size": 3},
        {"search": "strong_wolfe", "max_iter": 20},
        {"search": "strong_wolfe", "max_iter": 4, "lr": 0.3},
    ],
)
def test_lbfgs_as_in_torch(options: dict[str, Any]) -> None:
    """Every evaluation of the loss, in the same order."""
    torch = pytest.importorskip("torch")
    ours, p = lbfgs_run(fc, steps=4, **options)
    theirs, q = lbfgs_run(torch, steps=4, **options)
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(p, q, rtol=1e-6)


def test_lbfgs_goes_on_from_its_state() -> None:
    p = nn.Parameter(fc.tensor([-1.2, 1.0], dtype=fc.float64))
    o = optim.LBFGS([p], max_iter=3, line_search_fn="strong_wolfe")

    def closure_of(p: Any, o: Any) -> Any:
        def closure() -> Any:
            o.zero_grad()
            loss = rosenbrock(p)
            loss.backward()
            return loss

        return closure

    o.step(closure_of(p, o))
    q = nn.Parameter(p.detach().clone())
    again = optim.LBFGS([q], max_iter=3, line_search_fn="strong_wolfe")
    again.load_state_dict(pickle.loads(pickle.dumps(o.state_dict())))
    o.step(closure_of(p, o))
    again.step(closure_of(q, again))
    np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def test_lbfgs_errors() -> None:
    p, q = nn.Parameter(fc.ones(2)), nn.Parameter(fc.ones(2))
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ValueError, match="strong_wolfe"):
        optim.LBFGS([p], line_search_fn="armijo")
    with pytest.raises(TypeError, match="closure"):
        optim.LBFGS([p]).step()


@pytest.mark.parametrize("kind", ["swa", "ema"])
def test_averaged_model(kind: str) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    fn = swa_utils.get_ema_avg_fn(0.75) if kind == "ema" else None
    averaged = swa_utils.AveragedModel(model, avg_fn=fn)
    values = []
    for i in range(4):
        with fc.no_grad():
            for p in model.parameters():
                p.fill_(float(i * i + 1))
        averaged.update_parameters(model)
        values.append(float(i * i + 1))
    expected = values[0]
    for value in values[1:]:
        expected = 0.75 * expected + 0.25 * value
    expected = expected if kind == "ema" else float(np.mean(values))
    for p in averaged.parameters():
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-6)
    assert int(averaged.n_averaged) == 4
    assert averaged(fc.ones(4, 3)).shape == (4, 2)
    assert set(averaged.state_dict()) == {
        "n_averaged",
        *(f"module.{k}" for k in model.state_dict()),
    }


def test_update_bn() -> None:
    fc.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, momentum=0.3)).eval()
    batches = [fc.randn(8, 3) for _ in range(3)]
    swa_utils.update_bn(batches, model)
    y = fc.cat([model[0](x) for x in batches]).reshape(3, 8, 2).detach()
    np.testing.assert_allclose(
        model[1].running_mean.numpy(), y.mean(1).mean(0).numpy(), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        model[1].running_var.numpy(), y.var(1).mean(0).numpy(), rtol=1e-5, atol=1e-6
    )
    assert model[1].momentum == 0.3
    assert not model.training


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_swalr(strategy: str, epochs: int) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (fc, torch):
        p, q = lib.nn.Parameter(lib.ones(1)), lib.nn.Parameter(lib.ones(1))
        o = lib.optim.SGD([{"params": [p], "lr": 0.5}, {"params": [q], "lr": 0.2}], lr=1.0)
        s = lib.optim.swa_utils.SWALR(o, [0.05, 0.4], epochs, strategy)
        rates = []
        for _ in range(7):
            rates.append([g["lr"] for g in o.param_groups])
            o.step()
            s.step()
        found.append(rates)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_averages_survive_a_copy() -> None:
    model = swa_utils.AveragedModel(nn.Linear(2, 2))
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    assert other.module is not model.module

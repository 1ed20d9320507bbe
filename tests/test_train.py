"""The training loop: every kind of network, the best epoch, resumption, callbacks."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import fastconv
from fastconv import metrics, nn, optim, train
from fastconv.data import DataLoader, TensorDataset
from fastconv.nn import functional as F

QUIET: dict[str, Any] = {"progress": False}


def test_stratified_split_keeps_each_class_share() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    rest, held = train.stratified_split(labels, 0.2, seed=1)
    assert np.bincount(labels[held]).tolist() == [10, 6, 4]
    assert sorted([*rest, *held]) == list(range(100))
    again = train.stratified_split(labels, 0.2, seed=1)[1]
    other = train.stratified_split(labels, 0.2, seed=2)[1]
    assert np.array_equal(held, again) and not np.array_equal(held, other)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_stratified_split_checks_the_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction must lie between 0 and 1"):
        train.stratified_split(np.zeros(4, int), fraction)


def test_stratified_split_checks_the_labels() -> None:
    with pytest.raises(ValueError, match=r"got shape \(2, 2\)"):
        train.stratified_split(np.zeros((2, 2), int), 0.5)


def test_warm_cosine() -> None:
    p, q = nn.Parameter(fastconv.ones(1)), nn.Parameter(fastconv.ones(1))
    optimizer = optim.SGD([{"params": [p], "lr": 1.0}, {"params": [q], "lr": 0.5}], lr=1.0)
    schedule = train.warm_cosine(optimizer, 100, warmup=0.1)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        assert optimizer.param_groups[1]["lr"] == pytest.approx(0.5 * rates[-1])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(1 / 11) and rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5) and 0 < rates[99] < 0.001
    assert all(a < b for a, b in pairwise(rates[:11]))
    assert all(a > b for a, b in pairwise(rates[10:]))
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        train.warm_cosine(optimizer, 0)
    with pytest.raises(ValueError, match="warmup must be at least 0 and below 1, got 1"):
        train.warm_cosine(optimizer, 10, warmup=1.0)


def problem() -> tuple[Any, np.ndarray, np.ndarray]:
    """A linear model and 60 separable points in 4 dimensions, as (N, 4, 1, 1) images."""
    fastconv.manual_seed(0)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    points = rng.standard_normal((60, 4)).astype(np.float32)
    points[np.arange(60), labels] += 6
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    return model, points[:, :, None, None], labels.astype(np.int64)


def test_evaluate_and_predict() -> None:
    model, images, labels = problem()
    model.train()
    result = train.evaluate(
        model, (images, labels), "cross_entropy", ["accuracy", "f1"], batch_size=7
    )
    scores = train.predict(model, images, batch_size=11)
    assert model.training
    assert scores.shape == (60, 3)
    odds = np.exp(scores.astype(np.float64))
    expected = odds / odds.sum(1, keepdims=True)
    assert result["accuracy"] == pytest.approx((scores.argmax(1) == labels).mean())
    assert result["loss"] == pytest.approx(-np.log(expected[np.arange(60), labels]).mean(), 1e-5)
    assert set(result) == {"loss", "accuracy", "f1"}
    assert np.isnan(train.evaluate(model, (images, labels))["loss"])


class Both(NamedTuple):
    scores: Any
    rest: Any


class Several(nn.Module):
    """Gives what `make` makes of a Linear's result and the input."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.line, self.make = nn.Linear(3, 2), make

    def forward(self, x: Any) -> Any:
        return self.make(self.line(x), x)


def test_predict_keeps_the_nest_of_results() -> None:
    x = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
    make = {
        "tuple": lambda y, x: (y, x),
        "list": lambda y, x: [y],
        "dict": lambda y, x: {"y": y, "rest": (x, None)},
        "namedtuple": lambda y, x: Both(y, [x.sum(1)]),
    }
    for name, function in make.items():
        model = Several(function)
        y = train.predict(model.line, x)
        got = train.predict(model, x, batch_size=4)
        want = function(y, x)
        assert type(got) is type(want), name
        if name == "dict":
            assert got.keys() == want.keys() and got["rest"][1] is None
            got, want = (got["y"], got["rest"][0]), (y, x)
        for a, b in zip(got, want, strict=True):
            a, b = (a[0], b[0]) if isinstance(b, list) else (a, b)
            assert isinstance(a, np.ndarray)
            np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda y, x: (y, y.mean()), ValueError, r"result\[1\] must have the batch's 4 samples"),
        (lambda y, x: {"h": (y.T,)}, ValueError, r"result\['h'\]\[0\].*got shape \(2, 4\)"),
        (lambda y, x: (y, 3.0), TypeError, r"result\[1\] must be a Tensor.*got float"),
        (lambda y, x: (y,) * len(y), ValueError, "another length"),
        (lambda y, x: {len(y): y}, ValueError, "other keys"),
        (lambda y, x: (y if len(y) == 4 else None,), ValueError, r"\[0\] is of another type"),
    ],
)
def test_predict_refuses_what_cannot_be_joined(make: Any, error: Any, message: str) -> None:
    model = Several(make).train()
    with pytest.raises(error, match=message):
        train.predict(model, np.zeros((10, 3), np.float32), batch_size=4)
    assert model.training


def test_fit_a_classifier(tmp_path: Path) -> None:
    model, images, labels = problem()
    history = train.fit(
        model, "cross_entropy", optim.SGD(model.parameters(), lr=0.1), (images, labels),
        (images, labels), 5, ["accuracy"], batch_size=20, checkpoint=tmp_path / "best.fc",
        log=tmp_path / "log.csv", **QUIET,
    )  # fmt: skip
    assert len(history) == 5 and history["epoch"] == [1, 2, 3, 4, 5]
    assert history[-1]["loss"] < history[0]["loss"]
    assert history["valid_accuracy"][-1] > 0.9
    state = fastconv.load(tmp_path / "best.fc")
    for name, value in model.state_dict().items():
        assert np.array_equal(np.asarray(value), np.asarray(state[name]))
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0].split(",")[:3] == ["epoch", "loss", "accuracy"] and len(lines) == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.fc", "log.csv"]
    history.to_json(tmp_path / "log.json")
    assert len(json.loads((tmp_path / "log.json").read_text())) == 5


def test_fit_leaves_the_best_epoch() -> None:
    model, images, labels = problem()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def uphill(fit: Any) -> None:
        optimizer.param_groups[0]["lr"] = -5.0 if fit.epoch == 3 else 0.1

    history = train.fit(
        model, F.cross_entropy, optimizer, (images, labels), (images, labels), 3, ["accuracy"],
        [train.LambdaCallback(on_epoch_begin=uphill)], **QUIET,
    )  # fmt: skip
    assert history.best_epoch == 2 and history.best is history[1]
    result = train.evaluate(model, (images, labels), "cross_entropy", ["accuracy"])
    assert result["accuracy"] == history[1]["valid_accuracy"]
    assert result["loss"] == pytest.approx(history[1]["valid_loss"])


def test_fit_stops_early() -> None:
    model, images, labels = problem()
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    history = train.fit(
        model,
        "cross_entropy",
        optimizer,
        (images, labels),
        (images, labels),
        50,
        patience=3,
        **QUIET,
    )
    assert len(history) == 4  # the first is the best; three more are not better


def test_fit_stops_at_a_loss_that_is_not_finite() -> None:
    model, images, labels = problem()
    images[3] = np.nan
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch 0.*lower learning rate"):
        train.fit(model, "cross_entropy", "sgd", (images, labels), batch_size=60, **QUIET)


@pytest.mark.parametrize("loss", ["mse", nn.L1Loss(), F.huber_loss])
def test_fit_a_regressor(loss: Any) -> None:
    fastconv.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4, 1, 1)).astype(np.float32)
    y = (x[:, :1, 0, 0] - 2 * x[:, 1:2, 0, 0]).astype(np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    history = train.fit(
        model, loss, optim.Adam(model.parameters(), lr=0.1), (x, y), (x, y), 12, ["r2", "mae"],
        **QUIET,
    )  # fmt: skip
    assert history["valid_r2"][-1] > 0.9
    assert history["valid_loss"][-1] < 0.5 * history["valid_loss"][0]
    assert "accuracy" not in train.epoch_line(history[0], 8)


@pytest.mark.parametrize("kind", ["sigmoid", "logits"])
def test_fit_one_column(kind: str) -> None:
    """Binary classes from one column: of a sigmoid above 0.5, of logits above 0."""
    fastconv.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    y = (x[:, :1] > x[:, 1:2]).astype(np.float32)
    last = [] if kind == "logits" else [nn.Sigmoid()]
    model = nn.Sequential(nn.Linear(4, 1), *last)
    history = train.fit(
        model, "bce_with_logits" if kind == "logits" else "bce",
        optim.Adam(model.parameters(), lr=0.1), (x, y), (x, y), 10, ["accuracy"], **QUIET,
    )  # fmt: skip
    assert history["accuracy"][-1] > 0.9 and history["valid_accuracy"][-1] > 0.9


def test_fit_a_segmenter() -> None:
    fastconv.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((60, 2, 3, 4)).astype(np.float32)
    y = (x[:, 0] > x[:, 1]).astype(np.int64)
    model = nn.Conv2d(2, 2, 1)
    history = train.fit(
        model, "cross_entropy", optim.Adam(model.parameters(), lr=0.1), (x, y), (x, y), 6,
        ["accuracy", "iou"], **QUIET,
    )  # fmt: skip
    assert history["valid_accuracy"][-1] > 0.9 and history["valid_iou"][-1] > 0.8


@pytest.mark.parametrize("form", ["array", "dataset", "loader"])
def test_fit_an_autoencoder(form: str) -> None:
    """Batches without targets are their own."""
    fastconv.manual_seed(0)
    x = fastconv.randn(64, 1, 6, 6)
    data = {
        "array": x,
        "dataset": TensorDataset(x),
        "loader": DataLoader(TensorDataset(x), batch_size=16),
    }[form]
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
    history = train.fit(model, "mse", "adam", data, x, 4, batch_size=16, **QUIET)
    assert history["valid_loss"][-1] < history["valid_loss"][0]


def small(seed: int = 0) -> Any:
    fastconv.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
        nn.Linear(64, 3),
    )  # fmt: skip


@pytest.mark.parametrize("scheduled", ["no", "epoch", "step", "plateau"])
def test_resume_to_the_bit(tmp_path: Path, scheduled: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 1, 6, 6)).astype(np.float32), rng.integers(0, 3, 40)

    def run(epochs: int, resume: Path | None) -> tuple[Any, Any]:
        model = small(7)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        scheduler: Any = {
            "no": lambda o: None,
            "epoch": lambda o: optim.lr_scheduler.ExponentialLR(o, 0.8),
            "step": lambda o: optim.lr_scheduler.StepLR(o, 5, 0.7),
            "plateau": lambda o: optim.lr_scheduler.ReduceLROnPlateau(o, patience=0),
        }[scheduled](optimizer)
        history = train.fit(
            model, "cross_entropy", optimizer, (x, y), (x[:9], y[:9]), epochs, ["accuracy"],
            [train.EarlyStopping(patience=30)], batch_size=8, scheduler=scheduler,
            schedule_on="step" if scheduled == "step" else "epoch", resume=resume, **QUIET,
        )  # fmt: skip
        return model, history

    whole, straight = run(6, None)
    run(2, tmp_path / "state.fc")
    run(4, tmp_path / "state.fc")
    fastconv.manual_seed(99)
    resumed, history = run(6, tmp_path / "state.fc")
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b)), name
    for a, b in zip(straight, history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {
            k: v for k, v in b.items() if k != "seconds"
        }
    assert history.best_epoch == straight.best_epoch


def test_resume_refuses_another_training(tmp_path: Path) -> None:
    fastconv.save({"a": 1}, tmp_path / "state.fc")
    model, x, y = problem()
    with pytest.raises(ValueError, match="not the state of a training"):
        train.fit(model, "cross_entropy", "sgd", (x, y), resume=tmp_path / "state.fc", **QUIET)


def test_accumulation_is_the_large_batch() -> None:
    x, y = fastconv.randn(24, 5), fastconv.randn(24, 2)
    found = []
    for batch, accumulate in ((24, 1), (8, 3), (8, 5)):  # the last step has fewer: same weights
        fastconv.manual_seed(0)
        model = nn.Linear(5, 2).double()
        loader = DataLoader(TensorDataset(x.double(), y.double()), batch_size=batch)
        train.fit(
            model, "mse", optim.SGD(model.parameters(), lr=0.1), loader, epochs=3,
            accumulate=accumulate, **QUIET,
        )  # fmt: skip
        found.append(model.weight.detach().numpy().copy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-12)


def test_clipping() -> None:
    x, y = fastconv.ones(4, 3), 100 * fastconv.ones(4, 1)
    for options in ({"clip_norm": 0.5}, {"clip_value": 0.1}):
        model = nn.Linear(3, 1)
        before = model.weight.detach().numpy().copy()
        train.fit(model, "mse", optim.SGD(model.parameters(), lr=1.0), (x, y), **options, **QUIET)
        change = model.weight.detach().numpy() - before
        assert np.abs(change).max() <= (0.5 if "clip_norm" in options else 0.1) + 1e-6


def test_weight_average() -> None:
    model, x, y = problem()
    seen: list[np.ndarray] = []
    note = train.LambdaCallback(
        on_epoch_end=lambda fit: seen.append(fit.model[1].weight.detach().numpy().copy())
    )
    average = train.WeightAverage(decay=None, start=3)
    train.fit(model, "cross_entropy", "adam", (x, y), None, 5, callbacks=[note, average], **QUIET)
    np.testing.assert_allclose(model[1].weight.detach().numpy(), np.mean(seen[2:], 0), rtol=1e-5)


def test_checkpoints_by_name(tmp_path: Path) -> None:
    model, x, y = problem()
    saver = train.ModelCheckpoint(tmp_path / "net-{epoch}.fc", save_best_only=False)
    train.fit(model, "cross_entropy", "sgd", (x, y), (x, y), 3, callbacks=[saver], **QUIET)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net-1.fc", "net-2.fc", "net-3.fc"]


@pytest.mark.parametrize("restore", [True, False])
def test_progress_says_kept_only_where_something_is(restore: bool, capsys: Any) -> None:
    model, x, y = problem()
    train.fit(model, "cross_entropy", "adam", (x, y), (x, y), restore_best=restore)
    assert ("kept" in capsys.readouterr().out) is restore


def test_progress_in_a_pipe(capsys: Any) -> None:
    model, x, y = problem()
    train.fit(model, "cross_entropy", "sgd", (x, y), (x, y), 2, ["accuracy"])
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("epoch 1/2") and "\r" not in out + err
    assert "validation accuracy" in lines[1] and "%" in lines[1]


def test_best_by_name() -> None:
    assert train.Best("valid_accuracy").mode == "max"
    assert train.Best("valid_loss").mode == "min"
    best = train.Best("valid_iou", min_delta=0.1)
    assert [best.better({"valid_iou": v}) for v in (0.5, 0.55, float("nan"), 0.61)] == [
        True, False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be a positive int, got 0"),
        ({"accumulate": 0}, ValueError, "accumulate"),
        ({"loss": "nothing"}, ValueError, "there is no loss 'nothing'"),
        ({"loss": 3}, TypeError, "loss must be"),
        ({"optimizer": "nothing"}, ValueError, "there is no optimizer"),
        ({"metrics": ["nothing"]}, ValueError, "there is no metric"),
        ({"metrics": [3]}, (TypeError, AttributeError), "name"),
        ({"train": iter([])}, TypeError, "iterated again"),
        ({"train": []}, ValueError, "train is empty"),
        ({"train": (np.ones((3, 4, 1, 1)), np.ones(2))}, ValueError, "3 inputs and 2 targets"),
        ({"monitor": "valid_f1"}, KeyError, "monitor"),
        ({"mode": "most"}, ValueError, "mode must be"),
        ({"schedule_on": "batch"}, ValueError, "schedule_on"),
        ({"callbacks": [print]}, TypeError, "callbacks must be Callbacks"),
        ({"log": "log.txt"}, ValueError, "csv or .json"),
        ({"patience": 0}, ValueError, "patience"),
    ],
)
def test_fit_checks_its_arguments(change: dict[str, Any], error: Any, message: str) -> None:
    model, x, y = problem()
    arguments: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": "sgd", "train": (x, y), "valid": (x, y), **QUIET,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        train.fit(model, **{**arguments, **change})


def test_evaluate_restores_the_mode_after_an_error() -> None:
    model, images, labels = problem()
    model.train()
    with pytest.raises(ValueError):
        train.evaluate(model, (images[:, :2], labels), "cross_entropy")
    assert model.training


def test_metrics_are_not_the_callers() -> None:
    model, x, y = problem()
    metric = metrics.Accuracy()
    history = train.fit(model, "cross_entropy", "adam", (x, y), (x, y), 1, [metric], **QUIET)
    assert "valid_accuracy" in history[0] and not metric.counts.size

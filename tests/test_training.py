"""The training loop: splits, schedule, evaluation, keeping the best."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn, optim, training
from fastconv.cli.progress import epoch_line


def test_stratified_split_keeps_each_class_share() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    rest, held = training.stratified_split(labels, 0.2, seed=1)
    assert np.bincount(labels[held]).tolist() == [10, 6, 4]
    assert sorted([*rest, *held]) == list(range(100))
    again = training.stratified_split(labels, 0.2, seed=1)[1]
    other = training.stratified_split(labels, 0.2, seed=2)[1]
    assert np.array_equal(held, again) and not np.array_equal(held, other)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_stratified_split_checks_the_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction must lie between 0 and 1"):
        training.stratified_split(np.zeros(4, int), fraction)


def test_stratified_split_checks_the_labels() -> None:
    with pytest.raises(ValueError, match=r"got shape \(2, 2\)"):
        training.stratified_split(np.zeros((2, 2), int), 0.5)


class Groups:
    def __init__(self, *rates: float) -> None:
        self.param_groups = [{"lr": rate} for rate in rates]


def test_cosine_schedule() -> None:
    optimizer = Groups(1.0, 0.5)
    schedule = training.cosine_schedule(optimizer, 100, warmup=0.1)
    rates = [schedule(step) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11) and rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5) and 0 < rates[99] < 0.001
    assert all(a < b for a, b in pairwise(rates[:11]))
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.5 * rates[99])


def test_cosine_schedule_checks_its_arguments() -> None:
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        training.cosine_schedule(Groups(1.0), 0)
    with pytest.raises(ValueError, match="warmup must be at least 0 and below 1, got 1"):
        training.cosine_schedule(Groups(1.0), 10, warmup=1.0)


def problem() -> tuple[Any, np.ndarray, np.ndarray]:
    """A linear model and 60 separable points in 4 dimensions, as (N, 4, 1, 1) images."""
    fastconv.manual_seed(0)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    points = rng.standard_normal((60, 4)).astype(np.float32)
    points[np.arange(60), labels] += 6
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    return model, points[:, :, None, None], labels.astype(np.int64)


class Batches:
    """Every image in three batches, always in the same order."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Any:
        for i in range(0, 60, 20):
            yield (
                fastconv.from_numpy(self.images[i : i + 20]),
                fastconv.from_numpy(self.labels[i : i + 20]),
            )


def test_evaluate() -> None:
    model, images, labels = problem()
    model.train()
    result = training.evaluate(model, images, labels, batch_size=7)
    assert model.training
    scores = np.asarray(model(fastconv.from_numpy(images)).detach()).astype(np.float64)
    odds = np.exp(scores)
    expected = odds / odds.sum(1, keepdims=True)
    assert np.allclose(result.probabilities, expected, atol=1e-6)
    assert np.array_equal(result.predicted, scores.argmax(1))
    assert result.accuracy == (scores.argmax(1) == labels).mean()
    assert result.loss == pytest.approx(-np.log(expected[np.arange(60), labels]).mean(), rel=1e-5)


def test_evaluate_checks_its_arguments() -> None:
    model, images, labels = problem()
    with pytest.raises(ValueError, match="got 60, 59"):
        training.evaluate(model, images, labels[:-1])
    with pytest.raises(ValueError, match="at least one"):
        training.evaluate(model, images[:0], labels[:0])


class Recorder:
    def __init__(self) -> None:
        self.steps: list[tuple[int, float, float]] = []
        self.epochs: list[training.Epoch] = []

    def step(self, epoch: int, loss: float, accuracy: float) -> None:
        self.steps.append((epoch, loss, accuracy))

    def epoch(self, epoch: training.Epoch) -> None:
        self.epochs.append(epoch)


def test_fit_learns_reports_and_saves(tmp_path: Path) -> None:
    model, images, labels = problem()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    seen = Recorder()
    history = training.fit(
        model, optimizer, Batches(images, labels), (images, labels),
        epochs=5, checkpoint=tmp_path / "best.fc", progress=seen,
    )  # fmt: skip
    assert history == seen.epochs and len(seen.steps) == 15
    assert history[-1].train_loss < history[0].train_loss
    assert history[-1].validation_accuracy > 0.9
    state = fastconv.load(tmp_path / "best.fc")
    for name, value in model.state_dict().items():
        assert np.array_equal(np.asarray(value), np.asarray(state[name]))
    assert [p.name for p in tmp_path.iterdir()] == ["best.fc"]


def test_fit_leaves_the_best_epoch(tmp_path: Path) -> None:
    model, images, labels = problem()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def schedule(step: int) -> float:  # the second epoch learns, the third goes uphill
        optimizer.param_groups[0]["lr"] = -5.0 if step >= 6 else 0.1
        return float(optimizer.param_groups[0]["lr"])

    history = training.fit(
        model, optimizer, Batches(images, labels), (images, labels), epochs=3, schedule=schedule
    )
    assert [epoch.kept for epoch in history] == [True, True, False]
    result = training.evaluate(model, images, labels)
    assert result.accuracy == history[1].validation_accuracy
    assert result.loss == pytest.approx(history[1].validation_loss)


def test_fit_checks_its_arguments() -> None:
    model, images, labels = problem()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="epochs must be positive, got 0"):
        training.fit(model, optimizer, Batches(images, labels), (images, labels), epochs=0)
    with pytest.raises(ValueError, match="fewer training images than one batch"):
        training.fit(model, optimizer, [], (images, labels), epochs=1)


def test_fit_stops_at_a_loss_that_is_not_finite() -> None:
    model, images, labels = problem()
    images[3] = np.nan
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 0.*lower learning rate"):
        training.fit(model, optimizer, Batches(images, labels), (images, labels), epochs=1)


def curve(rng: np.random.Generator, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((n, 4, 1, 1)).astype(np.float32)
    return x, (x[:, :1, 0, 0] - 2 * x[:, 1:2, 0, 0]).astype(np.float32)


@pytest.mark.parametrize("loss", [nn.functional.mse_loss, nn.L1Loss(), nn.functional.huber_loss])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_a_regressor(loss: Any, dtype: Any, tmp_path: Path) -> None:
    """Float targets have a loss and no accuracy; the epoch of the least loss is kept."""
    fastconv.manual_seed(0)
    x, y = curve(np.random.default_rng(0))
    y = y.astype(dtype)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    seen = Recorder()
    history = training.fit(
        model, optim.Adam(model.parameters(), lr=0.1), Batches(x, y.astype(np.float32)), (x, y),
        epochs=8, loss_function=loss, progress=seen, checkpoint=tmp_path / "best.fc",
    )  # fmt: skip
    assert all(np.isnan([e.train_accuracy, e.validation_accuracy]).all() for e in history)
    losses = [e.validation_loss for e in history]
    assert losses[-1] < 0.5 * losses[0]
    assert [e.kept for e in history] == [v < min([9e9, *losses[:i]]) for i, v in enumerate(losses)]
    result = training.evaluate(model, x, y, batch_size=7, loss_function=loss)
    assert result.loss == pytest.approx(min(losses), rel=1e-5)
    assert result.predicted.shape == (60, 1) and result.probabilities.shape == (60, 0)
    assert np.isnan(result.accuracy)
    line = epoch_line(history[0], 8)
    assert "accuracy" not in line and "nan" not in line and "validation loss" in line


@pytest.mark.parametrize("kind", ["sigmoid", "logits", "integers"])
def test_fit_one_column(kind: str) -> None:
    """Binary classes from one column: of a sigmoid above 0.5, of logits above 0."""
    fastconv.manual_seed(0)
    x, y = curve(np.random.default_rng(0))
    true = (y[:, 0] > 0).astype(np.int64)
    last: list[Any] = [] if kind == "logits" else [nn.Sigmoid()]
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), *last)
    loss: Any = nn.BCEWithLogitsLoss() if kind == "logits" else nn.functional.binary_cross_entropy
    targets: np.ndarray = true[:, None].astype(np.float32)
    if kind == "integers":
        targets = true

        def loss(scores: Any, labels: Any) -> Any:
            return nn.functional.binary_cross_entropy(scores[:, 0], labels.float())

    history = training.fit(
        model, optim.Adam(model.parameters(), lr=0.1), Batches(x, targets), (x, targets),
        epochs=10, loss_function=loss,
    )  # fmt: skip
    assert history[-1].train_accuracy > 0.9 and history[-1].validation_accuracy > 0.9
    result = training.evaluate(model, x, targets, 7, loss)
    scores = model(fastconv.from_numpy(x)).detach().numpy()[:, 0]
    wanted = 1 / (1 + np.exp(-scores)) if kind == "logits" else scores
    np.testing.assert_allclose(result.probabilities[:, 1], wanted, rtol=1e-5)
    np.testing.assert_allclose(result.probabilities.sum(1), 1)
    assert np.array_equal(result.predicted, (wanted > 0.5).astype(int))
    assert result.accuracy == (result.predicted == true).mean()
    none = training.evaluate(model, x, targets, 7, loss, threshold=1e9)
    assert not none.predicted.any()


def test_fit_counts_pixels() -> None:
    fastconv.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2, 3, 4)).astype(np.float32)
    y = (x[:, 0] > x[:, 1]).astype(np.int64)
    model = nn.Conv2d(2, 2, 1)
    history = training.fit(
        model, optim.Adam(model.parameters(), lr=0.1), Batches(x, y), (x, y), epochs=6
    )
    assert 0.9 < history[-1].train_accuracy <= 1 and 0.9 < history[-1].validation_accuracy <= 1
    assert training.evaluate(model, x, y).probabilities.shape == (60, 2, 3, 4)


def test_evaluate_restores_the_mode_after_an_error() -> None:
    model, images, labels = problem()
    model.train()
    with pytest.raises(ValueError):
        training.evaluate(model, images[:, :2], labels)
    assert model.training

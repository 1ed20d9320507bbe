"""CTC: against the sum over all paths, and against PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn

KINDS = ["float32", "float64"]
TOLERANCE = {"float32": dict(rtol=2e-5, atol=2e-6), "float64": dict(rtol=1e-10, atol=1e-12)}


def scores(*shape: int, seed: int = 0, kind: str = "float64") -> np.ndarray:
    return (2 * np.random.default_rng(seed).standard_normal(shape)).astype(kind)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def read_off(path: tuple[int, ...], blank: int) -> list[int]:
    """What a path says: repetitions are one, blanks are none."""
    return [c for c, _ in itertools.groupby(path) if c != blank]


def every_path(p: np.ndarray, label: list[int], blank: int) -> tuple[float, np.ndarray]:
    """The loss of probabilities (T, C), and the posterior of each class at each step."""
    total, posterior = 0.0, np.zeros_like(p)
    steps = range(len(p))
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        if read_off(path, blank) == label:
            one = float(np.prod(p[steps, path]))
            total += one
            posterior[steps, path] += one
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.log(total), posterior / total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("label", [[], [1], [1, 1], [3, 1], [1, 3, 3], [1, 3, 1, 3, 1]])
def test_against_every_path(label: list[int], blank: int, kind: str) -> None:
    """The value, and the gradient of the scores: softmax minus posterior."""
    x = fc.tensor(scores(5, 4, kind=kind)).requires_grad_()
    p = softmax(x.detach().numpy().astype(np.float64))
    want, posterior = every_path(p, label, blank)
    loss = F.ctc_loss(
        F.log_softmax(x, -1), fc.tensor(label, dtype=fc.int64), (5,), (len(label),), blank, "sum"
    )
    assert loss.dtype == getattr(fc, kind) and loss.shape == ()
    loss.backward()
    np.testing.assert_allclose(loss.detach().numpy(), want, **TOLERANCE[kind])
    np.testing.assert_allclose(x.grad.numpy(), p - posterior, **TOLERANCE[kind])


def batch(kind: str) -> tuple[Any, ...]:
    """Samples of different lengths, one without labels, one without steps for its labels."""
    rng = np.random.default_rng(1)
    x = scores(9, 6, 5, seed=2, kind=kind)
    lengths = [3, 4, 0, 2, 1, 5]
    targets = rng.integers(1, 5, (6, 5))
    targets[1, :4] = [2, 2, 2, 3]
    steps = [9, 7, 4, 1, 9, 9]
    return x, targets, steps, lengths


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_samples(kind: str) -> None:
    x, targets, steps, lengths = batch(kind)
    given = fc.tensor(x).requires_grad_()
    losses = F.ctc_loss(
        F.log_softmax(given, 2), fc.tensor(targets), steps, lengths, reduction="none",
        zero_infinity=True,
    )  # fmt: skip
    losses.sum().backward()
    for i, (t, n) in enumerate(zip(steps, lengths, strict=True)):
        p = softmax(x[:t, i].astype(np.float64))
        want, posterior = every_path(p, targets[i, :n].tolist(), 0) if t < 8 else (None, None)
        grad = given.grad.numpy()[:, i]
        assert not grad[t:].any()
        if want is not None and np.isinf(want):
            assert losses[i].item() == 0 and not grad.any()
        elif want is not None:
            np.testing.assert_allclose(losses[i].item(), want, **TOLERANCE[kind])
            np.testing.assert_allclose(grad[:t], p - posterior, **TOLERANCE[kind])
    joined = fc.tensor(np.concatenate([t[:n] for t, n in zip(targets, lengths, strict=True)]))
    again = F.ctc_loss(
        F.log_softmax(given, 2), joined, fc.tensor(steps), fc.tensor(lengths), reduction="none",
        zero_infinity=True,
    )  # fmt: skip
    np.testing.assert_array_equal(again.detach().numpy(), losses.detach().numpy())
    mean = nn.CTCLoss(zero_infinity=True)(F.log_softmax(given, 2), joined, steps, lengths)
    want = np.mean(losses.detach().numpy() / np.maximum(lengths, 1))
    np.testing.assert_allclose(mean.item(), want, rtol=1e-6)


def test_no_path_is_infinite() -> None:
    x = fc.tensor(scores(2, 2, 3)).requires_grad_()
    losses = F.ctc_loss(
        F.log_softmax(x, 2), fc.tensor([[1, 1], [1, 2]]), (2, 2), (2, 2), reduction="none"
    )
    assert losses[0].item() == np.inf and np.isfinite(losses[1].item())
    losses.sum().backward()
    grad = x.grad.numpy()
    assert np.isnan(grad[:, 0]).all() and np.isfinite(grad[:, 1]).all()


def test_labels_and_steps_behind_the_ends_are_not_read() -> None:
    x, targets = scores(4, 1, 3), np.array([[1, -7]])
    want = F.ctc_loss(fc.tensor(x[:3]), fc.tensor([[1]]), [3], [1])
    x[3] = np.nan
    given = fc.tensor(x).requires_grad_()
    loss = F.ctc_loss(given, fc.tensor(targets), [3], [1])
    loss.backward()
    assert loss.item() == want.item()
    assert np.isfinite(given.grad.numpy()).all() and not given.grad.numpy()[3].any()


def test_long_sequences_do_not_underflow() -> None:
    """Equal scores: log of the number of paths, C(T + S, 2 S) for different labels, over C^T."""
    from math import comb, log

    steps, label = 1500, [1, 2] * 20
    x = fc.zeros(steps, 3).log_softmax(-1)
    loss = F.ctc_loss(x, fc.tensor(label), (steps,), (40,), reduction="sum")
    want = steps * log(3) - log(comb(steps + 40, 80))
    np.testing.assert_allclose(loss.item(), want, rtol=1e-5)


def test_gradients_of_gradients() -> None:
    """Through log_softmax, of samples of different lengths; the first gradient stays."""
    x = fc.tensor(scores(4, 3, 3, seed=5)).requires_grad_()
    targets, steps, lengths = fc.tensor([[1, 1], [2, 1], [0, 0]]), (4, 3, 2), (2, 2, 0)

    def loss(t: Any) -> Any:
        return F.ctc_loss(F.log_softmax(t, 2), targets, steps, lengths, reduction="none")

    assert fc.autograd.gradgradcheck(loss, (x,))
    logs = F.log_softmax(x.detach(), 2).requires_grad_()
    total = F.ctc_loss(logs, targets, steps, lengths, reduction="sum")
    (plain,) = fc.autograd.grad(total, logs, retain_graph=True)
    (graph,) = fc.autograd.grad(total, logs, create_graph=True)
    np.testing.assert_allclose(graph.detach().numpy(), plain.numpy(), rtol=1e-9, atol=1e-12)


def test_it_is_learnt() -> None:
    fc.manual_seed(0)
    x, loss = nn.Parameter(fc.randn(12, 3, 5)), nn.CTCLoss()
    optimizer = fc.optim.Adam([x], lr=0.1)
    targets, lengths = fc.tensor([[1, 2, 3], [4, 4, 0], [2, 0, 0]]), (3, 2, 1)
    for _ in range(150):
        optimizer.zero_grad()
        value = loss(x.log_softmax(2), targets, (12, 12, 12), lengths)
        value.backward()
        optimizer.step()
    assert value.item() < 0.05
    said = x.detach().numpy().argmax(2).T
    assert [read_off(tuple(row), 0) for row in said] == [[1, 2, 3], [4, 4], [2]]


@pytest.mark.torch
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("through", [False, True])
def test_as_in_torch(kind: str, reduction: str, blank: int, zero: bool, through: bool) -> None:
    """Values and gradients, of the scores and of log-probabilities by themselves."""
    torch = pytest.importorskip("torch")
    x, targets, steps, lengths = batch(kind)
    targets = (targets + blank) % 5
    joined = np.concatenate([t[:n] for t, n in zip(targets, lengths, strict=True)])
    for given in (targets, joined):
        found = []
        for lib in (torch, fc):
            f = lib.nn.functional
            leaf = lib.tensor(x if through else np.log(softmax(x))).requires_grad_()
            y = f.ctc_loss(
                f.log_softmax(leaf, 2) if through else leaf, lib.tensor(given), steps, lengths,
                blank, reduction, zero,
            )  # fmt: skip
            y.sum().backward()
            found.append((y.detach().numpy(), leaf.grad.numpy()))
        for theirs, ours in zip(*found, strict=True):
            assert theirs.dtype == ours.dtype and theirs.shape == ours.shape
            np.testing.assert_allclose(ours, theirs, **TOLERANCE[kind])


@pytest.mark.torch
def test_one_sample_as_in_torch() -> None:
    torch = pytest.importorskip("torch")
    x = np.log(softmax(scores(6, 4)))
    for reduction in ("none", "sum", "mean"):
        want = torch.nn.CTCLoss(1, reduction)(
            torch.tensor(x), torch.tensor([2, 3]), torch.tensor(6), torch.tensor(2)
        )
        got = nn.CTCLoss(1, reduction)(fc.tensor(x), fc.tensor([2, 3]), fc.tensor(6), fc.tensor(2))
        assert got.shape == tuple(want.shape)
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12)


X = fc.zeros(5, 2, 3)
T = fc.tensor([[1, 2], [1, 1]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.ctc_loss(X, T, (5, 5), (2, 3)), ValueError, r"\(2, S\) with S ≥ 3"),
        (lambda: F.ctc_loss(X, T[0], (5, 5), (1, 2)), ValueError, r"\(3,\), the sum of target_len"),
        (lambda: F.ctc_loss(X, T, (5, 6), (2, 2)), ValueError, "input_lengths must be 0 to 5"),
        (lambda: F.ctc_loss(X, T, (5, 5), (2, -1)), ValueError, "target_lengths must not be neg"),
        (lambda: F.ctc_loss(X, T, (5,), (2, 2)), ValueError, "one length for each of 2 samples"),
        (lambda: F.ctc_loss(X, T, (5.0, 5.0), (2, 2)), TypeError, "must hold integers, got float"),
        (lambda: F.ctc_loss(X, T + 2, (5, 5), (2, 2)), IndexError, "target 3 is out of bounds"),
        (lambda: F.ctc_loss(X, T * 1.0, (5, 5), (2, 2)), TypeError, "targets must be integers"),
        (lambda: F.ctc_loss(X, T, (5, 5), (2, 2), 3), ValueError, "blank must be one of 3"),
        (lambda: F.ctc_loss(X, T, (5, 5), (2, 2), 0, "max"), ValueError, "reduction"),
        (lambda: F.ctc_loss(X[0, 0], T, (5, 5), (2, 2)), ValueError, r"must be \(T, N, C\)"),
        (lambda: F.ctc_loss(T, T, (5, 5), (2, 2)), TypeError, "float32 or float64"),
        (lambda: F.ctc_loss(X, [[1]], (5, 5), (2, 2)), TypeError, "'targets' must be Tensor"),
    ],
)
def test_errors(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()

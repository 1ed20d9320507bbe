"""Packed sequences: the recurrent layers on them, against one by one, and against PyTorch."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.nn.utils import rnn

LENGTHS = [3, 5, 1, 5]
LAYERS = {
    "rnn": lambda n: n.RNN(3, 4),
    "rnn relu": lambda n: n.RNN(3, 4, 2, "relu", bias=False, bidirectional=True),
    "gru": lambda n: n.GRU(3, 4, num_layers=2, bidirectional=True),
    "gru batch": lambda n: n.GRU(3, 4, batch_first=True),
    "lstm": lambda n: n.LSTM(3, 4),
    "lstm deep": lambda n: n.LSTM(3, 4, 2, batch_first=True, bidirectional=True),
    "lstm proj": lambda n: n.LSTM(3, 4, 2, proj_size=2, bidirectional=True),
}
KINDS = ["float32", "float64"]
TOLERANCE = {"float32": dict(rtol=2e-5, atol=2e-6), "float64": dict(rtol=1e-10, atol=1e-12)}


def draw(*shape: int, seed: int = 0, kind: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(kind)


def states(layer: Any, kind: str) -> tuple[np.ndarray, ...]:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    h = draw(count, 4, layer.proj_size or 4, seed=1, kind=kind)
    return (h, draw(count, 4, 4, seed=2, kind=kind)) if layer.mode == "LSTM" else (h,)


def test_the_order_of_steps() -> None:
    x = fc.arange(12).reshape(4, 3)  # step · 3 + sequence
    packed = rnn.pack_padded_sequence(x, [4, 2, 1])
    assert packed.data.tolist() == [0, 1, 2, 3, 4, 6, 9]
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    assert packed.sorted_indices is None and packed.unsorted_indices is None
    mixed = rnn.pack_padded_sequence(x.t(), fc.tensor([1, 4, 2]), True, enforce_sorted=False)
    assert mixed.data.tolist() == [1, 2, 0, 4, 5, 7, 10]
    assert mixed.sorted_indices.tolist() == [1, 2, 0]
    assert mixed.unsorted_indices.tolist() == [2, 0, 1]
    assert rnn.invert_permutation(mixed.sorted_indices).tolist() == [2, 0, 1]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("total", [None, 5, 7])
def test_there_and_back(batch_first: bool, total: int | None) -> None:
    sequences = [fc.tensor(draw(n, 2, seed=n)).requires_grad_() for n in LENGTHS]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first, -1.5, total)
    assert lengths.tolist() == LENGTHS and lengths.dtype == fc.int64
    want = np.full((total or 5, 4, 2), -1.5)
    for i, s in enumerate(sequences):
        want[: len(s), i] = s.detach().numpy()
    want = want.swapaxes(0, 1) if batch_first else want
    np.testing.assert_array_equal(padded.detach().numpy(), want)
    padded.square().sum().backward()
    for s, back in zip(sequences, rnn.unpack_sequence(packed), strict=True):
        np.testing.assert_array_equal(back.detach().numpy(), s.detach().numpy())
        np.testing.assert_array_equal(s.grad.numpy(), 2 * s.detach().numpy())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_as_each_sequence_by_itself(name: str, given: bool, kind: str) -> None:
    """Outputs, last states, and the gradients of inputs, states and weights."""
    fc.manual_seed(0)
    layer = LAYERS[name](nn).to(getattr(fc, kind))
    first = layer.batch_first
    x = fc.tensor(draw(5, 4, 3, kind=kind)).requires_grad_()
    start = [fc.tensor(s).requires_grad_() for s in states(layer, kind)] if given else []

    def hx(values: list[Any]) -> Any:
        return None if not values else tuple(values) if len(values) > 1 else values[0]

    def loss(outputs: Any, last: Any) -> Any:
        last = last if isinstance(last, tuple) else (last,)
        return sum((p * p.cos()).sum() for p in (outputs, *last))

    packed = rnn.pack_padded_sequence(
        x.transpose(0, 1) if first else x, LENGTHS, first, enforce_sorted=False
    )
    out, last = layer(packed, hx(start))
    assert isinstance(out, rnn.PackedSequence)
    loss(out.data, last).backward()
    leaves = [x, *start, *layer.parameters()]
    grads = [t.grad.numpy().copy() for t in leaves]
    for t in leaves:
        t.grad = None
    outputs, total = rnn.unpack_sequence(out), 0
    for i, n in enumerate(LENGTHS):
        one, end = layer(x[:n, i], hx([s[:, i] for s in start]))
        np.testing.assert_allclose(
            outputs[i].detach().numpy(), one.detach().numpy(), **TOLERANCE[kind]
        )
        ours = last if isinstance(last, tuple) else (last,)
        for a, b in zip(ours, end if isinstance(end, tuple) else (end,), strict=True):
            np.testing.assert_allclose(
                a[:, i].detach().numpy(), b.detach().numpy(), **TOLERANCE[kind]
            )
        total = total + loss(one, end)
    total.backward()
    for want, got in zip(leaves, grads, strict=True):
        np.testing.assert_allclose(got, want.grad.numpy(), **TOLERANCE[kind])


@pytest.mark.torch
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("ordered", [False, True])
def test_as_in_torch(name: str, ordered: bool) -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = LAYERS[name](nn).double(), LAYERS[name](torch.nn).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in mine.state_dict().items()})
    x = draw(4, 5, 3) if mine.batch_first else draw(5, 4, 3)
    lengths = sorted(LENGTHS, reverse=True) if ordered else LENGTHS
    found = []
    for lib, layer in ((fc, mine), (torch, theirs)):
        pack = lib.nn.utils.rnn
        leaf = lib.tensor(x).requires_grad_()
        start = tuple(lib.tensor(s) for s in states(mine, "float64"))
        packed = pack.pack_padded_sequence(leaf, lengths, mine.batch_first, enforce_sorted=ordered)
        out, last = layer(packed, start if len(start) > 1 else start[0])
        padded, counts = pack.pad_packed_sequence(out, mine.batch_first, 0.5, 6)
        (padded**2).sum().backward()
        last = last if isinstance(last, tuple) else (last,)
        indices = [t for t in out[1:] if t is not None]
        parts = [out.data, padded, counts, *indices, *last, leaf.grad]
        found.append([np.asarray(t.detach()) for t in parts])
    for got, want in zip(*found, strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, **TOLERANCE["float64"])


def test_gradients_of_gradients() -> None:
    layer = nn.GRU(2, 2, bidirectional=True).double()

    def run(x: Any) -> Any:
        packed = rnn.pack_padded_sequence(x, [1, 3], enforce_sorted=False)
        return rnn.pad_packed_sequence(layer(packed)[0])[0]

    assert fc.autograd.gradgradcheck(run, (fc.tensor(draw(3, 2, 2)).requires_grad_(),))


def test_of_another_type_and_from_a_file() -> None:
    packed = rnn.pack_sequence([fc.ones(3, 2), fc.ones(1, 2)])
    for other, kind in ((packed.double(), fc.float64), (packed.to(fc.float64), fc.float64),
                        (packed.double().float(), fc.float32)):  # fmt: skip
        assert isinstance(other, rnn.PackedSequence) and other.data.dtype == kind
        assert other.batch_sizes is packed.batch_sizes
    assert packed.cpu() is packed and not packed.is_cuda
    again = pickle.loads(pickle.dumps(packed))
    assert type(again) is rnn.PackedSequence and again.data.tolist() == packed.data.tolist()
    direct = rnn.PackedSequence(packed.data, packed.batch_sizes, fc.tensor([1, 0]))
    assert direct.unsorted_indices.tolist() == [1, 0]


X = fc.zeros(5, 2, 3)
PACKED = rnn.pack_padded_sequence(X, [5, 4])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rnn.pack_padded_sequence(X, [4, 5]), RuntimeError, "enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(X, [6, 5]), ValueError, r"1 to 5, got \[6, 5\]"),
        (lambda: rnn.pack_padded_sequence(X, [5, 0]), ValueError, "lengths must be 1 to 5"),
        (lambda: rnn.pack_padded_sequence(X, [5]), ValueError, "must be 2 integers"),
        (lambda: rnn.pack_padded_sequence(X, [5.0, 4.0]), ValueError, "got float64"),
        (lambda: rnn.pack_padded_sequence(X[0, 0], [3]), ValueError, r"must be \(T, N, \*\)"),
        (lambda: rnn.pack_padded_sequence([[1]], [1]), TypeError, "got list"),
        (lambda: rnn.pad_packed_sequence(PACKED, total_length=4), ValueError, "at least the 5"),
        (lambda: rnn.pad_packed_sequence(X), TypeError, "must be a PackedSequence"),
        (lambda: rnn.pack_sequence([]), RuntimeError, "non-empty"),
        (lambda: rnn.PackedSequence(X), TypeError, "batch_sizes must be Tensors, got Tensor and N"),
        (lambda: nn.GRU(4, 2)(PACKED), ValueError, r"must have shape \(steps, 4\), got \(9, 3\)"),
        (lambda: nn.GRU(3, 2)(PACKED, fc.zeros(1, 3, 2)), ValueError, r"shape \(1, 2, 2\)"),
        (lambda: nn.GRU(3, 2)([1.0]), TypeError, "a Tensor or a PackedSequence"),
    ],
)
def test_errors(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()

"""``summary``: shapes, counts and totals of networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import models, nn
from fastconv.utils.summary import COLUMNS


def test_counts_of_a_small_network(capsys: Any) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(200, 4))
    found = fc.summary(model, (2, 3, 5, 5), col_names=COLUMNS)
    rows = {row.kind: row for row in found.rows}
    assert rows["Conv2d"].input_size == [2, 3, 5, 5] and rows["Conv2d"].output_size == [2, 8, 5, 5]
    assert rows["Conv2d"].num_params == 8 * 27 + 8 and rows["Conv2d"].kernel_size == [3, 3]
    assert rows["Conv2d"].mult_adds == 2 * 25 * (8 * 27 + 8)
    assert rows["Linear"].mult_adds == 2 * (200 * 4 + 4)
    assert found.total_params == 224 + 804 == found.trainable_params
    assert found.input_bytes == 2 * 75 * 4
    assert found.output_bytes == 2 * 4 * (400 + 400 + 400 + 8)
    text = capsys.readouterr().out
    assert "Total params: 1\u202f028" in text and "├─Conv2d (0)" in text and "└─Linear (3)" in text


def test_nothing_changes() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    before = {k: np.array(v) for k, v in model.state_dict().items()}
    fc.manual_seed(3)
    first = fc.rand(1).item()
    fc.manual_seed(3)
    found = fc.summary(model, (1, 1, 5, 5), mode="train", verbose=0)
    assert fc.rand(1).item() == first
    assert model.training and all(m.training for m in model.modules())
    for name, value in model.state_dict().items():
        assert np.array_equal(np.asarray(value), before[name])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert len(found.rows) == 4


def test_shared_frozen_and_many_inputs() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.last = nn.Linear(6, 1)
            self.last.requires_grad_(False)

        def forward(self, a: Any, b: Any) -> Any:
            return self.last(fc.cat([self.layer(a), self.layer(b)], 1))

    found = fc.summary(Pair().double(), [(4, 3), (4, 3)], verbose=0)
    assert [row.kind for row in found.rows] == ["Pair", "Linear", "Linear", "Linear"]
    assert [row.again for row in found.rows] == [False, False, True, False]
    assert found.total_params == 19 and found.trainable_params == 12
    assert "(recursive)" in str(found)
    assert (
        fc.summary(Pair(), input_data=(fc.ones(1, 3), fc.ones(1, 3)), verbose=0).total_params == 19
    )


def test_a_known_network() -> None:
    found = fc.summary(models.resnet20(), (1, 3, 32, 32), verbose=0)
    assert found.total_params in (269_722, 272_474)
    assert 40e6 < found.total_mult_adds < 42e6  # the paper's figure without biases: 40.8 M


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"col_names": ("size",)}, "unknown columns"),
        ({"mode": "test"}, "mode must be"),
        ({"input_size": None}, "give input_size"),
        ({"input_size": (1, -3)}, "must hold sizes"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fc.summary(nn.Linear(3, 3), **{"input_size": (1, 3), "verbose": 0, **options})


def test_products_that_a_module_runs_itself() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(fc.randn(4, 3, 3, 3))
            self.head = nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            y = nn.functional.conv2d(x, self.kernel, padding=1).mean((2, 3))
            return nn.functional.linear(y, self.head.weight) @ fc.ones(2, 5)

    found = fc.summary(Own(), (2, 3, 6, 6), verbose=0)
    assert [row.kind for row in found.rows] == ["Own"]
    assert found.total_mult_adds == 2 * (36 * 4 * 27 + 2 * 4 + 2 * 5)


def test_attention_recurrence_and_computed_weights() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = fc.randn(3, 5, 8)
    found = fc.summary(attention, input_data=(x, x, x), verbose=0)
    # three projections and the last one with their biases; queries by keys, shares by values
    assert found.total_mult_adds == 3 * 5 * (4 * 8 * 9) + 2 * 3 * 5 * 5 * 8
    for kind, gates in ((nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)):
        cell = kind(4, 6, batch_first=True)
        found = fc.summary(cell, (2, 7, 4), verbose=0)
        assert found.total_mult_adds == 2 * 7 * gates * 6 * (4 + 6 + 2), kind
    plain = fc.summary(nn.Conv2d(3, 8, 3), (1, 3, 5, 5), verbose=0).total_mult_adds
    for norm in (nn.utils.weight_norm, nn.utils.parametrizations.weight_norm):
        found = fc.summary(norm(nn.Conv2d(3, 8, 3)), (1, 3, 5, 5), verbose=0)
        assert found.total_mult_adds == plain == 9 * 8 * 28


def test_networks_with_layers_of_their_own() -> None:
    found = fc.summary(models.lenet5_original(), (1, 1, 32, 32), verbose=0)
    rows = [row for row in found.rows if row.kind == "SparseConv2d"]
    assert rows[0].mult_adds == 100 * 16 * (6 * 25 + 1)
    assert fc.summary(models.neocognitron(), (1, 1, 28, 28), verbose=0).total_mult_adds > 1e6
    pair = [(1, 1, 105, 105)] * 2
    one = fc.summary(models.siamese(), pair, verbose=0)
    assert one.total_mult_adds > 2e8 and sum(row.again for row in one.rows) > 5


def test_inputs_of_integers() -> None:
    model = nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 2))
    assert fc.summary(model, (2, 5), dtype=fc.int64, verbose=0).rows[-1].output_size == [2, 5, 2]
    with pytest.raises(ValueError, match="2 types for 1 inputs"):
        fc.summary(model, (2, 5), dtype=[fc.int64, fc.int64], verbose=0)


def test_a_profile_that_runs_goes_on() -> None:
    with fc.profile() as seen:
        fc.summary(nn.Linear(3, 2), (1, 3), verbose=0)
        fc.ones(2) + 1
    keys = {row.key for row in seen.key_averages()}
    assert {"LinearOp", "Add"} <= keys and fc._watch.recorder is None

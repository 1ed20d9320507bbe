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

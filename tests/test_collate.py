"""Collation: classes of users stay, as in PyTorch."""

from __future__ import annotations

from array import array
from collections import (
    Counter,
    OrderedDict,
    UserDict,
    UserList,
    defaultdict,
    deque,
    namedtuple,
)
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pytest

import fastconv as fc
from fastconv import data
from fastconv.data import default_collate


def test_collate():
    point = namedtuple("point", "x y")
    batch = default_collate([{"a": 1, "b": [1.5, "s"], "c": point(True, np.float32(2))}] * 2)
    assert batch["a"].dtype == fc.int64 and batch["a"].tolist() == [1, 1]
    assert batch["b"][0].dtype == fc.float64 and batch["b"][1] == ["s", "s"]
    assert batch["c"].x.dtype == fc.bool and batch["c"].y.dtype == fc.float32
    assert default_collate([fc.ones(2), fc.zeros(2)]).shape == (2, 2)
    assert default_collate([np.ones(2), np.zeros(2)]).dtype == fc.float64
    with pytest.raises(ValueError, match=r"\(2,\), \(3,\)"):
        default_collate([fc.ones(2), fc.ones(3)])
    with pytest.raises(ValueError, match="equal length"):
        default_collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="collate_fn"):
        default_collate([object()])


class Sample(dict):
    """A dict with an attribute."""

    source = ""


class Row(list):
    pass


class Pair(tuple):
    pass


def collations(lib):
    """What default_collate and default_convert make of classes of users, as types and values."""
    point = namedtuple("point", "x y")
    sample = Sample(a=1.0, b=2)
    sample.source = "camera"
    values = (
        sample, OrderedDict(a=1, b=2), defaultdict(int, a=1), UserDict(a=1), Counter("aab"),
        MappingProxyType({"a": 1}), point(1, 2.5), Row([1, 2]), UserList([1, 2]), Pair((1, 2)),
        deque([1, 2]), range(2),
    )  # fmt: skip
    rows = []
    for value in values:
        for got in (lib.default_collate([value, value]), lib.default_convert(value)):
            items = got.values() if isinstance(got, Mapping) else got
            kinds = [getattr(item, "tolist", lambda item=item: item)() for item in items]
            rows.append((type(value).__name__, type(got).__name__, kinds))
            assert getattr(got, "source", "camera") == "camera"
    return rows


def test_collate_without_a_class_to_keep():
    """A list where the class cannot be made, or does not hold tensors."""
    assert default_collate([range(2), range(2)])[1].tolist() == [1, 1]
    assert isinstance(default_collate([array("d", [1, 2])] * 2), list)


def test_collate_keeps_classes():
    rows = collations(data)
    made = {(given, got) for given, got, _ in rows}
    stay = {"Sample", "OrderedDict", "defaultdict", "UserDict", "Counter", "point", "Row"}
    assert made >= {(name, name) for name in stay} | {("Pair", "list"), ("mappingproxy",) * 2}
    assert ("Sample", "Sample", [[1.0, 1.0], [2, 2]]) in rows
    assert ("point", "point", [[1, 1], [2.5, 2.5]]) in rows


@pytest.mark.torch
def test_collate_as_pytorch():
    torch = pytest.importorskip("torch")
    assert collations(data) == collations(torch.utils.data)

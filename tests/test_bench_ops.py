"""The single operations of bench: both sides compute the same, and the table says who is slow."""

from __future__ import annotations

import pytest

from bench import peers_ops
from bench.pairs import Side
from bench.single_ops import OPERATIONS, Operation, Row, choose, merge, time_operation


def test_choose() -> None:
    assert choose() == list(OPERATIONS)
    assert {o.name for o in choose("bilinear, relu6")} == {"interpolate, bilinear ×2", "relu6"}
    assert choose("none") == []


def row(ours: float, theirs: float, nbytes: float = 8e9) -> Row:
    return Row("relu", "forward", 1, nbytes, Side(ours, 1, 0.0), {"nchw": Side(theirs, 1, 0.0)})


def test_enough_is_twice_the_speed_or_the_bandwidth() -> None:
    slow, fast, wide = row(1.0, 1.5), row(0.5, 1.5), row(0.9, 0.9)
    lines = peers_ops.table([slow, fast, wide], 10e9)[1]
    assert [line[4] for line in lines] == ["1.50", "3.00", "1.00"]
    lines = peers_ops.table([slow, fast, wide], 20e9)[1]
    assert [line[4] for line in lines] == ["1.50 ✗", "3.00", "1.00 ✗"]
    assert "1 of 3" in peers_ops.standing([slow, fast, wide], 20e9)
    assert merge(slow, fast).ours.seconds == 0.5


def small(operation: Operation) -> Operation:
    """With fewer images, to be quick."""
    shapes = tuple(
        (2, *s[1:2], *(min(n, 16) for n in s[2:])) if len(s) > 2 else s for s in operation.x_shapes
    )
    return operation._replace(x_shapes=shapes)


@pytest.mark.torch
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
def test_both_sides_compute_the_same(operation: Operation) -> None:
    pytest.importorskip("torch")
    if "10 M" in operation.name:
        operation = operation._replace(x_shapes=((1000,),))
    rows = time_operation(small(operation), seconds=1e-4)
    assert [r.direction for r in rows] == ["forward", "backward"][: len(rows)]
    assert all(r.ours.seconds > 0 and r.ratio > 0 for r in rows)

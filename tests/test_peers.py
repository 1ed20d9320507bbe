"""The comparison with PyTorch: its list, its sums, its files; and tiny layers where it is."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench import heap, pairs, peers, summary
from bench.layers import FAMILIES, LAYERS, QUICK, choose
from bench.pairs import Row, Side
from fastconv import backends
from fastconv.cli.measure import DIRECTIONS
from fastconv.shapes import Shape

needs_c = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")
TINY = Shape("tiny", "3x3", 2, 5, 7, (6, 9), (3, 3), stride=2, padding=1)


def row(
    layer: str, direction: str, ours: float, *theirs: float, family: str = "3x3", threads: int = 1
) -> Row:
    """A row of given times; PyTorch's are those of channels-last and NCHW."""
    sides = {form: Side(s, 9, 0.0) for form, s in zip(pairs.FORMATS, theirs, strict=True)}
    return Row(
        layer, family, direction, "float32", threads, 10**9, 10**6, "winograd", 1e-6,
        {"avx512 channels-last": Side(ours, 7, 0.0), "avx512 nchw": Side(2 * ours, 7, 0.0)}, sides,
    )  # fmt: skip


def rows() -> list[Row]:
    """Two 3x3 layers of ratios 2 and 8 forward, 2 and 4 in all; a 1x1 with a forward pass only."""
    found = []
    for direction in DIRECTIONS:
        found.append(row("one", direction, 0.004, 0.008, 0.009))
        slow = 0.008 if direction == "forward" else 0.002
        found.append(row("two", direction, 0.001, 1.0, slow))
    return [*found, row("point", "forward", 0.002, 0.001, 0.002, family="1x1")]


FACTS: dict[str, Any] = {
    "date": "2024-02-29 12:00 UTC", "command": "python -m bench.peers layers",
    "machine": {"cpu": "some CPU", "machine": "x86_64", "cpus": 2, "isas": ["avx2"]},
    "versions": {"fastconv": "0.1.0", "torch": "2.13.0"}, "dtype": "float32", "heap": "system",
    "peak_gflops": 125.0, "bandwidth_gbytes": {"1": 10.0, "2": 15.0}, "passes": 3,
    "load": [0.1, 0.2],
}  # fmt: skip


# ---------------------------------------------------------------- the list


def test_layers_are_valid_and_their_names_unique() -> None:
    assert len({layer.name for layer in LAYERS}) == len(LAYERS)
    assert {layer.family for layer in LAYERS} == set(FAMILIES)
    for layer in LAYERS:
        spec = layer.spec()
        assert spec.flops > 0 and 1 <= layer.batch <= 16


def test_families_hold_what_they_say() -> None:
    for layer in LAYERS:
        spec = layer.spec()
        per_group = spec.in_channels // spec.groups
        if layer.family == "3x3":
            assert layer.kernel == (3, 3) and spec.stride == (1, 1, 1) == spec.dilation
            assert per_group >= 32
        if layer.family == "dilated":
            assert layer.kernel == (3, 3) and 2 <= spec.dilation[2] <= 6
        if layer.family == "1x1":
            assert layer.kernel == (1, 1)
        if layer.family == "stem":
            assert layer.in_channels in (1, 3)
        if layer.family == "depthwise":
            assert per_group == 1 < spec.groups
        if layer.family == "grouped":
            assert 4 <= per_group <= 16 and spec.groups > 1
        if layer.family in ("1d", "3d"):
            assert layer.ndim == int(layer.family[0])
        assert (layer.transposed and layer.family in ("transposed", "other")) or (
            layer.family != "transposed" and not layer.transposed
        )


def test_choose() -> None:
    assert choose() == list(LAYERS)
    assert {layer.family for layer in choose(["1d", "stem"])} == {"1d", "stem"}
    assert all("mobilenetv2" in layer.name for layer in choose(words="mobilenetv2"))
    assert len(choose(["3x3"], quick=True)) == QUICK
    assert choose(words="no such layer") == []
    with pytest.raises(ValueError, match=r"must be some of 3x3, .* got '4x4'"):
        choose(["4x4"])


# ---------------------------------------------------------------- the sums


def test_ratios_take_the_better_format() -> None:
    one, two, point = summary.by_layer(rows())
    assert one.forward == pytest.approx(2) and one.training == pytest.approx(2)
    assert two.forward == pytest.approx(8) and two.training == pytest.approx(4)
    assert point.forward == pytest.approx(0.5) and point.training is None


def test_families_by_geometric_mean_and_minimum() -> None:
    found = {(s.family, s.what): s for s in summary.standings(summary.by_layer(rows()))}
    assert set(found) == {("3x3", "forward"), ("3x3", "training"), ("1x1", "forward")}
    forward, training = found["3x3", "forward"], found["3x3", "training"]
    assert forward.mean == pytest.approx(4) and forward.least == pytest.approx(2)
    assert training.mean == pytest.approx(math.sqrt(8)) and training.worst == "one"
    assert forward.bar == FAMILIES["3x3"].forward and forward.layers == 2


def test_geometric_mean() -> None:
    assert summary.geometric_mean([2, 8]) == pytest.approx(4)
    assert math.isnan(summary.geometric_mean([]))


def test_merge_keeps_the_shorter_time() -> None:
    merged = pairs.merge(
        row("one", "forward", 0.003, 0.004, 0.009), row("one", "forward", 0.005, 0.008, 0.001)
    )
    assert merged.own == Side(0.003, 14, 0.0)
    assert [side.seconds for side in merged.theirs.values()] == [0.004, 0.001]


def test_shortest_takes_turns() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    found = pairs.shortest(calls, 1e-4)
    assert all(side.calls >= pairs.ROUNDS and side.seconds > 0 for side in found.values())
    turns = [a + b for a, b in itertools.pairwise(order) if a != b]
    assert {"ab", "ba"} == set(turns)


def test_milliseconds() -> None:
    assert [summary.milliseconds(s) for s in (1.234567, 0.0123456, 0.00123456, 1.23456e-5)] == [
        "1235", "12.3", "1.23", "0.0123",
    ]  # fmt: skip


# ---------------------------------------------------------------- tables and files


def test_tables_are_rectangular() -> None:
    layers = summary.by_layer(rows())
    tables = [
        summary.family_table(layers),
        summary.direction_table(layers, 125.0),
        summary.layer_table(layers, 125.0),
        summary.variant_table(layers),
        summary.scaling_table([*rows(), row("one", "forward", 0.002, 1, 1, threads=2)]),
    ]
    for table in tables:
        assert table is not None
        head, lines = table
        assert lines and all(len(line) == len(head) for line in lines)
    head, lines = tables[0]  # type: ignore[misc]
    assert lines[0][:5] == ["3×3, stride 1, 32 channels or more", "2", "4.00", "2.5", "2.00"]
    assert lines[1][2:5] == ["0.50 ✗", "1.1", "0.50 ✗"]
    assert tables[4][1] == [  # type: ignore[index]
        ["3×3, stride 1, 32 channels or more", "forward", "2", "1", "2.00", "2.00", "one"]
    ]


def test_one_variant_and_one_thread_make_no_further_tables() -> None:
    only = [r._replace(ours={"avx2 nchw": r.own}) for r in rows()]
    assert summary.variant_table(summary.by_layer(only)) is None
    assert summary.scaling_table(only) is None


def test_json_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    summary.write_json(path, FACTS, rows())
    facts, found = summary.read_json(path)
    assert facts == FACTS and found == rows()
    path.write_text(json.dumps({"rows": [{"layer": "one"}]}))
    with pytest.raises(ValueError, match=r"run\.json: not a file of bench\.peers"):
        summary.read_json(path)


def test_load_prints_and_fills_the_marked_section(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, page = tmp_path / "run.json", tmp_path / "page.md"
    summary.write_json(run, FACTS, rows())
    page.write_text(f"before\n{peers.MARKS[0]}\nold\n{peers.MARKS[1]}\nafter\n")
    assert peers.main(["layers", "--load", str(run), "--markdown", str(page)]) == 0
    out = capsys.readouterr().out
    assert "FMA peak 125.0 GFLOP/s a core" in out and "2.00" in out
    text = page.read_text()
    assert text.startswith(f"before\n{peers.MARKS[0]}\nMade with `python -m bench.peers layers`")
    assert text.endswith(f"\n{peers.MARKS[1]}\nafter\n") and "old" not in text
    assert "| 3×3, stride 1, 32 channels or more | 2 | 4.00 |" in text


def test_draw(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = tmp_path / "run.json"
    summary.write_json(run, FACTS, rows())
    assert peers.main(["layers", "--load", str(run), "--draw", str(tmp_path)]) == 0
    for name in (peers.BARS, peers.ROOFLINE):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert peers.main(["layers", "--list", "--families", "1d"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(choose(["1d"]))


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--families", "4x4"], "got '4x4'"),
        (["--layers", "no such layer"], "no layer fits"),
        (["--load", "/no/such/file"], "/no/such/file"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers.main(["layers", *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_heaps_are_named() -> None:
    heap.set_heap("system")
    with pytest.raises(KeyError):
        heap.set_heap("other")


# ---------------------------------------------------------------- with PyTorch


@needs_c
@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "layer",
    [
        TINY,
        TINY._replace(name="tiny 1-D", size=(11,), kernel=(3,), dilation=2),
        TINY._replace(name="tiny 3-D", size=(3, 4, 5), kernel=(2, 3, 3)),
        TINY._replace(name="tiny transposed", transposed=True, output_padding=1),
        TINY._replace(name="tiny depthwise", in_channels=4, out_channels=8, groups=4),
    ],
    ids=lambda layer: layer.name,
)
def test_tiny_layer_on_both_sides(layer: Shape, dtype: str) -> None:
    pytest.importorskip("torch")
    found = pairs.time_layer(layer, dtype=dtype, formats=pairs.FORMATS, seconds=1e-4)
    assert [r.direction for r in found] == list(DIRECTIONS)
    for r in found:
        assert len(r.ours) == len(r.theirs) == 2 and r.ratio > 0
        assert r.difference < (1e-4 if dtype == "float32" else 1e-11)
        assert all(side.seconds > 0 for side in (*r.ours.values(), *r.theirs.values()))


@needs_c
@pytest.mark.torch
def test_a_quick_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "run.json"
    arguments = ["--layers", "lenet 16->120", "--quick", "--seconds", "0.001", "--json", str(path)]
    assert peers.main(["layers", *arguments]) == 0
    assert "lenet 16->120 at 5 5x5, batch 16" in capsys.readouterr().out
    facts, found = summary.read_json(path)
    assert len(found) == 3 and facts["peak_gflops"] > 1 and facts["versions"]["torch"]

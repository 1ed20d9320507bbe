"""``bench.peers networks``: its tables, its files, and a tiny run where PyTorch is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import network_tables, peers, peers_networks
from bench.pairs import FORMATS, Side
from bench.steps import Alone, Row
from fastconv import backends

needs_c = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")

FACTS: dict[str, Any] = {
    "date": "2024-02-29 12:00 UTC", "command": "python -m bench.peers networks",
    "machine": {"cpu": "some CPU", "machine": "x86_64", "cpus": 2, "isas": ["avx2"]},
    "versions": {"fastconv": "0.1.0", "torch": "2.13.0"}, "dtype": "float32", "passes": 3,
}  # fmt: skip


def row(network: str, mode: str, ours: float, *theirs: float, threads: int = 1) -> Row:
    """A row of given times; PyTorch's are those of channels-last and NCHW."""
    sides = {form: Side(s, 9, 0.0) for form, s in zip(FORMATS, theirs, strict=True)}
    alone, others = {}, {}
    if mode == "training":
        alone = {"fastconv": Alone(ours, 0.0, 30 << 20), "torch nchw": Alone(1, 7.0, 40 << 20),
                 "torch channels-last": Alone(1, 9.0, 20 << 20)}  # fmt: skip
    else:
        others = {"ncnn": 0.002}
    return Row(network, mode, 4, threads, 1e-9, Side(ours, 7, 0.0), sides, alone, others)


def rows() -> list[Row]:
    return [
        row("one", "training", 0.01, 0.03, 0.02), row("two", "training", 0.01, 0.08, 0.09),
        row("one", "inference", 0.002, 0.002, 0.003),
        row("one", "training", 0.005, 0.02, 0.02, threads=2),
    ]  # fmt: skip


def test_standing_is_mean_and_least() -> None:
    assert network_tables.standing(rows()[:2]) == (
        "geometric mean 4.00 (aim 2), least 2.00 (aim 1.4), one"
    )
    assert network_tables.standing(rows()[2:3]) == (
        "geometric mean 1.00 (aim 2) ✗, least 1.00 (aim 1.2) ✗, one"
    )


def test_tables() -> None:
    head, lines = network_tables.time_table(rows()[:2])
    assert lines[0] == ["one, batch 4", "10.0", "20.0", "nchw", "2.00"]
    assert lines[1][3:] == ["channels-last", "8.00"]
    assert all(len(line) == len(head) for line in lines)
    assert network_tables.time_table(rows()[2:3])[1][0][-1] == "1.00 ✗"
    assert network_tables.runtime_table(rows()[:2]) is None
    beside = network_tables.runtime_table(rows()[2:3])
    assert beside == (["network", "fastconv", "PyTorch", "ncnn"], [["one", "2.00", "2.00", "2.00"]])
    memory = network_tables.memory_table(rows())
    assert memory is not None
    assert memory[1][0] == ["one, batch 4", "30", "20", "1.50 ✗", "0", "7"]
    assert len(memory[1]) == 2  # of one thread only
    assert network_tables.memory_table(rows()[2:3]) is None


def test_json_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    network_tables.write_json(path, FACTS, rows())
    assert network_tables.read_json(path) == (FACTS, rows())
    path.write_text(json.dumps({"rows": [{"network": "one"}]}))
    with pytest.raises(ValueError, match=r"run\.json: not a file of bench\.peers networks"):
        network_tables.read_json(path)


def test_load_prints_and_fills_the_marked_section(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, page = tmp_path / "run.json", tmp_path / "page.md"
    network_tables.write_json(run, FACTS, rows())
    begin, end = peers_networks.MARKS
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    assert peers.main(["networks", "--load", str(run), "--markdown", str(page)]) == 0
    assert "Training step, 2 threads: geometric mean 4.00" in capsys.readouterr().out
    text = page.read_text()
    assert text.startswith(f"before\n{begin}\nMade with `python -m bench.peers networks`")
    assert text.endswith(f"\n{end}\nafter\n") and "old" not in text
    assert "| two, batch 4 | 10.0 | 80.0 | channels-last | 8.00 |" in text


def test_draw(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = tmp_path / "run.json"
    network_tables.write_json(run, FACTS, rows())
    assert peers.main(["networks", "--load", str(run), "--draw", str(tmp_path)]) == 0
    assert (tmp_path / peers_networks.BARS).read_bytes().startswith(b"\x89PNG")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert peers.main(["networks", "--list", "--networks", "resnet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments, reason",
    [(["--networks", "none"], "no network fits"), (["--load", "/no/such/file"], "/no/such/file")],
)
def test_wrong_arguments(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers.main(["networks", *arguments]) == 1
    assert reason in capsys.readouterr().err


@needs_c
@pytest.mark.torch
def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "run.json"
    arguments = ["--networks", "lenet", "--modes", "training", "--passes", "1",
                 "--seconds", "0.01", "--json", str(path)]  # fmt: skip
    assert peers.main(["networks", *arguments]) == 0
    assert "Memory at its peak" in capsys.readouterr().out
    facts, (found,) = network_tables.read_json(path)
    assert found.network == "LeNet-5" and facts["versions"]["torch"]
    assert set(found.alone) == {"fastconv", "torch nchw", "torch channels-last"}
    # Input, weights, gradients and momentum at the least; not a gigabyte.
    assert all(2e6 < side.nbytes < 1e9 for side in found.alone.values())

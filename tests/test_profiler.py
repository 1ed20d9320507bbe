"""fastconv.profile(): what it records, what it adds up, and what it leaves alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

import fastconv as torch
from fastconv import _watch, nn
from fastconv.autograd import Function
from fastconv.nn import functional as F
from fastconv.optim import SGD


def step(model: nn.Module, optimizer: SGD) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(torch.ones(2, 3, 8, 8)), torch.tensor([0, 1])).backward()
    optimizer.step()


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 2),
    )  # fmt: skip


def test_a_step_by_operation_and_direction() -> None:
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1)
    with torch.profile() as p:
        step(model, optimizer)
    counts = {(a.key, a.phase): a.count for a in p.key_averages()}
    name = "ConvolutionJoined"  # with the ReLU that follows
    assert counts[name, "forward"] == counts[name, "backward"] == 2
    assert counts["LinearOp", "forward"] == counts["CrossEntropy", "backward"] == 1
    assert counts["SGD.step", ""] == 1
    assert _watch.recorder is None
    step(model, optimizer)  # no longer recorded
    assert counts == {(a.key, a.phase): a.count for a in p.key_averages()}


def test_times_add_up() -> None:
    model = network()
    with torch.profile() as p:
        step(model, SGD(model.parameters(), lr=0.1))
    averages = p.key_averages()
    assert all(a.cpu_time_total >= a.self_cpu_time_total > 0 for a in averages)
    assert all(a.cpu_time == a.cpu_time_total / a.count for a in averages)
    assert sum(a.self_cpu_time_total for a in averages) <= 1e6 * p.seconds
    own = [a.self_cpu_time_total for a in averages]
    assert own == sorted(own, reverse=True)


def test_shapes_keep_runs_apart() -> None:
    model = network()
    with torch.profile() as p, torch.no_grad():
        model(torch.ones(2, 3, 8, 8))
        model(torch.ones(1, 3, 8, 8))
        model(torch.ones(1, 3, 8, 8))
    found = {
        a.input_shapes: a.count
        for a in p.key_averages(group_by_input_shape=True)
        if a.key.startswith("Convolution") and a.input_shapes[1] == (4, 3, 3, 3)
    }
    assert found == {
        ((2, 3, 8, 8), (4, 3, 3, 3), (4,)): 1,
        ((1, 3, 8, 8), (4, 3, 3, 3), (4,)): 2,
    }
    assert "2×3×8×8 4×3×3×3 4" in p.table(group_by_input_shape=True)


def test_table() -> None:
    x = torch.ones(3)
    with torch.profile() as p:
        x.exp()
        x.exp()
        x.log()
    lines = str(p).splitlines()
    assert lines[0].split() == ["operation", "direction", "calls", "ms", "share", "µs", "each"]
    assert len({len(line.split()) for line in lines[2:4]}) == 1
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert rows["Exp"][1:3] == ["forward", "2"] and rows["Log"][1:3] == ["forward", "1"]
    assert lines[-2].startswith("outside operations") and lines[-1].split()[-2] == "100.0"
    short = p.table(row_limit=1).splitlines()
    assert "1 more" in short[3]


def test_what_is_written_late_has_a_row() -> None:
    model = nn.BatchNorm2d(3)
    with torch.profile() as p:
        (model(torch.ones(2, 3, 8, 8)) * 2).sum().backward()
    counts = {(a.key, a.phase): a.count for a in p.key_averages()}
    assert counts["BatchNorm", "forward"] == counts["BatchNorm", "backward"] == 1
    with torch.fusion(False), torch.profile() as q:
        model(torch.ones(2, 3, 8, 8))
    assert ("Norm", "forward") not in {(a.key, a.phase) for a in q.key_averages()}
    assert counts["Norm", "forward"] == 1


def test_record_function_holds_what_runs_inside() -> None:
    with torch.profile() as p, torch.profiler.record_function("both"):
        torch.ones(5).exp()
        torch.ones(5).exp()
    found = {a.key: a for a in p.key_averages()}
    assert found["both"].count == 1 and found["Exp"].count == 2
    inside = found["both"].cpu_time_total - found["both"].self_cpu_time_total
    assert inside == pytest.approx(sum(a.cpu_time_total for a in found.values()) -
                                   found["both"].cpu_time_total)  # fmt: skip


def test_functions_of_users_are_backward_rows() -> None:
    class Twice(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def, override]
            return x * 2

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def, override]
            return g * 2

    x = torch.ones(3, requires_grad=True)
    with torch.profile() as p:
        Twice.apply(x).sum().backward()
    found = {(a.key, a.phase): a for a in p.key_averages()}
    assert found["Twice", "backward"].count == 1
    assert found["Mul", "forward"].count == 2  # one of them inside Twice's backward
    assert (
        found["Twice", "backward"].self_cpu_time_total < found["Twice", "backward"].cpu_time_total
    )


def test_all_threads_are_recorded() -> None:
    def work() -> None:
        for _ in range(50):
            torch.ones(4).exp()

    with torch.profile() as p:
        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        work()
        for worker in workers:
            worker.join()
    assert {a.key: a.count for a in p.key_averages()}["Exp"] == 200
    assert p.table().splitlines()[-2].startswith("outside operations")


def test_chrome_trace(tmp_path: Path) -> None:
    x = torch.ones(2, 3, requires_grad=True)
    with torch.profile() as p:
        x.exp().sum().backward()
    path = tmp_path / "trace.json"
    p.export_chrome_trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    assert [(e["name"], e["cat"]) for e in events] == [
        ("Exp", "forward"), ("Sum", "forward"), ("Sum", "backward"), ("Exp", "backward"),
    ]  # fmt: skip
    assert all(e["ph"] == "X" and e["dur"] > 0 and e["tid"] == 0 for e in events)
    assert events[0]["args"] == {"shapes": "2×3"}
    starts = [e["ts"] for e in events]
    assert starts == sorted(starts) and starts[0] >= 0


def test_profiles_do_not_nest_and_run_once() -> None:
    with torch.profile() as p:
        with pytest.raises(RuntimeError, match="another profile is running"), torch.profile():
            pass
        torch.ones(2).exp()  # still recorded
    assert [a.key for a in p.key_averages()] == ["Exp"]
    with pytest.raises(RuntimeError, match="has run already"), p:
        pass
    assert _watch.recorder is None


def test_an_error_ends_the_profile() -> None:
    with pytest.raises(ValueError, match="conv2d"), torch.profile() as p:
        F.conv2d(torch.ones(1, 2, 3, 3), torch.ones(1, 2, 5, 5))
    assert _watch.recorder is None and p.seconds > 0
    with torch.profile():
        pass


def test_an_empty_profile_has_a_table() -> None:
    with torch.profile() as p:
        pass
    assert p.key_averages() == [] and len(str(p).splitlines()) == 4
    assert len(str(torch.profile()).splitlines()) == 4

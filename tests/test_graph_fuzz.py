"""Random programs give the same with fusion as without, and what PyTorch gives."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest

import fastconv
from fastconv import backends
from fastconv.autograd import Op
from fastconv.verify.graphs import check, draw_program, judge, parse, run
from fastconv.verify.graphs.program import STEPS
from fastconv.verify.graphs.steps import RUN

pytestmark = pytest.mark.skipif(backends.why_not("c") is not None, reason="the promise of C")

#: Programs that once gave other bits, or raised in one way only.
FOUND = (
    # two gradients met after a normalisation, of which one had joined a ReLU
    "float32 threads=1 seed=162 input=2,17,6 style=module | 2=inorm(0,1) 3=add(0,1) 4=out(1) "
    "| train.none",
    "float32 threads=1 seed=5 input=1,17,6,9 style=module | 9=ckpt(8,8,2) | eval.none",
    "float64 threads=1 seed=172 input=2,17,9,5 style=last | 2=conv(1,16,2,1,2,1) 4=act(3,0,0,0) "
    "5=add(4,3) | eval.none",
    # a sum of arrays in two memory formats, then statistics of it
    "float64 threads=1 seed=749 input=2,16,8,8 style=module | 1=conv(0,5,1,1,1,0) 6=add(0,5) "
    "8=bn(7,0) | train.none",
    "float32 threads=1 seed=1291 input=3,4,2,9 style=module | 1=conv(0,4,3,1,1,1) 2=iadd(1,0) "
    "3=act(2,0,0,0) | eval.numpy eval.none",
    # the format of a sum of gradients depended on who else held one of them
    "float32 threads=1 seed=467 input=4,3,24,24 style=module | 1=spread(0) 3=add(1,2) 5=bn(4,1) "
    "6=add(5,3) 9=conv(6,3,2,1,0,1) | train.none",
    "float32 threads=1 seed=467 input=4,3,24,24 style=module | 1=spread(0) 3=add(1,2) 5=bn(4,1) "
    "6=add(5,3) 7=act(6,0,2,1) 9=conv(6,3,2,1,0,1) | train.none",
    # the result of a ReLU was changed in place
    "float32 threads=1 seed=182 input=2,1,5,5 style=module | 1=bn(0,1) 10=act(9,0,0,0) "
    "11=act(10,1,2,1) | eval.none",
    "float64 threads=1 seed=1062 input=2,17,1 style=bare | 1=bn(0,0) 2=act(1,1,1,1) 3=iview(2,3) "
    "| train.none",
)
#: Programs that PyTorch runs and we refused, or the other way round.
FOUND_TORCH = (
    "float64 threads=1 seed=8 input=3,2,1,3 style=module | 1=act(0,2,2,0) 2=act(1,6,0,1) "
    "| eval.none",
    "float64 threads=1 seed=306 single=16,2,6 style=last | 2=conv(1,5,3,1,1,0) 10=view(2) "
    "12=act(11,1,2,1) 15=act(14,6,2,1) | eval.none",
    "float64 threads=1 seed=964 input=1,8,3,3 style=module | 1=conv(0,16,2,2,1,0) "
    "2=conv(1,8,3,2,0,1) 5=spread(4) 6=imuls(5,2) | train.none",
)


def test_fused_and_plain_agree() -> None:
    count, failures = run(300, 20_000, with_torch=False, stream=sys.stdout, most=3)
    assert not failures, "\n".join(map(str, failures))
    assert count == 300


@pytest.mark.parametrize("line", FOUND)
def test_found(line: str) -> None:
    assert check(parse(line)) == ("", "")


@pytest.mark.torch
def test_torch_agrees() -> None:
    pytest.importorskip("torch")
    _, failures = run(150, 1_000, with_torch=True, stream=sys.stdout, most=3)
    assert not failures, "\n".join(map(str, failures))


@pytest.mark.torch
@pytest.mark.parametrize("line", FOUND_TORCH)
def test_found_torch(line: str) -> None:
    pytest.importorskip("torch")
    assert check(parse(line), with_torch=True) == ("", "")


def test_text() -> None:
    """A program's line says it all, and is checked."""
    for seed in range(50):
        program = draw_program(seed)
        assert parse(str(program)) == program
    for line in ("", "a | b", str(program).replace("style", "stile"), str(program) + " trane.none"):
        with pytest.raises(ValueError, match="not a program"):
            parse(line)
    with pytest.raises(ValueError, match="no step 'canv'"):
        parse("float32 threads=1 seed=1 input=1,1,2 style=bare | 1=canv(0) | train.none")


def test_every_step_is_run() -> None:
    """The programs of the sample have all steps, of which most apply."""
    assert set(RUN) == set(STEPS)
    made = dict.fromkeys(STEPS, 0)
    for seed in range(20_000, 20_120):
        machine = judge.plain(draw_program(seed))
        for step in machine.program.steps:
            made[step.name] += step.label in machine.values
    nothing = {"hook", "keep", "read", "out", "iview"}
    assert {name for name, count in made.items() if not count} == nothing


def test_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong gradient where operations have joined is found, and shrunk to what joins."""
    from fastconv.functions.norm import NormJoined

    right = NormJoined.backward

    def wrong(ctx: Any, g: Any) -> Any:
        grads = right(ctx, g)
        return tuple(None if a is None else a * 2 for a in grads)

    monkeypatch.setattr(NormJoined, "backward", staticmethod(wrong))
    _, failures = run(60, 20_000, with_torch=False, most=1)
    (failure,) = failures
    assert failure.against == "plain" and "differs by" in failure.what
    assert len(failure.program.steps) <= 3
    assert parse(str(failure).split('"')[1]) == failure.program
    assert issubclass(NormJoined, Op)


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge.main(["3", "20000"]) == 0
    assert "3 programs, 0 failed" in capsys.readouterr().out
    assert judge.main([FOUND[0]]) == 0 and "agrees" in capsys.readouterr().out
    assert importlib.util.find_spec("fastconv.verify.graphs.__main__")
    assert fastconv.config.fusing()

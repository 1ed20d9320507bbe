"""The published cases and the drawn calls: ours are right, and what is wrong is seen."""

from __future__ import annotations

import sys
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv.cli import main
from fastconv.verify import FAMILIES, Declined, family, parse
from fastconv.verify.against import CALLS, Against, against
from fastconv.verify.calls import Call, Operand, complaints, expected, run
from fastconv.verify.corpus import ENTRIES, Entry
from fastconv.verify.formulas import FORMULAS
from fastconv.verify.formulas.tape import rounding
from fastconv.verify.functional.base import CallProblem
from fastconv.verify.functional.corpus import judge_entry
from fastconv.verify.run import shrink

NAMES = {entry.name: entry for entry in ENTRIES}


# ---------------------------------------------------------------- the corpus


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_every_published_case_is_right(name: str, dtype: str) -> None:
    entry = NAMES[name]
    what = judge_entry(fastconv, entry, dtype)
    assert what is None, f"{entry.reference}: {entry.what}: {what}"


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.right], ids=lambda e: e.name)
def test_the_formulas_agree_with_the_threads(entry: Entry) -> None:
    want = expected(entry.call, "float64")
    for name, right in entry.right.items():
        assert want[name][0].shape == right.shape, name
        np.testing.assert_allclose(want[name][0], right, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_corpus_names_its_sources() -> None:
    references = {entry.reference for entry in ENTRIES}
    assert len(references) >= 100 and len(NAMES) == len(ENTRIES)
    for entry in ENTRIES:
        owner, _, number = entry.reference.partition("#")
        assert owner.count("/") == 1 and number.isdigit(), entry.reference
        assert entry.what and entry.call.op.removeprefix("optim.")


@pytest.mark.parametrize(
    "entry",
    [e for e in ENTRIES if e.call.op.startswith("conv") and not e.raises],
    ids=lambda e: e.name,
)
def test_convolutions_of_the_corpus_by_products_alone(entry: Entry) -> None:
    with fastconv.algorithm("gemm"):
        got = run(fastconv, entry.call, "float32")
    assert complaints(entry.call, "float32", got, expected(entry.call, "float32")) == []


# ---------------------------------------------------------------- drawn calls


@pytest.mark.parametrize("name", CALLS)
def test_a_stratified_part_of_the_drawn_calls(name: str) -> None:
    """Every operation of the family three times with the C kernels, in other settings each time."""
    one = family(name)
    checked = 0
    for number in range(3 * len(one.ops)):  # type: ignore[attr-defined]
        problem = one.draw(Random(number), number)
        if problem.backend != "c":  # Numba would compile, naive would take its time
            problem = problem.but(backend="c", isa=_isas()[number % len(_isas())])
        try:
            failure = one.check(problem)
        except Declined:
            continue
        checked += 1
        if failure is not None:
            small = shrink(failure, 60)
            pytest.fail(f"{small.what}\n{small.command}")
    assert checked >= 2 * len(one.ops)  # type: ignore[attr-defined]


def _isas() -> list[str]:
    from fastconv import backends

    if backends.why_not("c") is not None:
        pytest.skip("needs the C extension")
    return [name for name, able in backends.load("c").isas().items() if able]


@pytest.mark.parametrize("name", [*CALLS, "corpus"])
def test_problems_are_read_back(name: str) -> None:
    one = family(name)
    for number in range(60):
        problem = one.draw(Random(number), number)
        assert parse(str(problem)) == problem
        assert set(one.holds(problem)) <= {p for p, _ in one.expected()}
        assert set(one.settings(problem)) <= {s for _, s in one.expected()} | {"naive"}


def test_every_family_of_calls_is_drawn() -> None:
    assert set(CALLS) | {"conv", "corpus"} == set(FAMILIES)


# ---------------------------------------------------------------- what is wrong is seen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_a_small_error_in_any_result_is_seen(name: str, dtype: str) -> None:
    """One element of one result off by a thousandth (float64: 1e-10) of the largest."""
    one, seen = family(name), 0
    share = {"float32": 1e-3, "float64": 1e-10}[dtype]
    for number in range(2 * len(one.ops)):  # type: ignore[attr-defined]
        problem = one.draw(Random(number), number)
        try:
            call = problem.call()
            want = expected(call, dtype)
        except (Declined, ValueError):
            continue
        right = {n: a.astype(dtype if e is not None else a.dtype) for n, (a, e) in want.items()}
        assert complaints(call, dtype, right, want, one.algorithm(problem)) == []  # type: ignore[attr-defined]
        for result, (values, error) in want.items():
            if not values.size or error is None or not np.isfinite(values).all():
                continue
            scale = float(np.max(np.abs(values)))
            limit = 2 * float(np.finfo(dtype).eps) * float(np.max(error))
            if scale == 0 or limit > share * scale / 4:  # cancelled: nothing to be said of it
                continue
            wrong = dict(right)
            wrong[result] = right[result].copy()
            wrong[result].flat[values.size // 2] += share * scale
            assert complaints(call, dtype, wrong, want), (str(problem), result)
            seen += 1
    assert seen >= len(one.ops)  # type: ignore[attr-defined]


def _faulty(**changes: Any) -> ModuleType:
    """fastconv with some functions of ``nn.functional`` replaced."""
    T, F = ModuleType("faulty"), ModuleType("faulty.nn.functional")
    T.__dict__.update({k: v for k, v in vars(fastconv).items() if not k.startswith("__")})
    for name in ("nn", "optim", "Tensor", "conv2d"):
        setattr(T, name, getattr(fastconv, name))
    F.__dict__.update(vars(fastconv.nn.functional))
    F.__dict__.update(changes)
    T.nn = ModuleType("faulty.nn")  # type: ignore[attr-defined]
    T.nn.functional = F  # type: ignore[attr-defined]
    return T


def _wrong(T: Any) -> set[str]:
    return {e.reference for e in ENTRIES if judge_entry(T, e, "float64") is not None}


def test_the_published_faults_are_found_in_a_library_that_has_them() -> None:
    F = fastconv.nn.functional

    def floor(input: Any, kernel_size: Any, *a: Any, ceil_mode: bool = False, **k: Any) -> Any:
        return F.avg_pool2d(input, kernel_size, *a, **k)

    def no_dilation(*a: Any, dilation: Any = 1, **k: Any) -> Any:
        return F.conv2d(*a, **k)

    def whole_divisor(input: Any, kernel_size: Any, *a: Any, **k: Any) -> Any:
        return F.avg_pool1d(input, kernel_size, *a, **k) * 0.5

    found = _wrong(_faulty(avg_pool2d=floor, conv2d=no_dilation, avg_pool1d=whole_divisor))
    assert {
        "apple/coremltools#2844", "robertknight/rten#1456", "tensorflow/tensorflow#18454",
        "Theano/Theano#4729", "tracel-ai/burn#5308", "tinygrad/tinygrad#14115",
    } <= found  # fmt: skip
    assert "pytorch/pytorch#19912" not in found


def test_others_may_round_where_ours_may_not() -> None:
    call = Call("sum", {"input": Operand(np.arange(6.0).reshape(2, 3))}, {"dim": (0, 1)})
    off = {"y": np.array(15.0 + 1e-5, np.float32), "gradient of input": np.zeros((2, 3))}
    off["gradient of input"] += call.gradient(())
    assert complaints(call, "float32", off, expected(call, "float32"))
    with rounding():
        assert not complaints(call, "float32", off, expected(call, "float32"))


# ---------------------------------------------------------------- another library


def test_a_library_that_is_not_there_is_declined() -> None:
    with pytest.raises(Declined, match="no_such_library"):
        against("no_such_library", 10)


def test_the_command_says_what_is_missing(capsys: Any) -> None:
    assert main(["verify", "--against", "no_such_library", "--count", "5"]) == 1
    assert "no_such_library" in capsys.readouterr().err


def test_crashes_are_counted_and_the_run_goes_on(tmp_path: Any, monkeypatch: Any) -> None:
    """A library that is ours, but for one operation that ends the process and one that is wrong."""
    (tmp_path / "dying_library.py").write_text(
        "import os\nimport types as plain\n"
        "import fastconv\n"
        "from fastconv import *\n"
        "from fastconv import Tensor, from_numpy, set_num_threads, optim\n"
        "nn = plain.SimpleNamespace(functional=plain.SimpleNamespace())\n"
        "nn.functional.__dict__.update(vars(fastconv.nn.functional))\n"
        "nn.functional.conv3d = lambda *a, **k: os._exit(7)\n"
        "nn.functional.conv1d = lambda *a, **k: fastconv.nn.functional.conv1d(*a, **k) + 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:" + ":".join(sys.path))
    table = against("dying_library", 24)
    (row,) = [row for name, row in table.rows.items() if name == "corpus: convolution"]
    crashing = sum(e.call.op == "conv3d" for e in ENTRIES[:24])
    wrong = sum(e.call.op == "conv1d" for e in ENTRIES[:24])
    assert (row.problems, row.crashed, row.wrong) == (24, crashing, wrong)
    assert crashing and wrong
    assert any("exit code 7" in f.what and "#" not in f.what for f in table.found)
    assert "crashed" in next(iter(table.lines()))


def test_the_source_gives_the_corpus_first() -> None:
    source = Against("torch", 0, 1 << 20)
    assert source.problem(0).inner().entry == ENTRIES[0].name  # type: ignore[attr-defined]
    second = source.problem(len(ENTRIES)).inner()
    assert (second.entry, second.dtype) == (ENTRIES[0].name, "float64")  # type: ignore[attr-defined]
    drawn = [source.problem(2 * len(ENTRIES) + i).inner() for i in range(len(CALLS))]
    assert [p.family for p in drawn] == list(CALLS)
    assert all(isinstance(p, CallProblem) and p.call().op.split(".")[0] for p in drawn[:1])


@pytest.mark.torch
def test_the_formulas_are_pytorchs() -> None:
    """What other tests compare with the formulas, PyTorch in float64 compares with them too."""
    torch = pytest.importorskip("torch")
    unknown = {"pytorch/pytorch#51408"}  # a slope in float32 there
    dangerous = {"uxlfoundation/oneDNN#6035"}  # may end the process
    with rounding():
        for entry in ENTRIES:
            if entry.reference not in unknown | dangerous:
                what = judge_entry(torch, entry, "float64")
                assert what is None, f"{entry.name}: {what}"


def test_every_formula_has_a_function() -> None:
    for name in FORMULAS:
        homes = (fastconv.nn.functional, fastconv, fastconv.Tensor)
        assert any(callable(getattr(home, name, None)) for home in homes), name

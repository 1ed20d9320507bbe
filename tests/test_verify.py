"""The generated problems: their text, their drawing, what they find; a stratified part of them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from fastconv import backends
from fastconv.backends import naive
from fastconv.backends.kernel import KERNELS, Kernel, find
from fastconv.cli import main
from fastconv.spec import ConvSpec, conv_spec
from fastconv.verify import FAMILIES, Declined, Failure, family, parse
from fastconv.verify.arrays import LAYOUTS, Buffers, integers, view_of
from fastconv.verify.conv import large
from fastconv.verify.conv.kernels import kernels
from fastconv.verify.conv.properties import PROPERTIES
from fastconv.verify.conv.reference import reference
from fastconv.verify.run import check, run, run_here, shrink
from fastconv.verify.sources import Drawn, Listed
from tests.shapes import AWKWARD, Shape, named
from tests.test_kernels import ARGUMENTS, DIRECTIONS, expected, operands

needs_c = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")
RIGHT = "conv n=2 c=5 k=7 size=6x7 out=6x7 kernel=3x3 pad=1x1 bias=1"


# ---------------------------------------------------------------- the reference

SMALL = [shape for shape in AWKWARD if shape.spec().flops < 100_000]


@needs_c
@pytest.mark.parametrize("shape", SMALL, ids=lambda shape: shape.name)
def test_the_reference_is_the_specification(shape: Shape) -> None:
    spec = shape.spec()
    values = operands(spec)
    for op in DIRECTIONS:
        got = reference(op, spec, *(values[name] for name in ARGUMENTS[op]))
        assert np.array_equal(got, expected(op, spec)), op


@needs_c
def test_the_reference_takes_any_strides() -> None:
    spec = named("all asymmetric").spec()
    values = operands(spec)
    for op in DIRECTIONS:
        a, b, *bias = (values[name] for name in ARGUMENTS[op])
        for layout in LAYOUTS:
            one, two = view_of(a, layout), view_of(b, layout)
            want = np.empty(reference(op, spec, a, b).shape)
            getattr(naive, op)(spec, one, two, *bias, want)
            placed = [Buffers().place("a", v.shape, np.float64, layout) for v in (a, b)]
            given = [p.fill(v) for p, v in zip(placed, (one, two), strict=True)]
            assert np.array_equal(reference(op, spec, *given, *bias), want), (op, layout)


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "shape", [(2, 3, 4, 5), (3, 2, 1, 2, 3), (1, 1, 1), (0, 3, 4), (2, 3), (5,)]
)
def test_layouts_hold_their_values_between_poison(layout: str, shape: tuple[int, ...]) -> None:
    buffers = Buffers()
    for dtype in ("float32", "float64"):
        placed = buffers.place("a", shape, dtype, layout, 3)
        assert np.isnan(placed.array).all() and placed.array.dtype == dtype
        values = view_of(integers(5, shape), layout)
        array = placed.fill(values)
        assert np.array_equal(array, values)
        assert not placed.changed(values) and not placed.spilled()
        if array.size:
            array.flat[0] = 99
            assert placed.changed(values) and not placed.spilled()
        placed.buffer[-1] = 0
        assert placed.spilled()
        buffers.reset()
        assert np.isnan(placed.array).all() and not placed.spilled()


def test_slices_have_the_strides_they_promise() -> None:
    place = Buffers().place

    def strides(layout: str) -> tuple[int, ...]:
        return tuple(s // 8 for s in place("a", (3, 4, 5, 6), np.float64, layout).array.strides)

    assert strides("plain") == (120, 30, 6, 1)
    assert strides("last") == (120, 1, 24, 4)
    assert strides("images") == (240, 30, 6, 1)
    assert strides("crop")[-2:] == (11, 1) and strides("gaps")[-1] == 2
    assert strides("channels") == (210, 1, 42, 7)
    assert max(strides("reversed")) < 0 and strides("flipped") == (120, -1, 24, 4)
    assert strides("swapped") == (120, 30, 1, 5) and strides("everywhere") == (0, 30, 0, 1)


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize("name", FAMILIES)
def test_a_problem_is_its_text(name: str) -> None:
    for number in range(200):
        problem = family(name).draw(Random(number), number)
        assert parse(str(problem)) == problem
        assert len(str(problem).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "nonsense n=1", "conv n=x", "conv m=1", "conv n=1 n=2", "conv n", "conv bias=2"]
)
def test_what_is_no_problem(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("name", FAMILIES)
def test_drawing_depends_on_the_seed_alone(name: str) -> None:
    one, two = Drawn((name,), 3, 50), Drawn((name,), 4, 50)
    assert [one.problem(i) for i in range(20)] == [one.problem(i) for i in range(20)]
    assert [one.problem(i) for i in range(20)] != [two.problem(i) for i in range(20)]


def test_a_part_of_the_problems() -> None:
    """Of convolutions; tests/test_corpus.py has a part of the other families."""
    result = run_here(Drawn(("conv",), 20, 1500), iter(range(1500)))
    assert result.done > 1450
    lines = {f"{found.smallest.what}: {found.smallest.command}" for found in result.found}
    assert not lines, "\n".join(sorted(lines))


# ---------------------------------------------------------------- convolutions


@needs_c
@pytest.mark.parametrize(
    "text", ["on=c/winograd c=4 k=4", "c=4 k=4 g=3", "on=c/nothing", "size=3x3"]
)
def test_what_cannot_be_run_is_declined(text: str) -> None:
    with pytest.raises(Declined):
        check(parse(f"conv {text}"))


@needs_c
def test_every_property_can_be_drawn() -> None:
    """Each, on the kernel that takes all geometries, within a few tries."""
    from fastconv.verify.conv.drawing import drawn

    kernel = next(k for k in kernels() if (k.op, k.on) == ("forward", "c/gemm"))
    rng = Random(0)
    for name, one in PROPERTIES.items():
        found = [drawn(kernel, "float32", [name], "", rng) for _ in range(20)]
        assert any(p is not None and one.holds(p) for p in found), name


@needs_c
def test_the_first_lap_meets_what_a_named_shape_missed() -> None:
    """Strides past the kernel, in whole vectors of channels, on every depthwise kernel and type."""
    source = Drawn(("conv",), 0, 1 << 30)
    every = kernels()
    wanted = {
        (k.isa, dtype) for k in every for dtype in ("float32", "float64")
        if (k.op, k.on) == ("backward_weight", "c/depthwise")
    }  # fmt: skip
    places = [i for i, k in enumerate(every) if (k.op, k.on) == ("backward_weight", "c/depthwise")]
    for lap in range(180):
        for place in places:
            problem: Any = source.problem(lap * len(every) + place)
            past = PROPERTIES["stride past the kernel"].holds(problem)
            if past and problem.c % 4 == 0:
                wanted.discard((problem.isa, problem.dtype))
    assert not wanted


# ---------------------------------------------------------------- what is found


def _plant(monkeypatch: pytest.MonkeyPatch, name: str, spoil: Callable[..., None]) -> None:
    """Let a kernel of the C backend do something else after its work on arrays of the caller's."""
    direction, _, algorithm = name.rpartition("_")
    real = find("c", direction, algorithm)
    count = 3 if direction == "conv_forward" else 2  # operands, before the result

    def prepare(spec: ConvSpec, dtype: Any, rank: int) -> Callable[..., Any]:
        call = real.prepare(spec, dtype, rank)

        def planted(*arrays: Any, **more: Any) -> Any:
            result = call(*arrays, **more)
            if len(arrays) > count and arrays[count] is not None:
                spoil(spec, *arrays[: count + 1])
            return result

        return planted

    found = Kernel("c", direction, algorithm, prepare, real.finishes, real.packs, real.transforms)
    monkeypatch.setitem(KERNELS, ("c", direction, algorithm), found)


def _one_wrong(spec: ConvSpec, *arrays: Any) -> None:
    arrays[-1].flat[-1] += 1


def _one_unwritten(spec: ConvSpec, *arrays: Any) -> None:
    arrays[-1].view(np.uint32).flat[0] = 0xFFE5A5A5


def _beside(spec: ConvSpec, *arrays: Any) -> None:
    out = arrays[-1]
    np.ndarray((1,), out.dtype, out.base, _start(out) + out.nbytes)[0] = 0


def _start(a: np.ndarray) -> int:
    return int(a.ctypes.data - a.base.ctypes.data)


def _input_changed(spec: ConvSpec, *arrays: Any) -> None:
    arrays[0].flat[0] += 1


def _raises(spec: ConvSpec, *arrays: Any) -> None:
    raise RuntimeError("planted")


@needs_c
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_one_wrong, "1 of 588 elements wrong"), (_one_unwritten, "1 of 588 elements wrong"),
        (_beside, "wrote outside of its result"), (_input_changed, "changed its operand a"),
        (_raises, "raised RuntimeError: planted"),
    ],
)  # fmt: skip
def test_planted_faults_are_found(
    spoil: Callable[..., None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(parse(RIGHT)) is None
    _plant(monkeypatch, "conv_forward_gemm", spoil)
    failure = check(parse(RIGHT))
    assert failure is not None and words in failure.what
    assert failure.command == f"python -m bench.verify --problem '{RIGHT}'"


@needs_c
def test_a_kernel_that_reads_between_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def reads_past(spec: ConvSpec, *arrays: Any) -> None:
        x, out = arrays[0], arrays[-1]
        out.flat[0] += np.ndarray((1,), x.dtype, x.base, _start(x) + x.itemsize)[0] * 0

    text = RIGHT + " a=gaps"
    assert check(parse(text)) is None
    _plant(monkeypatch, "conv_forward_gemm", reads_past)
    assert check(parse(RIGHT + " a=plain")) is None  # a neighbour is an element there
    assert check(parse(text)) is not None


@needs_c
def test_a_failure_becomes_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong_past_the_kernel(spec: ConvSpec, *arrays: Any) -> None:
        if spec.in_channels >= 5 and spec.stride[2] > spec.kernel[2]:
            arrays[-1].flat[0] += 1

    _plant(monkeypatch, "conv_backward_weight_gemm", wrong_past_the_kernel)
    failure = check(
        parse(
            "conv op=backward_weight on=c/gemm isa=generic dtype=float64 n=3 c=21 k=9 g=3 "
            "size=9x17 out=5x6 kernel=3x2 stride=2x3 pad=1x0 threads=2 a=gaps b=reversed to=plain "
            "seed=77"
        )
    )
    assert failure is not None
    small: Any = shrink(failure).problem
    assert check(small) is not None
    assert (small.c, small.k, small.g, small.n, small.threads) == (5, 1, 1, 1, 1)
    assert (small.size, small.kernel, small.steps) == ((1,), (1,), (2,))
    assert (small.a, small.b, small.dtype) == ("last", "plain", "float32")


@needs_c
def test_other_bits_with_more_threads_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastconv import config

    def depends(spec: ConvSpec, *arrays: Any) -> None:
        if config.get_num_threads() > 1:
            arrays[-1].flat[0] = np.nextafter(arrays[-1].flat[0], arrays[-1].dtype.type(99))

    text = f"{RIGHT} values=real threads=2"
    assert check(parse(text)) is None
    _plant(monkeypatch, "conv_forward_gemm", depends)
    failure = check(parse(text))
    assert failure is not None and "one thread gives another result in 1 of" in failure.what


# ---------------------------------------------------------------- large results


@needs_c
@pytest.mark.parametrize("algorithm", ["gemm", "winograd", "depthwise"])
@pytest.mark.parametrize("op", DIRECTIONS)
def test_projections_see_every_element(op: str, algorithm: str) -> None:
    if algorithm == "depthwise":
        spec = conv_spec((2, 6, 7, 8), (12, 1, 3, 3), 2, 1, 1, 6)
    else:
        spec = conv_spec((3, 8, 7, 8), (12, 4, 3, 3), 1, 1, 1, 2)
    values = operands(spec)
    a, b, *bias = (values[name] for name in ARGUMENTS[op])
    got = np.empty(reference(op, spec, a, b).shape)
    find("c", op, algorithm)(spec, a, b, *bias, got)
    extra = bias[0] if bias else None

    def look(result: np.ndarray) -> str | None:
        arguments = result, a, b, extra, np.dtype("float64"), algorithm, True, spec.depth
        return large.difference(op, spec, *arguments)

    assert look(got) is None
    for at in range(0, got.size, 7):
        wrong = got.copy()
        wrong.flat[at] += 1
        assert look(wrong) is not None, at
    got.flat[3] = np.nan
    assert look(got) is not None


@needs_c
def test_a_large_problem_is_compared_by_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "conv on=c/gemm c=64 k=70 size=100x90 out=100x90 kernel=3x3 pad=1x1"
    assert check(parse(text)) is None
    _plant(monkeypatch, "conv_forward_gemm", _one_wrong)
    failure = check(parse(text))
    assert failure is not None and "sums over images and channels wrong" in failure.what


# ---------------------------------------------------------------- runs


class _Dying:
    """A source whose second problem ends the process that asks for it."""

    families = ("conv",)
    count = 4
    each = False

    def problem(self, number: int) -> Any:
        if number == 1 and multiprocessing.parent_process() is not None:
            os._exit(3)
        return parse("conv on=naive/direct isa=- route=ops a=plain to=plain")


def test_a_process_that_dies_is_a_failure_and_others_go_on() -> None:
    result = run(_Dying(), jobs=2)  # type: ignore[arg-type]
    assert result.done == 4
    assert [found.number for found in result.found] == [1]
    assert "ended the process, exit code 3" in result.found[0].smallest.what


def test_a_run_stops_at_its_number_of_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    one = family("conv")
    monkeypatch.setattr(one, "check", lambda problem: Failure(problem, "planted"))
    monkeypatch.setattr(one, "smaller", lambda problem: iter(()))
    result = run_here(Drawn(("conv",), 0, 50), iter(range(50)), failures=3)
    assert len(result.found) == 3


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = "conv on=naive/direct isa=- c=2 k=3 size=4 out=3 kernel=2"
    assert main(["verify", "--problem", text]) == 0
    assert capsys.readouterr().out == "right\n"
    assert main(["verify", "--problem", "conv on=naive/nothing"]) == 1
    assert "cannot be run here" in capsys.readouterr().err
    assert main(["verify", "--problem", "nothing"]) == 2


@needs_c
def test_the_command_prints_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(monkeypatch, "conv_forward_gemm", _one_wrong)
    assert main(["verify", "--problem", RIGHT]) == 1
    assert "FAILED 1 of 588 elements wrong, the first at (1, 6, 0, 5, 6)" in capsys.readouterr().out


def test_the_command_runs_problems(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    lines = ["conv on=naive/direct isa=- c=2 k=3 size=4 out=3 kernel=2", "# a comment", ""]
    (tmp_path / "list").write_text("\n".join(lines), encoding="utf-8")
    assert main(["verify", "--batch", str(tmp_path / "list")]) == 0
    out = capsys.readouterr().out
    assert "1 of 1 problems, 0 failed" in out and "\r" not in out


def test_listed_problems_are_those_of_the_lines() -> None:
    source = Listed((RIGHT, "conv n=3"))
    assert source.count == 2 and source.families == ("conv",)
    assert str(source.problem(0)) == RIGHT


@needs_c
def test_a_place_that_is_rounded_past_an_element() -> None:
    """11.5 · 13/23 is 6.5 exactly: rounded, the element before has a share of it."""
    line = "resample op=bilinear shape=2x4x13x1 seed=245127 to=23x2"
    assert check(parse(line)) is None

"""The generated problems: their text, their drawing, what they find; a stratified part of them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from fastconv import backends
from fastconv.backends import naive
from fastconv.verify import FAMILIES, Declined, family, parse
from fastconv.verify.arrays import LAYOUTS, Buffers, integers, view_of
from fastconv.verify.conv.reference import reference
from fastconv.verify.run import run_here
from fastconv.verify.sources import Drawn
from tests.shapes import AWKWARD, Shape
from tests.test_kernels import ARGUMENTS, DIRECTIONS, expected, operands

needs_c = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")


# ---------------------------------------------------------------- the reference


@needs_c
@pytest.mark.parametrize("shape", AWKWARD, ids=lambda shape: shape.name)
def test_the_reference_is_the_specification(shape: Shape) -> None:
    spec = shape.spec()
    values = operands(spec)
    for op in DIRECTIONS:
        got = reference(op, spec, *(values[name] for name in ARGUMENTS[op]))
        assert np.array_equal(got, expected(op, spec)), op


@needs_c
def test_the_reference_takes_any_strides() -> None:
    spec = next(shape for shape in AWKWARD if shape.name == "all asymmetric").spec()
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
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 2, 1, 2, 3), (1, 1, 1), (0, 3, 4), (5,)])
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
    shape, place = (3, 4, 5, 6), Buffers().place

    def strides(layout: str) -> tuple[int, ...]:
        return tuple(s // 8 for s in place("a", shape, np.float64, layout).array.strides)

    assert strides("plain") == (120, 30, 6, 1)
    assert strides("last") == (120, 1, 24, 4)
    assert min(strides("reversed")) < 0 and min(strides("flipped")) == -1
    assert 0 in strides("everywhere") and strides("gaps")[-1] == 2
    assert strides("images") == (240, 30, 6, 1)


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize("name", FAMILIES)
def test_a_problem_is_its_text(name: str) -> None:
    for number in range(60):
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


def test_a_problem_that_cannot_be_run_is_declined() -> None:
    with pytest.raises(Declined):
        family("conv").check(parse("conv on=c/winograd c=4 k=4"))
    with pytest.raises(Declined):
        family("conv").check(parse("conv c=4 k=4 g=3"))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_part_of_the_problems(name: str) -> None:
    result = run_here(Drawn((name,), 20, 300), iter(range(300)))
    assert result.done > 250
    assert not result.found, result.found[0].smallest.command

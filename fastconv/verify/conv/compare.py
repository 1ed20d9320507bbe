"""What the ways to run a convolution share: its operands, the switches, and the comparison."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from fastconv import backends, config
from fastconv.spec import ConvSpec
from fastconv.verify import tolerance
from fastconv.verify.arrays import Array, Buffers, Placed, integers, reals, view_of
from fastconv.verify.conv.record import ConvProblem
from fastconv.verify.problem import Declined

__all__ = [
    "buffers", "depth_of", "difference", "operands", "threads_at_once", "touched", "using", "worst",
]  # fmt: skip

#: Memory of the operands; one problem at a time has it.
buffers = Buffers()
#: The largest error of each algorithm that was compared within a bound, in units of the bound.
worst: dict[str, float] = {}


@cache
def _thresholds() -> list[tuple[Any, str]]:
    """Sizes from which the C backend's calls without a geometry use threads: module and name."""
    from fastconv.backends.c import conv, formats

    return [(conv, "SERIAL_SUMS"), (formats, "SERIAL_ELEMENTS")]


@contextmanager
def using(problem: ConvProblem) -> Iterator[None]:
    """The problem's instruction set and number of threads hold inside, however small the arrays.

    Raises
    ------
    Declined
        If this machine has no such instruction set.
    """
    before, isa, module = config.get_num_threads(), None, None
    kept: list[Any] = []
    if problem.on.startswith("c/"):
        module = backends.load("c")
        isa = module.get_isa()
        if isa != problem.isa:
            try:
                module.set_isa(problem.isa)
            except ValueError as error:
                raise Declined(str(error)) from None
        if problem.threads > 1:
            for place, name in _thresholds():
                kept.append((place, name, getattr(place, name)))
                setattr(place, name, 0)
    config.set_num_threads(problem.threads)
    try:
        yield
    finally:
        config.set_num_threads(before)
        for place, name, value in kept:
            setattr(place, name, value)
        if module is not None:
            module.set_isa(isa)


def threads_at_once(problem: ConvProblem, spec: ConvSpec) -> None:
    """Let the C kernels use the problem's threads however little there is to do."""
    if problem.on.startswith("c/") and problem.threads > 1:
        from fastconv.backends.c.geometry import conv_of

        conv_of(spec).parallel = True


def operands(problem: ConvProblem, shape: tuple[int, ...], number: int, layout: str) -> Array:
    """Values of an operand as float64: those that a layout repeats recur."""
    draw = reals if problem.values == "real" else integers
    return view_of(draw(problem.seed + 257 * number, shape), layout)


def depth_of(op: str, spec: ConvSpec) -> int:
    """Products summed into an element of the result."""
    if op == "conv_forward":
        return spec.depth
    if op == "conv_backward_input":
        return math.prod(spec.kernel) * spec.out_channels // spec.groups
    return spec.batch * math.prod(spec.out_size)


def difference(
    got: Array, want: Array, dtype: Any, algorithm: str, exact: bool, depth: int, a: Array,
    b: Array, growth: float = 1.0,
) -> str | None:  # fmt: skip
    """How a result differs from the exact one, or None.

    Parameters
    ----------
    got, want : ndarray
    dtype : dtype
        That the result must have.
    algorithm : str
    exact : bool
        Whether all sums were of small integers.
    depth : int
        Products of elements of `a` and `b` summed into an element.
    growth : float
        What errors may have been multiplied by afterwards.
    """
    if got.shape != want.shape or got.dtype != dtype:
        return f"the result is {got.dtype} {got.shape}, expected {dtype} {want.shape}"
    if exact and algorithm in tolerance.EXACT:
        if np.array_equal(got, want):
            return None
        bad = ~(got == want)
    else:
        scale = tolerance.typical(a, b, depth)
        limit = growth * tolerance.allowed(dtype, depth, algorithm, want, scale)
        error = tolerance.error_of(got, want)
        if error <= limit:
            share = error / limit if limit else 0.0
            worst[algorithm] = max(worst.get(algorithm, 0.0), share)
            return None
        bad = ~(np.abs(got - want) <= limit)
    at = tuple([int(i) for i in np.argwhere(bad)[0]])
    return (
        f"{np.count_nonzero(bad)} of {bad.size} elements wrong, the first at {at}: "
        f"{got[at]:.9g}, expected {want[at]:.9g}"
    )


def touched(placed: list[tuple[str, Placed, Array]]) -> str | None:
    """Whether an operand was changed, or memory around one, or None."""
    for role, place, values in placed:
        if place.changed(values):
            return f"changed its operand {role}"
        if place.spilled():
            return f"wrote outside of its operand {role}"
    return None

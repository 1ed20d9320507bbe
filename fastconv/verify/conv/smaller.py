"""Simpler convolutions by one step each, for making a failure small."""

from __future__ import annotations

from collections.abc import Iterator

from fastconv.verify.conv.record import ConvProblem

__all__ = ["smaller"]

#: Values of the fields of a plain call.
PLAIN = {
    "values": "integers", "act": "none", "coef": False, "r": "none", "bias": False,
    "packed": False, "threads": 1, "route": "function", "rank": 5, "offset": 0, "a": "last",
    "b": "plain", "to": "last", "dtype": "float32", "isa": "generic",
}  # fmt: skip


def smaller(problem: ConvProblem) -> Iterator[ConvProblem]:
    """Problems with a plainer call, fewer axes, channels, taps, positions; some are not valid."""
    for found in _steps(problem):
        yield found.but(
            stride=_unless(found.stride, 1), pad=_unless(found.pad, 0),
            dilation=_unless(found.dilation, 1),
        )  # fmt: skip


def _unless(values: tuple[int, ...], default: int) -> tuple[int, ...]:
    return () if set(values) == {default} else values


def _steps(problem: ConvProblem) -> Iterator[ConvProblem]:
    for name, value in PLAIN.items():
        if getattr(problem, name) != value and not (name == "isa" and problem.isa == "-"):
            yield problem.but(**{name: value})
    yield from _fewer_axes(problem)
    yield from _fewer_channels(problem)
    for axis in range(problem.ndim):
        yield from _smaller_axis(problem, axis)
    for seed in range(3):
        if problem.seed > seed:
            yield problem.but(seed=seed)


def _down(value: int, least: int) -> Iterator[int]:
    """Smaller values, the largest step first."""
    step = value - least
    while step > 0:
        yield value - step
        step //= 2


def _fewer_axes(p: ConvProblem) -> Iterator[ConvProblem]:
    """Without one axis, if it can be spared."""
    if p.ndim == 1:
        return
    for axis in range(p.ndim):

        def rest(values: tuple[int, ...], axis: int = axis) -> tuple[int, ...]:
            return values[:axis] + values[axis + 1 :]

        yield p.but(
            size=rest(p.size), out=rest(p.out), kernel=rest(p.kernel), stride=rest(p.steps),
            pad=rest(p.before), dilation=rest(p.apart), rank=5,
        )  # fmt: skip


def _fewer_channels(p: ConvProblem) -> Iterator[ConvProblem]:
    per_in, per_out = p.c // p.g, p.k // p.g
    for n in _down(p.n, min(p.n, 1)):
        yield p.but(n=n)
    for g in _down(p.g, 1):
        yield p.but(g=g, c=g * per_in, k=g * per_out)
    for c in _down(per_in, 1):
        yield p.but(c=p.g * c)
    for k in _down(per_out, 1):
        yield p.but(k=p.g * k)


def _smaller_axis(p: ConvProblem, axis: int) -> Iterator[ConvProblem]:
    """With less of one thing along one axis, and as many outputs as fit then, or fewer."""

    def but(name: str, values: tuple[int, ...], value: int) -> ConvProblem:
        return p.but(**{name: (*values[:axis], value, *values[axis + 1 :])})

    for name, values, least in (
        ("kernel", p.kernel, 1), ("stride", p.steps, 1), ("dilation", p.apart, 1),
        ("pad", p.before, 0), ("size", p.size, 1),
    ):  # fmt: skip
        for value in _down(values[axis], least):
            found = but(name, values, value)
            yield found
            if name != "size" or p.out[axis] == 1:
                continue
            q = found
            room = q.size[axis] + 2 * q.before[axis] - q.apart[axis] * (q.kernel[axis] - 1) - 1
            out = room // q.steps[axis] + 1
            if 1 <= out < p.out[axis]:
                yield q.but(out=(*q.out[:axis], out, *q.out[axis + 1 :]))
    for out in _down(p.out[axis], 1):
        yield but("out", p.out, out)

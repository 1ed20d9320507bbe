"""Run a convolution of a record, and compare it with the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastconv import backends, config, plan
from fastconv.ops import conv as ops
from fastconv.packed import Packed
from fastconv.spec import ConvSpec
from fastconv.verify import tolerance
from fastconv.verify.arrays import Array, Buffers, Placed, integers, reals, view_of
from fastconv.verify.conv.record import ConvProblem
from fastconv.verify.conv.reference import reference
from fastconv.verify.problem import Declined

__all__ = ["ACTIVATIONS", "check", "operands", "using"]

#: Slope below zero and upper limit; all of them exact on integers.
ACTIVATIONS = {
    "none": (1.0, math.inf), "relu": (0.0, math.inf), "relu6": (0.0, 6.0),
    "leaky": (0.25, math.inf), "leaky6": (0.25, 6.0),
}  # fmt: skip
#: The two operands of each direction, and its result: places in ``spec.shapes[…]`` (x, w, y).
OPERANDS = {
    "forward": (0, 1, 2), "backward_input": (2, 1, 0), "backward_weight": (2, 0, 1),
    "backward_bias": (2, -1, -1),
}  # fmt: skip

_buffers = Buffers()
#: The largest error of each inexact algorithm in a run, in units of the allowed one.
worst: dict[str, float] = {}


def candidate_of(problem: ConvProblem, op: str) -> plan.Candidate:
    """The candidate `problem.on`.

    Raises
    ------
    Declined
        If there is none here, or it declines the geometry.
    """
    backend, _, algorithm = problem.on.partition("/")
    for c in plan.CANDIDATES[op]:
        if c.backend == backend and c.algorithm == algorithm:
            reason = backends.why_not(backend)
            if reason is not None:
                raise Declined(f"{backend}: {reason}")
            return c
    raise Declined(f"{op} has no candidate {problem.on}")


@contextmanager
def using(problem: ConvProblem) -> Iterator[None]:
    """The problem's instruction set and number of threads hold inside."""
    before, isa, module = config.get_num_threads(), None, None
    if problem.on.startswith("c/"):
        module = backends.load("c")
        isa = module.get_isa()
        if isa != problem.isa:
            try:
                module.set_isa(problem.isa)
            except ValueError as error:
                raise Declined(str(error)) from None
    config.set_num_threads(problem.threads)
    try:
        yield
    finally:
        config.set_num_threads(before)
        if module is not None:
            module.set_isa(isa)


def operands(problem: ConvProblem, shape: tuple[int, ...], number: int, layout: str) -> Array:
    """Values of an operand as float64: those that a layout repeats recur."""
    draw = reals if problem.values == "real" else integers
    return view_of(draw(problem.seed + 257 * number, shape), layout)


def check(problem: ConvProblem) -> str | None:
    """What is wrong with one direction of a convolution, or None.

    Raises
    ------
    Declined
        If it cannot be run here.
    """
    spec, op = problem.spec(), "conv_" + problem.op
    chosen = candidate_of(problem, op)
    reason = chosen.decline(spec)
    if reason is not None:
        raise Declined(f"{problem.on}: {reason}")
    run = _Run(problem, spec, chosen)
    with using(problem):
        return run.compare()


class _Run:
    """The operands of a problem, its call, and the comparison."""

    def __init__(self, problem: ConvProblem, spec: ConvSpec, chosen: plan.Candidate) -> None:
        self.problem, self.spec, self.algorithm = problem, spec, chosen.algorithm
        self.dtype = np.dtype(problem.dtype)
        self.op = "conv_" + problem.op
        self.kernel = getattr(backends.load(chosen.backend), chosen.function)
        self.shapes = spec.shapes.get(problem.rank)
        ranks = hasattr(self.kernel, "ranks") or problem.route == "ops"
        if self.shapes is None or (problem.rank != 5 and not ranks):
            raise Declined(f"{problem.on} takes no arrays of rank {problem.rank}")
        if spec.ndim and chosen.backend == "c" and problem.threads > 1:
            # Threads would wait for a call that is worth it; here they all come at once.
            from fastconv.backends.c.conv_kept import conv_of

            conv_of(spec).parallel = True
        self.out: Placed | None = None
        one, two, result = OPERANDS[problem.op]
        self.placed: list[tuple[str, Placed, Array]] = []
        _buffers.reset()
        self.a = self._operand("a", self.shapes[one], 0, problem.a)
        self.b: Any = self._operand("b", self.shapes[two], 1, problem.b) if two >= 0 else None
        bias_layout = "gaps" if problem.b == "gaps" else "plain"
        self.bias: Any = (
            self._operand("bias", (spec.out_channels,), 2, bias_layout) if problem.bias else None
        )
        self.result = self.shapes[result] if result >= 0 else (spec.out_channels,)
        self.residual = self.coef = None
        if problem.r != "none":
            self.residual = self._operand("residual", self.result, 3, problem.r)
        if problem.coef:
            self.coef = self._operand("coef", (3, spec.out_channels), 4, "plain")
        self.activation = ACTIVATIONS[problem.act]
        extra = self.residual is not None or problem.coef or problem.act != "none"
        if problem.op != "forward" and (extra or problem.bias):
            raise Declined(f"{problem.op} has no bias and nothing after it")
        self.finish = (*self.activation, self.residual, self.coef) if extra else None
        self.packed = Packed(self.b) if problem.packed else None  # type: ignore[arg-type]

    def _operand(self, role: str, shape: tuple[int, ...], number: int, layout: str) -> Array:
        values = operands(self.problem, shape, number, layout)
        placed = _buffers.place(role, shape, self.dtype, layout, self.problem.offset)
        self.placed.append((role, placed, values))
        return placed.fill(values)

    def wanted(self) -> Array:
        """The exact result, of the shape of the result."""
        values = {role: v for role, _, v in self.placed}
        want = reference(self.op, self.spec, values["a"], values.get("b"), values.get("bias"))
        want = want.reshape(self.result)
        if self.finish is not None:
            channels = (-1, *(1,) * (want.ndim - 2))
            if self.coef is not None:
                centre, scale, shift = (v.reshape(channels) for v in values["coef"])
                want = (want - centre) * scale + shift
            if self.residual is not None:
                want = want + values["residual"]
            slope, limit = self.activation
            want = np.minimum(np.where(want < 0, slope * want, want), limit)
        return want

    def compare(self) -> str | None:
        want = self.wanted()
        for _ in range(1 + self.problem.packed):  # the second time from what is packed
            try:
                got = getattr(self, self.problem.route)()
            except (Declined, KeyboardInterrupt):
                raise
            except Exception as error:
                return f"raised {type(error).__name__}: {error}"
            if got.shape != self.result or got.dtype != self.dtype:
                return f"the result is {got.dtype} {got.shape}, expected {self.dtype} {self.result}"
            wrong = self._difference(got, want) or self._touched()
            if wrong:
                return wrong
        return None

    def _difference(self, got: Array, want: Array) -> str | None:
        if self.algorithm in tolerance.EXACT and self.problem.values == "integers":
            if np.array_equal(got, want):
                return None
            bad = ~(got == want)
        else:
            a, b = self.placed[0][2], self.placed[1][2]
            scale = tolerance.typical(a, b, depth := self.depth())
            limit = tolerance.allowed(self.dtype, depth, self.algorithm, want, scale)
            error = tolerance.error_of(got, want)
            share = error / limit if limit else math.inf if error else 0.0
            worst[self.algorithm] = max(worst.get(self.algorithm, 0.0), min(share, 1e300))
            if error <= limit:
                return None
            bad = ~(np.abs(got - want) <= limit)
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        return (
            f"{np.count_nonzero(bad)} of {bad.size} elements wrong, the first at {at}: "
            f"{got[at]:.9g}, expected {want[at]:.9g}"
        )

    def depth(self) -> int:
        """Products summed into an element."""
        spec = self.spec
        if self.problem.op == "backward_input":
            return math.prod(spec.kernel) * spec.out_channels // spec.groups
        if self.problem.op == "forward":
            return spec.depth
        return spec.batch * math.prod(spec.out_size)

    def _touched(self) -> str | None:
        """Whether an operand was changed, or memory around an array."""
        for role, placed, values in self.placed:
            if placed.changed(values):
                return f"changed its operand {role}"
            if placed.spilled():
                return f"wrote outside of its operand {role}"
        if self.out is not None and self.out.spilled():
            return "wrote outside of its result"
        return None

    # --- routes

    def function(self) -> Array:
        """The backend's function, which writes into an array of ours, between guards."""
        problem, more = self.problem, dict[str, Any]()
        if self.out is None:
            offset = problem.offset
            self.out = _buffers.place("out", self.result, self.dtype, problem.to, offset)
        else:
            self.out.buffer.fill(self.out.poison)
        for name, mark, value in (
            ("finish", "finishes", self.finish), ("packed", "packs", self.packed)
        ):  # fmt: skip
            if value is not None:
                if not hasattr(self.kernel, mark):
                    raise Declined(f"{problem.on} takes no {name}")
                more[name] = value
        arrays: list[Any] = [self.a] if self.b is None else [self.a, self.b]
        if problem.op == "forward":
            arrays.append(self.bias)
        self.kernel(self.spec, *arrays, self.out.array, **more)
        return self.out.array

    def ready(self) -> Array:
        """What the kernel's `prepare` makes."""
        prepare = getattr(self.kernel, "prepare", None)
        call: Callable[..., Array] | None = None
        if prepare is not None:
            call = prepare(self.spec, self.dtype, self.problem.rank)
        if call is None:
            raise Declined(f"{self.problem.on} cannot be made ready")
        if self.problem.op == "forward":
            return call(self.a, self.b, self.bias, self.finish, self.packed)
        return call(self.a, self.b)

    def ops(self) -> Array:
        """`fastconv.ops` on the spec, with the planner told which kernel to take."""
        backend, _, algorithm = self.problem.on.partition("/")
        last = self.problem.to == "last"
        with config.backend(backend), config.algorithm(algorithm):
            if self.problem.op == "forward":
                return ops.forward(
                    self.spec, self.a, self.b, self.bias, last, self.activation, self.residual,
                    self.packed, self.coef,
                )  # fmt: skip
            if self.problem.op == "backward_input":
                return ops.backward_input(self.spec, self.a, self.b, None, last, self.packed)
            if self.problem.op == "backward_weight":
                return ops.backward_weight(self.spec, self.a, self.b)
            return ops.backward_bias(self.spec, self.a)

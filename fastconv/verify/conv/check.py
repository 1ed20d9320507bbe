"""Run a convolution of a record, and compare it with the reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import backends, config, planner
from fastconv.backends.kernel import find
from fastconv.ops import conv as ops
from fastconv.packed import Packed
from fastconv.spec import ConvSpec
from fastconv.verify import tolerance
from fastconv.verify.arrays import Array, Placed
from fastconv.verify.conv import compare, large
from fastconv.verify.conv.record import ConvProblem
from fastconv.verify.conv.reference import reference
from fastconv.verify.problem import Declined

__all__ = ["ACTIVATIONS", "candidate_of", "check"]

#: Slope below zero and upper limit; all of them exact on integers.
ACTIVATIONS = {
    "none": (1.0, math.inf), "relu": (0.0, math.inf), "relu6": (0.0, 6.0),
    "leaky": (0.25, math.inf), "leaky6": (0.25, 6.0),
}  # fmt: skip
#: More products than these are not repeated by plain loops: `large` looks at the result.
FULL = 1 << 25
#: The two operands of each direction, and its result: places in ``spec.shapes[…]`` (x, w, y).
OPERANDS = {
    "forward": (0, 1, 2), "backward_input": (2, 1, 0), "backward_weight": (2, 0, 1),
    "backward_bias": (2, -1, -1),
}  # fmt: skip


def candidate_of(problem: ConvProblem, op: str, spec: ConvSpec) -> planner.Candidate:
    """The candidate `problem.on`, or the planner's for ``…/choice``.

    Raises
    ------
    Declined
        If there is none here, or it declines the geometry.
    """
    backend, _, algorithm = problem.on.partition("/")
    if backend in config.BACKENDS and backends.why_not(backend):
        raise Declined(f"{backend}: {backends.why_not(backend)}")
    for c in planner.CANDIDATES[op]:
        if c.backend == backend and c.algorithm == algorithm:
            reason = c.decline(spec)
            if reason is not None:
                raise Declined(f"{problem.on}: {reason}")
            return c
    if backend in config.BACKENDS and algorithm == "choice":
        return planner.pick(op, spec, backend)
    raise Declined(f"{op} has no candidate {problem.on}")


def check(problem: ConvProblem) -> str | None:
    """What is wrong with one direction of a convolution, or None.

    Raises
    ------
    Declined
        If it cannot be run here.
    """
    spec, op = problem.spec(), "conv_" + problem.op
    run = _Run(problem, spec, candidate_of(problem, op, spec))
    with compare.using(problem):
        return run.compare()


class _Run:
    """The operands of a problem, its call, and the comparison."""

    def __init__(self, problem: ConvProblem, spec: ConvSpec, chosen: planner.Candidate) -> None:
        self.problem, self.spec, self.algorithm = problem, spec, chosen.algorithm
        self.dtype = np.dtype(problem.dtype)
        self.op = "conv_" + problem.op
        self.kernel = find(chosen.backend, self.op, chosen.algorithm)
        self.shapes = spec.shapes.get(problem.rank)
        if self.shapes is None:
            raise Declined(f"{problem.on} takes no arrays of rank {problem.rank}")
        compare.threads_at_once(problem, spec)
        self.out: Placed | None = None
        one, two, result = OPERANDS[problem.op]
        self.placed: list[tuple[str, Placed, Array]] = []
        compare.buffers.reset()
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
        values = compare.operands(self.problem, shape, number, layout)
        placed = compare.buffers.place(role, shape, self.dtype, layout, self.problem.offset)
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
        """Run, and look at the result and at all memory around."""
        exact = self.problem.values == "integers"
        if self.problem.products > FULL and self.b is not None:
            return self._sampled(exact)
        want = self.wanted()
        a, b = self.placed[0][2], self.placed[-1][2] if self.b is None else self.placed[1][2]
        growth = 1.0
        if self.coef is not None:
            growth = max(1.0, float(np.max(np.abs(self.coef[1]))))
        depth = compare.depth_of(self.op, self.spec)
        for _ in range(1 + self.problem.packed):  # the second time from what is packed
            try:
                got = getattr(self, self.problem.route)()
            except Declined:
                raise
            except Exception as error:
                return f"raised {type(error).__name__}: {error}"
            wrong = compare.difference(
                got, want, self.dtype, self.algorithm, exact, depth, a, b, growth
            ) or self._touched()  # fmt: skip
            if wrong:
                return wrong
        if self.problem.threads > 1 and not (exact and self.algorithm in tolerance.EXACT):
            return self._of_one_thread(got.copy())
        return None

    def _sampled(self, exact: bool) -> str | None:
        """Run once, and look at sums of the result and at single elements."""
        if self.finish is not None:
            raise Declined(f"more than {FULL} products, and something after them")
        values = {role: v for role, _, v in self.placed}
        got = getattr(self, self.problem.route)()
        return self._touched() or large.difference(
            self.op, self.spec, got, values["a"], values["b"], values.get("bias"), self.dtype,
            self.algorithm, exact, compare.depth_of(self.op, self.spec),
        )  # fmt: skip

    def _of_one_thread(self, many: Array) -> str | None:
        """Whether one thread gives other bits than `many` threads did."""
        config.set_num_threads(1)
        one = getattr(self, self.problem.route)()
        if np.array_equal(one, many):
            return None
        return (
            f"one thread gives another result in {np.count_nonzero(one != many)} of {one.size} "
            "elements"
        )

    def _touched(self) -> str | None:
        if self.out is not None and self.out.spilled():
            return "wrote outside of its result"
        return compare.touched(self.placed)

    # --- routes

    def function(self) -> Array:
        """The backend's function, which writes into an array of ours, between guards."""
        problem, more = self.problem, dict[str, Any]()
        if self.out is None:
            offset = problem.offset
            self.out = compare.buffers.place("out", self.result, self.dtype, problem.to, offset)
        else:
            self.out.buffer.fill(self.out.poison)
        for name, mark, value in (
            ("finish", "finishes", self.finish), ("packed", "packs", self.packed)
        ):  # fmt: skip
            if value is not None:
                if not getattr(self.kernel, mark):
                    raise Declined(f"{problem.on} takes no {name}")
                more[name] = value
        arrays: list[Any] = [self.a] if self.b is None else [self.a, self.b]
        if problem.op == "forward":
            arrays.append(self.bias)
        self.kernel(self.spec, *arrays, self.out.array, **more)
        return self.out.array

    def ready(self) -> Array:
        """What the kernel's `prepare` makes."""
        call = self.kernel.prepare(self.spec, self.dtype, self.problem.rank)
        if self.problem.op == "forward":
            return call(self.a, self.b, self.bias, None, self.finish, self.packed)  # type: ignore[no-any-return]
        return call(self.a) if self.b is None else call(self.a, self.b)  # type: ignore[no-any-return]

    def ops(self) -> Array:
        """`fastconv.ops` on the spec, with the planner told which kernel to take."""
        backend, _, algorithm = self.problem.on.partition("/")
        wish = None if algorithm == "choice" else algorithm
        last = self.problem.to == "last"
        with config.backend(backend), config.algorithm(wish):
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

"""Reductions over any axes of any layout, activations, and arithmetic with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np

from fastconv.verify.calls import Call
from fastconv.verify.formulas.pointwise import BINARY, UNARY
from fastconv.verify.functional.base import CallFamily, CallProblem, sizes
from fastconv.verify.problem import Declined

__all__ = ["PointwiseFamily", "PointwiseProblem", "ReduceFamily", "ReduceProblem"]

#: Activations with a parameter, and values of it.
_PARAMETERS = {
    "leaky_relu": ("negative_slope", (0.01, 0.25)),
    "elu": ("alpha", (1.0, 0.5)),
    "celu": ("alpha", (1.0, 2.0)),
    "softplus": ("beta", (1.0, 2.0)),
}
_FIXED = {
    "threshold": {"threshold": 0.5, "value": -1.0},
    "hardtanh": {"min_val": -2.0, "max_val": 1.0},
}
#: Functions of positive numbers.
_POSITIVE = ("log", "log1p", "sqrt", "rsqrt")


@dataclass(frozen=True)
class ReduceProblem(CallProblem):
    """A reduction over the axes ``dims``, over all where there are none."""

    family: ClassVar[str] = "reduce"

    dims: tuple[int, ...] = ()
    keep: bool = False
    correction: int = 1
    p: float = 2.0

    def call(self) -> Call:
        ndim = len(self.shape)
        if any(not 0 <= d < ndim for d in self.dims) or len(set(self.dims)) < len(self.dims):
            raise Declined("no such axes")
        options: dict[str, Any] = {}
        if self.op in ("cumsum", "max"):
            if not self.dims:
                raise Declined("no axis")
            options["dim"] = self.dims[0]
        elif self.dims:
            options |= {"dim": self.dims, "keepdim": self.keep}
        if self.op in ("var", "std"):
            terms = int(np.prod([self.shape[d] for d in self.dims or range(ndim)]))
            if terms <= max(1, self.correction):
                raise Declined("too few terms")
            options["correction"] = self.correction
        if self.op == "norm":
            options["p"] = self.p
        if self.op == "max":  # integers tie, and only one of equal ones gets the gradient
            return Call(self.op, {"input": self.input("normal")}, options, self.seed + 99)
        # roots have no slope at 0
        x = self.input("normal" if self.op in ("std", "norm", "logsumexp") else None)
        return Call(self.op, {"input": x}, options, self.seed + 99)


class ReduceFamily(CallFamily):
    """Sums, means, moments, norms and extremes."""

    name = "reduce"
    problem = ReduceProblem
    ops = ("sum", "mean", "var", "std", "norm", "amax", "amin", "cumsum", "max", "logsumexp")
    properties = ("whole", "first axis", "last axis", "several axes", "kept", "long")
    given = False
    plainest: ClassVar[dict[str, Any]] = {"correction": 1, "p": 2.0}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        ndim = rng.choice((1, 2, 3, 4, 5))
        shape = list(sizes(rng, ndim, min(room, 3000), [1] * ndim))
        if rng.random() < 0.3:
            shape = [min(n, 3) for n in shape]
            shape[rng.randrange(ndim)] = rng.choice((65, 257, min(room // 9, 2000)))
        count = rng.choice((0, 1, 1, 2, ndim)) if op not in ("cumsum", "max") else 1
        dims = tuple(sorted(rng.sample(range(ndim), min(count, ndim))))
        if op in ("amax", "amin", "logsumexp", "norm", "var", "std", "mean") and not dims:
            dims = tuple(range(ndim))
        return {
            "shape": tuple(shape),
            "g": "plain",
            "dims": dims,
            "keep": rng.random() < 0.4,
            "correction": rng.choice((1, 1, 0)),
            "p": rng.choice((2.0, 1.0, 3.0)),
        }

    def holds(self, problem: ReduceProblem) -> Sequence[str]:
        dims, ndim = problem.dims, len(problem.shape)
        terms = int(np.prod([problem.shape[d] for d in dims or range(ndim)]))
        traits = {
            "whole": not dims or len(dims) == ndim,
            "first axis": 0 in dims,
            "last axis": ndim - 1 in dims,
            "several axes": len(dims) > 1,
            "kept": problem.keep,
            "long": terms > 500,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]


@dataclass(frozen=True)
class PointwiseProblem(CallProblem):
    """An activation with its parameter ``a``, or arithmetic with an operand of shape ``other``."""

    family: ClassVar[str] = "pointwise"

    other: tuple[int, ...] = ()
    a: int = 0
    dim: int = 0

    def call(self) -> Call:
        op = self.op
        options: dict[str, Any] = {}
        if op in BINARY:
            return self._binary()
        fill = "positive" if op in _POSITIVE else "normal" if op in ("abs", "prelu") else None
        operands = {"input": self.input(fill)}
        if op in _PARAMETERS:
            name, values = _PARAMETERS[op]
            options[name] = values[self.a % len(values)]
        elif op == "gelu":
            options["approximate"] = ("none", "tanh")[self.a % 2]
        elif op == "glu":
            if not self.dim < len(self.shape) or self.shape[self.dim] % 2:
                raise Declined("an odd half")
            options["dim"] = self.dim
        elif op == "prelu":
            channels = self.shape[1] if len(self.shape) > 1 else 1
            operands["weight"] = self.extra(1, (channels if self.a else 1,), "normal")
        options |= _FIXED.get(op, {})
        return Call(op, operands, options, self.seed + 99, self.g)

    def _binary(self) -> Call:
        try:
            np.broadcast_shapes(self.shape, self.other)
        except ValueError:
            raise Declined("shapes do not broadcast") from None
        fill = "positive" if self.op == "div" else "normal" if "imum" in self.op else None
        operands = {"input": self.input(), "other": self.extra(1, self.other, fill)}
        return Call(self.op, operands, {}, self.seed + 99, self.g)


class PointwiseFamily(CallFamily):
    """Every activation, functions of one number, and arithmetic of two."""

    name = "pointwise"
    problem = PointwiseProblem
    ops = (*UNARY, "prelu", *BINARY)
    properties = ("broadcast", "long", "one axis")
    plainest: ClassVar[dict[str, Any]] = {}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        ndim = rng.choice((1, 2, 3, 4, 4, 5))
        shape = list(sizes(rng, ndim, min(room, 2000), [1] * ndim))
        if op == "prelu":
            shape = [2, *shape]
        dim = rng.randrange(ndim)
        if op == "glu":
            shape[dim] += shape[dim] % 2
        other = list(shape)
        for axis in range(len(shape)):
            if rng.random() < 0.3:
                other[axis] = 1
        if rng.random() < 0.3:
            other = other[rng.randrange(len(other)) :]
        return {"shape": tuple(shape), "other": tuple(other) if op in BINARY else (),
                "a": rng.randrange(2), "dim": dim if op == "glu" else 0}  # fmt: skip

    def holds(self, problem: PointwiseProblem) -> Sequence[str]:
        traits = {
            "broadcast": problem.op in BINARY and problem.other != problem.shape,
            "long": int(np.prod(problem.shape)) > 500,
            "one axis": len(problem.shape) == 1,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]

"""Normalisation: of batches, images, groups, rows and neighbours; statistics and all gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from fastconv.verify.calls import Call, Operand
from fastconv.verify.functional.base import CallFamily, CallProblem, batch_and_channels, sizes
from fastconv.verify.problem import Declined

__all__ = ["NormFamily", "NormProblem"]


@dataclass(frozen=True)
class NormProblem(CallProblem):
    """A normalisation. ``count`` is groups, normalised axes, neighbours or an axis, by its kind."""

    family: ClassVar[str] = "norm"

    count: int = 1
    eps: float = 1e-5
    momentum: float = 0.1
    training: bool = True
    affine: bool = False
    running: bool = False
    shift: float = 0.0
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def call(self) -> Call:
        shape, op = self.shape, self.op
        if len(shape) < 2:
            raise Declined("no channels")
        x = Operand(self.numbers(0, shape, "normal") + self.shift, True, self.layout, self.offset)
        operands = {"input": x}
        options: dict[str, Any] = {}
        sized: tuple[int, ...] = (shape[1],)
        if op in ("batch_norm", "instance_norm"):
            options = {"eps": self.eps, "momentum": self.momentum}
            options["training" if op == "batch_norm" else "use_input_stats"] = self.training
            moments = math.prod(shape) // shape[1] if op == "batch_norm" else math.prod(shape[2:])
            if self.training and moments < 2:
                raise Declined("one value has no variance")
            if op == "instance_norm" and len(shape) < 3:
                raise Declined("no image")
            if self.running or not self.training:
                operands["running_mean"] = self.extra(3, sized, "normal", False)
                operands["running_var"] = self.extra(4, sized, "positive", False)
            elif op == "batch_norm":
                options |= {"running_mean": None, "running_var": None}
        elif op == "group_norm":
            if self.count < 1 or shape[1] % self.count:
                raise Declined("groups do not divide the channels")
            if math.prod(shape) == self.count:
                raise Declined("one value has no variance")
            options = {"num_groups": self.count, "eps": self.eps}
        elif op == "layer_norm":
            if not 0 < self.count < len(shape):
                raise Declined("no such axes")
            sized = shape[-self.count :]
            options = {"normalized_shape": list(sized), "eps": self.eps}
        elif op == "local_response_norm":
            if len(shape) < 3:
                raise Declined("no image")
            options = {"size": self.count, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        else:
            options = {"dim": self.count, "p": 2.0}
        if self.affine and op not in ("local_response_norm", "normalize"):
            operands["weight"] = self.extra(1, sized, "normal")
            operands["bias"] = self.extra(2, sized, "normal")
        return Call(op, operands, options, self.seed + 99, self.g)


class NormFamily(CallFamily):
    """Every normalisation of the functional interface."""

    name = "norm"
    problem = NormProblem
    ops = (
        "batch_norm", "batch_norm", "group_norm", "instance_norm", "layer_norm",
        "local_response_norm", "normalize",
    )  # fmt: skip
    properties = (
        "affine", "running statistics", "inference", "far from zero", "one channel",
        "channels not of vectors", "two axes", "five axes",
    )  # fmt: skip
    plainest: ClassVar[dict[str, Any]] = {"training": True}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        least = 3 if op in ("instance_norm", "local_response_norm") else 2
        ndim = max(least, rng.choice((2, 3, 4, 4, 4, 5))) - 2
        space = sizes(rng, ndim, min(room, 400), [1] * ndim) if ndim else ()
        batch, channels = batch_and_channels(rng, room // max(1, math.prod(space)))
        shape = (batch, channels, *space)
        if op == "batch_norm" and batch * math.prod(space) < 2:
            shape = (2, *shape[1:])
        if op == "instance_norm" and math.prod(space) < 2:
            shape = (*shape[:-1], 3)
        count = 1
        if op == "group_norm":
            count = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
        elif op == "layer_norm":
            count = rng.randint(1, len(shape) - 1)
        elif op == "local_response_norm":
            count = rng.choice((1, 2, 3, 5, 6, 2 * channels + 1))
        elif op == "normalize":
            count = rng.randrange(len(shape))
        return {
            "shape": shape,
            "count": count,
            "eps": rng.choice((1e-5, 1e-3, 0.5)),
            "momentum": rng.choice((0.1, 0.25, 1.0)),
            "training": rng.random() < 0.75,
            "affine": rng.random() < 0.6,
            "running": rng.random() < 0.5,
            "shift": rng.choice((0.0, 0.0, 3.0, 100.0)),
            "alpha": rng.choice((1e-4, 1.0)),
            "beta": rng.choice((0.75, 0.5, 1.0)),
            "k": rng.choice((1.0, 2.0)),
        }

    def holds(self, problem: NormProblem) -> Sequence[str]:
        moved = problem.op in ("batch_norm", "instance_norm")
        traits = {
            "affine": problem.affine,
            "running statistics": moved and problem.running,
            "inference": moved and not problem.training,
            "far from zero": problem.shift > 10,
            "one channel": problem.shape[1] == 1,
            "channels not of vectors": problem.shape[1] % 4 != 0,
            "two axes": len(problem.shape) == 2,
            "five axes": len(problem.shape) == 5,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]

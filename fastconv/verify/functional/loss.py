"""Losses with every reduction and option, and softmax along every axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np

from fastconv.verify.calls import Call, Operand
from fastconv.verify.functional.base import CallFamily, CallProblem, batch_and_channels, sizes
from fastconv.verify.problem import Declined

__all__ = ["LossFamily", "LossProblem", "SoftmaxFamily", "SoftmaxProblem"]

_CLASSES = ("cross_entropy", "nll_loss")
_BOUNDS = {"smooth_l1_loss": "beta", "huber_loss": "delta", "hinge_embedding_loss": "margin"}


@dataclass(frozen=True)
class LossProblem(CallProblem):
    """A loss. ``bound`` is beta, delta or margin, ``ignored`` the class that is left out."""

    family: ClassVar[str] = "loss"

    reduction: str = "mean"
    weighted: bool = False
    smoothing: float = 0.0
    soft: bool = False
    ignored: int = -100
    bound: float = 1.0
    logs: bool = False
    whole: bool = False

    def call(self) -> Call:
        op = self.op
        options: dict[str, Any] = {"reduction": self.reduction}
        if self.reduction == "batchmean" and op != "kl_div":
            raise Declined(f"{op} has no mean of the batch")
        if op in _CLASSES:
            return self._classes(options)
        x, target = self.input("normal"), self.extra(1, self.shape, "normal")
        if op in _BOUNDS:
            options[_BOUNDS[op]] = self.bound
        if op == "hinge_embedding_loss":
            target = Operand(np.where(self.numbers(1, self.shape, "ints") > 0, 1.0, -1.0), False)
        elif op == "binary_cross_entropy":
            x = Operand(self._share(0, 0.03125), True, self.layout, self.offset)
            target = Operand(self._share(1, 0.0), False)
        elif op == "binary_cross_entropy_with_logits":
            target = Operand(self._share(1, 0.0), False)
        elif op == "kl_div":
            options["log_target"] = self.logs
            target = self.extra(1, self.shape, "normal" if self.logs else "positive", False)
        elif op == "poisson_nll_loss":
            options |= {"log_input": not self.logs, "full": self.whole}
            target = self.extra(1, self.shape, "positive", False)
            if self.logs:
                x = self.input("positive")
        operands = {"input": x, "target": target}
        if self.weighted and op.startswith("binary"):
            operands["weight"] = self.extra(2, self.shape, "positive", False)
            if op.endswith("logits"):
                operands["pos_weight"] = self.extra(3, self.shape[-1:], "positive", False)
        return Call(op, operands, options, self.seed + 99)

    def _share(self, which: int, edge: float) -> Any:
        """Numbers between the edge and one less it."""
        return np.clip((self.numbers(which, self.shape, "ints") + 3) / 6, edge, 1 - edge)

    def _classes(self, options: dict[str, Any]) -> Call:
        """Targets that are classes, or shares of all of them."""
        shape = self.shape
        classes = shape[1]
        if self.op == "cross_entropy":
            options["label_smoothing"] = self.smoothing
        operands = {"input": self.input("normal")}
        if self.soft and self.op == "cross_entropy":
            operands["target"] = self.extra(1, shape, "positive", False)
        else:
            drawn = np.random.default_rng(self.seed).integers(0, classes, (shape[0], *shape[2:]))
            drawn.flat[0] = classes - 1 if self.ignored != classes - 1 else 0
            if self.ignored < 0:
                drawn = np.where(drawn % 3 == 1, self.ignored, drawn)
            if np.all(drawn == self.ignored):
                raise Declined("nothing is left to learn from")
            operands["target"] = Operand(drawn.astype(np.int64))
            options["ignore_index"] = self.ignored
        if self.weighted:
            operands["weight"] = self.extra(2, (classes,), "positive", False)
        return Call(self.op, operands, options, self.seed + 99)


class LossFamily(CallFamily):
    """Every loss of the functional interface."""

    name = "loss"
    problem = LossProblem
    ops = (
        "cross_entropy", "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss",
        "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div",
        "poisson_nll_loss", "hinge_embedding_loss",
    )  # fmt: skip
    properties = ("mean", "sum", "none", "weighted", "smoothed", "soft targets", "ignored")
    given = False
    plainest: ClassVar[dict[str, Any]] = {"reduction": "sum"}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        ndim = rng.choice((0, 0, 1, 2))
        space = sizes(rng, ndim, min(room, 80), [1] * ndim) if ndim else ()
        batch, channels = rng.randint(1, 9), max(2, batch_and_channels(rng, min(65, room // 9))[1])
        ignored = rng.choice((-100, -100, -1, 0, channels - 1))
        reductions = ("mean", "sum", "none") + (("batchmean",) if op == "kl_div" else ())
        return {
            "shape": (batch, channels, *space),
            "g": "plain",
            "reduction": rng.choice(reductions),
            "weighted": rng.random() < 0.5,
            "smoothing": rng.choice((0.0, 0.1, 0.3)),
            "soft": rng.random() < 0.3,
            "ignored": ignored,
            "bound": rng.choice((1.0, 0.5, 2.0)),
            "logs": rng.random() < 0.5,
            "whole": rng.random() < 0.5,
        }

    def holds(self, problem: LossProblem) -> Sequence[str]:
        classes = problem.op in _CLASSES
        traits = {
            problem.reduction: True,
            "weighted": problem.weighted and (classes or problem.op.startswith("binary")),
            "smoothed": problem.smoothing > 0 and problem.op == "cross_entropy",
            "soft targets": problem.soft and problem.op == "cross_entropy",
            "ignored": classes and problem.ignored != -100,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]


@dataclass(frozen=True)
class SoftmaxProblem(CallProblem):
    """A softmax of numbers times ``spread`` along the axis ``dim``."""

    family: ClassVar[str] = "softmax"

    dim: int = 1
    spread: float = 1.0

    def call(self) -> Call:
        if not -len(self.shape) <= self.dim < len(self.shape):
            raise Declined("no such axis")
        values = self.numbers(0, self.shape) * self.spread
        x = Operand(values, True, self.layout, self.offset)
        return Call(self.op, {"input": x}, {"dim": self.dim}, self.seed + 99, self.g)


class SoftmaxFamily(CallFamily):
    """Softmax, its logarithm, its mirror, and the logarithm of its divisor."""

    name = "softmax"
    problem = SoftmaxProblem
    ops = ("softmax", "log_softmax", "softmin", "logsumexp")
    properties = ("first axis", "last axis", "middle axis", "long", "one", "far apart")
    plainest: ClassVar[dict[str, Any]] = {"spread": 1.0}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        ndim = rng.choice((1, 2, 2, 3, 4))
        shape = list(sizes(rng, ndim, min(room, 2000), [1] * ndim))
        dim = rng.randrange(ndim)
        if rng.random() < 0.3:
            shape = [min(n, 4) for n in shape]
            shape[dim] = rng.choice((1, 17, 65, 130, min(1000, room // 4)))
        return {
            "shape": tuple(shape),
            "dim": dim - (ndim if rng.random() < 0.3 else 0),
            "spread": rng.choice((1.0, 1.0, 20.0)),
        }

    def holds(self, problem: SoftmaxProblem) -> Sequence[str]:
        ndim = len(problem.shape)
        dim = problem.dim % ndim
        traits = {
            "first axis": dim == 0,
            "last axis": dim == ndim - 1,
            "middle axis": 0 < dim < ndim - 1,
            "long": problem.shape[dim] > 64,
            "one": problem.shape[dim] == 1,
            "far apart": problem.spread > 1,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]

"""Steps of every optimiser against its formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from fastconv.verify.calls import Call, Operand
from fastconv.verify.functional.base import CallFamily, CallProblem
from fastconv.verify.problem import Declined

__all__ = ["OptimFamily", "OptimProblem"]


@dataclass(frozen=True)
class OptimProblem(CallProblem):
    """``steps`` steps of an optimiser; options that it does not know are left out."""

    family: ClassVar[str] = "optim"

    steps: int = 3
    lr: float = 0.125
    decay: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    amsgrad: bool = False
    centered: bool = False
    maximize: bool = False

    def call(self) -> Call:
        name = self.op
        options: dict[str, Any] = {"lr": self.lr, "weight_decay": self.decay}
        if self.maximize:
            options["maximize"] = True
        if name in ("SGD", "RMSprop"):
            options["momentum"] = self.momentum
        if name == "SGD" and self.nesterov:
            if not self.momentum:
                raise Declined("Nesterov's step needs momentum")
            options["nesterov"] = True
        if name.startswith("Adam"):
            options["amsgrad"] = self.amsgrad
        if name == "RMSprop":
            options["centered"] = self.centered
        operands = {
            "parameter": Operand(self.numbers(0, self.shape)),
            # a gradient of 0 is divided by eps alone: rounding of the decay would decide
            "grads": Operand(self.numbers(1, (self.steps, *self.shape), "positive")),
        }
        return Call(f"optim.{name}", operands, options)


class OptimFamily(CallFamily):
    """SGD and the adaptive ones."""

    name = "optim"
    problem = OptimProblem
    ops = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta")
    properties = ("decay", "momentum", "nesterov", "amsgrad", "centered", "maximized", "long")
    layouts, given = False, False
    plainest: ClassVar[dict[str, Any]] = {"lr": 0.125, "steps": 1}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        momentum = rng.choice((0.0, 0.9, 0.5))
        return {
            "shape": (rng.choice((1, 3, 16, 17, 65, 400)),),
            "layout": "plain",
            "g": "plain",
            "offset": 0,
            "steps": rng.randint(1, 6),
            "lr": rng.choice((0.125, 0.01, 0.001)),
            "decay": rng.choice((0.0, 0.0, 0.1)),
            "momentum": momentum,
            "nesterov": momentum > 0 and rng.random() < 0.4,
            "amsgrad": rng.random() < 0.4,
            "centered": rng.random() < 0.3,
            "maximize": rng.random() < 0.3,
        }

    def holds(self, problem: OptimProblem) -> Sequence[str]:
        traits = {
            "decay": problem.decay > 0,
            "momentum": problem.momentum > 0 and problem.op in ("SGD", "RMSprop"),
            "nesterov": problem.nesterov and problem.op == "SGD",
            "amsgrad": problem.amsgrad and problem.op.startswith("Adam"),
            "centered": problem.centered and problem.op == "RMSprop",
            "maximized": problem.maximize,
            "long": problem.shape[0] > 64,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]

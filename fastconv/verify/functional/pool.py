"""Pooling: windows of every kind, over every layout, with their gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np

from fastconv.verify.calls import Call, Operand
from fastconv.verify.formulas import FORMULAS
from fastconv.verify.formulas.pool import covered
from fastconv.verify.formulas.tape import V
from fastconv.verify.functional.base import (
    CallFamily,
    CallProblem,
    batch_and_channels,
    sizes,
)
from fastconv.verify.problem import Declined

__all__ = ["PoolFamily", "PoolProblem"]


@dataclass(frozen=True)
class PoolProblem(CallProblem):
    """A pooling. ``stride`` left out is the kernel; ``to`` is the output size of adaptive ones."""

    family: ClassVar[str] = "pool"

    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    ceil: bool = False
    counted: bool = True
    divisor: int = 0
    indices: bool = False
    p: float = 2.0
    to: tuple[int, ...] = ()

    def call(self) -> Call:
        ndim = int(self.op[-2])
        if self.op.startswith("adaptive"):
            if len(self.to) != ndim:
                raise Declined(f"{self.op} needs {ndim} output sizes")
            options: dict[str, Any] = {"output_size": self.to}
            if self.indices and "max" in self.op:
                options["return_indices"] = True
            return self._call(options)
        if len(self.kernel) != ndim:
            raise Declined(f"{self.op} needs {ndim} sizes of the kernel")
        options = {"kernel_size": self.kernel, "stride": self.stride or None}
        if self.op.startswith("lp"):
            if ndim == 1:  # the one that takes numbers only
                options = {k: v[0] if v else None for k, v in options.items()}
            return self._call(options | {"norm_type": self.p, "ceil_mode": self.ceil})
        padding = self.padding or (0,) * ndim
        if any(2 * p > k for p, k in zip(padding, self.kernel)):
            raise Declined("padding of more than half the kernel")
        options["padding"] = padding
        if self.op.startswith("max_unpool"):
            return self._unpool(options, ndim)
        options["ceil_mode"] = self.ceil
        if self.op.startswith("max"):
            options["dilation"] = self.dilation or (1,) * ndim
            if self.indices and not covered(self.shape[2:], options):
                raise Declined("the largest element of padding alone has no index")
            return self._call(options | ({"return_indices": True} if self.indices else {}))
        options["count_include_pad"] = self.counted
        if self.divisor and ndim > 1:
            options["divisor_override"] = self.divisor
        return self._call(options)

    def _call(self, options: dict[str, Any]) -> Call:
        return Call(self.op, {"input": self.input()}, options, self.seed + 99, self.g)

    def _unpool(self, options: dict[str, Any], ndim: int) -> Call:
        """Unpool what a pooling of distinct numbers has found, where no two windows share one."""
        shape = self.shape
        order = np.random.default_rng(self.seed).permutation(math.prod(shape)).reshape(shape)
        pooled = FORMULAS[f"max_pool{ndim}d"](
            {"input": V(order)}, options | {"return_indices": True}
        )
        places = pooled["indices"]
        flat = places.reshape(-1, math.prod(places.shape[2:]))
        if any(len(np.unique(row)) < len(row) for row in flat):
            raise Declined("two windows have the same largest element")
        values = Operand(self.numbers(0, places.shape), True, self.layout, self.offset)
        indices = Operand(places.astype(np.int64))
        operands = {"input": values, "indices": indices}
        return Call(self.op, operands, options | {"output_size": shape[2:]}, self.seed + 99, self.g)


class PoolFamily(CallFamily):
    """Maxima, means, norms and what undoes them."""

    name = "pool"
    problem = PoolProblem
    ops = tuple(
        f"{kind}{ndim}d"
        for ndim in (2, 1, 3)
        for kind in (
            "max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "lp_pool",
            "max_unpool",
        )
    )  # fmt: skip
    properties = (
        "ceil", "padded", "dilated", "overlapping", "gaps between", "divisor", "not counted",
        "indices", "one channel", "channels not of vectors",
    )  # fmt: skip
    plainest: ClassVar[dict[str, Any]] = {"counted": True, "p": 2.0}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        ndim = int(op[-2])
        kernel = tuple(rng.choice((1, 2, 3, 3, 4, 5)) for _ in range(ndim))
        stride = tuple(rng.choice((1, 2, 3, k, k + 1)) for k in kernel)
        dilation = tuple(rng.choice((1, 1, 2, 3)) for _ in range(ndim))
        padding = tuple(rng.randint(0, k // 2) for k in kernel)
        if op.startswith(("avg", "lp")) or op.startswith("max_unpool"):
            dilation = (1,) * ndim
        if op.startswith(("lp",)):
            padding = (0,) * ndim
        if rng.random() < 0.4:
            padding, dilation = (0,) * ndim, (1,) * ndim
        least = [max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding)]
        space = sizes(rng, ndim, min(room, 600), least)
        batch, channels = batch_and_channels(rng, room // math.prod(space))
        found: dict[str, Any] = {"shape": (batch, channels, *space)}
        if op.startswith("adaptive"):
            to = tuple(rng.randint(1, n + 2) for n in space)
            return found | {"to": to, "indices": rng.random() < 0.3}
        found |= {"kernel": kernel, "stride": stride if rng.random() < 0.7 else ()}
        if op.startswith("lp"):
            return found | {
                "p": rng.choice((2.0, 2.0, 4.0)), "ceil": rng.random() < 0.4,
            }  # fmt: skip
        if op.startswith("max_unpool"):
            return found | {"padding": padding}
        found |= {"padding": padding, "ceil": rng.random() < 0.4}
        if op.startswith("max"):
            return found | {"dilation": dilation, "indices": rng.random() < 0.3}
        divisor = rng.choice((0, 0, 1, 3, 8)) if ndim > 1 else 0
        return found | {"counted": rng.random() < 0.6, "divisor": divisor}

    def holds(self, problem: PoolProblem) -> Sequence[str]:
        steps = problem.stride or problem.kernel
        channels = problem.shape[1]
        traits = {
            "ceil": problem.ceil,
            "padded": any(problem.padding),
            "dilated": any(d > 1 for d in problem.dilation),
            "overlapping": any(s < k for s, k in zip(steps, problem.kernel)),
            "gaps between": any(s > k for s, k in zip(steps, problem.kernel)),
            "divisor": problem.divisor > 0,
            "not counted": not problem.counted,
            "indices": problem.indices,
            "one channel": channels == 1,
            "channels not of vectors": channels % 4 != 0,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]

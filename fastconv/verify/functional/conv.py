"""Convolutions through the public functions: values, every gradient, whatever kernel is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from fastconv.verify.calls import Call, Operand
from fastconv.verify.functional.base import CallFamily, CallProblem, sizes
from fastconv.verify.problem import Declined

__all__ = ["PublicConvFamily", "PublicConvProblem"]


@dataclass(frozen=True)
class PublicConvProblem(CallProblem):
    """A convolution or its transpose, ``shape`` (batch, channels, …) to ``filters`` channels."""

    family: ClassVar[str] = "public-conv"

    filters: int = 1
    groups: int = 1
    kernel: tuple[int, ...] = (1,)
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    extra_out: tuple[int, ...] = ()
    bias: bool = False
    w: str = "plain"

    def call(self) -> Call:
        ndim, channels = int(self.op[-2]), self.shape[1]
        if len(self.shape) != ndim + 2 or len(self.kernel) != ndim:
            raise Declined("axes do not agree")
        if channels % self.groups or self.filters % self.groups:
            raise Declined("groups do not divide")
        stride = self.stride or (1,) * ndim
        padding, dilation = self.padding or (0,) * ndim, self.dilation or (1,) * ndim
        options: dict[str, Any] = {
            "stride": stride, "padding": padding, "dilation": dilation, "groups": self.groups,
        }  # fmt: skip
        if "transpose" in self.op:
            extra = self.extra_out or (0,) * ndim
            if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
                raise Declined("output_padding is too large")
            axes = zip(self.shape[2:], stride, padding, dilation, self.kernel, extra)
            if any((n - 1) * s - 2 * p + d * (k - 1) + e < 0 for n, s, p, d, k, e in axes):
                raise Declined("nothing would be left")
            options["output_padding"] = extra
            weight = (channels, self.filters // self.groups, *self.kernel)
        else:
            fits = zip(self.shape[2:], padding, dilation, self.kernel)
            if any(n + 2 * p < d * (k - 1) + 1 for n, p, d, k in fits):
                raise Declined("the kernel is larger than the input")
            weight = (self.filters, channels // self.groups, *self.kernel)
        operands = {
            "input": self.input(),
            "weight": Operand(self.numbers(1, weight), True, self.w),
        }
        if self.bias:
            operands["bias"] = self.extra(2, (self.filters,))
        return Call(self.op, operands, options, self.seed + 99, self.g)


class PublicConvFamily(CallFamily):
    """``conv1d`` to ``conv_transpose3d``."""

    name = "public-conv"
    problem = PublicConvProblem
    ops = ("conv2d", "conv1d", "conv_transpose2d", "conv2d", "conv3d", "conv_transpose1d",
           "conv_transpose3d")  # fmt: skip
    properties = (
        "depthwise", "grouped", "multiplied", "strided", "stride over kernel", "dilated", "padded",
        "1×1", "one channel", "bias",
    )  # fmt: skip
    plainest: ClassVar[dict[str, Any]] = {}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        ndim = int(op[-2])
        kernel = tuple(rng.choice((1, 2, 3, 3, 5)) for _ in range(ndim))
        if rng.random() < 0.25:
            kernel = (1,) * ndim
        stride = tuple(rng.choice((1, 1, 2, 3, 4)) for _ in range(ndim))
        dilation = tuple(rng.choice((1, 1, 1, 2, 3)) for _ in range(ndim))
        padding = tuple(rng.choice((0, 0, 1, k // 2, k)) for k in kernel)
        if rng.random() < 0.4:
            stride = (rng.choice((1, 2)),) * ndim
            dilation = (1,) * ndim
        least = [max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding)]
        if "transpose" in op:
            least = [
                max(1, -(-(2 * p - d * (k - 1)) // s) + 1)
                for k, d, p, s in zip(kernel, dilation, padding, stride)
            ]
        space = sizes(rng, ndim, min(room, 150), least)
        work = room * 30 // (math.prod(space) * math.prod(kernel))  # channels times filters
        group = rng.choice((1, 1, 2, 3, 8, 16))
        some = [c for c in (1, 2, 3, 4, 8, 15, 16, 17, 32) if c * c * group <= max(1, work)] or [1]
        group = group if group <= max(1, work) else 1
        channels, filters = group * rng.choice(some), group * rng.choice(some)
        if rng.random() < 0.3:  # depthwise
            group = channels = rng.choice(
                [c for c in (1, 3, 4, 8, 15, 16, 17, 33) if c <= max(1, work)]
            )
            filters = channels * rng.choice((1, 1, 2))
        extra = tuple(rng.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation))
        return {
            "shape": (rng.choice((1, 2, 3)), channels, *space),
            "filters": filters,
            "groups": group,
            "kernel": kernel,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "extra_out": extra if "transpose" in op else (),
            "bias": rng.random() < 0.5,
            "w": rng.choice(("plain", "plain", "plain", "last", "swapped", "gaps")),
        }

    def algorithm(self, problem: Any) -> str:
        return "winograd"

    def holds(self, problem: PublicConvProblem) -> Sequence[str]:
        channels, groups = problem.shape[1], problem.groups
        traits = {
            "depthwise": groups == channels > 1,
            "grouped": 1 < groups < channels,
            "multiplied": groups == channels > 1 and problem.filters > channels,
            "strided": any(s > 1 for s in problem.stride),
            "stride over kernel": any(s > k for s, k in zip(problem.stride, problem.kernel)),
            "dilated": any(d > 1 for d in problem.dilation),
            "padded": any(problem.padding),
            "1×1": set(problem.kernel) == {1},
            "one channel": channels == 1,
            "bias": problem.bias,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]

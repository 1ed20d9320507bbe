"""The record of a convolution: its geometry, what runs it, and how its operands lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from fastconv.spec import ConvSpec
from fastconv.verify.problem import Declined, Problem

__all__ = ["OPS", "ROUTES", "ConvProblem"]

#: What is computed; `graph` runs forward and all gradients through the public functions.
OPS = ("forward", "backward_input", "backward_weight", "backward_bias", "graph", "transposed")

#: How a kernel is reached: its function, what its `prepare` makes, `fastconv.ops` on a spec, or
#: `fastconv.nn.functional` with a graph.
ROUTES = ("function", "ready", "ops", "graph")


@dataclass(frozen=True)
class ConvProblem(Problem):
    """One convolution on one kernel.

    Sizes, kernels and the like have one to three axes. `out` is a size of its own: the padding
    after the last element is whatever it implies. `a`, `b` and `r` are the layouts of the two
    operands and the residual, `to` that of the result. Numbers are integers from `seed`, or `real`.
    """

    family: ClassVar[str] = "conv"

    op: str = "forward"
    on: str = "c/gemm"
    isa: str = "generic"
    dtype: str = "float32"
    n: int = 1
    c: int = 1
    k: int = 1
    g: int = 1
    size: tuple[int, ...] = (1,)
    out: tuple[int, ...] = (1,)
    kernel: tuple[int, ...] = (1,)
    stride: tuple[int, ...] = ()
    pad: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    route: str = "function"
    rank: int = 5
    threads: int = 1
    a: str = "last"
    b: str = "plain"
    r: str = "none"
    to: str = "last"
    bias: bool = False
    coef: bool = False
    act: str = "none"
    packed: bool = False
    values: str = "integers"
    offset: int = 0
    seed: int = 0

    @property
    def ndim(self) -> int:
        """Spatial rank."""
        return len(self.size)

    @property
    def steps(self) -> tuple[int, ...]:
        """Strides of the convolution; ones where none are said."""
        return self.stride or (1,) * self.ndim

    @property
    def before(self) -> tuple[int, ...]:
        """Padding before the first element; none where none is said."""
        return self.pad or (0,) * self.ndim

    @property
    def apart(self) -> tuple[int, ...]:
        """Distances of taps; ones where none are said."""
        return self.dilation or (1,) * self.ndim

    @cached_property
    def axes(self) -> tuple[tuple[int, ...], ...]:
        """For each axis: size, outputs, kernel, stride, padding before, dilation."""
        return tuple(
            zip(self.size, self.out, self.kernel, self.steps, self.before, self.apart)
        )  # fmt: skip

    @property
    def products(self) -> int:
        """Of the direct algorithm, those with padding included."""
        total = self.n * self.k * (self.c // max(self.g, 1))
        for o, k in zip(self.out, self.kernel):
            total *= o * k
        return total

    def spec(self) -> ConvSpec:
        """The geometry.

        Raises
        ------
        Declined
            If the fields do not make one.
        """
        axes = (self.size, self.out, self.kernel, self.steps, self.before, self.apart)
        if not 1 <= self.ndim <= 3 or {len(a) for a in axes} != {self.ndim}:
            raise Declined(f"axes of {self} do not agree")
        if self.g < 1 or self.c % self.g or self.k % self.g or min(self.c, self.k) < 1:
            raise Declined(f"{self.g} groups do not divide {self.c} and {self.k} channels")
        if self.n < 0 or min(map(min, (*axes[:4], axes[5]))) < 1 or min(self.before) < 0:
            raise Declined(f"a size of {self} is too small")
        lead, missing = (1,) * (3 - self.ndim), 3 - self.ndim
        size, out, kernel, stride, _, dilation = (lead + a for a in axes)
        pad = (0,) * missing + self.before
        return ConvSpec(
            self.ndim, self.n, self.c, self.k, self.g, size, out, kernel, stride, pad, dilation  # type: ignore[arg-type]
        )  # fmt: skip

"""The kernels there are on this machine, and what each can be given."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from fastconv import backends, plan
from fastconv.verify.conv.draft import Draft

__all__ = ["Kernel", "demand", "function", "kernels", "suit"]

OPS = ("forward", "backward_input", "backward_weight", "backward_bias")


class Kernel(NamedTuple):
    """One candidate on one instruction set (``-`` where there is no choice)."""

    op: str
    on: str
    isa: str

    @property
    def algorithm(self) -> str:
        """Its name without the backend."""
        return self.on.partition("/")[2]

    @property
    def compiled(self) -> bool:
        """Whether it is C's."""
        return self.on.startswith("c/")

    @property
    def slow(self) -> bool:
        """Whether it is interpreted, and gets tiny problems only."""
        return self.on.startswith("naive/")


@cache
def kernels() -> tuple[Kernel, ...]:
    """Every candidate of every direction that this machine can run."""
    found = []
    for op in OPS:
        for candidate in plan.candidates("conv_" + op):
            if backends.why_not(candidate.backend):
                continue
            isas = ["-"]
            if candidate.backend == "c":
                isas = [name for name, able in backends.load("c").isas().items() if able]
            on = f"{candidate.backend}/{candidate.algorithm}"
            found += [Kernel(op, on, isa) for isa in isas]
    return tuple(found)


def function(kernel: Kernel) -> object:
    """The backend's function of a kernel."""
    candidates = plan.candidates("conv_" + kernel.op, kernel.on.partition("/")[0])
    chosen = next(c for c in candidates if c.algorithm == kernel.algorithm)
    return getattr(backends.load(chosen.backend), chosen.function)


def demand(kernel: Kernel, draft: Draft) -> None:
    """Set what the kernel cannot do without, before a property is asked for."""
    algorithm = kernel.algorithm
    if kernel.op == "backward_bias":
        return
    if algorithm == "whole":
        draft.groups, draft.every = 1, {"d": 1, "p": 0, "q": 0}
    elif algorithm == "flat":
        draft.groups = 1
    elif algorithm == "depthwise":
        draft.depthwise, draft.per_in = True, 1
    elif algorithm == "winograd6":
        draft.least_axes, draft.last_two = 2, {"k": 3, "s": 1}


def suit(kernel: Kernel, draft: Draft) -> None:
    """Set what the kernel needs where nothing is asked for."""
    rng, algorithm, axes = draft.rng, kernel.algorithm, draft.axes()
    if kernel.op == "backward_bias":
        return
    if algorithm == "whole":
        for axis in axes:
            axis.want(k=axis.n or rng.choice((1, 2, 3, 4, 5, 7)))
            axis.n = axis.k
    elif algorithm == "depthwise":
        draft.want(groups=rng.choice((2, 3, 5, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100)))
        draft.want(per_out=rng.choice((1, 1, 1, 1, 2, 3, 4)))
    elif algorithm == "grouped":
        draft.want(groups=rng.choice((2, 2, 3, 4, 5, 8, 17)))
        draft.want(per_in=rng.choice((2, 2, 3, 4, 4, 5, 8, 8, 9, 16, 17, 32)))
    elif algorithm in ("winograd", "winograd6"):
        unset = [axis for axis in axes if axis.k is None]
        if unset and all((axis.k or 1) == 1 for axis in axes):
            rng.choice(unset).k = rng.choice((2, 3, 3, 3, 4, 5))
    elif algorithm == "direct" and kernel.compiled:
        if axes[-1].k != 1:
            draft.want(groups=1)
            axes[-1].want(d=1)
    elif algorithm == "flat":
        for axis in axes:
            axis.want(s=rng.choice((1, 1, 2, 3, 4)))

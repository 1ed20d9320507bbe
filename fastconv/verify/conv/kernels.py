"""The kernels there are on this machine, and what each needs of a geometry."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from fastconv import backends, planner
from fastconv.backends.kernel import find
from fastconv.verify.conv.draft import Draft

__all__ = ["GRAPHS", "Kernel", "demand", "kernels", "suit"]

OPS = ("forward", "backward_input", "backward_weight", "backward_bias")
#: The ops that go through the public functions and backward.
GRAPHS = ("graph", "transposed")
#: What the planner is asked for in these: nothing, or an algorithm where it can run.
ASKED = ("whole", "depthwise", "grouped", "winograd", "flat", "scatter", "direct", "gemm")


class Kernel(NamedTuple):
    """One candidate of one direction, or a wish in the graph, on an instruction set (or ``-``)."""

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

    def has(self, mark: str) -> bool:
        """Whether the backend's kernel can do this."""
        return bool(getattr(_kernel(self), mark, False))


def _isas() -> list[str]:
    return [name for name, able in backends.load("c").isas().items() if able]


@cache
def kernels() -> tuple[Kernel, ...]:
    """Every candidate of every direction that can run here, and what the graph asks for."""
    found = []
    for op in OPS:
        for candidate in planner.candidates("conv_" + op):
            if backends.why_not(candidate.backend):
                continue
            on = f"{candidate.backend}/{candidate.algorithm}"
            isas = _isas() if candidate.backend == "c" else ["-"]
            found += [Kernel(op, on, isa) for isa in isas]
    for op in GRAPHS:
        if not backends.why_not("numba"):
            found.append(Kernel(op, "numba/choice", "-"))
        if not backends.why_not("c"):
            found += [Kernel(op, "c/choice", isa) for isa in _isas()]
            found += [Kernel(op, f"c/{name}", _isas()[-1]) for name in ASKED]
    return tuple(found)


@cache
def _kernel(kernel: Kernel) -> Any:
    """The backend's kernel of this name; None in the graph."""
    for c in planner.CANDIDATES.get("conv_" + kernel.op, ()):
        if kernel.on == f"{c.backend}/{c.algorithm}":
            return find(c.backend, "conv_" + kernel.op, c.algorithm)
    return None


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
    elif algorithm == "winograd":
        unset = [axis for axis in axes if axis.k is None]
        if unset and all((axis.k or 1) == 1 for axis in axes):
            rng.choice(unset).k = rng.choice((2, 3, 3, 3, 4, 5))
    elif algorithm == "direct" and kernel.compiled:
        if draft.groups not in (None, 1) or draft.depthwise or draft.uneven:
            axes[-1].want(k=1)
        if axes[-1].k != 1:
            draft.want(groups=1)
            axes[-1].want(d=1)
    elif algorithm == "flat":
        for axis in axes:
            axis.want(s=rng.choice((1, 1, 2, 3, 4)))

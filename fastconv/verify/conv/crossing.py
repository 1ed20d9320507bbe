"""What a kernel can be given, and which properties its problems can have: what should meet."""

from __future__ import annotations

from functools import cache

from fastconv.verify.conv.check import ACTIVATIONS
from fastconv.verify.conv.kernels import GRAPHS, Kernel
from fastconv.verify.conv.properties import PROPERTIES
from fastconv.verify.conv.record import ConvProblem

__all__ = [
    "DTYPES", "given", "gives", "never", "parts", "possible", "routes", "threads",
]  # fmt: skip

DTYPES = ("float32", "float64")


def threads(kernel: Kernel) -> tuple[int, ...]:
    """Numbers of threads."""
    return (1,) if kernel.slow else (1, 2, 3)


@cache
def routes(kernel: Kernel) -> tuple[str, ...]:
    """Ways to reach the kernel."""
    if kernel.op in GRAPHS:
        return ("graph",)
    return ("function", "ops", "ready")


@cache
def gives(kernel: Kernel) -> tuple[str, ...]:
    """What the kernel can be given beside its operands."""
    found = ["real values"] if kernel.op != "backward_bias" else []
    if kernel.op == "forward":
        found += ["bias", "coef", "residual"]
        found += [f"act={name}" for name in ACTIVATIONS if name != "none"]
    if kernel.op in GRAPHS:
        found += ["bias", "no batch axis"]
    if kernel.has("packs") or (kernel.op in GRAPHS and kernel.compiled):
        found.append("packed")
    return tuple(found)


def given(problem: ConvProblem) -> list[str]:
    """What the problem's kernel was given beside its operands."""
    found = [name for name in ("bias", "coef", "packed") if getattr(problem, name)]
    if problem.r != "none" and problem.op == "forward":
        found.append("residual")
    if problem.act != "none":
        found.append(f"act={problem.act}")
    if problem.values == "real":
        found.append("real values")
    if problem.rank == problem.ndim + 1:
        found.append("no batch axis")
    return found


@cache
def parts(kernel: Kernel) -> tuple[str, ...]:
    """All that a kernel's problems differ in but type and instruction set, as `given` names it."""
    found = [f"threads={n}" for n in threads(kernel)]
    found += [f"route={route}" for route in routes(kernel)]
    return (*found, *gives(kernel))


def never(kernel: Kernel, name: str, part: str) -> bool:
    """Whether a property and a part of the setting contradict each other."""
    residual = name.startswith("residual") and kernel.op not in GRAPHS
    if part == "real values":
        return residual or name == "batch of 0"
    if part == "no batch axis":
        return name.startswith("batch of") and name != "batch of 1"
    if part == "route=function":
        return residual and not kernel.has("finishes")
    if part == "route=ready":
        return (name in ("batch of 0", "result plain") and kernel.op != "backward_weight") or (
            name == "batch of 0"
        )
    return False


# --- properties that a kernel declines by its nature (`fastconv.planner.rules`)

#: One position, no padding, one group.
_WHOLE = (
    "kernel past the input", "dilation", "dilation and stride with a common factor",
    "dilation equal to the stride", "dilation and stride coprime", "dilation past the input",
    "same padding", "padding past the kernel", "padding differs by side",
    "padding differs by axis", "tap in padding only", "output in padding only",
    "inputs after the last window", "fewer outputs than fit", "long line", "many rows",
    "stride past the kernel",
)  # fmt: skip
_GROUPS = (
    "few groups", "many groups", "one channel a group", "multiplier 2", "multiplier over 2",
    "groups of unlike sides",
)  # fmt: skip
_DECLINES: dict[str, tuple[str, ...]] = {
    "whole": _WHOLE + _GROUPS,
    "flat": _GROUPS,
    "depthwise": ("one group", "groups of unlike sides", "1 channels in", "1 channels out"),
    "grouped": (
        "one group", "one channel a group", "multiplier 2", "multiplier over 2", "1 channels in",
    ),
    "winograd": ("kernel 1",),
}  # fmt: skip
#: Public functions pad both sides alike but for `same`, and make results of their own.
_NOT_IN_GRAPH = ("padding differs by side", "fewer outputs than fit", "result plain", "result last")


@cache
def possible(kernel: Kernel) -> tuple[str, ...]:
    """Names of the properties that a problem for this kernel can have."""
    declined: set[str] = set()
    if kernel.op in GRAPHS:
        declined.update(_NOT_IN_GRAPH)
    elif kernel.op != "backward_bias":
        declined.update(_DECLINES.get(kernel.algorithm, ()))
        if kernel.op == "backward_weight" and kernel.algorithm == "winograd":
            declined.add("tap in padding only")
    found = []
    for name in PROPERTIES:
        role = name.split()[0]
        if name in declined or (role == "residual" and kernel.op not in ("forward", *GRAPHS)):
            continue
        if role == "second" and kernel.op == "backward_bias":
            continue
        if name == "result last" and kernel.op in ("backward_weight", "backward_bias"):
            continue
        if name == "memory formats mixed" and kernel.op in ("backward_bias", *GRAPHS):
            continue
        if kernel.slow and name in _LARGE:
            continue
        found.append(name)
    return tuple(found)


#: More products than an interpreted kernel is given.
_LARGE = (
    "long line", "31 to 33 channels in", "31 to 33 channels out", "47 to 49 channels in",
    "47 to 49 channels out", "63 to 65 channels in", "63 to 65 channels out",
    "over 65 channels in", "over 65 channels out",
)  # fmt: skip

"""The family of convolutions: every property meets every kernel and all it can be given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from random import Random

from fastconv.verify.arrays import LAYOUTS
from fastconv.verify.conv import check as checking
from fastconv.verify.conv.draft import Draft, Unsuitable
from fastconv.verify.conv.kernels import Kernel, demand, function, kernels, suit
from fastconv.verify.conv.properties import PROPERTIES
from fastconv.verify.conv.record import ConvProblem
from fastconv.verify.conv.smaller import smaller
from fastconv.verify.problem import Declined, Failure, Family

__all__ = ["ConvFamily"]

DTYPES = ("float32", "float64")
#: Products of the direct algorithm, at most, and how often: the few large ones pass the thresholds
#: of blocks and threads.
CAPS: tuple[tuple[int, float], ...] = (
    (3_000, 30),
    (20_000, 45),
    (100_000, 20),
    (600_000, 4.5),
    (4_000_000, 0.5),
)
NAIVE_CAP = 600
#: Drafts for one problem before its property is given up.
TRIES = 12


class ConvFamily(Family):
    """Convolutions: three directions and the bias, on every candidate of the planner."""

    name = "conv"
    problem = ConvProblem
    properties: Sequence[str] = tuple(PROPERTIES)

    def draw(self, rng: Random, number: int) -> ConvProblem:
        """The kernels take turns, and at each turn of a kernel the properties do."""
        every = kernels()
        turn, which = divmod(number, len(every))
        kernel = every[which]
        names = possible(kernel)
        lap, at = divmod(turn + 7 * which, len(names))
        dtype = DTYPES[(lap + at + which) % 2]
        problem = None
        for attempt in range(3 * TRIES):
            focus = [names[at]] if attempt < TRIES else []
            extra = rng.choice((0, 0, 1, 2)) if attempt < TRIES // 2 else 0
            found = _draft(kernel, dtype, focus + rng.sample(names, extra), rng)
            if found is None:
                continue
            problem = found
            if all(PROPERTIES[name].holds(found) for name in focus):
                return found
        return problem or ConvProblem(kernel.op, kernel.on, kernel.isa, dtype)

    def check(self, problem: ConvProblem) -> Failure | None:
        """Run a problem on its kernel."""
        what = checking.check(problem)
        return None if what is None else Failure(problem, what)

    def smaller(self, problem: ConvProblem) -> Iterator[ConvProblem]:
        """Plainer ways to call, then smaller geometries."""
        return smaller(problem)

    def settings(self, problem: ConvProblem) -> Sequence[str]:
        """The kernel with type and instruction set, and with each thing that it was given."""
        kernel = f"{problem.op} {problem.on}"
        found = [
            f"{kernel} {problem.isa} {problem.dtype}",
            f"{kernel} threads={problem.threads}",
            f"{kernel} route={problem.route}",
        ]
        for name in _given(problem):
            found.append(f"{kernel} {name}")
        return found

    def holds(self, problem: ConvProblem) -> Sequence[str]:
        """Names of the properties."""
        return [one.name for one in PROPERTIES.values() if one.holds(problem)]

    def expected(self) -> Iterator[tuple[str, str]]:
        """Each kernel's settings with the properties that it can have."""
        for kernel in kernels():
            base = f"{kernel.op} {kernel.on}"
            settings = [f"{base} {kernel.isa} {dtype}" for dtype in DTYPES]
            if kernel.isa in ("-", kernels()[0].isa):
                settings += [f"{base} threads={n}" for n in _threads(kernel)]
                settings += [f"{base} route={route}" for route in _routes(kernel)]
                settings += [f"{base} {name}" for name in _can_be_given(kernel)]
            for setting in settings:
                for name in possible(kernel):
                    yield name, setting

    def largest(self) -> dict[str, float]:
        """Largest errors of the inexact algorithms in units of what is allowed."""
        return {
            f"error of {name} over the allowed": share for name, share in checking.worst.items()
        }


# --- what a kernel can be given


def _threads(kernel: Kernel) -> tuple[int, ...]:
    return (1,) if kernel.slow else (1, 2, 3)


def _routes(kernel: Kernel) -> list[str]:
    made = hasattr(function(kernel), "prepare")
    return ["function", "ops", *(["ready"] if made else [])]


def _given(problem: ConvProblem) -> list[str]:
    """What the problem's kernel was given beside its operands."""
    found = [name for name in ("bias", "coef", "packed") if getattr(problem, name)]
    if problem.r != "none":
        found.append("residual")
    if problem.act != "none":
        found.append(f"act={problem.act}")
    if problem.values == "real":
        found.append("real values")
    return found


def _can_be_given(kernel: Kernel) -> list[str]:
    found = ["real values"]
    if kernel.op == "forward":
        found += ["bias", "coef", "residual"]
        found += [f"act={name}" for name in checking.ACTIVATIONS if name != "none"]
    if hasattr(function(kernel), "packs"):
        found.append("packed")
    return found


#: Properties that an algorithm declines by its nature (`fastconv.rules`), with the reason.
_UNPADDED = (
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
EXCLUDED: dict[str, tuple[str, ...]] = {
    "whole": _UNPADDED + _GROUPS,
    "flat": _GROUPS,
    "depthwise": ("one group", "groups of unlike sides", "1 channels in"),
    "grouped": (
        "one group", "one channel a group", "multiplier 2", "multiplier over 2", "1 channels in",
    ),
    "winograd": ("kernel 1",),
    "winograd6": (
        "kernel 1", "1-D", "one-sided kernel", "even kernel", "stride below the kernel",
        "stride equal to the kernel", "dilation and stride with a common factor",
    ),
}  # fmt: skip


@cache
def possible(kernel: Kernel) -> list[str]:
    """Names of the properties that a problem for this kernel can have."""
    excluded = set(EXCLUDED.get(kernel.algorithm, ())) if kernel.op != "backward_bias" else set()
    found = []
    for name in PROPERTIES:
        roles = {"residual": kernel.op == "forward", "second": kernel.op != "backward_bias"}
        if name in excluded or not roles.get(name.split()[0], True):
            continue
        if name == "result last" and kernel.op in ("backward_weight", "backward_bias"):
            continue
        if kernel.slow and (name.startswith(("47", "63", "over", "31")) or name == "long line"):
            continue
        found.append(name)
    return found


# --- drawing


def _draft(kernel: Kernel, dtype: str, names: list[str], rng: Random) -> ConvProblem | None:
    """A problem for the kernel with these properties, if that could be had."""
    draft = Draft(rng)
    draft.cap = NAIVE_CAP if kernel.slow else _cap(rng)
    demand(kernel, draft)
    try:
        for name in names:
            PROPERTIES[name].sample(draft)
        suit(kernel, draft)
        draft.fill()
    except Unsuitable:
        return None
    problem = _problem(kernel, dtype, draft)
    try:
        spec = problem.spec()
    except Declined:
        return None
    chosen = checking.candidate_of(problem, "conv_" + kernel.op)
    return problem if chosen.decline(spec) is None else None


def _problem(kernel: Kernel, dtype: str, draft: Draft) -> ConvProblem:
    rng, axes, layouts = draft.rng, draft.axes(), draft.layouts
    groups, ndim = draft.groups or 1, len(axes)
    forward, weight = kernel.op == "forward", kernel.op == "backward_weight"
    kernel_function = function(kernel)
    residual = layouts.get("r", "none")
    real = residual == "none" and rng.random() < 0.1 and kernel.op != "backward_bias"
    extra = forward and not real and (residual != "none" or rng.random() < 0.4)
    route = rng.choice(("function", "function", "function", "ops", *_routes(kernel)))
    if extra and not hasattr(kernel_function, "finishes"):
        route = "ops"
    ready = route == "ready"
    packed = hasattr(kernel_function, "packs") and not (ready and not forward)
    if extra and residual == "none" and rng.random() < 0.4:
        residual = rng.choice(("plain", "last", "last", "gaps", "channels", "everywhere"))
    ranks = hasattr(kernel_function, "ranks") or route == "ops"
    either = ("last", "plain")
    return ConvProblem(
        op=kernel.op, on=kernel.on, isa=kernel.isa, dtype=dtype,
        n=draft.n if draft.n is not None else 1,
        c=groups * (draft.per_in or 1), k=groups * (draft.per_out or 1), g=groups,
        size=tuple([a.n or 1 for a in axes]), out=tuple([a.out for a in axes]),
        kernel=tuple([a.k or 1 for a in axes]), stride=_unless([a.s or 1 for a in axes], 1),
        pad=_unless([a.p or 0 for a in axes], 0), dilation=_unless([a.d or 1 for a in axes], 1),
        route=route,
        rank=ndim + 2 if ranks and rng.random() < 0.5 else 5,
        threads=1 if kernel.slow else rng.choice((1, 1, 1, 2, 2, 3)),
        a=layouts.get("a") or _any_layout(rng, 0.3),
        b=layouts.get("b") or _any_layout(rng, 0.4 if weight else 0.75),
        r=residual,
        to="last" if ready and not weight else "plain" if weight or kernel.op == "backward_bias"
        else layouts.get("to") or rng.choice(either),
        bias=forward and rng.random() < 0.5,
        coef=extra and rng.random() < 0.3,
        act=rng.choice(tuple(checking.ACTIVATIONS)) if extra else "none",
        packed=packed and rng.random() < 0.35,
        values="real" if real else "integers",
        offset=rng.choice((0, 0, 1, 3, 4, 7, 9)),
        seed=rng.randrange(1 << 20),
    )  # fmt: skip


def _cap(rng: Random) -> int:
    """How many products a problem may have."""
    at = rng.random() * 100
    for products, share in CAPS:
        at -= share
        if at < 0:
            return products
    return CAPS[0][0]


def _unless(values: list[int], default: int) -> tuple[int, ...]:
    """Nothing where all have their default."""
    return () if all(value == default for value in values) else tuple(values)


def _any_layout(rng: Random, plain: float) -> str:
    at = rng.random()
    if at < plain:
        return "plain"
    return "last" if at < 0.8 else rng.choice(LAYOUTS)
